"""The chosen constants as round as the likelihood allows, the others refitted around them.

As :func:`neural_arith.equations.round_coefficients` does it, but by one quadratic model of the likelihood, which is
exact enough so near its top; one refit at the end checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import sympy as sp

from neural_arith.discovery.judge import Judge, Judged
from neural_arith.discovery.scaling import Scaling
from neural_arith.equations import EquationSystem
from neural_arith.equations.rounding import exact_values, fewer_figures
from neural_arith.integrate.batch import Prediction, predict
from neural_arith.integrate.units import Number

_FLOOR = 1e-6
"""Residuals below this share of a state's size count as none, so that constants from clean data round as well."""

_EXACT, _FIGURES = 4.0, 1.0
"""Units of 2 log likelihood that a whole number or simple fraction may cost (two standard errors), and fewer figures
(one): a constant that really is round costs one on average, and what many cost together would bend the solution."""

_REFITS = 4
_UNSURE = 2.0
"""Units of 2 log likelihood by which the refit may be worse than the quadratic model says."""


@dataclass(frozen=True)
class Rounded:
    """A candidate with rounded constants.

    Attributes:
        theta: its values, for the original numbers.
        judged: the candidate with these values, in scaled numbers.
        exact: rounded values that are whole numbers or simple fractions.
    """

    theta: np.ndarray
    judged: Judged
    exact: frozenset[Fraction]

    def tell(self, equations: EquationSystem) -> EquationSystem:
        """The equations with whole numbers and fractions written as such."""
        known = {float(value): sp.Rational(value.numerator, value.denominator) for value in self.exact}
        known |= {-value: -number for value, number in known.items()}
        return equations.with_constants([known.get(c, c) for c in equations.constants])


def round_values(judge: Judge, scaling: Scaling, judged: Judged) -> Rounded | None:
    """Round the values of a candidate one after the other, nearest first; None where nothing can be rounded.

    Args:
        judge: knows the measurements.
        scaling: constants are rounded in the original numbers.
        judged: the candidate; with values that are tied to each other it is left as it is.
    """
    structure, n = judged.structure, len(judged.theta)
    if not n or judge.known.basis(structure) is not None:
        return None
    problem = replace(judge.problem, floor=np.maximum(judge.problem.floor, _FLOOR))

    def look(theta: np.ndarray, starts: np.ndarray) -> tuple[Prediction, np.ndarray, np.ndarray]:
        """Prediction, gradient and matrix of the misfit by original values and starting states."""
        scaled = scaling.scaled(structure, theta)
        found = predict(structure, scaled, starts, problem, rtol=judge.rtol)
        turn = np.eye(len(found.gradient))
        turn[:n, :n] = np.linalg.inv(scaling.slopes(structure, scaled))
        return found, turn.T @ found.gradient, turn.T @ found.normal @ turn

    def usable(prediction: Prediction) -> bool:
        return bool(np.isfinite(prediction.misfit) and np.isfinite(prediction.normal).all())

    point = np.append(scaling.original(structure, judged.theta), judged.starts)
    first, _, normal = look(point[:n], judged.starts)
    if not usable(first):
        return None
    roundable = [not (isinstance(p, Number) and p.kind == "phase") for p in (*structure.terms, *structure.numbers)]
    exponent = [isinstance(p, Number) and p.kind.endswith("power") for p in (*structure.terms, *structure.numbers)]
    free, spent, exact = np.arange(len(point)), 0.0, set()
    offers: list[tuple[Callable[[float, float, bool], list[Fraction]], float]]
    offers = [(exact_values, _EXACT), (fewer_figures, _FIGURES)]
    for offer, most in offers:
        while True:
            covariance = _inverse(normal[np.ix_(free, free)])
            costs = []
            for place, k in enumerate(free):
                if k < n and roundable[k] and covariance[place, place] > 0:
                    value, error = float(point[k]), float(np.sqrt(covariance[place, place]))
                    targets = offer(value, error, exponent[k])
                    costs.extend((((float(t) - value) / error) ** 2, place, t) for t in targets)
            # The nearest; of those that a constant cannot tell apart the simplest, which is offered first.
            good = [item for item in costs if item[0] <= most]
            if not good:
                break
            place = min(good)[1]
            cost, _, target = next(item for item in good if item[1] == place)
            k = free[place]
            point[free] += covariance[:, place] / covariance[place, place] * (float(target) - point[k])
            point[k] = float(target)
            free, spent = np.delete(free, place), spent + cost
            if offer is exact_values:
                exact.add(target)
    if len(free) == len(point):
        return None
    best, starts = point, point[n:].reshape(judged.starts.shape)
    here, gradient, normal = look(best[:n], starts)
    for _ in range(_REFITS if len(free) else 0):
        if not usable(here):
            return None
        trial = best.copy()
        trial[free] -= _inverse(normal[np.ix_(free, free)]) @ gradient[free]
        there, *rest = look(trial[:n], trial[n:].reshape(judged.starts.shape))
        if not usable(there) or there.misfit > here.misfit - 0.01:
            break
        best, here, (gradient, normal) = trial, there, rest
    if not usable(here) or here.misfit > first.misfit + spent + _UNSURE:
        return None
    starts = best[n:].reshape(judged.starts.shape)
    done = replace(judged, theta=scaling.scaled(structure, best[:n]), starts=starts, misfit=here.misfit, rss=here.rss)
    return Rounded(best[:n], done, frozenset(exact))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix; directions that the data do not fix stay where they are."""
    size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return np.linalg.pinv(matrix / size[:, None] / size, rcond=1e-13, hermitian=True) / size[:, None] / size
