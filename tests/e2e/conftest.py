"""Real servers for tests that speak to them from outside, with other people's libraries."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CHATSDK_BIN", str(ROOT / "target/debug/chatsdk"))


@dataclass
class Server:
    """A running server and how to call it."""

    api: str
    realtime: str
    key: str
    page: str | None
    process: subprocess.Popen
    data: Path

    @property
    def operator_token(self) -> str:
        """What opens /admin."""
        return (self.data / "operator-token").read_text().strip()

    def mint(self, **body) -> dict:
        """The reply to a mint."""
        reply = httpx.post(f"{self.api}/auth/tokens", headers={"X-API-Key": self.key}, json=body)
        reply.raise_for_status()
        return reply.json()


def start(directory: Path, command: str, *arguments: str, environment: dict | None = None) -> Server:
    """Starts the binary and waits for the line that says where it listens."""
    log = open(directory / "server.log", "ab")
    process = subprocess.Popen(
        [BINARY, command, "--json", "--data-dir", str(directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=log,
        env={"PATH": os.environ["PATH"], **(environment or {})},
    )
    key = ""
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "created":
            key = event["apiKey"]
        elif event["event"] == "ready":
            return Server(event["api"], event["realtime"], key, event.get("page"), process, directory)
    raise AssertionError((directory / "server.log").read_text())


def stop(server: Server) -> None:
    """Ends the server gracefully."""
    server.process.terminate()
    server.process.wait(timeout=30)


FREE_PORTS = ("--listen", "127.0.0.1:0", "--realtime-listen", "127.0.0.1:0")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server without rate limits."""
    running = start(tmp_path_factory.mktemp("data"), "serve", *FREE_PORTS, "--rate-limits", "off")
    yield running
    stop(running)
