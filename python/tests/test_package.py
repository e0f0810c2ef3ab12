"""What is published: the contents of the wheel and of the source archive, and what a missing extra says."""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
LICENCES = ["LICENSE-APACHE", "LICENSE-MIT"]


def build(target: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    subprocess.run(command, cwd=HOME, check=True, capture_output=True)
    (built,) = directory.iterdir()
    return built


def sources() -> set[str]:
    package = HOME / "src" / "chatsdk"
    return {str(file.relative_to(package.parent)) for file in package.iterdir() if file.suffix in {".py", ".typed"}}


def test_the_wheel_holds_the_package_its_licences_and_what_tells_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        about = "chatsdk-0.1.0.dist-info"
        told = {f"{about}/{name}" for name in ["METADATA", "RECORD", "WHEEL"]}
        licences = {f"{about}/licenses/{name}" for name in LICENCES}
        assert set(wheel.namelist()) == sources() | told | licences
        metadata = message_from_bytes(wheel.read(f"{about}/METADATA"))
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata.get_all("License-File") == LICENCES


def test_the_source_archive_holds_what_the_wheel_is_made_of(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.removeprefix("chatsdk-0.1.0/") for name in archive.getnames()}
    assert names >= {f"src/{name}" for name in sources()} | {"README.md", "pyproject.toml", *LICENCES}
    assert not any(name.startswith("tests") for name in names)


def test_the_licences_are_those_of_the_project() -> None:
    for name in LICENCES:
        assert (HOME / name).read_text() == (HOME.parent / name).read_text()


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [("jwt", "chatsdk._verify", "chatsdk[verify]"), ("fastapi", "chatsdk.fastapi", "chatsdk[fastapi]")],
)
def test_a_missing_extra_is_named(missing: str, module: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"pip install '{extra}'" in ran.stderr
