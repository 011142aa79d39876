"""How noisy the measurements are, and in which way, estimated from local differences and what smoothing leaves."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.discovery.measurements.noise_level import Series, noise_level, relative_evidence
from neural_arith.errors import OptionError
from neural_arith.fit.noise import CLEAN, Noise, NoiseKind, all_positive

_LONG = 20
"""Samples that a run needs before its own noise is told from that of the others."""

_FREEDOM = 0.5
"""Independent values that each sample adds to the level of its run."""

_DIFFERENT = 10.0
"""What the likelihood must gain beyond the price of a level for each run: levels of short runs have long tails."""


def estimate_noise(runs: list[Run], kind: NoiseKind | Literal["auto"] = "auto", clock: Clock | None = None) -> Noise:
    """Estimate kind and level of the noise.

    The kind is the one under which local contrasts and what a smooth curve leaves are most likely, all states together.
    Additive noise may differ between runs, if they are long enough to tell.

    Args:
        runs: measurements, scaled so that states have size one.
        kind: a kind to take for granted, or "auto".
        clock: once it is over, the first runs stand for all; default no limit.

    Raises:
        OptionError: unknown kind, or "log" with values that are not positive.
    """
    if kind not in (*get_args(NoiseKind), "auto"):
        raise OptionError(f"noise must be 'auto', 'additive', 'proportional' or 'log', got {kind!r}")
    clock = clock or Clock()
    n_states = runs[0].x.shape[1]
    positive = all_positive(runs)
    if kind == "log" and not positive:
        raise OptionError("noise='log' needs positive measurements, but some are zero or negative; use 'proportional'")
    shares, middle = _by_run(runs, clock)
    # Alike in noise; to noise in proportion to the values it is all the same.
    alike = [r.x if shares is None else r.x / shares[k] for k, r in enumerate(runs)]
    states = [_varied([_series(r.t, x[:, i]) for r, x in zip(runs, alike, strict=True)]) for i in range(n_states)]
    additive = np.array(
        [noise_level(s, False, clock) if np.isnan(level) else level for s, level in zip(states, middle, strict=True)]
    )
    if kind == "auto" and np.all(additive < CLEAN):
        kind = "additive"
    if kind == "additive":
        return Noise(kind, additive, shares)
    relative = np.array([noise_level(series, True, clock) for series in states])
    if kind == "auto":
        gain = sum(relative_evidence(*state, clock) for state in zip(states, additive, relative, strict=True))
        kind = "additive" if gain <= 0 else ("log" if positive else "proportional")
    return Noise(kind, additive, shares) if kind == "additive" else Noise(kind, relative)


def _series(t: np.ndarray, x: np.ndarray) -> Series:
    seen = np.isfinite(x)
    return t[seen], x[seen]


def _varied(series: list[Series]) -> list[Series]:
    """Those that change at all, for a state that is absent from a run tells nothing of its noise; all if none does."""
    return [(t, x) for t, x in series if len(x) and np.ptp(x) > 0] or [(t, x) for t, x in series if len(x)]


def _by_run(runs: list[Run], clock: Clock) -> tuple[np.ndarray | None, np.ndarray]:
    """How additive noise differs between runs, as in `Noise`, and the levels in the middle, nan where not told.

    None where chance would explain it. Runs and states with too few samples to tell are taken for average ones.
    """
    shares, gain, needed = np.ones((len(runs), runs[0].x.shape[1])), 0.0, _DIFFERENT
    middle = np.full(shares.shape[1], np.nan)
    for i in range(shares.shape[1]):
        series = [_series(r.t, r.x[:, i]) for r in runs]
        long = np.array([k for k, (t, x) in enumerate(series) if len(t) >= _LONG and np.ptp(x) > 0])
        if len(long) < 2:
            continue
        levels = []
        for k in long:
            if not clock.in_time():
                return None, np.full(len(middle), np.nan)
            levels.append(noise_level([series[k]], False))
        levels = np.array(levels)
        if levels.max() < CLEAN:
            continue
        levels = np.maximum(levels, CLEAN)
        counts = np.array([len(series[k][0]) for k in long])
        middle[i] = np.exp(np.average(np.log(levels), weights=counts))
        shares[long, i] = levels / middle[i]
        gain += _FREEDOM * (counts * np.log(np.average(levels**2, weights=counts) / levels**2)).sum()
        needed += len(long) * np.log(counts.sum())
    return (shares, middle) if gain > needed else (None, np.full(len(middle), np.nan))
