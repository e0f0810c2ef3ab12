"""Where this package ends and yours begins: errors cross it without the frames that hold secrets.

Tools that report errors print the variables of every frame of a traceback. Those of this package hold API keys
and tokens; so what leaves it shows where it was called, and nothing of what went on inside.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

P = ParamSpec("P")
T = TypeVar("T")


def guarded(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function whose errors carry none of its frames."""

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - all of them have frames
            caught = _bare(error)
        # This frame is one of those that are printed.
        del arguments, named
        try:
            raise caught
        finally:
            del caught

    return call


def guarded_async(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a coroutine function whose errors carry none of its frames."""

    @wraps(function)
    async def call(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await function(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - all of them have frames
            caught = _bare(error)
        del arguments, named
        try:
            raise caught
        finally:
            del caught

    return call


def _bare(error: Exception) -> Exception:
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
