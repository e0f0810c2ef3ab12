"""ChatSDK as a backend with an event loop sees it: `ChatSDKServer` with ``await``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
import httpx

from chatsdk import _calls, _loop
from chatsdk._boundary import guarded, guarded_async
from chatsdk._client import FAILURES, Arriving, forked, no_reply_of, request_of, tls
from chatsdk._exchange import Call, Exchange, NoReply, Outcome, Reply, Send, exchange
from chatsdk._keys import KeySet, Want
from chatsdk._process import PerProcess
from chatsdk._settings import Options, read_settings
from chatsdk.errors import ChatSDKError, InvalidInputError

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from chatsdk._types import AccessToken, Introspection, Json, Profile, Session, TokenReply

T = TypeVar("T")


class _Own:
    """What one process has for itself, on one event loop."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.fetching = anyio.Lock()
        self.loop: object = None
        """That of the first call."""
        self.refreshing = False
        self.task: asyncio.Task[None] | None = None


class AsyncChatSDKServer:
    """Makes calls with your API key, under asyncio and trio. Otherwise as `ChatSDKServer`.

    Use one for each event loop, with ``async with`` or `aclose` at its end. ``http`` is an `httpx.AsyncClient`.
    """

    @guarded
    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | Literal[False] | None = None,
        *,
        http: httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings = read_settings(api_url, api_key, options)
        self._clock = _calls.Clock(self._settings)
        self._keys = KeySet(self._settings)
        self._given = http
        self._own = PerProcess(self._make)

    @guarded_async
    async def generate_token(self, user_id: str | int, **profile: Unpack[Profile]) -> TokenReply:
        """Get tokens for a person that you know to be who they say. Creates or updates them in ChatSDK.

        The arguments are the members of `TokenRequest`, so that one can be passed as ``**request``. What is left
        out stays as ChatSDK knows it; ``None`` clears it.
        """
        return await self._call(_calls.mint(user_id, profile))

    @guarded_async
    async def refresh(self, refresh_token: str, *, sent_at: int | None = None) -> TokenReply:
        """Exchange a refresh token that you keep for somebody (see `chatsdk.fastapi.cookie_router`).

        Only where `is_session_ended` is true of what this raises is the session over; anything else passes.
        ``sent_at`` is when the request began, in milliseconds by the server's clock; by default now, by an
        estimate of that clock.
        """
        return await self._run(_calls.refresh(self._settings, self._clock, refresh_token, sent_at))

    @guarded_async
    async def revoke_token(self, refresh_token: str) -> None:
        """End the session of a refresh token, however old. An unknown one is answered the same."""
        await self._call(_calls.revoke_token(refresh_token))

    @guarded_async
    async def list_sessions(self, user_id: str | int) -> list[Session]:
        """List the live sessions of a person, newest first."""
        return await self._call(_calls.list_sessions(user_id))

    @guarded_async
    async def revoke_session(self, user_id: str | int, session_id: str) -> None:
        """End one session of a person, for every open connection too."""
        await self._call(_calls.revoke_session(user_id, session_id))

    @guarded_async
    async def revoke_user(self, user_id: str | int, *, except_session: str | None = None) -> None:
        """End all sessions of a person, or all but one: the one in which they change their password, say."""
        await self._call(_calls.revoke_user(user_id, except_session))

    @guarded_async
    async def ban_user(self, user_id: str | int, *, reason: str | None = None) -> None:
        """Let nothing of a person work until `unban_user`. ``reason`` is for lists and the audit log."""
        await self._call(_calls.ban(user_id, reason))

    @guarded_async
    async def unban_user(self, user_id: str | int) -> None:
        """Lift the ban. Sessions that waited go on."""
        await self._call(_calls.unban(user_id))

    @guarded_async
    async def introspect(self, token: str) -> Introspection:
        """Ask ChatSDK whether a token works now: the only way to know of a session that ended a moment ago."""
        return await self._call(_calls.introspect(token))

    @guarded_async
    async def verify_token(self, access_token: str) -> AccessToken:
        """Verify an access token here, with the published keys. Needs ``chatsdk[verify]``.

        No call for each token, but a session that was ended is noticed only when its access token expires.
        Raises `TokenVerificationError` where the token is not good, `NetworkError` where the keys cannot be had.
        """
        from chatsdk import _verify  # noqa: PLC0415 - an extra

        kid = _verify.read_kid(access_token)
        asked = False
        wanted = self._keys.wants(kid)
        if wanted is Want.FETCH:
            async with self._here().fetching:
                # Another task may have fetched them meanwhile.
                if asked := self._keys.wants(kid) is Want.FETCH:
                    self._keys.take(await self._fetch())
        elif wanted is Want.REFRESH:
            self._refresh_keys()
        return _verify.verify(access_token, self._keys.find(kid, asked=asked), self._settings)

    async def aclose(self) -> None:
        """Close the connections of this process."""
        own = self._own.held()
        # With their loop, connections end by themselves.
        if own is None or _loop.is_over(own.loop):
            return
        if own.task is not None and own.loop is _loop.running():
            own.task.cancel()
        if self._given is None:
            await own.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        settings = vars(self).get("_settings")
        return f"{type(self).__name__}({settings.api_url!r})" if settings else f"{type(self).__name__}(…)"

    def _make(self) -> _Own:
        if self._given is None:
            return _Own(httpx.AsyncClient(verify=tls()))
        if "_own" in vars(self):
            raise forked()
        return _Own(self._given)

    def _here(self) -> _Own:
        """Find what belongs to this process and to the loop that is running."""
        own, loop = self._own.get(), _loop.running()
        if own.loop is not None and own.loop is not loop:
            if not _loop.is_over(own.loop) or self._given is not None:
                raise InvalidInputError(
                    "http", "An AsyncChatSDKServer belongs to the event loop of its first call: make one for each."
                )
            own = self._make()
            self._own.replace(own)
        own.loop = loop
        return own

    def _refresh_keys(self) -> None:
        """Fetch the keys beside whatever goes on; not where somebody does already."""
        own = self._here()
        if own.refreshing:
            return
        own.refreshing = True

        async def refresh() -> None:
            try:
                # Of what nobody waits for, nobody is told.
                with contextlib.suppress(Exception):
                    self._keys.take(await self._fetch())
            finally:
                own.refreshing = False

        own.task = _loop.spawn(refresh)

    async def _fetch(self) -> list[Json] | ChatSDKError:
        try:
            return await self._call(_calls.keys())
        except ChatSDKError as error:
            return error.with_traceback(None)

    async def _call(self, call: Call[T]) -> T:
        return await self._run(exchange(self._settings, call))

    async def _run(self, steps: Exchange[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                found: T = done.value
                return found
            if isinstance(step, Send):
                outcome = await self._send(step)
            else:
                await self._pause(step.seconds)
                outcome = None

    async def _send(self, send: Send) -> Reply | NoReply:
        http = self._here().http
        # httpx bounds each read; this bounds the whole, as a reply may trickle.
        with anyio.move_on_after(send.timeout):
            try:
                async with http.stream(**request_of(self._settings, send)) as response:
                    arriving = Arriving(response)
                    async for chunk in response.aiter_bytes():
                        arriving.add(chunk)
                    return arriving.reply()
            except FAILURES as error:
                return no_reply_of(error)
        return NoReply(timed_out=True, reason="deadline")

    async def _pause(self, seconds: float) -> None:
        if self._settings.runtime.pause is None:
            await anyio.sleep(seconds)
        else:
            self._settings.runtime.pause(seconds)
