"""The event loop that is running: asyncio's or trio's."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def running() -> object:
    """Tell which loop is running, by an object that is no other's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return import_module("trio").lowlevel.current_trio_token()


def is_over(loop: object) -> bool:
    """Tell whether nothing can run on a loop any more. Of trio's it is not known."""
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


def spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None] | None:
    """Begin ``work`` on the running loop, for nobody to wait for. A task of asyncio is yours to keep and cancel."""
    try:
        return asyncio.get_running_loop().create_task(work())
    except RuntimeError:
        import_module("trio").lowlevel.spawn_system_task(work)
        return None
