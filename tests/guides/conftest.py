"""The real server, as the tests of the Python SDK start it."""

from fixtures import proxy, server, weather

__all__ = ["proxy", "server", "weather"]
