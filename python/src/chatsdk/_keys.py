"""The deployment's public keys: kept, and asked for again within bounds. No I/O."""

from __future__ import annotations

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


class KeySet:
    """The keys by their id."""

    def __init__(self, settings: Settings) -> None:
        self._mono = settings.runtime.mono
        self._keys: dict[str, Json] | None = None
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._failure: ChatSDKError | None = None

    def wants(self, kid: str) -> bool:
        """Tell whether the keys are to be fetched before ``kid`` is looked up.

        A key may be younger than the set; but who sends tokens that name keys which never were does not decide
        how often the keys are fetched.
        """
        since = self._mono() - self._asked_at
        if self._keys is None:
            return since >= FIRST_COOLDOWN
        old = self._mono() - self._fetched_at >= FRESH
        return (old or kid not in self._keys) and since >= COOLDOWN

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

    def find(self, kid: str) -> Json:
        """Look a key up. In an outage the keys of before go on: they are as good as the tokens that they signed."""
        if self._keys is None or self._mono() - self._fetched_at >= USABLE:
            raise _again(self._failure)
        if kid not in self._keys:
            raise TokenVerificationError("token_invalid", "The access token is not valid: it names no key.")
        return self._keys[kid]


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
