"""Constants of a system fitted to trajectories: least squares through the solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.equations.constants import Template, make_template
from neural_arith.equations.least_squares import Fitted, Point, Problem
from neural_arith.equations.system import EquationSystem
from neural_arith.errors import OptionError

NOISE = ("auto", "additive", "proportional", "log")


@dataclass(frozen=True)
class RefitResult:
    """What a fit of constants found.

    Attributes:
        equations: the system with the fitted constants.
        standard_errors: one for each of ``equations.constants``, from the curvature at the minimum and the scatter of
            the residuals; 0 for constants that were held fixed, NaN where the data do not determine the constant.
        loss: mean squared residual in units of each state's variance (of its logarithm for noise ``"log"``, in
            shares of the value for ``"proportional"``); infinite when the system could not be integrated over the data.
        initial_states: the starting state of each run, ``(runs, states)``.
        noise: ``"additive"``, ``"proportional"`` or ``"log"``.
        converged: whether the last step was negligible.
    """

    equations: EquationSystem
    standard_errors: tuple[float, ...]
    loss: float
    initial_states: np.ndarray
    noise: str
    converged: bool


def refit_constants(
    equations: EquationSystem,
    data: Trajectories,
    *,
    noise: str = "auto",
    fit_initial: bool = True,
    fixed: Sequence[int] = (),
    free_exponents: bool = False,
    max_iterations: int = 100,
) -> EquationSystem:
    """The system with its decimal constants (and each run's starting state) fitted to data by least squares.

    See `fit_constants`, of which this returns the equations alone.

    Args:
        equations: the system; whole numbers and fractions in it stay.
        data: trajectories of its states (and inputs, taken linearly between samples); missing values are skipped.
        noise: ``"additive"``: residuals as they are; ``"proportional"``: in shares of the measured value, either sign,
            below a twentieth of the state's size in shares of that; ``"log"``: residuals of logarithms (exact zeros
            are skipped); ``"auto"``: ``"additive"`` or ``"log"``, whichever is likelier.
        fit_initial: whether starting states are fitted; otherwise each run starts at its first known values.
        fixed: numbers (places in ``equations.constants``) of constants to hold.
        free_exponents: whether exact exponents of single variables (other than 1) are fitted too.
        max_iterations: limit of steps.

    Returns:
        The fitted system; the equations as they came when they cannot be integrated at all.

    Raises:
        DataError: the data are of other states or inputs, or negative with noise ``"log"``.
        OptionError: an option out of range.
    """
    result = fit_constants(
        equations,
        data,
        noise=noise,
        fit_initial=fit_initial,
        fixed=fixed,
        free_exponents=free_exponents,
        max_iterations=max_iterations,
    )
    return result.equations


def fit_constants(
    equations: EquationSystem,
    data: Trajectories,
    *,
    noise: str = "auto",
    fit_initial: bool = True,
    fixed: Sequence[int] = (),
    free_exponents: bool = False,
    max_iterations: int = 100,
) -> RefitResult:
    """Fit the decimal constants, and each run's starting state, to data by least squares through the solver.

    Levenberg-Marquardt on forward sensitivities. States count by their residuals' own scatter. A start from which the
    trajectory cannot be followed is mended by fitting short stretches first, then growing ones; constants that make
    the solution blow up are steps not taken, never errors.

    Args:
        equations: the system; whole numbers and fractions in it stay.
        data: trajectories of its states (and inputs, taken linearly between samples); missing values are skipped.
        noise: ``"additive"``: residuals as they are; ``"proportional"``: in shares of the measured value, either sign,
            below a twentieth of the state's size in shares of that; ``"log"``: residuals of logarithms (exact zeros
            are skipped); ``"auto"``: ``"additive"`` or ``"log"``, whichever is likelier.
        fit_initial: whether starting states are fitted; otherwise each run starts at its first known values.
        fixed: numbers (places in ``equations.constants``) of constants to hold.
        free_exponents: whether exact exponents of single variables (other than 1) are fitted too.
        max_iterations: limit of steps.

    Returns:
        The fit; with an infinite loss, and the equations as they came, when they cannot be integrated at all.

    Raises:
        DataError: the data are of other states or inputs, or not positive with noise ``"log"``.
        OptionError: an option out of range.
    """
    if noise not in NOISE:
        raise OptionError(f"noise must be one of {', '.join(NOISE)}, not {noise!r}")
    if max_iterations < 1:
        raise OptionError(f"max_iterations must be at least 1, not {max_iterations!r}")
    names = equations.states + equations.inputs
    template = equations.template
    wrong = [place for place in fixed if not 0 <= place < len(template.values)]
    if wrong:
        raise OptionError(f"fixed must hold places of the {len(template.values)} constants, not {wrong[0]!r}")
    held = list(fixed)
    if free_exponents:
        template, place_of = _with_open_exponents(equations, names)
        held = [place_of[place] for place in held]
    problem = Problem(equations, template, data, fit_initial, relative=noise == "proportional")
    free = np.setdiff1d(np.arange(len(template.values)), held)
    start = Point(np.array(template.values), np.array([piece.start for piece in problem.pieces]))
    best = problem.fit(start, free, noise, max_iterations)
    return _result(problem, best, free)


def _with_open_exponents(equations: EquationSystem, names: Sequence[str]) -> tuple[Template, list[int]]:
    """A template whose exact exponents are open as well, and where the old constants stand in it."""
    template = make_template(list(equations.rhs.values()), names, exact_exponents=True)
    decimal = [place for place, exact in enumerate(template.exact) if not exact]
    return template, decimal


def _result(problem: Problem, fitted: Fitted, free: np.ndarray) -> RefitResult:
    equations = problem.equations
    noise = "log" if fitted.log else "additive" if problem.floor is None else "proportional"
    if not np.isfinite(fitted.squares):
        starts = np.array([piece.start for piece in problem.pieces])
        return RefitResult(equations, tuple(np.nan for _ in equations.constants), np.inf, starts, noise, False)
    filled = problem.template.fill(fitted.point.constants.tolist())
    found = EquationSystem(dict(zip(equations.states, filled, strict=True)), inputs=equations.inputs)
    errors = np.zeros(len(fitted.point.constants))
    errors[free] = np.nan
    covariance = problem.covariance(fitted, free) if free.size else None
    if covariance is not None:
        errors[free] = np.sqrt(np.diag(covariance))
    # filling in numbers may reorder terms of one shape, and make exponents exact
    by_value = dict(zip(fitted.point.constants.tolist(), errors.tolist(), strict=True))
    return RefitResult(
        found,
        tuple(by_value.get(value, np.nan) for value in found.constants),
        problem.loss(fitted),
        fitted.point.starts,
        noise,
        fitted.converged,
    )
