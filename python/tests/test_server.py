"""Every method of both clients, against the real server."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatsdk import (
    ApiError,
    AsyncChatSDKServer,
    InvalidInputError,
    generate_chatsdk_token,
    generate_chatsdk_token_async,
)
from clients import CLIENTS, ISSUER

ENDLESS: dict[str, Any] = {}
ENDLESS["itself"] = ENDLESS


@pytest.fixture(params=CLIENTS, ids=["threads", "loop"])
def chat(request: pytest.FixtureRequest, server: Any) -> Iterator[Any]:
    client = request.param(api_url=f"{server.api}/", api_key=server.key, issuer=ISSUER)
    yield client
    client.close()


def test_mints_with_all_that_the_specification_shows(chat: Any) -> None:
    custom = {"role": "admin", "workspaceId": "ws-123", "permissions": ["read", "write", "delete"]}
    tokens = chat.generate_token(
        "user-123",
        name="Test User",
        avatar="https://example.com/avatar.jpg",
        custom=custom,
        access_token_expiry="1h",
        refresh_token_expiry="7d",
    )
    assert tokens["accessToken"].startswith("eyJ")
    assert tokens["refreshToken"].startswith("eyJ")
    assert tokens["expiresIn"] == 3600
    assert tokens["user"] == {
        "id": "user-123",
        "name": "Test User",
        "avatar": "https://example.com/avatar.jpg",
        "custom": custom,
    }


@pytest.mark.anyio
async def test_mints_with_nothing_but_the_environment(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSDK_API_URL", server.api)
    monkeypatch.setenv("CHATSDK_API_KEY", server.key)
    assert generate_chatsdk_token(42)["user"]["id"] == "42"
    assert (await generate_chatsdk_token_async(user_id="eva"))["user"]["id"] == "eva"
    monkeypatch.setenv("CHATSDK_API_KEY", "csk_live_wrong")
    with pytest.raises(ApiError) as caught:
        generate_chatsdk_token(42)
    assert caught.value.code == "api_key_invalid"


def test_leaves_alone_what_is_left_out_and_clears_what_is_none(chat: Any) -> None:
    chat.generate_token("cleo", name="Cleo", custom={"a": 1})
    kept = chat.generate_token("cleo")["user"]
    assert (kept["name"], kept["custom"]) == ("Cleo", {"a": 1})
    cleared = chat.generate_token("cleo", name=None, custom=None)["user"]
    assert (cleared.get("name"), cleared.get("custom")) == (None, None)


def test_finds_the_session_of_a_device_again(chat: Any) -> None:
    first = chat.generate_token("dora", device_id="phone", device_name="Her phone")
    assert chat.generate_token("dora", device_id="phone")["sessionId"] == first["sessionId"]


def refused(chat: Any, refresh_token: str) -> str:
    with pytest.raises(ApiError) as caught:
        chat.refresh(refresh_token)
    return caught.value.code


def test_lists_and_ends_sessions(chat: Any) -> None:
    one = chat.generate_token("ann/ä?#%", device_id="a", device_name="Phone")
    two, three = (chat.generate_token("ann/ä?#%") for _ in range(2))
    listed = {session["id"]: session for session in chat.list_sessions("ann/ä?#%")}
    assert set(listed) == {tokens["sessionId"] for tokens in (one, two, three)}
    assert listed[one["sessionId"]]["deviceName"] == "Phone"
    for _ in range(2):
        assert chat.revoke_session("ann/ä?#%", one["sessionId"]) is None
    assert refused(chat, one["refreshToken"]) == "session_revoked"
    chat.revoke_user("ann/ä?#%", except_session=two["sessionId"])
    assert refused(chat, three["refreshToken"]) == "session_revoked"
    assert chat.refresh(two["refreshToken"])["sessionId"] == two["sessionId"]
    chat.revoke_user("ann/ä?#%")
    assert chat.list_sessions("ann/ä?#%") == []


def test_bans_and_unbans(chat: Any) -> None:
    tokens = chat.generate_token("bob")
    chat.ban_user("bob", reason="spam")
    with pytest.raises(ApiError) as caught:
        chat.generate_token("bob")
    assert (caught.value.code, caught.value.http_status) == ("user_banned", 403)
    assert refused(chat, tokens["refreshToken"]) == "user_banned"
    chat.unban_user("bob")
    assert chat.refresh(tokens["refreshToken"])["user"]["id"] == "bob"


def test_ends_the_session_of_a_refresh_token(chat: Any) -> None:
    refresh_token = chat.generate_token("eve")["refreshToken"]
    for token in (refresh_token, refresh_token, "nonsense"):
        chat.revoke_token(token)
    assert refused(chat, refresh_token) == "session_revoked"


def test_introspects(chat: Any) -> None:
    tokens = chat.generate_token("fay")
    active = chat.introspect(tokens["accessToken"])
    assert (active["active"], active["sub"], active["sid"]) == (True, "fay", tokens["sessionId"])
    chat.revoke_user("fay")
    assert chat.introspect(tokens["accessToken"]) == {"active": False}


def test_tells_what_the_server_said_was_wrong(chat: Any) -> None:
    with pytest.raises(ApiError) as caught:
        chat.generate_token("gil", avatar="javascript:alert(1)")
    error = caught.value
    assert (error.code, error.http_status, error.field, error.retryable) == ("invalid_field", 400, "avatar", False)
    assert error.request_id
    assert error.hint
    assert "/docs" in error.hint
    with pytest.raises(ApiError, match="no such session"):
        chat.revoke_session("gil", "ses_01h455vb4pex5vsknk084sn02q")


def test_refuses_arguments_that_are_none_of_its_own(chat: Any) -> None:
    with pytest.raises(TypeError, match="user_name"):
        chat.generate_token("gil", user_name="Gil")


@pytest.mark.parametrize("user_id", ["", None, 1.5, -1, True, {}])
def test_refuses_ids_that_are_none(chat: Any, user_id: object) -> None:
    with pytest.raises(InvalidInputError):
        chat.generate_token(user_id)


@pytest.mark.parametrize("user_id", [".", ".."])
def test_refuses_ids_that_would_lead_elsewhere(chat: Any, user_id: str) -> None:
    with pytest.raises(InvalidInputError):
        chat.revoke_user(user_id)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "half a \ud83d"),
        ("custom", {"a": float("nan")}),
        ("custom", {"a": object()}),
        ("custom", {"a": {1, 2}}),
        ("custom", {"\udc00": 1}),
        ("custom", ENDLESS),
        ("device_id", b"bytes"),
    ],
)
def test_refuses_what_is_no_json(chat: Any, name: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        chat.generate_token("gil", **{name: value})
    assert caught.value.field == ("deviceId" if name == "device_id" else name)


def test_refuses_half_characters_everywhere(chat: Any) -> None:
    half = "\ud83d"
    calls: tuple[Callable[[], Any], ...] = (
        lambda: chat.generate_token(half),
        lambda: chat.revoke_user(half),
        lambda: chat.revoke_session("gil", half),
        lambda: chat.revoke_token(half),
        lambda: chat.refresh(half),
        lambda: chat.introspect(half),
        lambda: chat.ban_user("gil", reason=half),
        lambda: chat.generate_token(10**9000),
        lambda: chat.refresh("eyJ", sent_at=1.5),
    )
    for call in calls:
        with pytest.raises(InvalidInputError):
            call()


def test_the_loop_client_goes_with_one_loop_at_a_time(server: Any) -> None:
    chat = AsyncChatSDKServer(server.api, server.key)

    def mint(loop: asyncio.AbstractEventLoop) -> str:
        return loop.run_until_complete(chat.generate_token("ann"))["user"]["id"]

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    assert mint(first) == "ann"
    with pytest.raises(InvalidInputError, match="event loop"):
        mint(second)
    assert mint(first) == "ann"
    # What test clients do: a loop for each request.
    first.close()
    assert mint(second) == "ann"
    second.run_until_complete(chat.aclose())
    second.close()
