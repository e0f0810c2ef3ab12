"""The blocks of the README, one after the other in one session, against the real server."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatsdk import ChatSDKServer
from test_fastapi import served

README = Path(__file__).resolve().parents[1] / "README.md"


def test_every_block_runs(server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHATSDK_API_URL", server.api)
    monkeypatch.setenv("CHATSDK_API_KEY", server.key)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    readers: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), readers)  # noqa: S102 - what a reader would paste
    tokens = readers["tokens"]
    assert tokens["user"]["custom"] == {"role": "admin"}
    assert tokens["sessionId"] in capsys.readouterr().out

    assert readers["who"](tokens["accessToken"]) == "user-123"
    assert readers["who"](tokens["refreshToken"]) is None
    assert "token_invalid" in capsys.readouterr().out

    with served(readers["app"]) as url:
        assert httpx.post(f"{url}/api/chat/token").json() == {"error": "Unauthorized"}
        yours = {"Authorization": "Bearer yours"}
        reply = httpx.post(f"{url}/api/chat/token", headers=yours).json()
        assert reply["user"]["name"] == "Test User"
        issued = httpx.post(f"{url}/api/session/token", headers=yours)
        assert "Path=/api/session" in issued.headers["set-cookie"]
    with ChatSDKServer() as chat:
        assert len(chat.list_sessions("user-123")) == 2
