"""Constants rounded as far as the data allow, the rest refitted after every step.

Rounding all at once, or to fixed decimals, destroys a model: 0.00123*x becomes 0. Here one constant at a time is
offered a rounder value, the others are refitted through the solver, and the data decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.equations.system import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.fit.evidence import STRONG
from neural_arith.fit.least_squares import Fitted, Point, Problem
from neural_arith.fit.noise import NOISE

ALLOWED = ("integer", "fraction", "figures")

_CONSTANT = 2.0
"""Of the twice log-likelihood that a rounder value may cost, up to strong evidence, this part, which Akaike's criterion
pays for a constant less, is granted whatever the increase."""

_LARGEST_INTEGER = 10
_MOST_FIGURES = 12
_MOST_ROUNDS = 6
_SHARP = 0.01
"""A coefficient is taken for a third only when known to this error, and relative error: 0.3 is the rounder 0.33."""


Offers = Callable[[float, float, bool], list[Fraction]]
"""From a constant, its standard error and whether it is an exponent to the rounder values it is offered."""


def round_coefficients(
    equations: EquationSystem,
    data: Trajectories,
    *,
    max_loss_increase: float = 0.02,
    allowed: Sequence[str] = ALLOWED,
    noise: str = "auto",
    fit_initial: bool = True,
    max_iterations: int = 100,
) -> EquationSystem:
    """The system with every constant as round as the data allow; what counts as one says `refit_constants`.

    First all constants are fitted. Then, nearest first, exponents are offered whole numbers, halves, thirds and
    quarters, coefficients whole numbers up to 10 and thirds, and last what is left fewer significant figures. A value
    is taken when, after the others and the starting states are refitted, the sum of squares has grown by no more than
    ``max_loss_increase`` of itself or 4 units of twice the log-likelihood, whichever is less, plus the 2 units that a
    constant less is worth by itself (Akaike).
    Residuals below one millionth of a state's spread count as none, so constants from clean data round as well.
    Rounding twice changes nothing.

    Args:
        equations: the system.
        data: trajectories of its states.
        max_loss_increase: share by which one rounding may raise the sum of squares, above 0.
        allowed: which of ``"integer"`` (whole numbers, which become exact), ``"fraction"`` (exact fractions) and
            ``"figures"`` (fewer significant figures) are offered.
        noise: as in `fit_constants`.
        fit_initial: as in `fit_constants`.
        max_iterations: limit of steps of each fit.

    Returns:
        The rounded system; as it came when it cannot be integrated over the data.

    Raises:
        DataError: the data are of other states or inputs.
        OptionError: an option out of range.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 2, 30)
        >>> data = na.Trajectories.from_arrays(t, 5 - 4 * np.exp(-3 * t)[:, None], names=["x"])
        >>> na.round_coefficients(na.EquationSystem({"x": "14.9 - 2.97*x"}), data).print()
        d x/dt = 15 - 3*x
    """
    if not max_loss_increase > 0:
        raise OptionError(f"max_loss_increase must be above 0, not {max_loss_increase!r}")
    wrong = [kind for kind in allowed if kind not in ALLOWED]
    if wrong or isinstance(allowed, str):
        raise OptionError(f"allowed must hold some of {', '.join(ALLOWED)}, not {wrong[0] if wrong else allowed!r}")
    if noise not in NOISE:
        raise OptionError(f"noise must be one of {', '.join(NOISE)}, not {noise!r}")
    for _ in range(_MOST_ROUNDS):
        rounder = _round_once(equations, data, max_loss_increase, allowed, noise, fit_initial, max_iterations)
        if rounder == equations:
            break
        # decisions on the edge may fall otherwise from the rounder start: go on until they stand
        equations = rounder
    return equations


def _round_once(
    equations: EquationSystem,
    data: Trajectories,
    max_loss_increase: float,
    allowed: Sequence[str],
    noise: str,
    fit_initial: bool,
    max_iterations: int,
) -> EquationSystem:
    template = equations.fit_template
    problem = Problem(equations, template, data, fit_initial, relative=noise == "proportional")
    n = len(template.values)
    start = Point(np.array(template.values), np.array([piece.start for piece in problem.pieces]))
    fitted = problem.fit(start, np.arange(n), noise, max_iterations)
    if not np.isfinite(fitted.squares):
        return equations
    rounding = _Rounding(
        problem, fitted, _CONSTANT + min(max_loss_increase * problem.n_values, STRONG - _CONSTANT), max_iterations
    )
    exact: dict[int, Fraction] = {}
    fresh = False
    while not fresh:
        # the scatter is estimated anew before the last word, as it would be if rounding were called again
        fresh = not exact or rounding.reweigh()
        while taken := rounding.round_one(partial(exact_values, allowed=allowed)):
            exact.update([taken])
            fresh = False
    while "figures" in allowed and rounding.round_one(fewer_figures):
        pass
    constants = rounding.fitted.point.constants
    values: list[float | sp.Expr] = [
        sp.Rational(exact[k].numerator, exact[k].denominator) if k in exact else float(constants[k]) for k in range(n)
    ]
    return equations.filled(template, values)


class _Rounding:
    """Where the rounding stands: the current fit, and which constants have their final value."""

    def __init__(self, problem: Problem, fitted: Fitted, allowance: float, max_iterations: int) -> None:
        self.problem = problem
        self.fitted = fitted
        self.allowance = allowance
        self.max_iterations = max_iterations
        self.free = np.arange(len(problem.template.values))
        self.refused: dict[tuple[int, Fraction], float] = {}

    def reweigh(self) -> bool:
        """Estimate the scatter anew; always true, for the loop that asks."""
        self.fitted = self.problem.reweighted(self.fitted, self.free, self.max_iterations)
        return True

    def round_one(self, offers: Offers) -> tuple[int, Fraction] | None:
        """Give one more constant a rounder value, nearest first; returns its number and value, or None."""
        covariance = self.problem.covariance(self.fitted, self.free) if self.free.size else None
        found: list[tuple[float, int, list[tuple[Fraction, float]]]] = []
        for place, k in enumerate(self.free.tolist()):
            value = float(self.fitted.point.constants[k])
            error = np.inf if covariance is None else float(np.sqrt(covariance[place, place]))
            costs = {
                offer: ((float(offer) - value) / error) ** 2 if error > 0 else np.inf
                for offer in offers(value, error, self.problem.template.is_exponent[k])
            }
            # what the curvature says a value costs is a sieve: nothing hopeless is refitted
            near = [
                (offer, cost) for offer, cost in costs.items() if cost <= 3 * self.allowance or float(offer) == value
            ]
            if near:
                found.append((min(cost for _, cost in near), k, near))
        for _, k, near in sorted(found, key=lambda item: item[:2]):
            for offer, cost in near:
                if cost > 0.5 * self.refused.get((k, offer), np.inf):
                    continue  # it failed before, and comes hardly cheaper now
                if self._take(k, float(offer)):
                    return k, offer
                self.refused[k, offer] = cost
        return None

    def _take(self, k: int, value: float) -> bool:
        """Hold a constant at a value and refit the others; keep that if it costs little enough."""
        constants = self.fitted.point.constants.copy()
        constants[k] = value
        others = self.free[self.free != k]
        point = Point(constants, self.fitted.point.starts)
        found = self.problem.descend(point, others, self.fitted.sigma, self.fitted.log, self.max_iterations)
        if not found.squares <= self.fitted.squares + self.allowance:
            return False
        self.fitted, self.free = found, others
        return True


def exact_values(value: float, error: float, is_exponent: bool, allowed: Sequence[str] = ALLOWED) -> list[Fraction]:
    """Exact values near a constant, simplest first; never zero, which would be pruning.

    Args:
        value: the constant.
        error: its standard error.
        is_exponent: whether it is an exponent.
        allowed: as in :func:`round_coefficients`.
    """
    denominators = [1] if "integer" in allowed else []
    if "fraction" in allowed and (is_exponent or error < _SHARP * min(abs(value), 1.0)):
        denominators += [2, 3, 4] if is_exponent else [3]
    offers = []
    for denominator in denominators:
        offer = Fraction(round(value * denominator), denominator)
        if offer.denominator == 1 and "integer" not in allowed:
            continue
        if offer and abs(offer) <= _LARGEST_INTEGER and offer not in offers:
            offers.append(offer)
    return offers


def fewer_figures(value: float, error: float, is_exponent: bool) -> list[Fraction]:
    """The value with one significant figure, with two, and so on; arguments as in :func:`exact_values`."""
    return [Fraction(f"{value:.{figures}g}") for figures in range(1, _MOST_FIGURES + 1) if value]
