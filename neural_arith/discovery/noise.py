"""How noisy the measurements are, and in which way, estimated from local differences and what smoothing leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from neural_arith.data import Run
from neural_arith.discovery.noise_level import CLEAN, noise_level, relative_evidence
from neural_arith.errors import OptionError

NoiseKind = Literal["additive", "proportional", "log"]


@dataclass(frozen=True)
class Noise:
    """The noise model the likelihood uses.

    Attributes:
        kind: "additive" (one level for all values of a state), "proportional" (to the value, any sign) or "log"
            (proportional, all values positive: residuals are differences of logarithms).
        level: standard deviation for each state, ``(states,)``; a share of the value unless ``kind`` is "additive".
    """

    kind: NoiseKind
    level: np.ndarray

    @property
    def clean(self) -> bool:
        """Whether no state shows any noise."""
        return bool(np.all(self.level < CLEAN))


def all_positive(runs: list[Run]) -> bool:
    """Whether every measured value is above zero."""
    return not any(bool((r.x <= 0).any()) for r in runs)  # a missing value compares false


def estimate_noise(runs: list[Run], kind: NoiseKind | Literal["auto"] = "auto") -> Noise:
    """Estimate kind and level of the noise.

    The kind is the one under which local contrasts and what a smooth curve leaves are most likely, all states together.

    Args:
        runs: measurements, scaled so that states have size one.
        kind: a kind to take for granted, or "auto".

    Raises:
        OptionError: unknown kind, or "log" with values that are not positive.
    """
    if kind not in (*get_args(NoiseKind), "auto"):
        raise OptionError(f"noise must be 'auto', 'additive', 'proportional' or 'log', got {kind!r}")
    n_states = runs[0].x.shape[1]
    positive = all_positive(runs)
    if kind == "log" and not positive:
        raise OptionError("noise='log' needs positive measurements, but some are zero or negative; use 'proportional'")
    states = [
        [(r.t[seen], r.x[seen, i]) for r in runs if (seen := np.isfinite(r.x[:, i])).any()] for i in range(n_states)
    ]
    additive = np.array([noise_level(series, False) for series in states])
    if kind == "auto" and np.all(additive < CLEAN):
        kind = "additive"
    if kind == "additive":
        return Noise(kind, additive)
    relative = np.array([noise_level(series, True) for series in states])
    if kind == "auto":
        gain = sum(relative_evidence(*state) for state in zip(states, additive, relative, strict=True))
        kind = "additive" if gain <= 0 else ("log" if positive else "proportional")
    return Noise(kind, additive if kind == "additive" else relative)
