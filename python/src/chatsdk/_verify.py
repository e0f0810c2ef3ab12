"""Verifies access tokens with the published keys. Needs PyJWT: ``pip install 'chatsdk[verify]'``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import jwt
except ModuleNotFoundError as error:
    raise ImportError("verify_token needs PyJWT: pip install 'chatsdk[verify]'") from error

from chatsdk._types import AccessToken, User
from chatsdk.errors import TokenVerificationError

if TYPE_CHECKING:
    from chatsdk._settings import Settings
    from chatsdk._types import Json

_LONGEST_LIFE = 24 * 3600
"""The longest life of an access token, in seconds: a longer one was not made by ChatSDK."""
_REQUIRED = ["iss", "aud", "sub", "sid", "client_id", "jti", "iat", "exp"]


def read_kid(token: object) -> str:
    """Find the name of the key in the header of what claims to be an access token."""
    if not isinstance(token, str):
        raise _invalid("it is not a string")
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        # The library's error may quote the token.
        header = {}
    kid, typ = header.get("kid"), header.get("typ")
    if not isinstance(kid, str) or header.get("alg") != "EdDSA" or "crit" in header:
        raise _invalid("its header is not that of an access token")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != "at+jwt":
        raise _invalid("it is another kind of token")
    return kid


def verify(token: str, key: Json, settings: Settings) -> AccessToken:
    """Verify ``token`` with the key that its header names."""
    reason = ""
    claims: dict[str, Any] = {}
    try:
        # Times are checked below, by the clock of the settings.
        claims = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm="EdDSA"),
            algorithms=["EdDSA"],
            audience="chatsdk",
            issuer=settings.issuer,
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        reason = type(error).__name__
    if reason:
        raise _invalid(reason)
    return _read(claims, settings)


def _read(claims: dict[str, Any], settings: Settings) -> AccessToken:
    sub, sid, app = claims["sub"], claims["sid"], claims["client_id"]
    if not all(isinstance(text, str) and text for text in (sub, sid, app)):
        raise _invalid("a claim has another type than ChatSDK gives it")
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(time, int) and not isinstance(time, bool) for time in (issued, expires)):
        raise _invalid("a time in it is not an integer")
    now, tolerance = settings.runtime.wall(), settings.clock_tolerance
    if issued > now + tolerance:
        raise _invalid("it comes from the future; is this machine's clock right?")
    if expires <= now - tolerance:
        raise TokenVerificationError("token_expired", "The access token has expired.")
    if expires - issued > _LONGEST_LIFE:
        raise _invalid("it lives for longer than any access token")
    # All apps of a deployment share its keys.
    if settings.app_id is not None and app != settings.app_id:
        raise _invalid("it belongs to another app")
    user = User(id=sub)
    if isinstance(claims.get("name"), str):
        user["name"] = claims["name"]
    if isinstance(claims.get("avatar"), str):
        user["avatar"] = claims["avatar"]
    if isinstance(claims.get("custom"), dict):
        user["custom"] = claims["custom"]
    return AccessToken(sub, sid, app, issued * 1000, expires * 1000, user)


def _invalid(reason: str) -> TokenVerificationError:
    return TokenVerificationError("token_invalid", f"The access token is not valid: {reason}.")
