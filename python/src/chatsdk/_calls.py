"""The calls of the API: what is sent where, and how replies are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from chatsdk._exchange import Call, Exchange, exchange, missing
from chatsdk.errors import ApiError, InvalidInputError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatsdk._settings import Settings
    from chatsdk._types import Introspection, Json, Profile, Session, TokenReply

V = TypeVar("V")

_KEYS_PATIENCE = 4.0
"""How long a fetch of the keys may take with its retries, in seconds: a call of yours waits for it."""

_TOO_LARGE = 10**128
"""An id has at most 128 bytes."""
_MEMBERS = {
    "name": "name",
    "avatar": "avatar",
    "custom": "custom",
    "access_token_expiry": "accessTokenExpiry",
    "refresh_token_expiry": "refreshTokenExpiry",
    "session_expiry": "sessionExpiry",
    "device_id": "deviceId",
    "device_name": "deviceName",
}


def mint(user_id: str | int, profile: Profile) -> Call[TokenReply]:
    """``POST /auth/tokens``."""
    wanted = _user_id(user_id)
    body: Json = {"userId": wanted}
    for name, value in profile.items():
        if name not in _MEMBERS:
            raise TypeError(f"There is no argument {name!r}: there are user_id, {', '.join(_MEMBERS)}.")
        body[_MEMBERS[name]] = value

    def read(reply: Json) -> TokenReply:
        tokens = _tokens(reply)
        # Whatever mixed replies up, a proxy or a connection that two processes share: nobody gets the tokens of
        # somebody else.
        person = _member(reply, "user", lambda value: isinstance(value, dict))
        if person.get("id") != wanted:
            raise NetworkError("foreign_answer", "Network error: the reply holds the tokens of somebody else.")
        return tokens

    return Call("POST", "/auth/tokens", read, lambda: body)


class Clock:
    """What a client knows of the server's clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ahead = 0.0

    def now(self) -> int:
        """Estimate it, in milliseconds."""
        return round((self._settings.runtime.wall() + self._ahead) * 1000)

    def learn(self, server_time: int) -> None:
        """Take it from a reply."""
        self._ahead = server_time / 1000 - self._settings.runtime.wall()


def refresh(settings: Settings, clock: Clock, refresh_token: str, sent_at: int | None) -> Exchange[TokenReply]:
    """``POST /auth/refresh``, and once more where the clock was wrong.

    A request that was held up must not use up a token that its owner has long exchanged: the server refuses it
    by ``sentAt``. Each attempt says when it was made.
    """
    _text("refresh_token", refresh_token)
    if sent_at is not None and (not isinstance(sent_at, int) or isinstance(sent_at, bool)):
        raise InvalidInputError("sent_at", "sent_at is a time in whole milliseconds.")

    def body() -> Json:
        return {"refreshToken": refresh_token, "sentAt": clock.now() if sent_at is None else sent_at}

    call = Call("POST", "/auth/refresh", _tokens, body, key=False)
    try:
        return (yield from exchange(settings, call))
    except ApiError as error:
        if error.code != "request_stale" or error.server_time is None or sent_at is not None:
            raise
        clock.learn(error.server_time)
    return (yield from exchange(settings, call))


def revoke_token(refresh_token: str) -> Call[None]:
    """``POST /auth/revoke``."""
    body = {"refreshToken": _text("refresh_token", refresh_token)}
    return Call("POST", "/auth/revoke", _nothing, lambda: body, key=False)


def list_sessions(user_id: str | int) -> Call[list[Session]]:
    """``GET /auth/users/{userId}/sessions``."""

    def read(reply: Json) -> list[Session]:
        return cast("list[Session]", _member(reply, "sessions", lambda value: isinstance(value, list)))

    return Call("GET", f"{_user_path(user_id)}/sessions", read)


def revoke_session(user_id: str | int, session_id: str) -> Call[None]:
    """``DELETE /auth/users/{userId}/sessions/{sessionId}``."""
    path = f"{_user_path(user_id)}/sessions/{_segment('session_id', _text('session_id', session_id))}"
    return Call("DELETE", path, _nothing)


def revoke_user(user_id: str | int, except_session: str | None) -> Call[None]:
    """``POST /auth/users/{userId}/revoke``."""
    body: Json = {} if except_session is None else {"except": except_session}
    return Call("POST", f"{_user_path(user_id)}/revoke", _nothing, lambda: body)


def ban(user_id: str | int, reason: str | None) -> Call[None]:
    """``POST /auth/users/{userId}/ban``."""
    body: Json = {} if reason is None else {"reason": reason}
    return Call("POST", f"{_user_path(user_id)}/ban", _nothing, lambda: body)


def unban(user_id: str | int) -> Call[None]:
    """``DELETE /auth/users/{userId}/ban``."""
    return Call("DELETE", f"{_user_path(user_id)}/ban", _nothing)


def introspect(token: str) -> Call[Introspection]:
    """``POST /auth/introspect``."""
    body = {"token": _text("token", token)}

    def read(reply: Json) -> Introspection:
        _member(reply, "active", lambda value: isinstance(value, bool))
        return cast("Introspection", reply)

    return Call("POST", "/auth/introspect", read, lambda: body)


def keys() -> Call[list[Json]]:
    """``GET /.well-known/jwks.json``."""

    def read(reply: Json) -> list[Json]:
        found = _member(reply, "keys", lambda value: isinstance(value, list))
        return [key for key in cast("list[object]", found) if isinstance(key, dict)]

    return Call("GET", "/.well-known/jwks.json", read, key=False, timeout=_KEYS_PATIENCE)


def _user_path(user_id: str | int) -> str:
    return f"/auth/users/{_segment('user_id', _user_id(user_id))}"


def _segment(field: str, value: str) -> str:
    # URLs resolve these, even percent-encoded: the call would go to another path.
    if value in {".", ".."}:
        raise InvalidInputError(field, f"{field} cannot be part of a path.")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        pass
    raise InvalidInputError(field, f"{field} holds half a character (a lone surrogate).")


def _user_id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _TOO_LARGE:
        return str(value)
    if isinstance(value, str) and value:
        return value
    got = "an empty string" if value == "" else type(value).__name__
    raise InvalidInputError("user_id", f"user_id is your id of the person, a string or an integer; got {got}.")


def _text(field: str, value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise InvalidInputError(field, f"{field} has to be a string that is not empty.")


def _tokens(reply: Json) -> TokenReply:
    for member in ("accessToken", "refreshToken"):
        _member(reply, member, lambda value: isinstance(value, str))
    _member(reply, "expiresAt", lambda value: isinstance(value, int))
    return cast("TokenReply", reply)


def _nothing(_reply: Json) -> None:
    return None


def _member(reply: Json, member: str, check: Callable[[Any], bool]) -> Any:
    if member in reply and check(reply[member]):
        return reply[member]
    raise missing(member)
