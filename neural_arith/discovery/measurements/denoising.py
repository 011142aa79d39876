"""Values at the samples with the noise taken out, where its level and kind are known."""

from __future__ import annotations

import numpy as np

from neural_arith.discovery.measurements.modes import ORDER, mixture, modes

CHUNK, OVERLAP = 160, 60
"""Samples smoothed at once, as the work grows with their cube, and samples that two chunks share."""

FEWEST = ORDER + 3
"""Samples below which nothing is smoothed."""

SMALLEST = 0.02
"""Where noise is proportional, values below this share of a state's size are as noisy as this share."""


def neighbourhood_size(x: np.ndarray) -> np.ndarray:
    """Mean size of five neighbours, ``(n,)``: a value that noise pushed to zero is not an exact one."""
    ones, near = np.ones(len(x)), np.ones(min(5, len(x)))
    return np.convolve(np.abs(x), near, "same") / np.convolve(ones, near, "same")


def chunks(n: int) -> list[slice]:
    """Overlapping stretches of ``n`` samples, the fewest that are no longer than CHUNK."""
    if n <= CHUNK:
        return [slice(0, n)]
    number = -(-(n - OVERLAP) // (CHUNK - OVERLAP))
    return [slice(s, s + CHUNK) for s in np.linspace(0, n - CHUNK, number).round().astype(int)]


def denoise(t: np.ndarray, x: np.ndarray, level: float, relative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Take the noise out of one series.

    Args:
        t: times, ``(n,)``, at least FEWEST.
        x: measurements, ``(n,)``, none missing.
        level: standard deviation of the noise, above zero.
        relative: the level is a share of the value.

    Returns:
        Smooth values, positive if all measurements are and the noise is relative, and how far each follows its own
        measurement: 1 where nothing was smoothed.
    """
    total, values, leverage = np.zeros((3, len(x)))
    for part in chunks(len(x)):
        n = len(t[part])
        # Towards its ends a chunk knows less than its neighbour.
        trust = np.minimum(np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)), OVERLAP)
        found, follows = _denoise(t[part], x[part], level, relative)
        total[part] += trust
        values[part] += trust * found
        leverage[part] += trust * follows
    return values / total, leverage / total


def _denoise(t: np.ndarray, x: np.ndarray, level: float, relative: bool) -> tuple[np.ndarray, np.ndarray]:
    plain = modes(t)
    fits = [(x[None], np.ones((1, len(x)))), plain.fits(x)]
    if not relative:
        f, h = _joined(fits)
        weight = mixture((x - f) / level, h)
        return (weight * f).sum(axis=0), (weight * h).sum(axis=0)
    positive = bool((x > 0).all())
    if positive:
        logarithm, h = plain.fits(np.log(x))
        fits.append((np.exp(np.clip(logarithm, -700, 700)), h))
    size = np.maximum(neighbourhood_size(x), SMALLEST)
    for again in (False, True):
        if again:  # the size of the noise is now known at each sample
            fits.append(modes(t, size).fits(x))
        f, h = _joined(fits)
        if positive:
            possible = f > 0
            f = np.where(possible, f, x)
            residual = np.where(possible, np.log(x / f) / level, np.inf)
        else:
            residual = (x - f) / (level * size)
        weight = mixture(residual, h)
        found = (weight * f).sum(axis=0)
        size = np.maximum(np.abs(found), SMALLEST)
    return found, (weight * h).sum(axis=0)  # pyright: ignore[reportPossiblyUnboundVariable]


def _joined(fits: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([f for f, _ in fits]), np.concatenate([h for _, h in fits])
