"""The shapes of replies, in the spelling of the wire, so that they can be handed to a frontend as they are.

Times are milliseconds since the Unix epoch unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

Json = dict[str, Any]
"""A JSON object."""

Lifetime = str | int
"""A time span: one to six digits and a unit (``ms`` to ``w``), such as ``"1h"``; or whole seconds."""


class Profile(TypedDict, total=False):
    """What you say of somebody and of their session. What is left out stays, or is the server's default."""

    name: str | None
    """The name to show. None: none."""
    avatar: str | None
    """The https address of a picture. None: none."""
    custom: Json | None
    """Your own data of the person, replaced as a whole, at most 1024 bytes of JSON. Its bearer can read it."""
    access_token_expiry: Lifetime
    """How long access tokens of the session live. Default ``"1h"``."""
    refresh_token_expiry: Lifetime
    """How long refresh tokens live unless they are exchanged. Default ``"7d"``."""
    session_expiry: Lifetime
    """How long the session lives whatever happens. Default ``"90d"``."""
    device_id: str | None
    """Your id of the device: another mint for the same device, with the same lifetimes, answers the session that is
    there while half the life of its refresh token is left."""
    device_name: str | None
    """What to call the device in lists."""


class _Whose(TypedDict):
    user_id: str | int


class TokenRequest(Profile, _Whose):
    """Who tokens are for, and what you say of them: ``TokenRequest(user_id="user-123", name="Test User")``.

    ``user_id`` is your id of the person: 1 to 128 bytes, compared byte for byte. An integer is taken as its digits.
    """


class _Person(TypedDict):
    id: str


class User(_Person, total=False):
    """A person, as replies show one."""

    name: str | None
    avatar: str | None
    custom: Json | None


class AccessReply(TypedDict):
    """What a page gets whose refresh token is kept in a cookie."""

    accessToken: str
    expiresAt: int
    expiresIn: int
    refreshExpiresAt: int
    serverTime: int
    sessionId: str
    user: User


class TokenReply(AccessReply):
    """What a mint and a refresh answer. Hand it to your frontend as it is, and log it nowhere.

    ``accessToken`` lives for ``expiresIn`` seconds, until ``expiresAt``; ``refreshToken`` until
    ``refreshExpiresAt`` unless it is exchanged; both belong to the session ``sessionId`` of ``user``.
    """

    refreshToken: str


class _SessionMembers(TypedDict):
    id: str
    createdAt: int
    lastUsedAt: int
    expiresAt: int


class Session(_SessionMembers, total=False):
    """A live session of a person. ``lastUsedAt`` is exact to the day."""

    deviceId: str | None
    deviceName: str | None


class _Active(TypedDict):
    active: bool


class Introspection(_Active, total=False):
    """What introspection answers, after RFC 7662. Times are in seconds. Inactive tokens have ``active`` alone."""

    token_type: Literal["access_token", "refresh_token"]
    sub: str
    sid: str
    client_id: str
    iss: str
    aud: str
    jti: str
    iat: int
    exp: int


@dataclass(frozen=True)
class AccessToken:
    """What a verified access token says."""

    user_id: str
    """The person that it speaks for."""
    session_id: str
    """The session that it belongs to."""
    app_id: str
    """The app that it belongs to."""
    issued_at: int
    expires_at: int
    user: User
    """The person as of the last refresh."""
