"""The level of the noise of one state, if it is one number or a share of the value, and which of these it is."""

from __future__ import annotations

import numpy as np

from neural_arith.clock import Clock
from neural_arith.discovery.measurements.denoising import FEWEST, SMALLEST, chunks, denoise, neighbourhood_size
from neural_arith.discovery.measurements.modes import ORDER, divided_differences, modes
from neural_arith.fit.noise import CLEAN

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
