"""How noisy the measurements are, and in which way, estimated from local differences and what smoothing leaves.

First the level of one state, were its noise one number or a share of the value, and which of these it is; then all
states and runs together.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.discovery.measurements.smoothing import (
    FEWEST,
    ORDER,
    SMALLEST,
    chunks,
    denoise,
    divided_differences,
    modes,
    neighbourhood_size,
)
from neural_arith.errors import OptionError
from neural_arith.fit.noise import CLEAN, Noise, NoiseKind, all_positive

Series = tuple[np.ndarray, np.ndarray]
"""Times and values of one state in one run, none missing."""

ORDERS = (3, 4, 5, 6, 8, 10)
"""Of the differences that noise is read off; the high ones only where there are enough samples."""

SIMILAR = 1.2
"""Orders that leave up to this many times what the best one leaves are averaged with it."""

AT_MOST = 2.0
"""Times the robust level that the likely one may be: the latter counts a spike as noise."""

TOLD_APART = 0.6
"""Largest freedom of a fit, as a share of the samples, whose residuals are believed to be noise."""


def differences(t: np.ndarray, x: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Contrasts of ``order + 1`` neighbours that vanish on polynomials below ``order``, and the size of the values.

    The contrasts have unit norm, so that white noise of level s gives contrasts of level s, at irregular times too.
    """
    weights = divided_differences(t, order)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    parts = weights * x[np.arange(len(weights))[:, None] + np.arange(order + 1)]
    return parts.sum(axis=1), np.sqrt((parts**2).sum(axis=1))


def _contrast_level(series: list[Series], relative: bool, clock: Clock) -> float:
    """Level from local contrasts, by their median: a fast stretch of the signal must not count as noise.

    Higher orders remove more of a fast signal. Of the orders, and of values and logarithms, those that leave least are
    averaged: the least alone would be too low.
    """
    levels = []
    for logarithmic in (False, True):
        if logarithmic and not (relative and all((x > 0).all() for _, x in series)):
            continue
        for order in ORDERS:
            parts = []
            for t, x in series:
                if parts and not clock.in_time():
                    break
                if len(t) > order + 2 and (order <= 6 or len(t) >= 3 * order):
                    contrast, size = differences(t, np.log(x) if logarithmic else x, order)
                    parts.append(contrast / np.maximum(size, 1e-9) if relative and not logarithmic else contrast)
            if parts:
                levels.append(float(np.median(np.abs(np.concatenate(parts)))) / 0.6745)
    return float(np.mean([s for s in levels if s <= SIMILAR * min(levels)])) if levels else 0.0


def _likely_level(t: np.ndarray, x: np.ndarray, relative: bool, clock: Clock) -> tuple[float, float]:
    """Level of greatest restricted likelihood if one penalty suited the whole series, and the freedom of that fit.

    The freedom is a share of the samples: where it is near one, signal and noise were not told apart.
    """
    found = []
    for part in chunks(len(t)):
        if found and not clock.in_time():
            break
        size = np.maximum(neighbourhood_size(x[part]), SMALLEST) if relative else np.ones(len(x[part]))
        basis = modes(t[part], size if relative else None)
        rough = basis.roughness[:-ORDER]
        square = (basis.vectors[:-ORDER] @ (x[part] / size)) ** 2
        penalty = np.geomspace(1e-2 / rough.max(), 1e3 / rough.min(), 40)
        removed = 1.0 / (1.0 + 1.0 / (penalty[:, None] * rough))
        variance = np.maximum((square * removed).mean(axis=1), 1e-300)
        best = int(np.argmax(np.log(removed).sum(axis=1) - len(rough) * np.log(variance)))
        found.append((variance[best], 1.0 - removed[best].mean()))
    variance, freedom = np.mean(found, axis=0)
    return float(np.sqrt(variance)), float(freedom)


def noise_level(series: list[Series], relative: bool, clock: Clock | None = None) -> float:
    """Level of one state: the likely one, which scatters less, unless the robust one contradicts it."""
    clock, likely = clock or Clock(), []
    robust = _contrast_level(series, relative, clock)
    if robust < CLEAN:
        return robust
    long = [(t, x) for t, x in series if len(t) >= FEWEST]
    for t, x in long:
        if not clock.in_time():
            break
        likely.append(_likely_level(t, x, relative, clock))
    found = np.array(likely)
    if not likely:
        return robust
    counts = np.array([len(t) for t, _ in long[: len(found)]])
    level = float(np.sqrt(np.average(found[:, 0] ** 2, weights=counts)))
    told_apart = np.average(found[:, 1], weights=counts) < TOLD_APART
    return level if told_apart and level < AT_MOST * robust else robust


def _surprise(value: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
    """Negative log likelihood under Student's t with four degrees of freedom: a fast stretch must not decide."""
    sd = np.maximum(sd, 1e-12)
    return np.log(sd) + 2.5 * np.log1p((value / sd) ** 2 / 4)


def _gain(value: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log likelihood of each value if its noise is proportional to ``size``, over that of noise of one level."""
    one, share = (np.median(np.abs(v)) / 0.6745 for v in (value, value / np.maximum(size, 1e-9)))
    return _surprise(value, one) - _surprise(value, share * size)


def relative_evidence(series: list[Series], additive: float, relative: float, clock: Clock | None = None) -> float:
    """Log likelihood of noise in proportion to the values over noise of one level.

    The sum of two views: local contrasts of the order that leaves least, and what smoothing for either kind of noise
    leaves where the curve does not follow the measurements.

    Args:
        series: one state in every run.
        additive: its level, were it one number.
        relative: its level, were it a share of the value.
        clock: once it is over, smoothing is not asked any more; default no limit.
    """
    clock = clock or Clock()
    least, evidence = np.inf, 0.0
    for order in (3, 4, 5, 6):
        parts = [differences(t, x, order) for t, x in series if len(t) > order + 2]
        if parts:
            contrast, size = (np.concatenate(p) for p in zip(*parts, strict=True))
            left = np.median(np.abs(contrast))
            if left < least:  # overlapping windows repeat each other
                least, evidence = left, float(_gain(contrast, size).sum()) / (order + 1)
    for t, x in series:
        if len(t) < FEWEST or min(additive, relative) <= 0:
            continue
        if not clock.in_time():
            break
        for level, share in ((additive, False), (relative, True)):
            value, leverage = denoise(t, x, level, share)
            free = 1.0 - leverage
            told = free > 0.3
            if told.sum() >= FEWEST:
                value, x_told, free = value[told], x[told], free[told]
                gain = _gain((x_told - value) / np.sqrt(free), np.maximum(np.abs(value), SMALLEST))
                evidence += 0.5 * float((free * gain).sum())
    return evidence


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

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t, wobble = np.linspace(0, 3, 60), np.random.default_rng(0).normal(size=60)
        >>> noise = na.estimate_noise([na.Run(t, (np.sin(t) + 0.1 * wobble)[:, None])], "additive")
        >>> noise.kind, noise.level.round(1).tolist()
        ('additive', [0.1])
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
