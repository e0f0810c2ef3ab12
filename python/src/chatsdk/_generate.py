"""The one-liners: tokens with the address and the key of the environment."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Literal

from chatsdk._async_client import AsyncChatSDKServer
from chatsdk._client import ChatSDKServer
from chatsdk._types import UNSET, Json, Lifetime, TokenReply, TokenRequest, Unset


def generate_chatsdk_token(
    user_id: str | int,
    *,
    name: str | Literal[Unset.UNSET] | None = UNSET,
    avatar: str | Literal[Unset.UNSET] | None = UNSET,
    custom: Json | Literal[Unset.UNSET] | None = UNSET,
    access_token_expiry: Lifetime | None = None,
    refresh_token_expiry: Lifetime | None = None,
    session_expiry: Lifetime | None = None,
    device_id: str | None = None,
    device_name: str | None = None,
) -> TokenReply:
    """Get tokens for a person that you know to be who they say.

    With ``CHATSDK_API_URL`` and ``CHATSDK_API_KEY`` of the environment; the arguments are the members of
    `TokenRequest`. In code with an event loop use `generate_chatsdk_token_async`.
    """
    request = TokenRequest(
        user_id=user_id,
        name=name,
        avatar=avatar,
        custom=custom,
        access_token_expiry=access_token_expiry,
        refresh_token_expiry=refresh_token_expiry,
        session_expiry=session_expiry,
        device_id=device_id,
        device_name=device_name,
    )
    # The hash, so that no frame and no cache of ours holds the key in the open.
    environment = hash((os.environ.get("CHATSDK_API_URL"), os.environ.get("CHATSDK_API_KEY")))
    return _shared(environment).generate_token_for(request)


async def generate_chatsdk_token_async(
    user_id: str | int,
    *,
    name: str | Literal[Unset.UNSET] | None = UNSET,
    avatar: str | Literal[Unset.UNSET] | None = UNSET,
    custom: Json | Literal[Unset.UNSET] | None = UNSET,
    access_token_expiry: Lifetime | None = None,
    refresh_token_expiry: Lifetime | None = None,
    session_expiry: Lifetime | None = None,
    device_id: str | None = None,
    device_name: str | None = None,
) -> TokenReply:
    """Get tokens, as `generate_chatsdk_token` does, under asyncio or trio.

    Each call connects anew, as connections belong to one event loop; a backend under load keeps an
    `AsyncChatSDKServer`.
    """
    request = TokenRequest(
        user_id=user_id,
        name=name,
        avatar=avatar,
        custom=custom,
        access_token_expiry=access_token_expiry,
        refresh_token_expiry=refresh_token_expiry,
        session_expiry=session_expiry,
        device_id=device_id,
        device_name=device_name,
    )
    async with AsyncChatSDKServer() as server:
        return await server.generate_token_for(request)


@lru_cache(maxsize=1)
def _shared(_environment: int) -> ChatSDKServer:
    return ChatSDKServer()
