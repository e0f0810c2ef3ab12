"""A real server, and a proxy in front of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from running import e2e
from weather import Weather


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server without rate limits."""
    running = e2e.start(tmp_path_factory.mktemp("data"), "serve", *e2e.FREE_PORTS, "--rate-limits", "off")
    yield running
    e2e.stop(running)


@pytest.fixture(scope="session")
def proxy(server: Any) -> Iterator[Weather]:
    """The proxy, for the session."""
    running = Weather(server.api)
    yield running
    running.close()


@pytest.fixture
def weather(proxy: Weather) -> Weather:
    """The proxy, with nothing planned."""
    proxy.next()
    return proxy
