"""The kinds of noise, one vocabulary for both routes, and the floors below which nothing is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from neural_arith.data import Run

NoiseKind = Literal["additive", "proportional", "log"]

NOISE = ("auto", *get_args(NoiseKind))
"""What a user may say of the noise: "auto" lets the data say it."""

CLEAN = 2e-4
"""Noise below this share of a state's size counts as none: an interpolating spline is then better than a smooth one."""

SMALLEST = 0.05
"""Size, in shares of a state's, below which proportional noise does not shrink any more."""

NOTHING = 1e-6
"""Residuals below this share of a state's size count as none, so that constants from clean data round as well."""

FLOOR = 5e-8
"""Misfits below this share of a state's size are not told apart: solvers and files are no better."""


@dataclass(frozen=True)
class Noise:
    """The noise model the likelihood uses.

    Attributes:
        kind: "additive" (one level for all values of a state), "proportional" (to the value, any sign) or "log"
            (proportional, all values positive: residuals are differences of logarithms).
        level: standard deviation for each state, ``(states,)``; a share of the value unless ``kind`` is "additive".
        shares: what the level is multiplied by in each run, ``(runs, states)``, of geometric mean one over the samples;
            None where the runs do not differ.

    Examples:
        >>> import numpy as np
        >>> from neural_arith.discovery import Noise
        >>> noise = Noise("proportional", np.array([0.05]))  # five percent of every value
        >>> noise.clean, noise.share(0).tolist()
        (False, [1.0])
    """

    kind: NoiseKind
    level: np.ndarray
    shares: np.ndarray | None = field(default=None, repr=False)

    @property
    def clean(self) -> bool:
        """Whether no state shows any noise."""
        return bool(np.all(self.level < CLEAN))

    def share(self, run: int) -> np.ndarray:
        """What the level is multiplied by in one run, ``(states,)``."""
        return np.ones(len(self.level)) if self.shares is None else self.shares[run]

    def spans(self, names: Sequence[str]) -> str:
        """In words, the least and the largest level of each state in a run; nothing where the runs do not differ."""
        if self.shares is None:
            return ""
        levels = zip(names, self.level * self.shares.min(0), self.level * self.shares.max(0), strict=True)
        return ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, low, high in levels)


def all_positive(runs: list[Run]) -> bool:
    """Whether every measured value is above zero."""
    return not any(bool((r.x <= 0).any()) for r in runs)  # a missing value compares false
