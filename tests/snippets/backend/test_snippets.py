"""The backend snippets of the specification run, against the real server, and are still its text."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
RUNNABLE = ["express.js", "fastapi_app.py", "curl.sh"]

CORRECTIONS = {
    # The body ends with dots: whoever pastes it has a route that never answers.
    "validate-users": ["res.json(await generateChatSDKToken({ userId: user.id })); // added: the dots"],
    # `@app.post` without an app.
    "fastapi": ["app = FastAPI()  # added: the snippet uses it and makes none"],
}
"""The lines that are not the specification's. Nothing of it is changed or left out."""


def sections(text: str) -> dict[str, str]:
    """The parts of specification.txt by their names."""
    parts = re.split(r"^=== ([\w-]+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SPECIFICATION = sections((HERE / "specification.txt").read_text())


def snippets() -> dict[str, str]:
    """What stands between the marks in the runnable files."""
    found = {}
    for name in RUNNABLE:
        text = (HERE / name).read_text()
        for match in re.finditer(r"\[spec ([\w-]+)\]\n(.*?)^[ \t]*(?://|#) \[/spec\]", text, re.DOTALL | re.MULTILINE):
            assert match[1] not in found
            found[match[1]] = match[2]
    return found


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_runnable_copies_are_the_text_of_the_specification() -> None:
    copies = snippets()
    assert set(copies) == set(SPECIFICATION) - {"reply"}
    for name, copy in copies.items():
        allowed = CORRECTIONS.get(name, [])
        ours = lines(copy)
        assert [line for line in ours if line in allowed] == allowed
        assert [line for line in ours if line not in allowed] == lines(SPECIFICATION[name]), name


@contextmanager
def program(command: list[str], server: Any) -> Iterator[str]:
    """A program that says where it listens."""
    environment = {**os.environ, "CHATSDK_API_URL": server.api, "CHATSDK_API_KEY": server.key}
    process = subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = ""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            raise AssertionError(said)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_node_snippets(server: Any) -> None:
    ann, eve = {"x-user": "ann"}, {"x-user": "eve"}
    with program(["node", "express.js"], server) as url:

        def post(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
            return httpx.post(url + path, headers=headers, timeout=30)

        stranger = post("/first/api/chat/token")
        assert (stranger.status_code, stranger.json()) == (401, {"error": "Unauthorized"})
        tokens = post("/first/api/chat/token", ann).json()
        assert tokens["user"] == {
            "id": "user-123",
            "name": "Ann",
            "avatar": "https://example.com/avatar.jpg",
            "custom": {"email": "ann@example.com", "role": "admin"},
        }

        refused = post("/second/api/chat/token", eve)
        assert (refused.status_code, refused.json()) == (403, {"error": "No chat access"})
        assert post("/second/api/chat/token", ann).json()["user"]["id"] == "user-123"

        expiry = post("/second/expiry", ann).json()
        assert expiry["expiresIn"] == 3600
        assert abs(expiry["refreshExpiresAt"] - expiry["serverTime"] - 7 * 86_400_000) < 5000

        claims = post("/second/custom-claims", ann).json()
        assert claims["user"]["custom"]["permissions"] == ["read", "write", "delete"]

        cookie = post("/second/cookie", ann)
        assert "refreshToken" not in cookie.json()
        for attribute in ("chatRefreshToken=eyJ", "Max-Age=604800", "HttpOnly", "Secure", "SameSite=Strict"):
            assert attribute in cookie.headers["set-cookie"]


def test_the_python_snippet(server: Any) -> None:
    with program([sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0"], server) as url:
        assert httpx.post(f"{url}/api/chat/token").status_code == 401
        tokens = httpx.post(f"{url}/api/chat/token", headers={"x-user": "ann"}).json()
        assert tokens["user"]["custom"] == {"email": "ann@example.com", "department": "sales"}
        assert tokens["accessToken"].startswith("eyJ")


def test_the_curls_and_their_reply(server: Any) -> None:
    script = (HERE / "curl.sh").read_text()
    script = script.replace("http://localhost:5500", server.api).replace("your-api-key", server.key)
    script = script.replace("eyJhbGc...", server.mint(userId="test-user-123")["refreshToken"])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    expected = json.loads(SPECIFICATION["reply"])
    minted, refreshed = (json.loads(line) for line in done.stdout.splitlines())
    for reply in (minted, refreshed):
        # The reply may say more than the specification shows, and says all that it shows.
        assert expected.keys() <= reply.keys()
        assert {name: type(value) for name, value in expected.items()}.items() <= {
            name: type(value) for name, value in reply.items()
        }.items()
        assert len(str(reply["expiresAt"])) == len(str(expected["expiresAt"]))
        assert expected["user"].items() <= reply["user"].items()
        assert reply["accessToken"].startswith("eyJhbGc")
        assert reply["refreshToken"].startswith("eyJhbGc")


@pytest.mark.parametrize("sign", [{"Origin": "https://app.example.com"}, {"Sec-Fetch-Site": "cross-site"}])
def test_what_one_must_never_do_does_not_work(server: Any, sign: dict[str, str]) -> None:
    """An API key in frontend code: the page gets nothing, with GET as in the snippet or with POST."""
    for method in ("GET", "POST"):
        headers = {"X-API-Key": server.key, **sign}
        reply = httpx.request(method, f"{server.api}/auth/tokens", headers=headers, json={"userId": "ann"})
        assert reply.status_code in {403, 405}
        assert "access-control-allow-origin" not in reply.headers
