"""Fixtures: the engine's example server, and the encodings. Test files name it in `pytest_plugins`."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("PUBSUB_BIN", str(ROOT / "target/debug/examples/pubsub"))
PROFILE = ROOT / "crates/realtime/examples/pubsub/profiles/python.toml"


@pytest.fixture(scope="module", params=["plain", "compressed"])
def server(request, tmp_path_factory):
    config = tmp_path_factory.mktemp("pubsub") / "config.toml"
    text = PROFILE.read_text().replace("127.0.0.1:8000", "127.0.0.1:0")
    if request.param == "compressed":
        # The client's library offers it by itself, and compresses whatever it sends.
        text += "\n[client]\ncompress_from = 1\n"
    config.write_text(text)
    process = subprocess.Popen([BINARY, "--config", str(config)], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().removeprefix("listening on ").strip()
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
def protobuf(request):
    return request.param
