"""ChatSDK as a backend with threads sees it."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx

from chatsdk import _calls
from chatsdk._boundary import guarded
from chatsdk._deadline import bounded, until
from chatsdk._exchange import Call, Exchange, NoReply, Outcome, Reply, Send, exchange
from chatsdk._keys import KeySet, Want
from chatsdk._process import PerProcess
from chatsdk._settings import Options, Settings, read_settings
from chatsdk.errors import ChatSDKError, InvalidInputError

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from chatsdk._types import AccessToken, Introspection, Json, Profile, Session, TokenReply

T = TypeVar("T")

_LONGEST_REPLY = 16 * 1024 * 1024
"""The most that is read of a reply, in bytes: more than any of ChatSDK."""


FAILURES = (httpx.HTTPError, httpx.InvalidURL, OSError)
"""How httpx fails. Some errors of a connection it passes on as they are: of TLS, under an event loop."""


@cache
def tls() -> ssl.SSLContext:
    """Load the certificates of this machine once: it takes longer than a request."""
    return httpx.create_ssl_context()


def request_of(settings: Settings, send: Send) -> dict[str, Any]:
    """Spell a request for httpx."""
    call = send.call
    headers = {"Accept": "application/json"}
    if send.content is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": call.method,
        "url": settings.api_url + call.path,
        "headers": headers,
        "content": send.content,
        "auth": settings.api_key if call.key else None,
        "timeout": send.timeout,
        # A redirect would carry the API key to wherever it points.
        "follow_redirects": False,
    }


class Arriving:
    """A reply, as it arrives."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._text = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._text += chunk
        if len(self._text) > _LONGEST_REPLY:
            raise httpx.ReadError("The reply has no end.")

    def reply(self) -> Reply:
        """Answer the whole."""
        headers = self._response.headers
        return Reply(
            status=self._response.status_code,
            content_type=headers.get("content-type", ""),
            retry_after=headers.get("retry-after", ""),
            location=headers.get("location", ""),
            text=self._text.decode("utf-8", "replace"),
        )


def no_reply_of(error: Exception) -> NoReply:
    """Read a failure of httpx."""
    return NoReply(isinstance(error, httpx.TimeoutException), type(error).__name__)


def forked() -> InvalidInputError:
    """Say that two processes cannot share the connections of one client."""
    return InvalidInputError(
        "http",
        "This process was forked from the one that made the HTTP client, and would share its connections: "
        "make client and server after the fork, or leave http out.",
    )


class _Own:
    """What one process has for itself."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.fetching = threading.Lock()


class ChatSDKServer:
    """Makes calls with your API key. Safe to share between threads, and with processes that are forked.

    Each call is repeated after network failures, 5xx and 429, which is safe: ending and banning again change
    nothing, a refresh token is answered with the same successor for a minute, and a mint whose reply was lost
    leaves a session that nobody holds, which makes room when it is in the way (with a ``device_id``, not even
    that: the second mint finds the session of the first).

    ``api_url`` and ``api_key`` are by default the environment variables ``CHATSDK_API_URL`` and
    ``CHATSDK_API_KEY``; ``api_key=False`` is none, for a backend that verifies tokens and should be able to do
    nothing else: calls that need a key raise `InvalidInputError` then. ``http`` is your own `httpx.Client`, which
    is then yours to close; the rest are `Options`.
    """

    @guarded
    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | Literal[False] | None = None,
        *,
        http: httpx.Client | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings = read_settings(api_url, api_key, options)
        self._clock = _calls.Clock(self._settings)
        self._keys = KeySet(self._settings)
        self._given = http
        self._own = PerProcess(self._make)

    @guarded
    def generate_token(self, user_id: str | int, **profile: Unpack[Profile]) -> TokenReply:
        """Get tokens for a person that you know to be who they say. Creates or updates them in ChatSDK.

        The arguments are the members of `TokenRequest`, so that one can be passed as ``**request``. What is left
        out stays as ChatSDK knows it; ``None`` clears it.
        """
        return self._call(_calls.mint(user_id, profile))

    @guarded
    def refresh(self, refresh_token: str, *, sent_at: int | None = None) -> TokenReply:
        """Exchange a refresh token that you keep for somebody (see `chatsdk.fastapi.cookie_router`).

        Only where `is_session_ended` is true of what this raises is the session over; anything else passes.
        ``sent_at`` is when the request began, in milliseconds by the server's clock; by default now, by an
        estimate of that clock.
        """
        return self._run(_calls.refresh(self._settings, self._clock, refresh_token, sent_at))

    @guarded
    def revoke_token(self, refresh_token: str) -> None:
        """End the session of a refresh token, however old. An unknown one is answered the same."""
        self._call(_calls.revoke_token(refresh_token))

    @guarded
    def list_sessions(self, user_id: str | int) -> list[Session]:
        """List the live sessions of a person, newest first."""
        return self._call(_calls.list_sessions(user_id))

    @guarded
    def revoke_session(self, user_id: str | int, session_id: str) -> None:
        """End one session of a person, for every open connection too."""
        self._call(_calls.revoke_session(user_id, session_id))

    @guarded
    def revoke_user(self, user_id: str | int, *, except_session: str | None = None) -> None:
        """End all sessions of a person, or all but one: the one in which they change their password, say."""
        self._call(_calls.revoke_user(user_id, except_session))

    @guarded
    def ban_user(self, user_id: str | int, *, reason: str | None = None) -> None:
        """Let nothing of a person work until `unban_user`. ``reason`` is for lists and the audit log."""
        self._call(_calls.ban(user_id, reason))

    @guarded
    def unban_user(self, user_id: str | int) -> None:
        """Lift the ban. Sessions that waited go on."""
        self._call(_calls.unban(user_id))

    @guarded
    def introspect(self, token: str) -> Introspection:
        """Ask ChatSDK whether a token works now: the only way to know of a session that ended a moment ago."""
        return self._call(_calls.introspect(token))

    @guarded
    def verify_token(self, access_token: str) -> AccessToken:
        """Verify an access token here, with the published keys. Needs ``chatsdk[verify]``.

        No call for each token, but a session that was ended is noticed only when its access token expires.
        Raises `TokenVerificationError` where the token is not good, `NetworkError` where the keys cannot be had.
        """
        from chatsdk import _verify  # noqa: PLC0415 - an extra

        kid = _verify.read_kid(access_token)
        asked = False
        wanted = self._keys.wants(kid)
        if wanted is Want.FETCH:
            with self._own.get().fetching:
                # Another thread may have fetched them meanwhile.
                if asked := self._keys.wants(kid) is Want.FETCH:
                    self._keys.take(self._fetch())
        elif wanted is Want.REFRESH:
            self._refresh_keys()
        return _verify.verify(access_token, self._keys.find(kid, asked=asked), self._settings)

    def close(self) -> None:
        """Close the connections of this process."""
        own = self._own.held()
        if own is not None and self._given is None:
            own.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        settings = vars(self).get("_settings")
        return f"{type(self).__name__}({settings.api_url!r})" if settings else f"{type(self).__name__}(…)"

    def _make(self) -> _Own:
        if self._given is None:
            return _Own(bounded(httpx.Client(verify=tls())))
        if "_own" in vars(self):
            raise forked()
        return _Own(self._given)

    def _refresh_keys(self) -> None:
        """Fetch the keys beside whatever goes on; not where somebody does already."""
        fetching = self._own.get().fetching
        if not fetching.acquire(blocking=False):
            return

        def refresh() -> None:
            try:
                self._keys.take(self._fetch())
            finally:
                fetching.release()

        try:
            threading.Thread(target=refresh, name="chatsdk-keys", daemon=True).start()
        except RuntimeError:
            # There can be no more threads: the keys that are held are good for hours.
            fetching.release()

    def _fetch(self) -> list[Json] | ChatSDKError:
        try:
            return self._call(_calls.keys())
        except ChatSDKError as error:
            return error.with_traceback(None)

    def _call(self, call: Call[T]) -> T:
        return self._run(exchange(self._settings, call))

    def _run(self, steps: Exchange[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                found: T = done.value
                return found
            if isinstance(step, Send):
                outcome = self._send(step)
            else:
                (self._settings.runtime.pause or time.sleep)(step.seconds)
                outcome = None

    def _send(self, send: Send) -> Reply | NoReply:
        # httpx bounds each read; this bounds the whole, as a reply may trickle: of a client of yours, its body.
        end = time.monotonic() + send.timeout
        try:
            with until(end), self._own.get().http.stream(**request_of(self._settings, send)) as response:
                arriving = Arriving(response)
                for chunk in response.iter_bytes():
                    arriving.add(chunk)
                    if time.monotonic() >= end:
                        return NoReply(timed_out=True, reason="deadline")
                return arriving.reply()
        except FAILURES as error:
            return no_reply_of(error)
