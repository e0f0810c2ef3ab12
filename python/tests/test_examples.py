"""The example backends, started as their READMEs say, against the real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatsdk import ChatSDKServer
from running import ROOT
from weather import Answer, Weather

EXAMPLES = ROOT / "examples"


@dataclass
class Backend:
    """A running example."""

    url: str
    log: Path

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=headers, timeout=30)

    def login(self, name: str) -> dict[str, str]:
        reply = self.post("/api/login", {"login": name, "password": f"{name}-secret"})
        assert reply.status_code == 200
        return {"authorization": f"Bearer {reply.json()['token']}"}


Process = subprocess.Popen[bytes]


def start(command: list[str], directory: Path, log: Path, **environment: str) -> tuple[Process, str]:
    """Start a program and wait until it says where it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
                return process, found[0].decode()
    raise AssertionError(log.read_text())


def stop(process: Process, log: Path) -> None:
    process.terminate()
    rest, _ = process.communicate(timeout=30)
    with log.open("ab") as output:
        output.write(rest)


FULL = {
    "express-backend": ["node", "server.js"],
    "fastapi-backend": [
        sys.executable,
        "-m",
        "uvicorn",
        "main:app",
        "--port",
        "0",
        "--timeout-graceful-shutdown",
        "1",
    ],
}


@pytest.fixture(params=FULL)
def backend(request: pytest.FixtureRequest, server: Any, weather: Weather, tmp_path: Path) -> Iterator[Backend]:
    log = tmp_path / "log"
    environment = {
        "CHATSDK_API_URL": weather.url,
        "CHATSDK_API_KEY": server.key,
        "CHATSDK_ISSUER": "http://localhost:5500",
        "PORT": "0",
    }
    process, url = start(FULL[request.param], EXAMPLES / request.param, log, **environment)
    yield Backend(url, log)
    stop(process, log)
    text = log.read_text()
    assert server.key not in text
    assert "eyJ" not in text


def test_an_example_backend(backend: Backend, server: Any, weather: Weather) -> None:
    assert backend.post("/api/chat/token").status_code == 401
    assert backend.post("/api/login", {"login": "ann", "password": "wrong"}).status_code == 401
    assert backend.post("/api/chat/token", **backend.login("eve")).status_code == 403

    ann = backend.login("ann")
    tokens = backend.post("/api/chat/token", **ann).json()
    assert tokens["user"]["id"] == "user-1"
    bearer = {"authorization": f"Bearer {tokens['accessToken']}"}
    assert httpx.get(f"{backend.url}/api/whoami", headers=bearer).json()["userId"] == "user-1"
    assert httpx.get(f"{backend.url}/api/whoami", headers=ann).status_code == 401

    issued = backend.post("/api/session/token", **ann)
    assert "refreshToken" not in issued.json()
    set_cookie = issued.headers["set-cookie"]
    for attribute in ("HttpOnly", "Secure", "Path=/api/session"):
        assert attribute in set_cookie
    cookie = set_cookie.split(";")[0]
    refreshed = backend.post("/api/session/refresh", cookie=cookie)
    assert refreshed.json()["sessionId"] == issued.json()["sessionId"]

    # An outage signs nobody out.
    weather.always(Answer(502, {}, "<h1>Bad gateway</h1>"))
    assert backend.post("/api/chat/token", **ann).status_code == 503
    assert backend.post("/api/session/refresh", cookie=cookie).status_code == 503
    weather.next()
    assert backend.post("/api/session/refresh", cookie=cookie).status_code == 200

    # A logout that ChatSDK could not be told of can be tried again; and who may not chat can sign out.
    weather.always(Answer(502, {}, "<h1>Bad gateway</h1>"))
    assert backend.post("/api/auth/logout", **ann).status_code == 503
    weather.next()
    assert backend.post("/api/auth/logout", **backend.login("eve")).status_code == 204
    assert backend.post("/api/auth/logout", **ann).status_code == 204
    with ChatSDKServer(server.api, server.key) as operator:
        assert operator.list_sessions("user-1") == []
    over = backend.post("/api/session/refresh", cookie=cookie)
    assert (over.status_code, over.json()["code"]) == (401, "session_revoked")
    assert backend.post("/api/chat/token", **ann).status_code == 401
    out = backend.post("/api/session/logout", cookie=cookie)
    assert out.status_code == 204
    assert "Max-Age=0" in out.headers["set-cookie"]


PLAIN = {"go": ["go", "run", "."], "ruby": ["ruby", "-w", "server.rb"]}


@pytest.mark.parametrize("language", PLAIN)
def test_a_token_endpoint_over_plain_http(language: str, server: Any, weather: Weather, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = PLAIN[language]
    if language == "go":
        # Built first, because `go run` passes no signal on to the program.
        program = str(tmp_path / "program")
        subprocess.run(["go", "build", "-o", program, "."], cwd=EXAMPLES / "plain-http/go", check=True)
        command = [program]
    process, url = start(
        command,
        EXAMPLES / "plain-http" / language,
        log,
        CHATSDK_API_URL=weather.url,
        CHATSDK_API_KEY=server.key,
        ADDR="127.0.0.1:0",
        PORT="0",
    )
    backend = Backend(url, log)
    ann = {"authorization": "Bearer ann-session"}
    try:
        stranger = backend.post("/api/chat/token")
        assert (stranger.status_code, stranger.json()) == (401, {"error": "Unauthorized"})
        assert httpx.get(f"{url}/api/chat/token").status_code in {404, 405}
        reply = backend.post("/api/chat/token", **ann)
        assert reply.status_code == 200
        assert reply.headers["cache-control"] == "no-store"
        user = reply.json()["user"]
        assert (user["id"], user["name"], user["custom"]) == ("user-1", "Ann", {"role": "admin"})
        problem = {"Content-Type": "application/problem+json"}
        for fault in (
            "cut",
            Answer(500, {}, "oh"),
            Answer(200, {}, "<h1>Welcome</h1>"),
            Answer(200, {}, json.dumps(server.mint(userId="somebody-else"))),
            "garbage",
            Answer(401, problem, '{"code":"api_key_revoked","detail":"API key invalid: it was revoked."}'),
        ):
            weather.always(fault)
            outage = backend.post("/api/chat/token", **ann)
            assert outage.status_code == 503
            assert outage.headers["retry-after"] == "1"
            assert "API key" not in outage.text
    finally:
        stop(process, log)
    assert server.key not in log.read_text()
    assert "api_key_revoked" in log.read_text()
