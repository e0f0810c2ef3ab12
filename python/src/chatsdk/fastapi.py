"""Routes for FastAPI: ``pip install 'chatsdk[fastapi]'``.

    app.include_router(token_router(chat, current_user), prefix="/api/chat")

The frontend reads the answers as it reads those of ChatSDK: only a problem document with a code that ends the
session means *sign in again*. Whatever is wrong between your backend and ChatSDK, an outage or a revoked API
key, is 503 or 500, never 401: nobody is signed out by it.
"""

import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

try:
    from fastapi import APIRouter, Depends, Request, Response
except ModuleNotFoundError as error:
    raise ImportError("chatsdk.fastapi needs FastAPI: pip install 'chatsdk[fastapi]'") from error

from chatsdk._async_client import AsyncChatSDKServer
from chatsdk._types import TokenReply, TokenRequest
from chatsdk.errors import ApiError, ChatSDKError, InvalidInputError, is_session_ended

__all__ = ["RefreshCookie", "cookie_router", "token_router"]

_log = logging.getLogger("chatsdk")

_LONGEST_VALUE = 16 * 1024
"""No refresh token has so many characters."""
_MOST_VALUES = 8
"""How many cookies of one name are tried: each is a call to ChatSDK."""
_MOST_PATHS = 8
"""For how many paths a cookie is removed: each is a header."""
_LONGEST_BODY = 4 * 1024
"""What is read of a request that may say when it was sent, in bytes."""
_MOST_SAFE = 2**53 - 1
"""The largest integer that all JSON has in common."""

WhoAsks = Callable[..., TokenRequest | None] | Callable[..., Awaitable[TokenRequest | None]]
"""A dependency that tells, by your own authentication, what to mint; None where nobody is signed in."""

OnError = Callable[[ChatSDKError], None]
"""Told what went wrong between your backend and ChatSDK."""


def _warn(error: ChatSDKError) -> None:
    _log.warning("%s: %s (request %s)", error.code, error, error.request_id)


@dataclass(frozen=True, kw_only=True)
class RefreshCookie:
    """How the cookie that holds a refresh token is set."""

    name: str = "chatRefreshToken"
    path: str = "/"
    """The path that the routes share: the narrower, the fewer requests carry the cookie."""
    domain: str | None = None
    """By default the host that answers, and no other."""
    same_site: Literal["strict", "lax", "none"] = "strict"
    """``none`` is for a page of another site than your backend, and needs ``allowed_origins``."""
    secure: bool = True
    """False only where you develop without TLS and the browser insists (Safari, on localhost)."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", self.name, re.ASCII):
            raise InvalidInputError("name", "This is no cookie name.")
        if not re.fullmatch(r"/[!-:<-~]*", self.path):
            raise InvalidInputError("path", "The path has to begin with a slash, and to be of ASCII without ';'.")
        if self.domain is not None and not re.fullmatch(r"[\w.-]+", self.domain, re.ASCII):
            raise InvalidInputError("domain", "This is no domain.")
        if self.same_site == "none" and not self.secure:
            raise InvalidInputError("secure", "Browsers refuse same_site none without secure.")
        # Browsers drop such cookies without a word.
        prefix = self.name.lower()
        if prefix.startswith(("__host-", "__secure-")) and not self.secure:
            raise InvalidInputError("secure", "Browsers refuse this name without secure.")
        if prefix.startswith("__host-") and self.path != "/":
            raise InvalidInputError("path", "Browsers refuse this name with another path than '/'.")
        if prefix.startswith("__host-") and self.domain is not None:
            raise InvalidInputError("domain", "Browsers refuse this name with a domain.")

    def read(self, request: Request) -> str | None:
        """Find the refresh token that counts: the first of `read_all`."""
        return next(iter(self.read_all(request)), None)

    def read_all(self, request: Request) -> list[str]:
        """Find the refresh tokens, of the closest path first.

        There can be several: a former version of your backend may have set one for another path or domain.
        """
        # Not `request.cookies`, where the last of several with one name wins.
        found: dict[str, None] = {}
        for part in ";".join(request.headers.getlist("cookie")).split(";"):
            name, _, value = part.partition("=")
            value = value.strip().strip('"')
            if name.strip() == self.name and 0 < len(value) <= _LONGEST_VALUE:
                found[value] = None
        return list(found)[:_MOST_VALUES]

    def keep(self, response: Response, reply: TokenReply) -> None:
        """Set the cookie, for as long as its token lives."""
        # By the server's own two times, so that this machine's clock has no say in it.
        age = (reply["refreshExpiresAt"] - reply["serverTime"]) // 1000
        self._set(response, reply["refreshToken"], age, self.path, self.domain)

    def remove(self, response: Response) -> None:
        """Remove the cookie."""
        self._set(response, "", 0, self.path, self.domain)

    def remove_others(self, response: Response, request: Request) -> None:
        """Remove those for other paths above the request's, and for this host where there is a domain.

        One for a closer path would go before the one that is set now, and may be of whoever was signed in earlier.
        """
        if not self.read_all(request):
            return
        parts = request.url.path.split("/")[1:]
        paths = ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))]
        for path in paths[:_MOST_PATHS]:
            if not re.fullmatch(r"/[!-:<-~]*", path):
                continue
            if path != self.path:
                self._set(response, "", 0, path, self.domain)
            if self.domain is not None:
                self._set(response, "", 0, path, None)

    def _set(self, response: Response, value: str, age: int, path: str, domain: str | None) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=age,
            path=path,
            domain=domain,
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )


def token_router(chat: AsyncChatSDKServer, user: WhoAsks, *, on_error: OnError = _warn) -> APIRouter:
    """Make a router with ``POST /token``, which answers with tokens for the person who asks."""
    router = APIRouter()

    @router.post("/token")
    async def token(  # pyright: ignore[reportUnusedFunction]
        who: Annotated[TokenRequest | None, Depends(user)],
    ) -> Response:
        return await _issue(chat, who, None, on_error)

    return router


def cookie_router(
    chat: AsyncChatSDKServer,
    user: WhoAsks,
    *,
    cookie: RefreshCookie | None = None,
    allowed_origins: Collection[str] = (),
    on_error: OnError = _warn,
) -> APIRouter:
    """Make a router that keeps the refresh token in an httpOnly cookie, where no script can read it.

    ``POST /token`` signs in, ``POST /refresh`` is what the SDK's option `refreshTokens` calls, ``POST /logout``
    ends the session. They answer with the token reply without its ``refreshToken``. Requests from pages of
    other origins are refused, but for ``allowed_origins`` such as ``https://app.example.com``, which your CORS
    has to allow too.
    """
    kept = cookie or RefreshCookie()
    allowed = frozenset(allowed_origins)
    router = APIRouter()

    @router.post("/token")
    async def token(  # pyright: ignore[reportUnusedFunction]
        request: Request, who: Annotated[TokenRequest | None, Depends(user)]
    ) -> Response:
        if not _is_own(request, allowed):
            return _cross_origin()
        response = await _issue(chat, who, kept, on_error)
        if response.status_code == 200:  # noqa: PLR2004
            kept.remove_others(response, request)
        return response

    @router.post("/refresh")
    async def refresh(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        if not _is_own(request, allowed):
            return _cross_origin()
        held = kept.read_all(request)
        # Who has no cookie has nothing to say.
        sent_at = await _sent_at(request) if held else None
        return await _refresh(chat, held, sent_at, kept, on_error)

    @router.post("/logout")
    async def logout(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        if not _is_own(request, allowed):
            return _cross_origin()
        response = await _logout(chat, kept.read_all(request), kept, on_error)
        kept.remove_others(response, request)
        return response

    return router


async def _issue(
    chat: AsyncChatSDKServer, who: TokenRequest | None, cookie: RefreshCookie | None, on_error: OnError
) -> Response:
    if who is None:
        return _json(401, {"error": "Unauthorized"})
    try:
        reply = await chat.generate_token(**who)
    except ChatSDKError as error:
        # Of what ChatSDK refuses here, this alone is about the person; the rest is about your backend.
        if isinstance(error, ApiError) and error.code == "user_banned":
            return _pass(error)
        return _trouble(error, on_error)
    return _json(200, reply) if cookie is None else _with_cookie(reply, cookie)


async def _refresh(
    chat: AsyncChatSDKServer,
    held: list[str],
    sent_at: int | None,
    cookie: RefreshCookie,
    on_error: OnError,
) -> Response:
    ended: ChatSDKError | None = None
    for refresh_token in held:
        try:
            reply = await chat.refresh(refresh_token, sent_at=sent_at)
        except ChatSDKError as error:
            if is_session_ended(error):
                # What the page is told is of the cookie that counts; another may still be good.
                ended = ended or error
                continue
            if error.code == "request_stale" and sent_at is not None:
                return _pass(error)
            return _trouble(error, on_error)
        return _with_cookie(reply, cookie)
    # The cookie stays: another tab may have signed in since this request left, and to remove it now would sign that
    # one out. What is in it is worth nothing any more.
    if ended is not None:
        return _pass(ended)
    return _problem(401, "refresh_token_invalid", "There is no refresh token: sign in again.")


async def _logout(chat: AsyncChatSDKServer, held: list[str], cookie: RefreshCookie, on_error: OnError) -> Response:
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    for refresh_token in held:
        try:
            await chat.revoke_token(refresh_token)
        except ChatSDKError as error:  # noqa: PERF203 - a call to a server takes longer
            response = _trouble(error, on_error)
    # It goes even where ChatSDK cannot be told: whoever uses this browser next must not find it.
    cookie.remove(response)
    return response


def _is_own(request: Request, allowed: frozenset[str]) -> bool:
    """Tell requests of your own pages from those that another site made a browser send (CSRF).

    The cookie's ``SameSite`` does most of it; this covers sibling subdomains, ``same_site="none"`` and old
    browsers. The rule is that of Go's ``net/http.CrossOriginProtection``.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site in {"same-origin", "none"} or origin in allowed:
        return True
    if site is not None:
        return False
    # No browser of our time: without an origin it is no page at all.
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:
        return False


async def _sent_at(request: Request) -> int | None:
    """Find when the page sent the request, by its estimate of the server's clock, where it said so."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            return None
    try:
        members: Any = json.loads(body) if body else None
        sent_at: Any = members["sentAt"]
    except (ValueError, RecursionError, TypeError, LookupError):
        return None
    whole = isinstance(sent_at, int) and not isinstance(sent_at, bool) and abs(sent_at) <= _MOST_SAFE
    return sent_at if whole else None


def _with_cookie(reply: TokenReply, cookie: RefreshCookie) -> Response:
    response = _json(200, {name: value for name, value in reply.items() if name != "refreshToken"})
    cookie.keep(response, reply)
    return response


def _cross_origin() -> Response:
    # Not in JSON: to the SDK, a 403 of its backend in JSON says that nobody is signed in, and a forgotten
    # `allowed_origins` is no reason to sign people out.
    text = "Pages of this origin may not call this route: see allowed_origins."
    return Response(text, 403, {"Cache-Control": "no-store"}, "text/plain")


def _trouble(error: ChatSDKError, on_error: OnError) -> Response:
    """Answer that ChatSDK could not do it just now (503, 429), or never will without a change of yours (500)."""
    try:
        on_error(error)
    except Exception:  # noqa: BLE001 - whatever it raises
        # It must not cost the browser its answer, which may remove a cookie.
        _log.exception("on_error failed")
    if error.retryable or error.code in {"foreign_answer", "request_stale"}:
        seconds = max(1, math.ceil((error.retry_after_ms or 0) / 1000))
        limited = error.code == "rate_limited"
        response = _problem(
            429 if limited else 503,
            "rate_limited" if limited else "unavailable",
            "The chat cannot be reached just now.",
            retryAfterMs=seconds * 1000,
        )
        response.headers["Retry-After"] = str(seconds)
        return response
    # No detail: it would tell the page about your API key.
    return _problem(500, "internal", "The chat is not set up correctly.")


def _pass(error: ChatSDKError) -> Response:
    more: dict[str, object] = {"requestId": error.request_id}
    if error.server_time is not None:
        more["serverTime"] = error.server_time
    return _problem(error.http_status or 500, error.code, str(error), **more)


def _problem(status: int, code: str, detail: str, **more: object) -> Response:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": detail,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return _json(status, document | more, "application/problem+json")


def _json(status: int, body: Any, media_type: str = "application/json") -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, {"Cache-Control": "no-store"}, media_type)
