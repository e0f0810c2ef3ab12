"""What the constructors take and refuse, and that both clients offer the same."""

import copy
import inspect
import json
import pickle
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatsdk import (
    ERROR_CODES,
    SESSION_ENDED_CODES,
    ApiError,
    AsyncChatSDKServer,
    ChatSDKServer,
    InvalidInputError,
)
from chatsdk._exchange import backoff

KEY = "csk_live_abcdefgh_0123456789abcdefghijklmnopqrst_abcdef"
GOOD: dict[str, Any] = {"api_url": "https://chat.example.com/base/", "api_key": KEY}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", [ChatSDKServer, AsyncChatSDKServer])
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("api_url", "chat.example.com"),
        ("api_url", "ftp://chat.example.com"),
        ("api_url", "https://user:password@chat.example.com"),
        ("api_url", "https://chat.example.com?x=1"),
        ("api_url", "https://chat..example.com"),
        ("api_url", f"https://{'a' * 64}.example.com"),
        ("api_url", "https://xn--.example.com"),
        ("api_url", "https://[::1"),
        ("api_url", "https://chat.example.com:65536"),
        ("api_url", "https://chat.example.com:0"),
        ("api_key", ""),
        ("api_key", f"{KEY}\n"),
        ("api_key", f"{KEY} "),
        ("api_key", f"{KEY}ä"),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("attempt_timeout", float("inf")),
        ("max_retries", -1),
        ("clock_tolerance", -1),
        ("clock_tolerance", 1e9),
        ("timeout", 1e9),
        ("timeout", "8"),
        ("attempt_timeout", 1e9),
        ("max_retries", 101),
        ("app_id", ""),
    ],
)
def test_refuses_what_cannot_work(kind: type, field: str, wrong: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        kind(**{**GOOD, field: wrong})
    assert caught.value.field == field
    assert "csk_" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("kind", [ChatSDKServer, AsyncChatSDKServer])
@pytest.mark.parametrize(
    "address",
    [
        "http://chat_api:5500",
        "http://[::1]:5500",
        "http://127.0.0.1",
        "https://bücher.example",
        "HTTP://chat.local./",
    ],
)
def test_takes_whatever_a_host_may_be_called(kind: type, address: str) -> None:
    assert repr(kind(**{**GOOD, "api_url": address})) == f"{kind.__name__}({address.rstrip('/')!r})"


@pytest.mark.parametrize("kind", [ChatSDKServer, AsyncChatSDKServer])
def test_refuses_options_that_there_are_not(kind: type) -> None:
    with pytest.raises(TypeError, match="timeout_ms"):
        kind(**GOOD, timeout_ms=1)


def test_takes_address_and_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATSDK_API_URL", raising=False)
    monkeypatch.delenv("CHATSDK_API_KEY", raising=False)
    with pytest.raises(InvalidInputError, match="CHATSDK_API_URL"):
        ChatSDKServer()
    monkeypatch.setenv("CHATSDK_API_URL", "https://chat.example.com")
    with pytest.raises(InvalidInputError, match="CHATSDK_API_KEY"):
        ChatSDKServer()
    monkeypatch.setenv("CHATSDK_API_KEY", KEY)
    with ChatSDKServer() as chat:
        assert repr(chat) == "ChatSDKServer('https://chat.example.com')"


def test_does_without_a_key_what_needs_none_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSDK_API_KEY", KEY)
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("X-API-Key"))
        return httpx.Response(200, json={})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    verifier = ChatSDKServer("https://chat.example.com", api_key=False, http=http)
    verifier.revoke_token("eyJ.a.b")
    with pytest.raises(InvalidInputError) as caught:
        verifier.generate_token("ann")
    assert caught.value.field == "api_key"
    assert asked == [None]


def test_shows_its_key_to_nobody() -> None:
    with ChatSDKServer(**GOOD) as chat:
        settings = chat._settings
        for shown in (chat, settings, settings.api_key, vars(chat)):
            assert "csk_" not in f"{shown!r}{shown!s}"
        with pytest.raises(TypeError):
            pickle.dumps(settings.api_key)
        assert sys.getsizeof(copy.copy(settings)) > 0


def test_both_clients_offer_the_same() -> None:
    def surface(kind: type) -> dict[str, str]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: str(inspect.signature(method)) for name, method in methods if not name.startswith("_")}

    threads, loops = surface(ChatSDKServer), surface(AsyncChatSDKServer)
    assert loops.pop("aclose") == threads.pop("close")
    assert loops == threads


def test_errors_travel_between_processes() -> None:
    error = ApiError("user_banned", "This user is banned.", http_status=403, request_id="abcdefgh")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is ApiError
    assert (str(again), vars(again)) == (str(error), vars(error))
    refused = pickle.loads(pickle.dumps(InvalidInputError("user_id", "No.")))  # noqa: S301 - our own
    assert (refused.field, refused.code, str(refused)) == ("user_id", "invalid_input", "No.")


def test_the_codes_are_those_of_the_server() -> None:
    description = json.loads((ROOT / "docs/reference/openapi.json").read_text())
    codes = description["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert list(ERROR_CODES) == codes
    page = (ROOT / "docs/reference/errors.md").read_text()
    ending = re.findall(r"^\| `(\w+)` \| \d+ \| yes \|", page, re.MULTILINE)
    assert sorted(SESSION_ENDED_CODES) == sorted(ending)


def test_pauses_by_full_jitter_with_a_bound() -> None:
    assert [backoff(retry, 0.5) for retry in (0, 1, 2, 3, 30)] == [0.1, 0.2, 0.4, 0.8, 2.0]
    assert backoff(5, 0) == 0


@pytest.mark.parametrize("kind", [ChatSDKServer, AsyncChatSDKServer])
def test_shows_itself_though_half_built(kind: type) -> None:
    assert repr(object.__new__(kind)) == f"{kind.__name__}(…)"


@pytest.mark.parametrize("kind", [ChatSDKServer, AsyncChatSDKServer])
@pytest.mark.parametrize("wrong", [{"api_url": "nowhere"}, {"timeout": 0}, {"nothing": 1}])
def test_what_it_refuses_leaves_no_key_in_a_frame(kind: type, wrong: dict[str, Any]) -> None:
    with pytest.raises((InvalidInputError, TypeError)) as caught:
        kind(**{**GOOD, **wrong})
    whole = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inside = [frame for frame in whole.stack if "/chatsdk/" in frame.filename]
    assert inside
    assert KEY not in str([frame.locals for frame in inside])
