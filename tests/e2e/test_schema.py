"""Whatever the API's own description allows to be sent, and much that it forbids, is answered as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

# Answers to these do not end, or are no HTTP any more. The server's own tests connect by each of them.
STREAMS = "^/(connection/|ws$|emulation$)"


def schemathesis(server, directory: Path, *arguments: str, bearer: bool = False) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
    if bearer:
        environment["SCHEMATHESIS_BEARER"] = "1"
    tool = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [tool, "--config-file", Path(__file__).with_name("schemathesis.toml"), "run", f"{server.api}/openapi.json", "--url", server.api, "--checks", "all",
         "--max-examples", "60", "--generation-deterministic", "--suppress-health-check", "all", "--exclude-path-regex", STREAMS, *arguments],
        capture_output=True, text=True, timeout=900, cwd=directory,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]


def test_with_an_api_key(server, tmp_path):
    schemathesis(server, tmp_path, "--header", f"X-API-Key: {server.key}")


def test_with_an_access_token(server, tmp_path):
    token = server.mint(userId="ann")["accessToken"]
    schemathesis(server, tmp_path, "--header", f"Authorization: Bearer {token}", "--include-path-regex", "^/auth/(sessions|revoke|refresh)", bearer=True)


def test_with_the_operator_token(server, tmp_path):
    header = f"Authorization: Bearer {server.operator_token}"
    schemathesis(server, tmp_path, "--header", header, "--include-path-regex", "^/admin/")


def test_with_nothing(server, tmp_path):
    schemathesis(server, tmp_path)


def test_user_ids_are_what_the_schema_says(server):
    schemas = httpx.get(f"{server.api}/openapi.json").json()["components"]["schemas"]
    text = schemas["MintRequest"]["properties"]["userId"]["oneOf"][0]
    # In JSON Schema `$` is the very end; in Python it may stand before a line's end.
    pattern = re.compile(text["pattern"].replace("$", r"\Z"))
    for user in ["a", "a" * 128, "a" * 129, "a" * 70 + "\u00e9", "user:" + "a" * 50 + "\u6f22", "\u6f22" * 42, "\U0001f600" * 32,
                 ".", "..", "...", ".a", "a b", " a", "a ", "a\u00a0", "a\n", "\u00a0a", "a\u061cb", "a\u200eb", "a\u202eb", "\ufeffa", "a\u0000b", "a\u0085b", ""]:
        reply = httpx.post(f"{server.api}/auth/tokens", headers={"X-API-Key": server.key}, json={"userId": user})
        assert (reply.status_code == 200) == bool(pattern.search(user)), ascii(user)
    # What no pattern can count.
    long = "\u6f22" * 43
    assert pattern.search(long)
    reply = httpx.post(f"{server.api}/auth/tokens", headers={"X-API-Key": server.key}, json={"userId": long})
    assert (reply.status_code, reply.json()["field"]) == (400, "userId")
