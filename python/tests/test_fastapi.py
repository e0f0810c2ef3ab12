"""The routes in a real FastAPI on a real port, between a browser that is played here and the real server."""

import contextlib
import logging
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Header, Response

from chatsdk import AsyncChatSDKServer, ChatSDKError, ChatSDKServer, InvalidInputError, TokenRequest
from chatsdk.fastapi import RefreshCookie, cookie_router, token_router
from clients import Moved
from weather import Answer, Fault, Weather

PROBLEM = {"Content-Type": "application/problem+json"}


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Host:
    """A backend, seen by a browser without a jar: the tests hold the cookies."""

    url: str
    reported: list[ChatSDKError] = field(default_factory=list)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url + path, headers=named, json=body)

    def sign_in(self, user: str) -> str:
        return cookie(self.post("/cookie/token", x_user=user)).split(";")[0]


def cookie(response: httpx.Response) -> str:
    found = [value for value in response.headers.get_list("set-cookie") if value.startswith("chatRefreshToken=")]
    return found[0] if found else ""


def current_user(x_user: Annotated[str | None, Header()] = None) -> TokenRequest | None:
    return TokenRequest(user_id=x_user) if x_user else None


@pytest.fixture
def host(server: Any, weather: Weather) -> Iterator[Host]:
    chat = AsyncChatSDKServer(weather.url, server.key, max_retries=1, runtime=Moved().runtime())
    app = FastAPI()
    backend = Host("")
    app.include_router(token_router(chat, current_user, on_error=backend.reported.append))
    cookies = cookie_router(
        chat,
        current_user,
        cookie=RefreshCookie(path="/cookie"),
        allowed_origins=["https://app.example.com"],
        on_error=backend.reported.append,
    )
    app.include_router(cookies, prefix="/cookie")
    with served(app) as backend.url:
        yield backend


@pytest.fixture
def operator(server: Any) -> Iterator[ChatSDKServer]:
    with ChatSDKServer(server.api, server.key) as chat:
        yield chat


def test_token_router_answers_a_whole_token_reply(host: Host) -> None:
    response = host.post("/token", x_user="ann")
    assert response.status_code == 200
    assert response.json()["user"]["id"] == "ann"
    assert response.json()["refreshToken"].startswith("eyJ")
    assert response.headers["cache-control"] == "no-store"


def test_who_is_not_signed_in_gets_the_answer_of_the_specification(host: Host, weather: Weather) -> None:
    for path in ("/token", "/cookie/token"):
        response = host.post(path)
        assert (response.status_code, response.json()) == (401, {"error": "Unauthorized"})
    assert weather.seen == []


def test_signs_in_refreshes_and_signs_out_with_a_cookie(host: Host) -> None:
    signed_in = host.post("/cookie/token", x_user="bob")
    assert signed_in.status_code == 200
    assert "refreshToken" not in signed_in.json()
    first, *attributes = cookie(signed_in).split("; ")
    assert first.startswith("chatRefreshToken=eyJ")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/cookie"} < set(attributes)
    age = next(int(value[8:]) for value in attributes if value.startswith("Max-Age="))
    assert 600_000 < age <= 604_800

    refreshed = host.post("/cookie/refresh", cookie=f"other=1; {first}")
    assert refreshed.status_code == 200
    assert refreshed.json()["sessionId"] == signed_in.json()["sessionId"]
    assert "refreshToken" not in refreshed.json()
    second = cookie(refreshed).split(";")[0]
    assert second != first

    out = host.post("/cookie/logout", cookie=second)
    assert (out.status_code, out.content) == (204, b"")
    assert "Max-Age=0" in cookie(out)
    over = host.post("/cookie/refresh", cookie=second)
    assert (over.status_code, over.json()["code"]) == (401, "session_revoked")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("cut", 503),
        (Answer(500), 503),
        (Answer(401, {}, "<h1>401</h1>"), 503),
        (Answer(403, {}, "<h1>403</h1>"), 503),
        (Answer(200, {}, "<h1>Welcome</h1>"), 503),
        (Answer(429, PROBLEM, '{"code":"rate_limited","retryAfterMs":30000}'), 429),
        (Answer(400, PROBLEM, '{"code":"invalid_request"}'), 500),
        (Answer(401, PROBLEM, '{"code":"api_key_revoked"}'), 500),
    ],
)
def test_whatever_is_wrong_behind_the_backend_signs_nobody_out(
    host: Host, weather: Weather, fault: Fault, status: int
) -> None:
    held = host.sign_in("dora")
    weather.always(fault)
    for path in ("/token", "/cookie/token", "/cookie/refresh"):
        answer = host.post(path, cookie=held, x_user="dora")
        assert answer.status_code == status
        assert cookie(answer) == ""
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] in {"unavailable", "rate_limited", "internal"}
        if status == 429:
            assert (answer.headers["retry-after"], answer.json()["retryAfterMs"]) == ("30", 30_000)
        if status == 503:
            assert answer.headers["retry-after"] == "1"
        assert "csk_" not in answer.text
        assert "API key" not in answer.text
    assert len(host.reported) == 3
    weather.next()
    assert host.post("/cookie/refresh", cookie=held).status_code == 200


def test_an_ended_session_is_said_to_be_one(host: Host, operator: ChatSDKServer) -> None:
    held = host.sign_in("eve")
    operator.revoke_user("eve")
    over = host.post("/cookie/refresh", cookie=held)
    assert (over.status_code, over.json()["code"]) == (401, "session_revoked")
    assert over.json()["requestId"]
    # A tab that was faster may have set another one meanwhile.
    assert cookie(over) == ""
    none = host.post("/cookie/refresh")
    assert (none.status_code, none.json()["code"]) == (401, "refresh_token_invalid")


def test_of_two_cookies_the_closest_counts(host: Host) -> None:
    both = f"{host.sign_in('eve')}; chatRefreshToken=of-a-former-version"
    assert host.post("/cookie/refresh", cookie=both).status_code == 200


def test_where_the_session_of_one_cookie_is_over_the_next_counts(host: Host, operator: ChatSDKServer) -> None:
    former, current = host.sign_in("old-eve"), host.sign_in("eve")
    operator.revoke_user("old-eve")
    both = f"{former}; {current}; {former}"
    refreshed = host.post("/cookie/refresh", cookie=both)
    assert (refreshed.status_code, refreshed.json()["user"]["id"]) == (200, "eve")
    operator.revoke_user("eve")
    assert host.post("/cookie/refresh", cookie=both).status_code == 401


def test_a_logout_ends_the_sessions_of_all_cookies(host: Host, operator: ChatSDKServer) -> None:
    both = f"{host.sign_in('ivy')}; {host.sign_in('joe')}"
    out = host.post("/cookie/logout", cookie=both)
    assert out.status_code == 204
    assert operator.list_sessions("ivy") == operator.list_sessions("joe") == []
    removed = [value for value in out.headers.get_list("set-cookie") if "Max-Age=0" in value]
    assert {re.findall(r"Path=([^;]+)", value)[0] for value in removed} == {"/", "/cookie", "/cookie/logout"}


def test_who_signs_in_again_is_rid_of_cookies_for_other_paths(host: Host) -> None:
    assert len(host.post("/cookie/token", x_user="ann").headers.get_list("set-cookie")) == 1
    again = host.post("/cookie/token", x_user="ann", cookie="chatRefreshToken=of-a-former-version")
    kept, *removed = again.headers.get_list("set-cookie")
    assert "eyJ" in kept
    assert all('chatRefreshToken=""' in value and "Max-Age=0" in value for value in removed)
    assert [re.findall(r"Path=([^;]+)", value)[0] for value in removed] == ["/", "/cookie/token"]


def test_a_cookie_that_is_no_token_is_none(host: Host, weather: Weather) -> None:
    weather.next()
    answer = host.post("/cookie/refresh", cookie=f"chatRefreshToken={'x' * 17_000}")
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_token_invalid")
    assert weather.seen == []


def test_reads_no_more_of_a_request_than_it_needs(host: Host) -> None:
    held = host.sign_in("kim")
    for cookie_header, status in ((held, 200), ("other=1", 401)):
        at = urlsplit(host.url)
        with socket.create_connection((at.hostname, at.port or 80)) as browser:
            head = f"POST /cookie/refresh HTTP/1.1\r\nHost: x\r\nCookie: {cookie_header}\r\n"
            browser.sendall(head.encode() + b"Content-Length: 99999999\r\n\r\n" + b" " * 8192)
            # The rest never comes, and is not waited for.
            assert browser.recv(64).startswith(f"HTTP/1.1 {status}".encode())


def test_an_on_error_that_raises_costs_nobody_the_answer(server: Any, weather: Weather) -> None:
    def raises(_error: ChatSDKError) -> None:
        raise RuntimeError("no log today")

    app = FastAPI()
    chat = AsyncChatSDKServer(weather.url, server.key, max_retries=0)
    app.include_router(cookie_router(chat, current_user, on_error=raises))
    with served(app) as url:
        weather.always("cut")
        out = Host(url).post("/logout", cookie="chatRefreshToken=x")
    assert out.status_code == 503
    assert "Max-Age=0" in cookie(out)


def test_a_page_learns_the_lifetime_and_the_clock(host: Host) -> None:
    issued = host.post("/cookie/token", x_user="lou")
    refreshed = host.post("/cookie/refresh", {}, cookie=cookie(issued).split(";")[0])
    for reply in (issued.json(), refreshed.json()):
        assert 0 < reply["expiresIn"] <= 3600
        assert abs(reply["expiresAt"] - reply["serverTime"] - reply["expiresIn"] * 1000) <= 1000


def test_a_ban_is_told_to_the_page(host: Host, operator: ChatSDKServer) -> None:
    held = host.sign_in("faye")
    operator.ban_user("faye")
    for answer in (host.post("/cookie/refresh", cookie=held), host.post("/token", x_user="faye")):
        assert (answer.status_code, answer.json()["code"]) == (403, "user_banned")


def test_a_logout_removes_the_cookie_though_chatsdk_cannot_be_told(host: Host, weather: Weather) -> None:
    held = host.sign_in("gil")
    weather.always("cut")
    out = host.post("/cookie/logout", cookie=held)
    assert out.status_code == 503
    assert "Max-Age=0" in cookie(out)
    assert len(host.reported) == 1
    weather.next()
    assert host.post("/cookie/logout").status_code == 204


@pytest.mark.parametrize(
    ("own", "headers"),
    [
        (True, {"sec_fetch_site": "same-origin"}),
        (True, {"sec_fetch_site": "same-site", "origin": "https://app.example.com"}),
        (True, {}),
        (False, {"sec_fetch_site": "cross-site", "origin": "https://evil.example"}),
        (False, {"sec_fetch_site": "same-site", "origin": "https://blog.example.com"}),
        (False, {"origin": "https://evil.example"}),
        (False, {"origin": "null"}),
        (False, {"origin": "http://["}),
    ],
)
def test_other_pages_can_neither_refresh_nor_sign_anybody_out(
    host: Host,
    own: bool,
    headers: dict[str, str],
) -> None:
    held = host.sign_in("hal")
    for path in ("/cookie/refresh", "/cookie/logout", "/cookie/token"):
        answer = host.post(path, cookie=held, x_user="hal", **headers)
        if own:
            assert answer.status_code < 300
        else:
            assert answer.status_code == 403
            # To the SDK, a 403 of its backend in JSON would say that nobody is signed in.
            assert answer.headers["content-type"].startswith("text/plain")
            assert cookie(answer) == ""


def test_an_old_browser_on_this_origin(host: Host) -> None:
    assert host.post("/cookie/refresh", cookie=host.sign_in("hal"), origin=host.url).status_code == 200


def test_a_request_that_was_held_up_on_its_way_uses_nothing_up(host: Host) -> None:
    now = host.post("/cookie/token", x_user="ida").json()["serverTime"]
    held = host.sign_in("ida")
    late = host.post("/cookie/refresh", {"sentAt": now - 60_000}, cookie=held)
    assert (late.status_code, late.json()["code"]) == (408, "request_stale")
    assert late.json()["serverTime"] >= now
    assert host.post("/cookie/refresh", {"sentAt": late.json()["serverTime"]}, cookie=held).status_code == 200
    odd: Any
    for odd in (
        [],
        "x",
        {"sentAt": "soon"},
        {"sentAt": True},
        {"sentAt": 2**60},
        {"sentAt": -(2**70)},
        {"sentAt": 1.5},
    ):
        assert host.post("/cookie/refresh", odd, cookie=held).status_code == 200


def test_what_went_wrong_is_logged_without_secrets(
    server: Any, weather: Weather, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    app.include_router(token_router(AsyncChatSDKServer(weather.url, "csk_live_wrong"), current_user))
    caplog.set_level(logging.WARNING, "chatsdk")
    with served(app) as url:
        response = httpx.post(f"{url}/token", headers={"x-user": "ann"})
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "api_key_invalid: API key invalid" in caplog.text
    assert "csk_" not in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"path": "api"},
        {"path": "/; x"},
        {"path": "/ä"},
        {"path": "/\0"},
        {"domain": "a;b"},
        {"same_site": "none", "secure": False},
        {"name": "__Host-chat", "path": "/api"},
        {"name": "__host-chat", "domain": "example.com"},
        {"name": "__Host-chat", "secure": False},
        {"name": "__Secure-chat", "secure": False},
    ],
)
def test_refuses_cookies_that_browsers_would(wrong: Any) -> None:
    with pytest.raises(InvalidInputError):
        RefreshCookie(**wrong)


def test_a_cookie_for_a_domain_without_tls() -> None:
    response = Response()
    RefreshCookie(domain="example.com", secure=False, same_site="lax").remove(response)
    assert response.headers["set-cookie"] == (
        'chatRefreshToken=""; Domain=example.com; HttpOnly; Max-Age=0; Path=/; SameSite=lax'
    )
