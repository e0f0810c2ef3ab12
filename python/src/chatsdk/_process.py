"""What a process may not share with the one that it was forked from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class _Forks:
    """Counts the forks between the first process and this one."""

    def __init__(self) -> None:
        self.count = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.add)

    def add(self) -> None:
        self.count += 1


_forks = _Forks()


class PerProcess(Generic[T]):
    """One of something for each process.

    Connections first of all: two processes that write to one socket read each other's replies, and the tokens in
    them. Locks too, as one that was held at the fork is held for ever. Servers fork after the application is loaded
    (gunicorn with ``--preload``, uWSGI, Celery, `multiprocessing`).

    What the parent made is kept and left alone: to close it here could end it there.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[tuple[int, int], T] = {_process(): make()}

    def get(self) -> T:
        """Answer that of this process."""
        here = _process()
        found = self._made.get(here)
        # `setdefault` is atomic: no lock, which could have been held at the fork, is needed.
        return self._made.setdefault(here, self._make()) if found is None else found

    def replace(self, value: T) -> None:
        """Put another in the place of that of this process."""
        self._made[_process()] = value

    def held(self) -> T | None:
        """Answer that of this process if it has one."""
        return self._made.get(_process())


def _process() -> tuple[int, int]:
    # The id too, for forks that do not tell Python; the count too, as ids are used again.
    return _forks.count, os.getpid()
