"""What the documents say can be pasted, and works."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from conftest import BINARY, FREE_PORTS, ROOT, start, stop

SHARED_PATH = Path(BINARY).parent


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def run(script: str, **environment: str) -> str:
    """Runs a script as a reader would paste it, with `chatsdk` on the path."""
    path = f"{SHARED_PATH}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, timeout=60, env={"PATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curls_of_the_specification(server):
    """Both curls, verbatim but for the address, the key and the token that they leave to the reader."""
    mint = next(block for block in blocks("README.md", "sh") if block.startswith("curl"))
    script = mint.replace("http://localhost:5500", server.api).replace("your-api-key", server.key)
    reply = json.loads(run(script.replace("curl ", "curl -s ", 1)))
    assert reply["user"]["id"] == "test-user-123"
    assert isinstance(reply["expiresAt"], int) and reply["expiresAt"] > 1_700_000_000_000
    refresh = f"""curl -s -X POST {server.api}/auth/refresh \
      -H "Content-Type: application/json" \
      -d '{{
        "refreshToken": "{reply['refreshToken']}"
      }}'"""
    refreshed = json.loads(run(refresh))
    assert set(reply) == set(refreshed)
    assert refreshed["refreshToken"] != reply["refreshToken"]


def test_the_curl_that_dev_prints(tmp_path):
    """`chatsdk dev` prints a curl that works as it stands."""
    running = start(tmp_path, "dev", *FREE_PORTS)
    stop(running)
    port = running.api.rsplit(":", 1)[1]
    process = subprocess.Popen(
        [BINARY, "dev", "--data-dir", str(tmp_path), "--listen", f"127.0.0.1:{port}", "--realtime-listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.strip().startswith("-d "):
                break
        curl = said[said.index("curl -X POST"):]
        assert json.loads(run(curl.replace("curl ", "curl -s ", 1)))["accessToken"].startswith("eyJ")
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("page", ["README.md", "docs/guides/operating.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_command_that_a_page_names_exists(page):
    """Each `chatsdk …` in a page is a command that the binary knows, with flags that it knows."""
    text = (ROOT / page).read_text()
    inline = re.findall(r"`(chatsdk [^`]+)`", text)
    fenced = [line.strip() for block in blocks(page, "sh") for line in block.splitlines()]
    fenced = [line.split("/")[-1] if line.startswith("target/") else line for line in fenced]
    for command in inline + [line for line in fenced if line.startswith("chatsdk ")]:
        words = shlex.split(command)[1:]
        names = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)][:2]
        known = subprocess.run([BINARY, *names, "--help"], capture_output=True, text=True)
        if known.returncode != 0:
            known = subprocess.run([BINARY, *names[:1], "--help"], capture_output=True, text=True)
        assert known.returncode == 0, command
        for flag in (word.split("=")[0] for word in words if word.startswith("--")):
            assert flag in known.stdout or flag == "--help", f"{command}: {flag}"


def test_the_configuration_of_the_operating_guide(tmp_path):
    """The TOML of the guide is accepted as it stands."""
    for number, block in enumerate(blocks("docs/guides/operating.md", "toml")):
        tomllib.loads(block)
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        run(f"chatsdk config --config {file}")


def test_the_backup_of_the_operating_guide(tmp_path):
    """The backup command of the guide, on a data directory of ours."""
    script = next(block for block in blocks("docs/guides/operating.md", "sh") if "backup" in block)
    run(f"chatsdk app create one --data-dir {tmp_path}/data")
    script = script.replace("/backups/monday", f"{tmp_path}/monday").replace("/var/lib/chatsdk", f"{tmp_path}/data")
    assert "Copied" in run(script)


def test_the_proxies_of_the_operating_guide_forward_what_the_server_needs():
    """The proxy examples name both kinds of upgrade headers and the ports that the server listens on."""
    text = (ROOT / "docs/guides/operating.md").read_text()
    for needed in ["Upgrade $http_upgrade", "Connection $connection_upgrade", "X-Forwarded-For", "127.0.0.1:5500", "127.0.0.1:8001"]:
        assert needed in text


def test_links_between_pages():
    """No page links to a file that is not there."""
    for page in [ROOT / "README.md", *(page for page in ROOT.glob("docs/**/*.md") if "node_modules" not in page.parts), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} -> {target}"
