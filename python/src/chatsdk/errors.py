"""Everything that this package raises.

Decide by ``code``, or by the class; the message is for people. No error carries an API key or a token, and
none has a cause: the frames of the HTTP library hold the request with its headers.
"""

from __future__ import annotations

from typing import Any, Final

from chatsdk._redact import redact

ERROR_CODES: Final = (
    "invalid_request",
    "invalid_json",
    "invalid_field",
    "api_key_missing",
    "api_key_invalid",
    "api_key_revoked",
    "api_key_expired",
    "token_missing",
    "token_expired",
    "token_invalid",
    "token_revoked",
    "refresh_token_invalid",
    "refresh_token_expired",
    "refresh_token_reused",
    "session_revoked",
    "operator_token_missing",
    "operator_token_invalid",
    "api_key_scope",
    "browser_forbidden",
    "user_banned",
    "app_disabled",
    "origin_forbidden",
    "not_found",
    "session_not_found",
    "app_not_found",
    "connection_not_found",
    "method_not_allowed",
    "request_stale",
    "request_timeout",
    "payload_too_large",
    "unsupported_media_type",
    "upgrade_required",
    "rate_limited",
    "internal",
    "unavailable",
)
"""The codes of the server's problem documents. The list may grow."""

SESSION_ENDED_CODES: Final = (
    "refresh_token_invalid",
    "refresh_token_expired",
    "refresh_token_reused",
    "session_revoked",
    "user_banned",
)
"""The codes that end a session: the only ones on which to ask somebody to sign in again."""


class ChatSDKError(Exception):
    """The ancestor of every error of this package."""

    code: str
    """What went wrong, by a name that never changes."""
    retryable: bool
    """Whether the same call may succeed later without a change."""
    http_status: int | None
    """The status that ChatSDK answered. A 401 about your API key is not a 401 for your user."""
    request_id: str | None
    """The server's id of the request, to quote to its operator."""
    retry_after_ms: int | None
    """How long to wait before the same call, in milliseconds."""
    field: str | None
    """The member, parameter or option that is at fault."""
    hint: str | None
    """What can be done about it."""
    server_time: int | None
    """The server's clock, in milliseconds since the Unix epoch; with ``request_stale`` alone."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        http_status: int | None = None,
        request_id: str | None = None,
        retry_after_ms: int | None = None,
        field: str | None = None,
        hint: str | None = None,
        server_time: int | None = None,
    ) -> None:
        super().__init__(redact(message))
        self.code = code
        self.retryable = retryable
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after_ms = retry_after_ms
        self.field = field
        self.hint = hint
        self.server_time = server_time

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Task queues send errors from one process to another.
        return _rebuild, (type(self), str(self), self.__dict__)


class ApiError(ChatSDKError):
    """ChatSDK refused: ``code`` is one of `ERROR_CODES`."""


class NetworkError(ChatSDKError):
    """No answer of ChatSDK.

    It did not answer in time (``timeout``), could not be reached (``network``), or something else answered in
    its place (``foreign_answer``): a proxy, a wrong ``api_url``. The message starts with ``Network``.
    """


class InvalidInputError(ChatSDKError, ValueError):
    """An argument or an option cannot work; nothing was sent. ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("invalid_input", message, field=field)


class TokenVerificationError(ChatSDKError):
    """The access token does not verify: ``token_expired``, which is worth a refresh, or ``token_invalid``."""


def is_session_ended(error: BaseException) -> bool:
    """Tell whether ``error`` says that the session is over, by the word of ChatSDK itself."""
    return isinstance(error, ApiError) and error.http_status in (401, 403) and error.code in SESSION_ENDED_CODES


def _rebuild(kind: type[ChatSDKError], message: str, state: dict[str, Any]) -> ChatSDKError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error
