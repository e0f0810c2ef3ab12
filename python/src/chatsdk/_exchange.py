"""One call to the API, without I/O: bounded in time, repeated where that may help and can do no harm.

`exchange` is a generator. It yields what is to be done, a request or a pause, and is sent what came of it; the
clients for threads and for event loops differ in how they do it, and in nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeGuard, TypeVar, cast
from urllib.parse import urljoin, urlsplit

from chatsdk.errors import ApiError, ChatSDKError, InvalidInputError, NetworkError

if TYPE_CHECKING:
    from chatsdk._settings import Settings

T = TypeVar("T")

_LONGEST_PAUSE = 4.0
"""The largest pause that chance may choose, in seconds."""
_LONGEST_WAIT = 3_600_000
"""No answer may silence a caller for longer than this, in milliseconds."""
_MOST_SAFE = 2**53 - 1
"""The largest integer that all JSON has in common."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """What to send, and how to read the reply. Every call of this package may be repeated: see the clients."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """Begins with a slash."""
    read: Callable[[dict[str, Any]], T] = field(repr=False)
    body: Callable[[], dict[str, Any]] | None = field(default=None, repr=False)
    """Made anew for each attempt."""
    key: bool = True
    """Whether the API key goes along."""
    timeout: float | None = None
    """Shorter than the settings say, in seconds."""


@dataclass(frozen=True)
class Send:
    """To be done: one request."""

    call: Call[Any]
    timeout: float
    """In seconds."""
    content: bytes | None = field(default=None, repr=False)
    """The body, as JSON."""


@dataclass(frozen=True)
class Pause:
    """To be done: nothing, for a while."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """What came: a reply, of whomever."""

    status: int
    content_type: str
    retry_after: str
    location: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class NoReply:
    """What came: nothing."""

    timed_out: bool
    reason: str
    """The name of the HTTP library's error."""


Step = Send | Pause
Outcome = Reply | NoReply | None
Exchange = Generator[Step, Outcome, T]


def backoff(retry: int, chance: float) -> float:
    """Choose the pause before a retry, counted from 0: full jitter, so that a herd spreads."""
    return float(chance * min(_LONGEST_PAUSE, 0.2 * 2**retry))


def exchange(settings: Settings, call: Call[T]) -> Exchange[T]:
    """Carry out ``call``."""
    if call.key and settings.api_key is None:
        raise InvalidInputError("api_key", "This needs an API key, and api_key is False.")
    runtime = settings.runtime
    end = runtime.mono() + min(settings.timeout, call.timeout or settings.timeout)
    retry = 0
    while True:
        content = None if call.body is None else _encode(call.body())
        outcome = yield Send(call, max(0.001, min(settings.attempt_timeout, end - runtime.mono())), content)
        read = _read(settings.api_url, call, outcome)
        if not isinstance(read, ChatSDKError):
            return read
        pause = max((read.retry_after_ms or 0) / 1000, backoff(retry, runtime.random()))
        # A caller who is told to wait for longer than the call may take knows better what to do meanwhile.
        if not read.retryable or retry >= settings.max_retries or runtime.mono() + pause >= end:
            raise read
        yield Pause(pause)
        retry += 1


def _read(api_url: str, call: Call[T], outcome: Outcome) -> T | ChatSDKError:
    if not isinstance(outcome, Reply):
        what = "did not answer in time" if outcome and outcome.timed_out else "cannot be reached"
        reason = f" ({outcome.reason})" if outcome else ""
        code = "timeout" if outcome and outcome.timed_out else "network"
        return NetworkError(code, f"Network error: {api_url} {what}{reason}.", retryable=True)
    body = _parse(outcome.text)
    if 200 <= outcome.status < 300 and body is not None:  # noqa: PLR2004
        return call.read(body)
    return _failure(api_url, outcome, body or {})


def _failure(api_url: str, reply: Reply, body: dict[str, Any]) -> ChatSDKError:
    status = reply.status
    wait = max(_from_header(reply.retry_after), _from_document(body)) or None
    # 408 is also what a request with a wrong clock gets, which is no better the second time.
    retryable = status >= 500 or status in (408, 425, 429)  # noqa: PLR2004
    code = body.get("code")
    if reply.content_type.lower().startswith("application/problem+json") and isinstance(code, str):
        server_time = body.get("serverTime")
        return ApiError(
            code,
            _text(body, "detail") or _text(body, "title") or code,
            retryable=retryable and code != "request_stale",
            http_status=status,
            request_id=_text(body, "requestId"),
            retry_after_ms=wait,
            field=_text(body, "field"),
            hint=_text(body, "hint"),
            server_time=server_time if _is_time(server_time) else None,
        )
    if 300 <= status < 400 and reply.location:  # noqa: PLR2004
        reason = f"it redirects to {_origin(api_url, reply.location)}; set api_url to the final address"
    else:
        reason = (
            f"something else than ChatSDK answered, with status {status}; "
            "check api_url and what stands in front of it"
        )
    message = f"Network error: {api_url}: {reason}."
    return NetworkError("foreign_answer", message, retryable=retryable, http_status=status, retry_after_ms=wait)


def _is_time(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_SAFE


def missing(member: str) -> NetworkError:
    """Say that a reply is not one of ChatSDK."""
    message = f"Network error: the reply has no {member}: something else answered."
    return NetworkError("foreign_answer", message)


def _origin(base: str, location: str) -> str:
    try:
        target = urlsplit(urljoin(base, location))
    except ValueError:
        return "another address"
    return f"{target.scheme}://{target.hostname}"


def _encode(body: dict[str, Any]) -> bytes:
    for member, value in body.items():
        if _json(value) is None:
            raise InvalidInputError(
                member, f"{member} cannot be written as JSON: it holds NaN, half a character, itself, or an object."
            )
    return _json(body) or b""


def _json(value: object) -> bytes | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        # Not passed on, as it may quote the value.
        return None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


def _text(body: dict[str, Any], member: str) -> str | None:
    value = body.get(member)
    return value if isinstance(value, str) and value else None


def _from_header(value: str) -> int:
    # The form that holds a date is not read: it would need this machine's clock to be right.
    return min(int(value) * 1000, _LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", value.strip()) else 0


def _from_document(body: dict[str, Any]) -> int:
    wait = body.get("retryAfterMs")
    if not isinstance(wait, (int, float)) or isinstance(wait, bool) or not wait > 0:
        return 0
    return int(min(wait, _LONGEST_WAIT))
