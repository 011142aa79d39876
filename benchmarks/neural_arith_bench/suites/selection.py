"""How the other packages' models are chosen: by what they simulate along the noisy data they were fitted to.

Both packages fit derivatives and leave settings to the user; here many settings are tried, each model is integrated
along the training data, and the lowest Bayesian information criterion wins. The truth is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_smoothing_spline

from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError
from neural_arith.solve import solve

PIECE = 12
"""Samples of a piece when no model follows the whole series, as for chaotic systems."""

FOLLOWS = 0.9
"""The R2 on the training data that a model must reach to be judged by the whole series."""

_EVALUATIONS = 8_000


@dataclass(frozen=True)
class Model:
    """A fitted right-hand side.

    Attributes:
        f: right-hand side, ``f(t, x)``.
        size: number of constants.
        equations: writes it as equations.
    """

    f: Callable[[float, np.ndarray], np.ndarray]
    size: int
    equations: Callable[[], EquationSystem]


def best(models: Sequence[Model], t: np.ndarray, x: np.ndarray) -> EquationSystem:
    """The model of the lowest information criterion along the data.

    Args:
        models: candidates.
        t: times, shape ``(time,)``.
        x: noisy states, shape ``(time, states)``.

    Raises:
        DataError: no model could be integrated along the data at all.
    """
    starts = smooth(t, x)[0]
    spread = np.maximum(x.std(axis=0), 1e-12)
    errors = [_missed(model, t, x, starts, spread, len(t)) for model in models]
    if min(errors, default=math.inf) > 1 - FOLLOWS:
        errors = [_missed(model, t, x, starts, spread, PIECE) for model in models]
    criteria = [
        x.size * math.log(max(e, 1e-14)) + m.size * math.log(x.size) for m, e in zip(models, errors, strict=True)
    ]
    if not criteria or not math.isfinite(min(criteria)):
        raise DataError("no model could be integrated along the data")
    return models[int(np.argmin(criteria))].equations()


def _missed(model: Model, t: np.ndarray, x: np.ndarray, starts: np.ndarray, spread: np.ndarray, piece: int) -> float:
    """Mean squared residual in units of each state's variance, restarted on the smoothed curve after each piece."""
    total = 0.0
    for first in range(0, len(t) - 1, piece):
        part = slice(first, min(first + piece + 1, len(t)))
        with np.errstate(all="ignore"):
            found = solve(
                model.f, starts[first], t[part], rtol=1e-6, atol=1e-8, max_evaluations=_EVALUATIONS, throw=False
            )
        if not found.ok:
            return math.inf
        total += float((((found.x - x[part]) / spread) ** 2).sum())
    return total / x.size


def smooth(t: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States and derivatives of smoothing splines whose stiffness generalised cross-validation chooses.

    Returns:
        Both of shape ``(time, states)``.
    """
    splines = [make_smoothing_spline(t, column) for column in x.T]
    return np.stack([s(t) for s in splines], axis=1), np.stack([s.derivative()(t) for s in splines], axis=1)
