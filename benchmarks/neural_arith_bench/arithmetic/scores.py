"""What a run is judged by: errors, success, when it was solved, how far its weights are from whole numbers.

After Madsen and Johansen (Neural Arithmetic Units, ICLR 2020, https://arxiv.org/abs/2001.05016). So are the confidence
intervals: binomial (Wilson's) for success rates, gamma for steps and beta for sparsity errors, the last two with the
profile likelihood of the mean, as in the authors' script. Everything takes NumPy arrays or torch tensors with members
first, and returns NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats
from torch import Tensor

from neural_arith.errors import DataError

Array = ArrayLike | Tensor


def mean_squared_error(found: Array, true: Array) -> np.ndarray:
    """Mean squared error of each output, over points.

    Args:
        found: shape ``(*members, points, outputs)``.
        true: of the same shape, or one that broadcasts; nan where nothing is judged.

    Returns:
        Shape ``(*members, outputs)``; infinite where an answer that is judged is nan, so that it never counts.
    """
    return _mean(found, true, 2)


def mean_absolute_error(found: Array, true: Array) -> np.ndarray:
    """Mean absolute error of each output, over points; as `mean_squared_error`."""
    return _mean(found, true, 1)


def solved_at(errors: Array, steps: Array, threshold: float) -> np.ndarray:
    """The first logged step whose error is below the bar, nan where none is.

    As the authors count it, a run that leaves the solution later keeps its step.

    Args:
        errors: extrapolation errors, shape ``(*members, logs)``.
        steps: shape ``(logs,)``, increasing.
        threshold: the bar.

    Returns:
        Shape ``(*members,)``.

    Raises:
        DataError: there are not as many steps as logs.

    >>> solved_at([[3.0, 0.1, 2.0], [3.0, 3.0, 3.0]], [0, 1000, 2000], 0.2)
    array([1000.,   nan])
    """
    values, when = _logged(errors, steps)
    below = values < threshold
    return np.where(below.any(axis=-1), when[below.argmax(axis=-1)], np.nan)


def at_best_validation(validation: Array, test: Array, last: int | None = None) -> np.ndarray:
    """The test error where the validation error is lowest, the model that the protocol picks.

    Args:
        validation: interpolation errors, shape ``(*members, logs)``.
        test: extrapolation errors at the same logs, of the same shape.
        last: how many of the last logs count; all if None. The authors' scripts have 5000, all of them in most runs.

    Returns:
        Shape ``(*members,)``; nan where no validation error is a number.

    Raises:
        DataError: the shapes differ.
    """
    seen, judged = numbers(validation), numbers(test)
    if seen.shape != judged.shape or not seen.ndim:
        raise DataError(f"expected two arrays (*members, logs) of one shape, got {seen.shape} and {judged.shape}")
    begin = 0 if last is None else max(0, seen.shape[-1] - last)
    known = np.where(np.isnan(seen), np.inf, seen)[..., begin:]
    best = known.argmin(axis=-1)[..., None]
    picked = np.take_along_axis(judged[..., begin:], best, axis=-1)[..., 0]
    return np.where(np.isinf(known.min(axis=-1)), np.nan, picked)


def sparsity_error(*weights: Array) -> np.ndarray:
    """The largest distance of a weight's size to 0 or 1, ``max min(|w|, |1 - |w||)``.

    Args:
        weights: one array for each layer, shape ``(members, ...)``; members are not mixed.

    Returns:
        Shape ``(members,)``, each from 0 to 1/2 unless weights exceed 3/2.

    >>> sparsity_error([[1.0, -0.9, 0.0], [0.5, 1.0, 1.0]])
    array([0.1, 0.5])
    """
    worst = []
    for layer in weights:
        size = np.abs(numbers(layer))
        distance = np.minimum(size, np.abs(1 - size))
        worst.append(distance.reshape(len(distance), -1).max(axis=1))
    return np.max(worst, axis=0)


def numbers(values: Array) -> np.ndarray:
    """The values as an array of float64, from wherever they are."""
    return np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values, dtype=np.float64)


def _mean(found: Array, true: Array, power: int) -> np.ndarray:
    answers, right = np.broadcast_arrays(numbers(found), numbers(true))
    judged = ~np.isnan(right)
    with np.errstate(over="ignore", invalid="ignore"):
        missed = np.abs(answers - right) ** power
    missed = np.where(np.isnan(missed), np.inf, missed)
    return np.where(judged, missed, 0.0).sum(axis=-2) / judged.sum(axis=-2)


def _logged(errors: Array, steps: Array) -> tuple[np.ndarray, np.ndarray]:
    values, when = numbers(errors), numbers(steps)
    if when.ndim != 1 or not len(when) or values.shape[-1:] != when.shape:
        raise DataError(f"expected errors (*members, logs) and steps (logs,), got {values.shape} and {when.shape}")
    return values, when


LEVEL = 0.95

_NARROW = 1e-6
"""The relative deviation of steps that counts as none."""

_LEAST = 1e-16
"""The distance that the authors' script keeps from both ends of the beta distribution."""


class Interval(NamedTuple):
    """An estimate and its interval, nan where there is none."""

    mean: float
    low: float
    high: float


def wilson(
    successes: ArrayLike | Tensor, runs: ArrayLike | Tensor, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a success rate, for any shape.

    Args:
        successes: how many runs were solved.
        runs: of how many, at least 1.
        level: of confidence.

    Returns:
        Lower and upper ends.

    Raises:
        DataError: more successes than runs, or no runs.

    >>> low, high = wilson(98, 100)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.93 to 0.99
    """
    k, n = np.broadcast_arrays(numbers(successes), numbers(runs))
    if not np.all((k >= 0) & (k <= n) & (n >= 1)):
        raise DataError("expected 0 <= successes <= runs and at least one run")
    z2 = stats.norm.ppf((1 + level) / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    # at the ends the formula gives 0 and 1, up to rounding
    return np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)


def gamma(steps: ArrayLike | Tensor, level: float = LEVEL) -> Interval:
    """Mean step of the solution, as gamma distributed, with its profile likelihood interval.

    The profile depends on the mean mu only through ``ln mu + mean / mu``, so both ends are values of Lambert's W.

    Args:
        steps: of the runs that were solved, positive; nan are left out.
        level: of confidence.

    Returns:
        Without bounds where fewer than two runs were solved, or all at one step.

    Raises:
        DataError: a step is not positive.
    """
    x = _known(steps)
    if len(x) and x.min() <= 0:
        raise DataError(f"expected positive steps, got {x.min():g}; count logged steps from 1")
    if len(x) < 2 or np.std(x) <= _NARROW * x.mean():
        return _bare(x)
    mean = float(x.mean())
    spread = float(np.log(mean) - np.log(x).mean())
    drop = stats.chi2.ppf(level, 1) / (2 * len(x))
    best = _gamma_profile(spread)
    wider = spread
    while best - _gamma_profile(wider) < drop:
        wider *= 2
    end = _root(lambda s: best - _gamma_profile(s) - float(drop), spread, wider)
    tail = -np.exp(-1 - (end - spread))
    low, high = (-mean / special.lambertw(tail, branch).real for branch in (-1, 0))
    return Interval(mean, float(low), float(high))


def beta(errors: ArrayLike | Tensor, level: float = LEVEL, *, as_published: bool = False) -> Interval:
    """Mean sparsity error, twice of which is beta distributed, with its profile likelihood interval.

    Args:
        errors: of the runs that were solved, from 0 to 1/2; nan are left out.
        level: of confidence.
        as_published: what the authors' script does: it gives the density the errors themselves where its parameters are
            those of twice the errors, so its means are half of what they are called. The published 0.25 for a linear
            layer, whose worst weight is as far from whole numbers as it can be, shows it.

    Returns:
        The mean fitted (not the plain one); without bounds where fewer than two runs were solved, or all are alike.

    Raises:
        DataError: an error is outside its range.
    """
    x = _known(errors)
    if len(x) and not (x.min() >= 0 and x.max() <= 0.5):
        raise DataError(f"expected sparsity errors from 0 to 0.5, got {x.min():g} to {x.max():g}")
    x = np.clip(x, _LEAST, 0.5 - _LEAST)
    if len(x) < 2 or np.std(x, ddof=1) <= 1e-10:
        return _bare(x)
    share = x if as_published else 2 * x
    logs = float(np.log(share).mean()), float(np.log1p(-share).mean())

    def missed(logit: float) -> float:
        return -_beta_profile(float(special.expit(logit)), *logs)

    guess = float(special.logit(share.mean()))
    best: Any = optimize.minimize_scalar(missed, bracket=(guess - 0.5, guess + 0.5), options={"xtol": 1e-10})
    drop = stats.chi2.ppf(level, 1) / (2 * len(x))

    def above(logit: float) -> float:
        return float(missed(logit) - best.fun - drop)

    ends = []
    for side in (-1.0, 1.0):
        step = 0.1
        while above(best.x + side * step) < 0:
            step *= 2
        ends.append(_root(above, best.x, best.x + side * step))
    return Interval(*(float(special.expit(logit)) / 2 for logit in (best.x, *ends)))


def _gamma_profile(spread: float) -> float:
    """The mean log likelihood, but for a constant, at the best shape k: the root of ``ln k - digamma(k) = spread``."""
    # 1/(2 k) < ln k - digamma(k) < 1/k
    k = _root(lambda k: np.log(k) - special.digamma(k) - spread, 0.4 / spread, 1.1 / spread)
    return float(k * np.log(k) - special.gammaln(k) - k * (1 + spread))


def _beta_profile(mean: float, log: float, other: float) -> float:
    """The mean log likelihood at the best concentration v, given the means of ``ln x`` and ``ln (1 - x)``."""

    def slope(log_v: float) -> float:
        v = np.exp(log_v)
        inner = mean * (log - special.digamma(mean * v)) + (1 - mean) * (other - special.digamma((1 - mean) * v))
        return float(special.digamma(v) + inner)

    low, high = -5.0, 5.0
    while slope(low) < 0:
        low -= 5
    while slope(high) > 0:
        high += 5
    v = float(np.exp(_root(slope, low, high)))
    a, b = mean * v, (1 - mean) * v
    return float((a - 1) * log + (b - 1) * other - special.betaln(a, b))


def _root(f: Callable[[float], float], one: float, other: float) -> float:
    found: Any = optimize.brentq(f, one, other, xtol=1e-15)
    return float(found)


def _known(values: ArrayLike | Tensor) -> np.ndarray:
    x = numbers(values).ravel()
    return x[~np.isnan(x)]


def _bare(x: np.ndarray) -> Interval:
    return Interval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
