"""Cores shared between models by the time they use: a busy model cannot starve another.

Start-time fair queueing over the runs of all models (Goyal, Vin, Cheng, SIGCOMM 1996): each model
has an account of the seconds it was given; when a core is free, the model with the least goes
first. A model that was idle starts at the account of those that run, so that it can neither save
up time nor be punished for what it used while nobody else wanted it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Condition


class Account:
    """The seconds that one model was given, on the common scale."""

    __slots__ = ("used_s",)

    def __init__(self) -> None:
        self.used_s = 0.0


class Cores:
    """As many turns at a time as there are cores. Safe for threads."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = count
        self._clock = clock
        self._changed = Condition()
        self._waiting: list[Account] = []
        self._now_s = 0.0  # the account of the last turn that began

    @contextmanager
    def turn(self, account: Account) -> Iterator[None]:
        """Wait for a core, hold it for the block, and book the time to `account`."""
        self._begin(account)
        with self._held(account):
            yield

    def turn_now(self, account: Account) -> AbstractContextManager[None] | None:
        """As `turn`, for who cannot wait: None where no core is free or others wait for one.

        The core is taken by the call, and must be held at once.
        """
        with self._changed:
            if not self._free or self._waiting:
                return None
            account.used_s = max(account.used_s, self._now_s)
            self._take(account)
        return self._held(account)

    @contextmanager
    def _held(self, account: Account) -> Iterator[None]:
        began_s = self._clock()
        try:
            yield
        finally:
            self._end(account, self._clock() - began_s)

    def _begin(self, account: Account) -> None:
        with self._changed:
            account.used_s = max(account.used_s, self._now_s)
            if not self._free or self._waiting:
                self._waiting.append(account)
                while not self._free or self._next() is not account:
                    self._changed.wait()
                self._waiting.remove(account)
            self._take(account)
            if self._free and self._waiting:
                self._changed.notify_all()

    def _take(self, account: Account) -> None:
        self._free -= 1
        self._now_s = max(self._now_s, account.used_s)

    def _end(self, account: Account, seconds: float) -> None:
        with self._changed:
            account.used_s += seconds
            self._free += 1
            if self._waiting:
                self._changed.notify_all()

    def _next(self) -> Account:
        return min(self._waiting, key=lambda account: account.used_s)
