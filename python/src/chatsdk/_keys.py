"""The deployment's public keys: kept, and asked for again within bounds. No I/O."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from chatsdk.errors import ChatSDKError, NetworkError, TokenVerificationError

if TYPE_CHECKING:
    from chatsdk._settings import Settings
    from chatsdk._types import Json

FRESH = 600.0
"""How long a set is used without asking again, in seconds: what the server allows."""
USABLE = 24 * 3600.0
"""How long a set is used when it cannot be had again, in seconds: no access token lives for longer."""
COOLDOWN = 30.0
"""How long to wait between two fetches that unknown key ids or failures cause, in seconds."""
FIRST_COOLDOWN = 1.0
"""The same after a failure with no keys at all: nothing can be verified meanwhile."""


class Want(Enum):
    """What is to be done before a key is looked up."""

    NOTHING = 0
    REFRESH = 1
    """The keys are to be fetched, and nobody has to wait for it."""
    FETCH = 2
    """The keys are to be fetched first."""


class KeySet:
    """The keys by their id."""

    def __init__(self, settings: Settings) -> None:
        self._mono = settings.runtime.mono
        self._keys: dict[str, Json] | None = None
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._failure: ChatSDKError | None = None

    def wants(self, kid: str) -> Want:
        """Tell what looking ``kid`` up asks for.

        A key may be younger than the set; but who sends tokens that name keys which never were does not decide
        how often the keys are fetched.
        """
        now = self._mono()
        keys = self._usable(now)
        if keys is None:
            return Want.FETCH if now - self._asked_at >= FIRST_COOLDOWN else Want.NOTHING
        if now - self._asked_at < COOLDOWN:
            return Want.NOTHING
        if kid not in keys:
            return Want.FETCH
        return Want.REFRESH if now - self._fetched_at >= FRESH else Want.NOTHING

    def take(self, found: list[Json] | ChatSDKError) -> None:
        """Take what a fetch came to."""
        self._asked_at = self._mono()
        if isinstance(found, ChatSDKError):
            self._failure = found
            return
        usable = [key for key in found if key.get("kty") == "OKP" and key.get("crv") == "Ed25519"]
        self._keys = {str(key.get("kid")): key for key in usable}
        self._fetched_at = self._asked_at
        self._failure = None

    def find(self, kid: str, *, asked: bool) -> Json:
        """Look a key up; ``asked`` says that the keys were fetched for it just now.

        In an outage the keys of before go on: they are as good as the tokens that they signed. A key that is in
        none of them may be younger than they are: unless they were fetched for it, that says nothing of the token.
        """
        now = self._mono()
        keys = self._usable(now)
        if keys is None:
            raise _again(self._failure)
        if kid in keys:
            return keys[kid]
        if asked and self._failure is None:
            raise TokenVerificationError("token_invalid", "The access token is not valid: it names no key.")
        if self._failure is not None:
            raise _again(self._failure)
        wait = max(0.0, COOLDOWN - (now - self._asked_at))
        raise NetworkError(
            "network",
            "Network error: the access token names a key that the keys fetched a moment ago do not hold.",
            retryable=True,
            retry_after_ms=max(1, round(wait * 1000)),
        )

    def _usable(self, now: float) -> dict[str, Json] | None:
        return None if now - self._fetched_at >= USABLE else self._keys


def _again(failure: ChatSDKError | None) -> ChatSDKError:
    # A new error each time: one that is raised twice collects the tracebacks of both.
    message = str(failure) if failure else "Network error: the keys cannot be had."
    return NetworkError(
        failure.code if failure else "network",
        message,
        retryable=True,
        http_status=failure.http_status if failure else None,
        retry_after_ms=failure.retry_after_ms if failure else None,
    )
