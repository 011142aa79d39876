"""How noisy the measurements are, and in which way, estimated from local differences and what smoothing leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from neural_arith.data import Run
from neural_arith.discovery.noise_level import CLEAN, noise_level, relative_evidence
from neural_arith.errors import OptionError

NoiseKind = Literal["additive", "proportional", "log"]

_LONG = 20
"""Samples that a run needs before its own noise is told from that of the others."""

_FREEDOM = 0.5
"""Independent values that each sample adds to the level of its run."""


@dataclass(frozen=True)
class Noise:
    """The noise model the likelihood uses.

    Attributes:
        kind: "additive" (one level for all values of a state), "proportional" (to the value, any sign) or "log"
            (proportional, all values positive: residuals are differences of logarithms).
        level: standard deviation for each state, ``(states,)``; a share of the value unless ``kind`` is "additive".
        shares: what the level is multiplied by in each run, ``(runs, states)``, of geometric mean one over the samples;
            None where the runs do not differ.
    """

    kind: NoiseKind
    level: np.ndarray
    shares: np.ndarray | None = None

    @property
    def clean(self) -> bool:
        """Whether no state shows any noise."""
        return bool(np.all(self.level < CLEAN))

    def share(self, run: int) -> np.ndarray:
        """What the level is multiplied by in one run, ``(states,)``."""
        return np.ones(len(self.level)) if self.shares is None else self.shares[run]


def all_positive(runs: list[Run]) -> bool:
    """Whether every measured value is above zero."""
    return not any(bool((r.x <= 0).any()) for r in runs)  # a missing value compares false


def estimate_noise(runs: list[Run], kind: NoiseKind | Literal["auto"] = "auto") -> Noise:
    """Estimate kind and level of the noise.

    The kind is the one under which local contrasts and what a smooth curve leaves are most likely, all states together.
    Additive noise may differ between runs, if they are long enough to tell.

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
    shares = _shares(runs)
    # Alike in noise; to noise in proportion to the values it is all the same.
    alike = [r.x if shares is None else r.x / shares[k] for k, r in enumerate(runs)]
    states = [
        [(r.t[seen], x[seen, i]) for r, x in zip(runs, alike, strict=True) if (seen := np.isfinite(x[:, i])).any()]
        for i in range(n_states)
    ]
    additive = np.array([noise_level(series, False) for series in states])
    if kind == "auto" and np.all(additive < CLEAN):
        kind = "additive"
    if kind == "additive":
        return Noise(kind, additive, shares)
    relative = np.array([noise_level(series, True) for series in states])
    if kind == "auto":
        gain = sum(relative_evidence(*state) for state in zip(states, additive, relative, strict=True))
        kind = "additive" if gain <= 0 else ("log" if positive else "proportional")
    return Noise(kind, additive, shares) if kind == "additive" else Noise(kind, relative)


def _shares(runs: list[Run]) -> np.ndarray | None:
    """How additive noise differs between runs, as in `Noise`; None where chance would explain it.

    Runs and states with too few samples to tell are taken for average ones.
    """
    shares, gain, needed = np.ones((len(runs), runs[0].x.shape[1])), 0.0, 0.0
    for i in range(shares.shape[1]):
        series = [(r.t[seen], r.x[seen, i]) for r in runs for seen in [np.isfinite(r.x[:, i])]]
        counts = np.array([len(t) for t, _ in series])
        long = np.flatnonzero(counts >= _LONG)
        levels = np.array([noise_level([series[k]], False) for k in long])
        if len(long) < 2 or levels.min() < CLEAN:
            continue
        counts = counts[long]
        shares[long, i] = levels / np.exp(np.average(np.log(levels), weights=counts))
        gain += _FREEDOM * (counts * np.log(np.average(levels**2, weights=counts) / levels**2)).sum()
        needed += (len(long) - 1) * np.log(counts.sum())
    return shares if gain > needed else None
