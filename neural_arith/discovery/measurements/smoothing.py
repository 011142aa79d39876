"""Smooth curves through the measurements, as smooth as the noise calls for around each of them.

A fit of penalty p minimises sum ((x - f) / scale)^2 + p * sum (third divided differences of f)^2, the discrete form of
a smoothing spline (Whittaker 1923; Eilers 2003). One singular value decomposition gives the fits of all penalties.

No single penalty suits a state that rests and then fires. Every sample is therefore given the fits weighted by
exp(-risk / TEMPERATURE), where risk is Stein's unbiased estimate over the neighbourhood, in units of the noise: the sum
of (residual / noise)^2 - 1 + 2 leverage. The measurements themselves are among the fits (residual 0, leverage 1), so
that none is used where every smooth fit fails. Such mixtures are nearly as good as their best member where the noise is
known (Leung & Barron 2006).

In this order: the fits of one series, their mixture, a series freed of its noise, curves through whole runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import CLEAN, Noise

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


def _spline(t: np.ndarray, x: np.ndarray, level: float, relative: bool, logarithmic: bool) -> BSpline | CubicSpline:
    """Curve through one series: through the measurements when they are clean or few, else with the noise taken out."""
    if level < CLEAN or len(t) < FEWEST:
        x = np.log(x) if logarithmic else x
        if len(t) >= FEWEST:
            return make_interp_spline(t, x, k=5)
        return CubicSpline(t, x) if len(t) > 3 else make_interp_spline(t, x, k=min(len(t) - 1, 1))
    values, _ = denoise(t, x, level, relative)
    values = np.log(values) if logarithmic else values
    # Values of samples that nearly coincide tell nothing about the slope between them.
    apart = CLOSEST * np.median(np.diff(t))
    kept = [0]
    for k in range(1, len(t)):
        if t[k] - t[kept[-1]] >= apart:
            kept.append(k)
    return make_interp_spline(t[kept], values[kept], k=min(3, len(kept) - 1))


def smooth(runs: list[Run], noise: Noise, clock: Clock | None = None) -> list[Curve]:
    """Curves through every run.

    Args:
        runs: measurements in scaled numbers; missing values are bridged.
        noise: what :func:`estimate_noise` found.
        clock: once it is over, curves go through the measurements; default no limit.
    """
    clock = clock or Clock()
    logarithmic = noise.kind == "log"
    curves = []
    for k, run in enumerate(runs):
        level = noise.level * noise.share(k)
        splines = []
        for i in range(run.x.shape[1]):
            seen = np.isfinite(run.x[:, i])
            t, x = run.t[seen], run.x[seen, i]
            if len(t) == 0:  # never measured in this run: as in the others, for want of better
                t, x = run.t[[0, -1]], np.full(2, np.nanmedian(np.concatenate([r.x[:, i] for r in runs])))
            elif len(t) == 1:
                t, x = run.t[[0, -1]], np.repeat(x, 2)
            smoothed = float(level[i]) if clock.in_time() else 0.0
            splines.append(_spline(t, x, smoothed, noise.kind != "additive", logarithmic))
        curves.append(Curve(tuple(splines), logarithmic, run))
    return curves
