"""Both clients behind one face, so that every test is one for threads and for event loops."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from chatsdk import AsyncChatSDKServer, ChatSDKServer, Runtime

ISSUER = "http://localhost:5500"


class OneLoop:
    """Calls the async client from a thread, on one event loop that goes on between the calls."""

    def __init__(self, **options: Any) -> None:
        # Made before the loop: what it raises ends here.
        self._chat = AsyncChatSDKServer(**options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self._run(getattr(self._chat, name)(*arguments, **named))

    def close(self) -> None:
        self._run(self._chat.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settle(self) -> None:
        task = self._chat._own.get().task
        assert task is not None
        asyncio.run_coroutine_threadsafe(asyncio.wait([task]), self._loop).result()

    def cancel(self) -> None:
        task = self._chat._own.get().task
        assert task is not None
        self._loop.call_soon_threadsafe(task.cancel)

    def _run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()


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


def settle(chat: Any) -> None:
    """Wait for the fetch of keys that goes on beside the calls."""
    if isinstance(chat, OneLoop):
        chat.settle()
    else:
        with chat._own.get().fetching:
            pass


def is_fetching(chat: Any) -> bool:
    """Tell whether a fetch of keys goes on beside the calls."""
    if isinstance(chat, OneLoop):
        return bool(chat._chat._own.get().refreshing)
    return bool(chat._own.get().fetching.locked())


Client = type[ChatSDKServer] | type[OneLoop]
CLIENTS: list[Client] = [ChatSDKServer, OneLoop]
