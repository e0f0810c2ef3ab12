"""The Python of the guides: the blocks of a guide one after the other, as a reader would paste them, against the
real server. What a guide defines is then called.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatsdk import ChatSDKServer
from test_fastapi import served
from weather import Answer, Weather

GUIDES = Path(__file__).resolve().parents[2] / "docs/guides"


def blocks(guide: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)


WITH_PYTHON = {guide.stem for guide in GUIDES.glob("*.md") if blocks(guide)}
Globals = dict[str, Any]
ANN = {"Authorization": "Bearer ann-session"}


@pytest.fixture
def chat(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSDKServer]:
    monkeypatch.setenv("CHATSDK_API_URL", server.api)
    monkeypatch.setenv("CHATSDK_API_KEY", server.key)
    with ChatSDKServer() as chat:
        yield chat


def authentication(names: Globals, chat: ChatSDKServer) -> None:
    with served(names["app"]) as url:
        assert httpx.post(f"{url}/api/chat/token").status_code == 401
        tokens = httpx.post(f"{url}/api/chat/token", headers=ANN).json()
    assert tokens["user"]["custom"] == {"role": "admin"}
    assert names["who_calls"](f"Bearer {tokens['accessToken']}") == "user-123"
    assert names["who_calls"](f"Bearer {tokens['refreshToken']}") is None


def storage(names: Globals, chat: ChatSDKServer) -> None:
    with served(names["app"]) as url:
        assert httpx.post(f"{url}/api/session/token").status_code == 401
        issued = httpx.post(f"{url}/api/session/token", headers=ANN)
        assert "refreshToken" not in issued.json()
        cookie = {"Cookie": issued.headers["set-cookie"].split(";")[0]}
        assert httpx.post(f"{url}/api/session/refresh", headers=cookie).status_code == 200
        assert httpx.post(f"{url}/api/session/logout", headers=cookie).status_code == 204
        assert httpx.post(f"{url}/api/session/refresh", headers=cookie).status_code == 401


def logout(names: Globals, chat: ChatSDKServer) -> None:
    for device in ("phone", "laptop"):
        chat.generate_token(user_id="tom", device_name=device)
    names["end_device"]("tom", "phone")
    assert [session.get("deviceName") for session in chat.list_sessions("tom")] == ["laptop"]
    names["ban"]("tom")
    names["unban"]("tom")
    names["end_all"]("tom")
    assert chat.list_sessions("tom") == []


def errors(names: Globals, chat: ChatSDKServer) -> None:
    status, tokens = names["answer"]("amy")
    assert (status, tokens["user"]["id"]) == (200, "amy")
    chat.ban_user("amy")
    assert names["answer"]("amy") == (403, {"error": "No chat access"})
    assert names["answer"]("")[0] == 500


CALLED: dict[str, Callable[[Globals, ChatSDKServer], None]] = {
    "authentication": authentication,
    "errors": errors,
    "logout": logout,
    "storage": storage,
}


def run(guide: str) -> Globals:
    path = GUIDES / f"{guide}.md"
    names: Globals = {}
    for block in blocks(path):
        exec(compile(block, str(path), "exec"), names)  # noqa: S102 - what a reader would paste
    return names


def test_every_guide_with_python_is_called() -> None:
    assert set(CALLED) == WITH_PYTHON


@pytest.mark.parametrize("guide", sorted(WITH_PYTHON))
def test_the_blocks_run(guide: str, chat: ChatSDKServer) -> None:
    CALLED[guide](run(guide), chat)


def test_an_outage_is_answered_as_one(
    server: Any, weather: Weather, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHATSDK_API_URL", weather.url)
    monkeypatch.setenv("CHATSDK_API_KEY", server.key)
    weather.always(Answer(502, {}, "<h1>Bad gateway</h1>"))
    assert run("errors")["answer"]("amy") == (503, {"error": "Chat is not available"})
    assert server.key not in capsys.readouterr().out
