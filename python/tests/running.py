"""How tests/e2e starts the real server."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def _load(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("chatsdk_e2e", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


e2e = _load(ROOT / "tests/e2e/conftest.py")
