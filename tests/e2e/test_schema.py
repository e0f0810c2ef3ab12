"""Whatever the API's own description allows to be sent, and much that it forbids, is answered as it says."""

import subprocess
import sys
from pathlib import Path


def schemathesis(server, directory: Path, *arguments: str) -> None:
    tool = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [tool, "--config-file", Path(__file__).with_name("schemathesis.toml"), "run", f"{server.api}/openapi.json", "--url", server.api, "--checks", "all",
         "--max-examples", "60", "--generation-deterministic", "--suppress-health-check", "all", *arguments],
        capture_output=True, text=True, timeout=900, cwd=directory,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]


def test_with_an_api_key(server, tmp_path):
    schemathesis(server, tmp_path, "--header", f"X-API-Key: {server.key}")


def test_with_an_access_token(server, tmp_path):
    token = server.mint(userId="ann")["accessToken"]
    schemathesis(server, tmp_path, "--header", f"Authorization: Bearer {token}", "--include-path-regex", "^/auth/(sessions|revoke|refresh)")


def test_with_the_operator_token(server, tmp_path):
    header = f"Authorization: Bearer {server.operator_token}"
    schemathesis(server, tmp_path, "--header", header, "--include-path-regex", "^/admin/")


def test_with_nothing(server, tmp_path):
    schemathesis(server, tmp_path)
