"""What a schema cannot say of a request: such requests are valid by the schema, and not made."""

import json
import os

import schemathesis

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def fits(user: object) -> bool:
    """Schemas count characters, and ids are bounded in bytes."""
    return not isinstance(user, str) or len(user.encode("utf-8", "surrogatepass")) <= 128


def millis(lifetime: object, default: str) -> int:
    """A lifetime as the server reads it."""
    # `60.0` is an integer in JSON.
    if isinstance(lifetime, (int, float)) and not isinstance(lifetime, bool):
        return int(lifetime * 1000)
    text = lifetime if isinstance(lifetime, str) else default
    unit = text.lstrip("0123456789")
    digits = text[: len(text) - len(unit)]
    return int(digits) * UNITS[unit] if digits.isascii() and digits and unit in UNITS else 0


def ordered(body: dict) -> bool:
    """No token outlives what it hangs on."""
    access = millis(body.get("accessTokenExpiry"), "1h")
    refresh = millis(body.get("refreshTokenExpiry"), "7d")
    session = millis(body.get("sessionExpiry"), "90d")
    return access <= refresh <= session


def small(custom: object) -> bool:
    """Schemas count members, and data is bounded in bytes."""
    return not isinstance(custom, dict) or len(json.dumps(custom, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= 1024


def proven(body: object) -> bool:
    """A logout brings one of two proofs."""
    return "SCHEMATHESIS_BEARER" in os.environ or (isinstance(body, dict) and body.get("refreshToken") is not None)


@schemathesis.hook
def filter_case(context, case) -> bool:
    """Whether the server could accept what the schema does. What the schema refuses is sent as it is."""
    body, path, query = case.body, case.path_parameters or {}, case.query or {}
    if case.operation.path == "/auth/tokens" and isinstance(body, dict):
        return fits(body.get("userId")) and ordered(body) and small(body.get("custom"))
    if case.operation.path == "/auth/revoke":
        return proven(body)
    return fits(path.get("userId")) and fits(query.get("user"))
