"""What a schema cannot say of a request: such requests are valid by the schema, and not made."""

import json

import schemathesis

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def fits(user: object) -> bool:
    """Schemas count characters, and ids are bounded in bytes."""
    return not isinstance(user, str) or len(user.encode("utf-8", "surrogatepass")) <= 128


def millis(lifetime: object, default: str) -> int:
    """A lifetime as the server reads it."""
    if isinstance(lifetime, int) and not isinstance(lifetime, bool):
        return lifetime * 1000
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


@schemathesis.hook
def filter_body(context, body) -> bool:
    path = context.operation.path
    if path == "/auth/tokens" and isinstance(body, dict):
        custom = body.get("custom")
        small = not isinstance(custom, dict) or len(json.dumps(custom, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= 1000
        return fits(body.get("userId")) and ordered(body) and small
    return True


@schemathesis.hook
def filter_path_parameters(context, path_parameters) -> bool:
    return not isinstance(path_parameters, dict) or fits(path_parameters.get("userId"))


@schemathesis.hook
def filter_query(context, query) -> bool:
    return not isinstance(query, dict) or fits(query.get("user"))
