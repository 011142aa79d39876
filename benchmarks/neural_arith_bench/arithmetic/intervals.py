"""Confidence intervals for the three numbers of a table: success rate, step of the solution, sparsity error.

The distributions are those of Madsen and Johansen (https://arxiv.org/abs/2001.05016): binomial (Wilson's interval),
gamma and beta, the last two with the profile likelihood of the mean, as in the authors' script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from neural_arith.errors import DataError
from neural_arith_bench.arithmetic.metrics import numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

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
