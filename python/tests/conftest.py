"""Every test may ask for these."""

from fixtures import proxy, server, weather

__all__ = ["proxy", "server", "weather"]
