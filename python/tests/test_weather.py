"""What networks do, between both clients and the real server."""

import json
import logging
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chatsdk import AsyncChatSDKServer, ChatSDKError, ChatSDKServer, NetworkError, is_session_ended
from clients import CLIENTS, Moved
from weather import Answer, Fault, Trickle, Weather

PROBLEM = {"Content-Type": "application/problem+json"}


@pytest.fixture
def moved() -> Moved:
    return Moved()


@pytest.fixture(params=CLIENTS, ids=["threads", "loop"])
def make(
    request: pytest.FixtureRequest, server: Any, weather: Weather, moved: Moved
) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def client(**options: Any) -> Any:
        options = {"api_url": weather.url, "api_key": server.key, "runtime": moved.runtime(), **options}
        made.append(request.param(**options))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def chat(make: Callable[..., Any]) -> Any:
    return make()


def failure(call: Callable[..., Any], *arguments: Any) -> ChatSDKError:
    with pytest.raises(ChatSDKError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize(
    "fault",
    [
        "cut",
        "lose_reply",
        Answer(502, {"Content-Type": "text/html"}, "<h1>Bad gateway</h1>"),
        Answer(503),
        Answer(429),
    ],
)
def test_repeats_a_mint(chat: Any, weather: Weather, moved: Moved, fault: Fault) -> None:
    weather.next(fault, fault)
    assert chat.generate_token("ann")["user"]["id"] == "ann"
    assert len(weather.seen) == 3
    assert moved.pauses == [0.1, 0.2]


def test_a_mint_whose_reply_was_lost_is_found_again_by_its_device(chat: Any, weather: Weather) -> None:
    chat.revoke_user("bob")
    weather.next("lose_reply")
    tokens = chat.generate_token("bob", device_id="phone")
    assert [session["id"] for session in chat.list_sessions("bob")] == [tokens["sessionId"]]


def test_a_refresh_whose_reply_was_lost_is_answered_with_the_same_successor(chat: Any, weather: Weather) -> None:
    refresh_token = chat.generate_token("cleo")["refreshToken"]
    weather.next("lose_reply", "lose_reply")
    first, again = chat.refresh(refresh_token), chat.refresh(refresh_token)
    assert first["refreshToken"] == again["refreshToken"]


def test_gives_up_an_attempt_that_hangs_and_tries_again(make: Callable[..., Any], weather: Weather) -> None:
    weather.next("hang")
    assert make(attempt_timeout=0.3).generate_token("ann")["user"]["id"] == "ann"


def test_gives_the_call_up_when_its_time_is_over(make: Callable[..., Any], weather: Weather) -> None:
    weather.always("hang")
    error = failure(make(timeout=0.4, attempt_timeout=0.3).generate_token, "ann")
    assert isinstance(error, NetworkError)
    assert (error.code, error.retryable, error.http_status) == ("timeout", True, None)
    assert str(error).startswith("Network")


def test_says_when_nobody_is_there(chat: Any, weather: Weather) -> None:
    weather.always("cut")
    assert failure(chat.generate_token, "ann").code == "network"
    assert len(weather.seen) == 4


def test_waits_as_long_as_it_is_told(chat: Any, weather: Weather, moved: Moved) -> None:
    weather.next(
        Answer(429, {**PROBLEM, "Retry-After": "2"}, '{"code":"rate_limited","retryAfterMs":2500}'),
        Answer(503, {"Retry-After": "3"}),
    )
    chat.generate_token("ann")
    assert moved.pauses == [2.5, 3.0]


def test_does_not_wait_for_longer_than_the_call_may_take(chat: Any, weather: Weather) -> None:
    weather.next(Answer(429, {"Retry-After": "120"}))
    error = failure(chat.generate_token, "ann")
    assert (error.http_status, error.retry_after_ms, error.retryable) == (429, 120_000, True)
    assert len(weather.seen) == 1
    for endless in (
        Answer(503, {"Retry-After": "9" * 9}),
        Answer(503, PROBLEM, '{"code":"x","retryAfterMs":1e999}'),
    ):
        weather.next(endless)
        assert failure(chat.generate_token, "ann").retry_after_ms == 3_600_000


def test_pauses_by_itself_where_no_other_pause_is_given(make: Callable[..., Any], weather: Weather) -> None:
    weather.next("cut")
    assert make(runtime=None).generate_token("ann")["user"]["id"] == "ann"


@pytest.mark.parametrize(
    "fault",
    [
        Answer(403, {"Content-Type": "text/html"}, "<h1>Sign in to the proxy</h1>"),
        Answer(401, {}, '{"error":"no"}'),
        Answer(200, {"Content-Type": "text/html"}, "<h1>Welcome to the hotel</h1>"),
        Answer(200, {}, '{"hello":"world"}'),
        Answer(200, {}, "[]"),
        Answer(401, {"Content-Type": "application/json"}, '{"code":"session_revoked"}'),
    ],
)
def test_never_takes_what_something_else_answers_for_the_word_of_chatsdk(
    chat: Any, weather: Weather, fault: Fault
) -> None:
    weather.always(fault)
    error = failure(chat.refresh, "eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
    assert error.code == "foreign_answer"
    assert not is_session_ended(error)
    assert str(error).startswith("Network")


def test_follows_no_redirect_with_its_key(chat: Any, weather: Weather, server: Any) -> None:
    elsewhere = Weather(server.api)
    try:
        weather.next(Answer(308, {"Location": f"{elsewhere.url}/auth/tokens?x=1"}))
        error = failure(chat.generate_token, "ann")
        assert error.code == "foreign_answer"
        assert "redirects to http://127.0.0.1" in str(error)
        assert elsewhere.seen == []
    finally:
        elsewhere.close()


def test_a_clock_that_is_wrong_by_hours_refreshes_all_the_same(chat: Any, weather: Weather, moved: Moved) -> None:
    refresh_token = chat.generate_token("dora")["refreshToken"]
    moved.by = -7200
    weather.next()
    refreshed = chat.refresh(refresh_token)
    assert len(weather.seen) == 2
    weather.next()
    chat.refresh(refreshed["refreshToken"])
    assert len(weather.seen) == 1


def test_a_page_that_says_when_it_asked_is_held_to_it(chat: Any) -> None:
    tokens = chat.generate_token("dora")
    with pytest.raises(ChatSDKError) as caught:
        chat.refresh(tokens["refreshToken"], sent_at=tokens["serverTime"] - 60_000)
    assert (caught.value.code, caught.value.http_status) == ("request_stale", 408)
    assert caught.value.server_time


def test_no_failure_and_no_log_shows_the_key(
    chat: Any, weather: Weather, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = chat.generate_token("eve")["refreshToken"]
    echo = f"{server.key} {token}"
    faults: list[Fault] = [
        "cut",
        Answer(500, {}, echo),
        Answer(200, {}, echo),
        Answer(302, {"Location": f"/{token}"}),
        Answer(400, PROBLEM, f'{{"code":"invalid_request","detail":"{echo}"}}'),
    ]
    for fault in faults:
        weather.always(fault)
        for call in (chat.generate_token, chat.refresh, chat.introspect):
            error = failure(call, token)
            assert token not in f"{error}{error!r}{vars(error)}"
            # Tools that report errors print the variables of every frame.
            whole = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown = "".join(whole.format())
            assert server.key not in shown
            # The frames of this file hold the token; those of the package do not.
            assert "chatsdk/_c" not in shown
            assert "chatsdk/_b" in shown
            package = [frame for frame in whole.stack if "/chatsdk/" in frame.filename]
            assert token not in str([frame.locals for frame in package])
            assert error.__cause__ is None
    assert caplog.records
    assert server.key not in caplog.text


@pytest.mark.anyio
async def test_closes_the_connections_that_are_its_own(server: Any) -> None:
    with httpx.Client() as yours:
        with ChatSDKServer(server.api, server.key, http=yours) as borrowed:
            borrowed.generate_token("ann")
        assert not yours.is_closed
    with ChatSDKServer(server.api, server.key) as own:
        own.generate_token("ann")
    assert own._own.get().http.is_closed
    async with AsyncChatSDKServer(server.api, server.key) as other:
        await other.generate_token("ann")
    assert other._own.get().http.is_closed


@pytest.mark.parametrize("head", [False, True], ids=["body", "head"])
def test_gives_up_a_reply_that_trickles(make: Callable[..., Any], *, head: bool) -> None:
    """Each byte comes in time, and the reply never does."""
    with Trickle(head=head) as trickle:
        error = failure(
            make(api_url=trickle.url, timeout=0.6, attempt_timeout=0.3, max_retries=1).list_sessions, "a"
        )
        assert (error.code, error.retryable) == ("timeout", True)
        assert 0 < trickle.sent < 100


def test_a_connection_that_breaks_in_any_way_is_weather(
    request: pytest.FixtureRequest, make: Callable[..., Any], moved: Moved
) -> None:
    """Under an event loop httpx passes on what TLS says of a record that was changed on its way."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise ssl.SSLError("bad record mac")

    kind = httpx.Client if "threads" in request.node.name else httpx.AsyncClient
    error = failure(make(http=kind(transport=httpx.MockTransport(broken))).generate_token, "ann")
    assert (type(error), error.code, error.retryable) == (NetworkError, "network", True)
    assert len(moved.pauses) == 3


def test_what_is_no_failure_of_the_network_shows_no_token_either(
    request: pytest.FixtureRequest, make: Callable[..., Any]
) -> None:
    def surprise(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("a transport of yours")

    kind = httpx.Client if "threads" in request.node.name else httpx.AsyncClient
    chat = make(http=kind(transport=httpx.MockTransport(surprise)))
    with pytest.raises(RuntimeError) as caught:
        chat.refresh("eyJ-the-token")
    whole = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inside = [frame for frame in whole.stack if "/chatsdk/" in frame.filename or "/httpx/" in frame.filename]
    assert inside
    assert "eyJ-the-token" not in str([frame.locals for frame in inside])


@pytest.mark.parametrize("time", ["true", "9" * 400, "-1" + "0" * 20, "1e400", '"1"'])
def test_learns_no_time_that_is_none(chat: Any, weather: Weather, time: str) -> None:
    weather.always(Answer(408, PROBLEM, f'{{"code": "request_stale", "serverTime": {time}}}'))
    error = failure(chat.refresh, "eyJ")
    assert (error.code, error.server_time) == ("request_stale", None)
    assert len(weather.seen) == 1


def test_gives_nobody_the_tokens_of_somebody_else(chat: Any, weather: Weather, server: Any) -> None:
    weather.always(Answer(200, {}, json.dumps(server.mint(userId="somebody-else"))))
    error = failure(chat.generate_token, "ann")
    assert (type(error), error.code, error.retryable) == (NetworkError, "foreign_answer", False)
    assert len(weather.seen) == 1
    weather.always(Answer(200, {}, '{"accessToken":"a","refreshToken":"r","expiresAt":1,"user":null}'))
    assert failure(chat.generate_token, "ann").code == "foreign_answer"


@pytest.mark.parametrize("location", ["http://[", "//[::1", "http://x:y/"])
def test_reads_no_sense_into_a_bad_redirect(chat: Any, weather: Weather, location: str) -> None:
    weather.always(Answer(308, {"Location": location}))
    assert isinstance(failure(chat.generate_token, "ann"), NetworkError)
