"""Smooth fits of many degrees to one series, and their mixture: at every sample the degrees that do well around it.

A fit of penalty p minimises sum ((x - f) / scale)^2 + p * sum (third divided differences of f)^2, the discrete form of
a smoothing spline (Whittaker 1923; Eilers 2003). One singular value decomposition gives the fits of all penalties.

No single penalty suits a state that rests and then fires. Every sample is therefore given the fits weighted by
exp(-risk / TEMPERATURE), where risk is Stein's unbiased estimate over the neighbourhood, in units of the noise: the sum
of (residual / noise)^2 - 1 + 2 leverage. The caller puts the measurements themselves among the fits (residual 0,
leverage 1), so that none is used where every smooth fit fails. Such mixtures are nearly as good as their best member
where the noise is known (Leung & Barron 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ORDER = 3
"""Of the differences that are penalised: parabolas cost nothing."""

FITS = 14
"""Penalties tried, from nearly a parabola to nearly the measurements."""

NEAR = 25
"""Samples on either side that count, less with distance, in the risk at a sample: with fewer, chance decides."""

TEMPERATURE = 2.0
"""Of the mixture, in units of the risk; the theory asks for 4, below it the mixture is closer to its best member."""

CLOSEST = 1e-2
"""Times closer than this share of the usual gap are treated as this far apart: no slope can be read off them."""

_KEPT = 32
"""Decompositions that are kept, of 200 kB at most."""


@dataclass(frozen=True)
class Modes:
    """The directions a series is decomposed into, roughest first.

    Attributes:
        roughness: penalty of each direction, ``(n,)``; the last three are zero.
        vectors: orthonormal rows, ``(n, n)``, of the series divided by ``scale``.
        scale: size of the noise of each sample up to a factor, ``(n,)``.
    """

    roughness: np.ndarray
    vectors: np.ndarray
    scale: np.ndarray

    def fits(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fits of all penalties to a series, and their leverages.

        Args:
            x: values, ``(n,)``.

        Returns:
            Two arrays ``(fits, n)``; a leverage is how far a fitted value follows its own measurement.
        """
        rough = self.roughness[:-ORDER][::-1]
        chosen = np.unique(np.geomspace(1, len(rough), FITS).round().astype(int)) - 1
        kept = 1.0 / (1.0 + self.roughness / rough[chosen][:, None])
        return (kept * (self.vectors @ (x / self.scale))) @ self.vectors * self.scale, kept @ self.vectors**2


def divided_differences(t: np.ndarray, order: int) -> np.ndarray:
    """Weights of the divided differences of ``order + 1`` neighbours, ``(n - order, order + 1)``."""
    window = t[np.arange(len(t) - order)[:, None] + np.arange(order + 1)]
    return 1.0 / (window[:, :, None] - window[:, None, :] + np.eye(order + 1)).prod(axis=2)


def modes(t: np.ndarray, scale: np.ndarray | None = None) -> Modes:
    """Decompose the series that can be measured at times ``t``, ``(n,)``, at least ORDER + 3 of them."""
    return _even(t.tobytes()) if scale is None else _decomposed(t, scale)


@lru_cache(_KEPT)
def _even(times: bytes) -> Modes:
    """States, and often runs, are measured at the same times."""
    t = np.frombuffer(times)
    return _decomposed(t, np.ones(len(t)))


def _decomposed(t: np.ndarray, scale: np.ndarray) -> Modes:
    n = len(t)
    gap = np.diff(t)
    t = np.append(0.0, np.cumsum(np.maximum(gap / np.median(gap), CLOSEST)))
    rows = divided_differences(t, ORDER) * np.sqrt((t[ORDER:] - t[:-ORDER]) / ORDER)[:, None]
    penalty = np.zeros((n - ORDER, n))
    np.put_along_axis(penalty, np.arange(n - ORDER)[:, None] + np.arange(ORDER + 1), rows, axis=1)
    _, singular, vectors = np.linalg.svd(penalty * scale)
    return Modes(np.append(singular, np.zeros(ORDER)) ** 2, vectors, scale)


def _around(values: np.ndarray) -> np.ndarray:
    """Sums over the neighbourhood of each sample, ``(fits, n)``; at the ends scaled up to a full neighbourhood."""
    near = NEAR + 1 - np.abs(np.arange(-NEAR, NEAR + 1))
    n = values.shape[1]
    index = NEAR + np.arange(n)[:, None] - np.arange(n)
    kernel = np.where(np.abs(index - NEAR) <= NEAR, near[np.clip(index, 0, 2 * NEAR)], 0) / (NEAR + 1)
    kernel *= (NEAR + 1) / kernel.sum(axis=1, keepdims=True)
    return values @ kernel.T


def mixture(residual: np.ndarray, leverage: np.ndarray) -> np.ndarray:
    """Weights of the fits at every sample.

    Args:
        residual: of each fit in units of the noise, ``(fits, n)``; infinite where a fit is impossible.
        leverage: of each fit, ``(fits, n)``.

    Returns:
        Shape ``(fits, n)``; they sum to one at every sample.
    """
    risk = _around(np.minimum(residual**2, 1e6) - 1.0 + 2.0 * leverage)
    weight = np.exp((risk.min(axis=0) - risk) / TEMPERATURE)
    return weight / weight.sum(axis=0)
