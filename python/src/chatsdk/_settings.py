"""Reads what a client is given, once, and refuses what cannot work."""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

import httpx

from chatsdk.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# User info would travel in a header of its own, and a query would end up in the middle of addresses.
_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?", re.IGNORECASE)
_LAST_PORT = 65535


class ApiKey(httpx.Auth):
    """The API key, where neither a log nor a traceback with its locals shows it."""

    __slots__ = ("__key",)

    def __init__(self, key: str) -> None:
        self.__key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["X-API-Key"] = self.__key
        yield request

    def __repr__(self) -> str:
        return "ApiKey([redacted])"

    def __reduce__(self) -> str:
        raise TypeError("An API key is not pickled: read it from the environment where it is needed.")


@dataclass(frozen=True)
class Runtime:
    """The clocks and the chance that a client goes by; for tests."""

    wall: Callable[[], float] = time.time
    """Seconds since the Unix epoch."""
    mono: Callable[[], float] = time.monotonic
    """Seconds since some moment; never goes back."""
    random: Callable[[], float] = random.random
    """A number from 0 up to, not including, 1."""
    pause: Callable[[float], None] | None = None
    """Told of each pause instead of making it, in seconds."""


@dataclass(frozen=True)
class Settings:
    """The options, read. Times are in seconds."""

    api_url: str
    api_key: ApiKey | None
    timeout: float
    attempt_timeout: float
    max_retries: int
    issuer: str
    app_id: str | None
    clock_tolerance: float
    runtime: Runtime = field(repr=False)


class Options(TypedDict, total=False):
    """What a client may be given beside address and key. Times are in seconds."""

    timeout: float
    """How long a call may take with all its retries; less than the SDKs wait for you. Default 8."""
    attempt_timeout: float
    """How long one attempt may take. Default 4.

    Without an event loop and with a client of yours (``http``) it bounds each wait for the connection, for more of
    the head of the reply and for more of its body, and the body as a whole.
    """
    max_retries: int
    """How often a call is repeated. Default 3."""
    issuer: str | None
    """The ``iss`` of access tokens: the deployment's ``public_url``. Default: the address."""
    app_id: str | None
    """The app that access tokens have to be of; needed where the deployment has several. Default: any."""
    clock_tolerance: float
    """How far this machine's clock may be off when access tokens are verified. Default 10."""
    runtime: Runtime | None
    """Other clocks and chance, for tests."""


def read_settings(api_url: str | None, api_key: str | Literal[False] | None, options: Options) -> Settings:
    """Make settings of the options and the environment."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(
            f"There is no option {', '.join(sorted(unknown))}: there are {', '.join(Options.__annotations__)}."
        )
    address = os.environ.get("CHATSDK_API_URL") if api_url is None else api_url
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address) or not _has_host(address):
        raise InvalidInputError(
            "api_url",
            "api_url, or the environment variable CHATSDK_API_URL, has to be an http(s) address such as "
            "https://chat.example.com.",
        )
    base = address.rstrip("/")
    return Settings(
        api_url=base,
        api_key=None
        if api_key is False
        else _read_key(os.environ.get("CHATSDK_API_KEY") if api_key is None else api_key),
        timeout=_read_number("timeout", options.get("timeout", 8.0), 0.001, 3600),
        attempt_timeout=_read_number("attempt_timeout", options.get("attempt_timeout", 4.0), 0.001, 3600),
        max_retries=int(_read_number("max_retries", options.get("max_retries", 3), 0, 100)),
        issuer=options.get("issuer") or base,
        app_id=_read_app(options.get("app_id")),
        clock_tolerance=_read_number("clock_tolerance", options.get("clock_tolerance", 10.0), 0, 3600),
        runtime=options.get("runtime") or Runtime(),
    )


def _has_host(address: str) -> bool:
    # Whatever is no name and no port fails at each call otherwise, with errors of Python's own.
    try:
        url = httpx.URL(address)
        url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        return False
    return url.port is None or 0 < url.port <= _LAST_PORT


def _read_key(key: str | None) -> ApiKey:
    if not isinstance(key, str) or key == "":
        raise InvalidInputError("api_key", "api_key, or the environment variable CHATSDK_API_KEY, is missing.")
    # Checked here because the HTTP library would refuse it with a message that quotes the key.
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        del key
        raise InvalidInputError(
            "api_key",
            "The API key holds white space or characters that no key has: was it read from a file, with the "
            "end of the line?",
        )
    return ApiKey(key)


def _read_app(app_id: str | None) -> str | None:
    # Not "any": an environment variable that is set to nothing must not open the door to all apps.
    if app_id is not None and (not isinstance(app_id, str) or not app_id):
        raise InvalidInputError("app_id", "app_id is the id of an app, or None for any.")
    return app_id


def _read_number(field: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidInputError(field, f"{field} has to be a number from {least} to {most}.")
    return value
