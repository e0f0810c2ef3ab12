"""ChatSDK for Python backends.

Start at `generate_chatsdk_token`, or at `ChatSDKServer` and `AsyncChatSDKServer`; routes for FastAPI are in
`chatsdk.fastapi`.
"""

from chatsdk._async_client import AsyncChatSDKServer
from chatsdk._client import ChatSDKServer
from chatsdk._generate import generate_chatsdk_token, generate_chatsdk_token_async
from chatsdk._settings import Options, Runtime
from chatsdk._types import (
    AccessReply,
    AccessToken,
    Introspection,
    Lifetime,
    Profile,
    Session,
    TokenReply,
    TokenRequest,
    User,
)
from chatsdk.errors import (
    ERROR_CODES,
    SESSION_ENDED_CODES,
    ApiError,
    ChatSDKError,
    InvalidInputError,
    NetworkError,
    TokenVerificationError,
    is_session_ended,
)

__all__ = [
    "ERROR_CODES",
    "SESSION_ENDED_CODES",
    "AccessReply",
    "AccessToken",
    "ApiError",
    "AsyncChatSDKServer",
    "ChatSDKError",
    "ChatSDKServer",
    "Introspection",
    "InvalidInputError",
    "Lifetime",
    "NetworkError",
    "Options",
    "Profile",
    "Runtime",
    "Session",
    "TokenReply",
    "TokenRequest",
    "TokenVerificationError",
    "User",
    "generate_chatsdk_token",
    "generate_chatsdk_token_async",
    "is_session_ended",
]
