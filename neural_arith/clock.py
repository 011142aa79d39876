"""When a search has to be over: one value, made when it is called and asked wherever something takes long.

Compiled loops cannot ask it; they read a flag that a watching thread raises, so that no long candidate outlasts it.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

FINISH, LONGEST_FINISH = 0.15, 6.0
"""Share of a budget, and most seconds of it, that are kept for rounding, standard errors and what terms are worth."""

_SHORTEST = 1e-3
"""Seconds that the watch at least waits until it asks again."""


class OutOfTimeError(Exception):
    """The time budget is spent; whoever has something to return catches it."""


@dataclass(frozen=True)
class Clock:
    """What is left of a time budget.

    Attributes:
        begun: when the call began, as ``now`` tells it.
        end: when it has to be over; inf for no limit.
        now: tells the time in seconds.
        halt: one number; compiled loops that were given it end soon once it is not zero, see :meth:`watched`.
    """

    begun: float = 0.0
    end: float = math.inf
    now: Callable[[], float] = time.monotonic
    halt: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.uint8), compare=False, repr=False)

    @classmethod
    def start(cls, budget: float | None, now: Callable[[], float] = time.monotonic) -> Clock:
        """A clock that begins to run.

        Args:
            budget: seconds; None for no limit.
            now: tells the time in seconds.
        """
        begun = now()
        return cls(begun, math.inf if budget is None else begun + float(budget), now)

    @property
    def limited(self) -> bool:
        """Whether there is an end."""
        return self.end < math.inf

    def in_time(self) -> bool:
        """Whether there is time left."""
        return not self.limited or (not self.halt[0] and self.now() < self.end)

    def check(self) -> None:
        """Go on only while there is time.

        Raises:
            OutOfTimeError: there is none left.
        """
        if not self.in_time():
            raise OutOfTimeError

    def until(self, share: float, most: float = math.inf) -> Clock:
        """A clock that ends after a share of the whole time, and at the latest so many seconds after the beginning.

        It has a flag of its own.
        """
        if not self.limited:
            return self
        length = min(share * (self.end - self.begun), most)
        return replace(self, end=self.begun + length, halt=np.zeros(1, dtype=np.uint8))

    @property
    def searching(self) -> Clock:
        """A clock that leaves time to finish what the search has found."""
        if not self.limited:
            return self
        budget = self.end - self.begun
        return self.until(1.0, budget - min(FINISH * budget, LONGEST_FINISH))

    @contextlib.contextmanager
    def watched(self) -> Iterator[Clock]:
        """Raise the flag when time is over, as long as this lasts."""
        if not self.limited:
            yield self
            return
        done = threading.Event()

        def watch() -> None:
            while not done.wait(max(self.end - self.now(), _SHORTEST)):
                if self.now() >= self.end:
                    self.halt.fill(1)
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()
