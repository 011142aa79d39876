"""The chosen constants as round as the likelihood allows, the others refitted around them.

As :func:`neural_arith.fit.round_coefficients` does it, but by one quadratic model of the likelihood, which is
exact enough so near its top; one refit at the end checks it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import sympy as sp

from neural_arith.clock import Clock
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.scaling import Scaling
from neural_arith.equations import EquationSystem
from neural_arith.fit.levenberg_marquardt import descend, is_usable
from neural_arith.fit.noise import NOTHING
from neural_arith.fit.rounding import exact_values, fewer_figures
from neural_arith.solve.compiled.prediction import Prediction, predict
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Number

_EXACT, _FIGURES = 4.0, 1.0
"""Units of 2 log likelihood that a whole number or simple fraction may cost (two standard errors), and fewer figures
(one): a constant that really is round costs one on average, and what many cost together would bend the solution."""

_EQUAL, _SIMPLE = (Fraction(1),), (Fraction(2), Fraction(1, 2))
"""Ratios of coefficients that may be tied at what a number is worth, and at the price of fewer figures."""

_NEAR_ZERO = 0.1
"""Share of itself that a value near zero keeps where it would change its sign."""

_WITH_UNIT = ("coefficient", "rate")
"""Numbers that are whole only in these units of measurement: that one is so near must be a strange chance otherwise."""

_SPECIAL = 0.3
"""Share of constants that are taken to have one figure, or to be equal to another of the same unit, beforehand."""

_REFITS, _SETTLED = 12, 0.01
"""Most steps of a refit, and what a step gains, in units of 2 log likelihood, when it is the last."""

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


def round_values(likelihood: Likelihood, scaling: Scaling, judged: Judged) -> Rounded | None:
    """Tie and round the values of a candidate one after the other, nearest first; None where nothing can be.

    Coefficients of one unit in several equations are tied where they are in a simple ratio as far as the data can tell:
    what leaves one state arrives in another.

    Args:
        likelihood: of the measurements.
        scaling: constants are rounded in the original numbers.
        judged: the candidate; with values that are tied to each other by what is known it is left as it is.

    Raises:
        OutOfTimeError: the clock was over before the end.
    """
    structure, n = judged.structure, len(judged.theta)
    if not n or likelihood.known.basis(structure) is not None:
        return None
    problem = replace(likelihood.problem, floor=np.maximum(likelihood.problem.floor, NOTHING))

    def look(point: np.ndarray) -> Prediction:
        """The prediction, its gradient and matrix by original values and starting states."""
        likelihood.clock.check()
        scaled, starts = scaling.scaled(structure, point[:n]), point[n:].reshape(judged.starts.shape)
        found = predict(structure, scaled, starts, problem, rtol=likelihood.rtol, halt=likelihood.clock.halt)
        turn = np.eye(len(found.gradient))
        turn[:n, :n] = np.linalg.inv(scaling.slopes(structure, scaled))
        return replace(found, gradient=turn.T @ found.gradient, normal=turn.T @ found.normal @ turn)

    point = np.append(scaling.original(structure, judged.theta), judged.starts)
    first = look(point)
    if not is_usable(first):
        return None
    places = [*structure.terms, *structure.numbers]
    kinds = {k: place.kind if isinstance(place, Number) else "" for k, place in enumerate(places)}
    numbers = {k: kind for k, kind in kinds.items() if kind != "phase"}
    exponents = {k: kind for k, kind in kinds.items() if kind.endswith("power")}
    model, here = _Model(point, first.normal, likelihood.clock), first
    # Where all together bend the solution too much, exponents alone may not.
    for simplify in (
        lambda model: model.tie_all(structure, likelihood.prices.per_number),
        lambda model: model.round_all(exponents),
        lambda model: model.round_all(numbers),
    ):
        trial = model.copy()
        simplify(trial)
        if len(trial.free) == len(model.free):
            continue
        settled = _settled(look, trial, point)
        if settled is not None and settled.misfit <= first.misfit + trial.spent + _UNSURE:
            model, here = trial, settled
    if len(model.free) == len(point):
        return None
    starts = model.point[n:].reshape(judged.starts.shape)
    theta = scaling.scaled(structure, model.point[:n])
    done = replace(judged, theta=theta, starts=starts, misfit=here.misfit, rss=here.rss)
    return Rounded(model.point[:n], done, frozenset(model.exact))


def _settled(look: Callable[[np.ndarray], Prediction], model: _Model, before: np.ndarray) -> Prediction | None:
    """Refit what is free, damped, for tied values can be far from where they were; None where it cannot be integrated.

    The model is left at the new values, with the second derivatives there. A starting state near zero keeps the sign it
    had before where that is better: a root has no value behind it.
    """
    kept = model.point * np.where(model.point * before < 0, -_NEAR_ZERO, 1.0)
    here = look(model.point)
    if (kept != model.point).any() and not here.misfit < (there := look(kept)).misfit:
        model.point, here = kept, there
    if model.free and is_usable(here):
        model.point, here, _ = descend(
            look, model.point, here, steps=_REFITS, settled=lambda gain, *_: gain < _SETTLED,
            basis=model.basis[:, model.free], damping=0.0,
        )  # fmt: skip
    model.normal = here.normal
    return here if is_usable(here) else None


class _Model:
    """The quadratic model of the misfit, and the directions that are still free.

    Args:
        point: original values, then starting states, where the misfit is least.
        normal: half its second derivatives.
        clock: asked before each step.
    """

    def __init__(self, point: np.ndarray, normal: np.ndarray, clock: Clock) -> None:
        self.point, self.normal, self.clock = point, normal, clock
        self.basis = np.eye(len(point))  # a column for each value that is not tied to an earlier one
        self.free = list(range(len(point)))
        self.spent = 0.0
        self.exact: set[Fraction] = set()

    def copy(self) -> _Model:
        """One that can be changed without changing this one."""
        return copy.deepcopy(self)

    def tie_all(self, structure: Structure, per_number: float) -> None:
        """Tie what can be tied: equal coefficients for what a number less is worth, then those in a ratio of two."""
        for ratios, most in ((_EQUAL, per_number), (_SIMPLE, _FIGURES)):
            while self._tie(structure, ratios, most):
                pass

    def round_all(self, numbers: Mapping[int, str]) -> None:
        """Round what can be rounded: whole numbers and simple fractions first, then one figure, then fewer figures.

        Args:
            numbers: places of the values that may be rounded, and their kinds as in `Number`, coefficients of terms "".
        """
        for offer, most in ((exact_values, _EXACT), (_one_figure, _EXACT), (fewer_figures, _FIGURES)):
            while self._round(numbers, offer, most):
                pass

    def _tie(self, structure: Structure, ratios: tuple[Fraction, ...], most: float) -> bool:
        """Tie the coefficient of a unit in one equation to that in another, the nearest pair; whether there is one."""
        covariance = self._covariance()
        costs = []
        for (a, (_, unit)), (b, (_, other)) in itertools.combinations(enumerate(structure.terms), 2):
            if unit == other and a in self.free and b in self.free and self.point[a]:
                i, j = self.free.index(a), self.free.index(b)
                for ratio in ratios:
                    share = float(ratio) * np.sign(self.point[a] * self.point[b])
                    apart = self.point[b] - share * self.point[a]
                    spread = covariance[j, j] - 2 * share * covariance[i, j] + share**2 * covariance[i, i]
                    if spread > 0 and apart**2 <= spread * _strange(abs(self.point[b]) / spread**0.5):
                        costs.append((float(apart**2 / spread), i, j, share))
        cost, i, j, share = min(costs, default=(np.inf, 0, 0, 0.0))
        if cost > most:
            return False
        along = np.zeros(len(self.free))
        along[[j, i]] = 1.0, -share
        a, b = self.free[i], self.free[j]
        self._shift(covariance @ along / (along @ covariance @ along) * -(self.point[b] - share * self.point[a]))
        self.basis[:, a] += share * self.basis[:, b]
        self.point += self.basis[:, b] * (share * self.point[a] - self.point[b])  # exactly
        self.free.pop(j)
        self.spent += cost
        return True

    def _round(
        self, numbers: Mapping[int, str], offer: Callable[[float, float, bool], list[Fraction]], most: float
    ) -> bool:
        """Give one more value, and what is tied to it, a rounder one, the nearest first; whether there is one."""
        covariance = self._covariance()
        costs = []
        for i, k in enumerate(self.free):
            if k in numbers and covariance[i, i] > 0:
                value, error = float(self.point[k]), float(np.sqrt(covariance[i, i]))
                for target in offer(value, error, numbers[k].endswith("power")):
                    cost = ((float(target) - value) / error) ** 2
                    if numbers[k] not in _WITH_UNIT or offer is not exact_values or cost <= _strange(1 / error):
                        costs.append((cost, i, target))
        # The nearest; of those that a constant cannot tell apart the simplest, which is offered first.
        good = [item for item in costs if item[0] <= most]
        if not good:
            return False
        i = min(good)[1]
        cost, _, target = next(item for item in good if item[1] == i)
        k = self.free[i]
        self._shift(covariance[:, i] / covariance[i, i] * (float(target) - self.point[k]))
        shares = self.basis[:, k]
        self.point[shares != 0] = shares[shares != 0] * float(target)
        self.free.pop(i)
        self.spent += cost
        if offer is exact_values:
            self.exact.update(Fraction(share) * target for share in shares[shares != 0])
        return True

    def _covariance(self) -> np.ndarray:
        self.clock.check()
        free = self.basis[:, self.free]
        return _inverse(free.T @ self.normal @ free)

    def _shift(self, change: np.ndarray) -> None:
        self.point += self.basis[:, self.free] @ change


def _one_figure(value: float, error: float, is_exponent: bool) -> list[Fraction]:
    """The value with one significant figure, if to find such a number so near would be a strange chance otherwise.

    Their distance in standard errors tells how rare they are there.
    """
    rounded = Fraction(f"{value:.1g}") if value else Fraction(0)
    apart = 10.0 ** np.floor(np.log10(abs(float(rounded)) or 1.0))
    return [rounded] if ((float(rounded) - value) / error) ** 2 <= _strange(apart / error) else []


def _strange(apart: float) -> float:
    """Squared standard errors up to which a value is taken for a special one, by Bayes' rule.

    Args:
        apart: how far special values are from each other, in standard errors: the rarer, the stranger a near one is.
    """
    return float(2 * np.log(_SPECIAL / (1 - _SPECIAL) / np.sqrt(2 * np.pi) * apart))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix; directions that the data do not fix stay where they are."""
    size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return np.linalg.pinv(matrix / size[:, None] / size, rcond=1e-13, hermitian=True) / size[:, None] / size
