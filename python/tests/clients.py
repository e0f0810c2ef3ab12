"""Both clients behind one face, so that every test is one for threads and for event loops."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from chatsdk import AsyncChatSDKServer, ChatSDKServer, Runtime

ISSUER = "http://localhost:5500"


class OneLoop:
    """Calls the async client from a thread, on one event loop."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._chat = AsyncChatSDKServer(**options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self._loop.run_until_complete(
            getattr(self._chat, name)(*arguments, **named)
        )

    def close(self) -> None:
        self._loop.run_until_complete(self._chat.aclose())
        self._loop.close()


class Moved:
    """Clocks that a test moves, pauses that take no time, and chance that is always a half."""

    def __init__(self) -> None:
        self.by = 0.0
        self.pauses: list[float] = []

    def runtime(self) -> Runtime:
        return Runtime(
            wall=lambda: time.time() + self.by,
            mono=lambda: time.monotonic() + self.by,
            random=lambda: 0.5,
            pause=self.pauses.append,
        )


Client = type[ChatSDKServer] | type[OneLoop]
CLIENTS: list[Client] = [ChatSDKServer, OneLoop]
