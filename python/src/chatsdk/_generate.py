"""The one-liners: tokens with the address and the key of the environment."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from chatsdk._async_client import AsyncChatSDKServer
from chatsdk._client import ChatSDKServer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from chatsdk._types import Profile, TokenReply


def generate_chatsdk_token(user_id: str | int, **profile: Unpack[Profile]) -> TokenReply:
    """Get tokens for a person that you know to be who they say.

    With ``CHATSDK_API_URL`` and ``CHATSDK_API_KEY`` of the environment; the arguments are the members of
    `TokenRequest`. In code with an event loop use `generate_chatsdk_token_async`.
    """
    # The hash, so that no frame and no cache of ours holds the key in the open.
    environment = hash((os.environ.get("CHATSDK_API_URL"), os.environ.get("CHATSDK_API_KEY")))
    return _shared(environment).generate_token(user_id, **profile)


async def generate_chatsdk_token_async(user_id: str | int, **profile: Unpack[Profile]) -> TokenReply:
    """Get tokens, as `generate_chatsdk_token` does, under asyncio or trio.

    Each call connects anew, as connections belong to one event loop; a backend under load keeps an
    `AsyncChatSDKServer`.
    """
    async with AsyncChatSDKServer() as server:
        return await server.generate_token(user_id, **profile)


@lru_cache(maxsize=1)
def _shared(_environment: int) -> ChatSDKServer:
    return ChatSDKServer()
