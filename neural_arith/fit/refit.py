"""Constants of a system fitted to trajectories: least squares through the solver."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.equations.constants import Template, make_template
from neural_arith.equations.reactions import Reactions, read_reactions
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.text import write
from neural_arith.errors import DataError, EquationError, OptionError
from neural_arith.fit.least_squares import Fitted, Point, Problem
from neural_arith.fit.noise import NOISE

_LARGEST = 1e100
"""Sizes of states beyond this, or below its inverse, leave no room for their squares."""

Hold = str | float | sp.Expr | Iterable[str | float | sp.Expr]


@dataclass(frozen=True, repr=False)
class RefitResult:
    """What a fit of constants, or of rate constants, found.

    Attributes:
        equations: the system with the fitted constants.
        standard_errors: one for each of ``equations.constants``, from the curvature at the minimum and the scatter of
            the residuals; 0 for constants that were held, NaN where the data do not determine the constant.
        loss: mean squared residual in units of each state's variance (of its logarithm for noise ``"log"``, in
            shares of the value for ``"proportional"``); infinite when the system could not be integrated over the data.
        initial_states: the starting state of each run, ``(runs, states)``.
        noise: ``"additive"``, ``"proportional"`` or ``"log"``.
        converged: whether the last step was negligible.
        held: the numbers that ``hold`` kept, as they stood in the equations.
        tied: of `fit_rates`, the reactions with the fitted rate constants and the rest with its constants fitted along,
            where ``standard_errors`` are those of the rate constants; None of other fits.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.fit import fit_constants
        >>> t = np.linspace(0, 2, 30)
        >>> data = na.Trajectories.from_arrays(t, 5 - 4 * np.exp(-3 * t)[:, None], names=["x"])
        >>> found = fit_constants(na.EquationSystem({"x": "10 - 2*x"}), data)
        >>> found.converged, found.initial_states.round(4).tolist(), max(found.standard_errors) < 1e-3
        (True, [[1.0]], True)
    """

    equations: EquationSystem
    standard_errors: tuple[float, ...]
    loss: float
    initial_states: np.ndarray
    noise: str
    converged: bool
    held: tuple[float, ...] = ()
    tied: Reactions | None = None

    @property
    def reactions(self) -> Reactions:
        """The reactions whose rate constants were fitted, or else those the equations can be read as."""
        return read_reactions(self.equations) if self.tied is None else self.tied

    def __repr__(self) -> str:
        held = f", held={len(self.held)}" if self.held else ""
        return (
            f"RefitResult({len(self.standard_errors)} constants, loss={self.loss:.4g}, noise={self.noise!r}, "
            f"converged={self.converged}{held}): {self.equations!r}"
        )


def refit_constants(
    equations: EquationSystem,
    data: Trajectories,
    *,
    noise: str = "auto",
    fit_initial: bool = True,
    hold: Hold = (),
    free_exponents: bool = False,
    max_iterations: int = 100,
) -> EquationSystem:
    """The system with its constants (and each run's starting state) fitted to data by least squares.

    Every number is a constant, whole numbers and fractions too, but for exponents, the sign of ``-x``, and one number
    of a sum whose scale another constant sets (the 1 in ``2*x/(1 + 3*x)``, where it may be anything).
    See `fit_constants`, of which this returns the equations alone.

    >>> import numpy as np
    >>> import neural_arith as na
    >>> t = np.linspace(0, 2, 30)
    >>> data = na.Trajectories.from_arrays(t, 5 - 4 * np.exp(-3 * t)[:, None], names=["x"])
    >>> guess = na.EquationSystem({"x": "10 - 2*x"})
    >>> na.refit_constants(guess, data).print()
    d x/dt = 15 - 3*x
    >>> na.refit_constants(guess, data, hold=[2]).print()
    d x/dt = 10.49 - 2*x

    Args:
        equations: the system.
        data: trajectories of its states (and inputs, taken linearly between samples); missing values are skipped.
        noise: ``"additive"``: residuals as they are; ``"proportional"``: in shares of the measured value, either sign,
            below a twentieth of the state's size in shares of that; ``"log"``: residuals of logarithms (exact zeros
            are skipped); ``"auto"``: ``"additive"`` or ``"log"``, whichever is likelier.
        fit_initial: whether starting states are fitted; otherwise each run starts at its first known values.
        hold: the constants to keep as they are, one or several: a number as it is printed (``-2`` keeps that, ``2``
            both 2 and -2), a part of the formulas as text or sympy expression (``"0.3*S*I"`` keeps its numbers
            wherever it stands), or ``"exact"`` for all whole numbers and fractions.
        free_exponents: whether exact exponents of single variables (other than 1) are fitted too.
        max_iterations: limit of steps.

    Returns:
        The fitted system; the equations as they came, with a warning, when they cannot be integrated at all.

    Raises:
        DataError: the data are of other states or inputs, or negative with noise ``"log"``.
        OptionError: an option out of range, or ``hold`` has what the equations have not.
    """
    result = fit_constants(
        equations,
        data,
        noise=noise,
        fit_initial=fit_initial,
        hold=hold,
        free_exponents=free_exponents,
        max_iterations=max_iterations,
    )
    if not hold and not result.equations.fit_template.values:
        warnings.warn(
            "the equations have no constants, so there was nothing to fit; write the numbers to be fitted, as in "
            "'-1*x' or '-0.5*x'",
            RuntimeWarning,
            stacklevel=2,
        )
    elif not np.isfinite(result.loss):
        warnings.warn(
            "the equations cannot be integrated over the data from their constants, so they are returned as they came; "
            "give constants nearer to the data, or other equations",
            RuntimeWarning,
            stacklevel=2,
        )
    return result.equations


def _check(equations: Any, data: Any, noise: Any, fit_initial: Any, max_iterations: Any) -> None:
    """Refuse arguments that are none."""
    if not isinstance(equations, EquationSystem):
        raise OptionError(f"equations must be an EquationSystem, not a {type(equations).__name__}; it comes first")
    if not isinstance(data, Trajectories):
        raise DataError(
            f"data must be Trajectories, not a {type(data).__name__}; make them with "
            "na.Trajectories.from_arrays(t, x, names=...)"
        )
    if noise not in NOISE:
        raise OptionError(f"noise must be one of {', '.join(NOISE)}, not {noise!r}")
    if not isinstance(fit_initial, bool | np.bool_):
        raise OptionError(f"fit_initial must be True or False, not {fit_initial!r}")
    if not isinstance(max_iterations, Integral) or isinstance(max_iterations, bool) or max_iterations < 1:
        raise OptionError(f"max_iterations must be a whole number of at least 1, not {max_iterations!r}")
    for name, column in zip(data.names, np.concatenate([run.x for run in data]).T, strict=True):
        top = float(np.nanmax(np.abs(column)))
        if top > _LARGEST or 0 < top < 1 / _LARGEST:
            raise DataError(
                f"state {name!r} reaches {top:.3g}, a size whose squares cannot be computed with; give it in another "
                "unit, nearer to 1"
            )


def fit_constants(
    equations: EquationSystem,
    data: Trajectories,
    *,
    noise: str = "auto",
    fit_initial: bool = True,
    hold: Hold = (),
    free_exponents: bool = False,
    max_iterations: int = 100,
) -> RefitResult:
    """Fit the constants, and each run's starting state, to data by least squares through the solver.

    Levenberg-Marquardt on forward sensitivities, compiled ones where the formulas are sums of units. States count by
    their residuals' own scatter. A start from which the trajectory cannot be followed is mended by fitting short
    stretches first, then growing ones; constants that make the solution blow up are steps not taken, never errors.

    Args:
        equations: the system; what counts as a constant says `refit_constants`, as for all options.
        data: as there.
        noise: as there.
        fit_initial: as there.
        hold: as there.
        free_exponents: as there.
        max_iterations: as there.

    Returns:
        The fit; with an infinite loss, and the equations as they came, when they cannot be integrated at all.

    Raises:
        DataError: the data are of other states or inputs, or not positive with noise ``"log"``.
        OptionError: an option out of range, or ``hold`` has what the equations have not.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.fit import fit_constants
        >>> t = np.linspace(0, 2, 30)
        >>> data = na.Trajectories.from_arrays(t, 5 - 4 * np.exp(-3 * t)[:, None], names=["x"])
        >>> fit_constants(na.EquationSystem({"x": "10 - 2*x"}), data).equations.print()
        d x/dt = 15 - 3*x
    """
    _check(equations, data, noise, fit_initial, max_iterations)
    template = _with_open_exponents(equations) if free_exponents else equations.fit_template
    held = _held(hold, equations, template)
    problem = Problem(equations, template, data, fit_initial, relative=noise == "proportional")
    free = np.setdiff1d(np.arange(len(template.values)), held)
    start = Point(np.array(template.values), np.array([piece.start for piece in problem.pieces]))
    best = problem.fit(start, free, noise, max_iterations)
    return _result(problem, best, free, tuple(template.values[place] for place in held))


def _with_open_exponents(equations: EquationSystem) -> Template:
    names = equations.states + equations.inputs
    return make_template(list(equations.rhs.values()), names, exact=True, exact_exponents=True)


def _held(hold: Hold, equations: EquationSystem, template: Template) -> list[int]:
    """The places of the constants that stay."""
    asked = [hold] if isinstance(hold, str | sp.Expr) or not isinstance(hold, Iterable) else list(hold)
    return sorted({place for one in asked for place in _places_of(one, equations, template)})


def _places_of(asked: Any, equations: EquationSystem, template: Template) -> list[int]:
    """The places of one thing to hold: as it stands there, or else as it is printed, with four figures."""
    if isinstance(asked, str) and asked == "exact":
        return [place for place, number in enumerate(template.written) if isinstance(number, sp.Rational)]
    names = equations.states + equations.inputs
    try:
        part = EquationSystem({names[0]: asked}, inputs=names[1:]).rhs[names[0]]
    except EquationError as error:
        raise OptionError(f"hold has {asked!r}, which is no number and no part of a formula: {error}") from None
    written = dict(zip(template.symbols, template.written, strict=True))
    nodes = [(node, node.xreplace(written)) for node in _nodes(template, number=bool(part.is_number))]
    # 2 stands for -2 as well, and 0.3*S*I for -0.3*S*I, but not the other way round
    wanted = {part} if part.could_extract_minus_sign() else {part, -part}
    found = [node for node, number in nodes if number in wanted]
    if not found:
        printed = {write(one, names, 4) for one in wanted}
        found = [node for node, number in nodes if write(number, names, 4) in printed]
    places = [place for place, symbol in enumerate(template.symbols) if any(node.has(symbol) for node in found)]
    if not places:
        numbers = ", ".join(f"{value:.4g}" for value in template.values) or "none"
        raise OptionError(f"hold has {asked!r}, but the equations have no such constant; theirs are {numbers}")
    return places


def _nodes(template: Template, *, number: bool) -> list[Any]:
    """The constants, or the parts of the formulas that hold some."""
    if number:
        return list(template.symbols)
    every = (node for whole in template.expressions for node in sp.preorder_traversal(whole))
    return [node for node in every if node.args and node.has(*template.symbols)] if template.symbols else []


def _kind(problem: Problem, fitted: Fitted) -> str:
    return "log" if fitted.log else "additive" if problem.floor is None else "proportional"


def _result(problem: Problem, fitted: Fitted, free: np.ndarray, held: tuple[float, ...]) -> RefitResult:
    equations = problem.equations
    noise = _kind(problem, fitted)
    if not np.isfinite(fitted.squares):
        starts = np.array([piece.start for piece in problem.pieces])
        return RefitResult(equations, tuple(np.nan for _ in equations.constants), np.inf, starts, noise, False, held)
    constants = fitted.point.constants.tolist()
    found = equations.filled(problem.template, constants)
    errors = np.zeros(len(constants))
    errors[free] = np.nan
    covariance = problem.covariance(fitted, free) if free.size else None
    if covariance is not None:
        errors[free] = np.sqrt(np.diag(covariance))
    # filling in numbers may reorder terms of one shape, and make exponents exact
    by_value = dict(zip(constants, errors.tolist(), strict=True))
    return RefitResult(
        found,
        tuple(by_value.get(value, np.nan) for value in found.constants),
        problem.loss(fitted),
        fitted.point.starts,
        noise,
        fitted.converged,
        held,
    )


def fit_rates(
    reactions: Reactions, data: Trajectories, *, noise: str = "auto", max_iterations: int = 100
) -> RefitResult:
    """Fit the rate constants of reactions, and each run's starting state, by least squares through the solver.

    A reaction has one rate constant in all equations, so all its species help to find it: coefficients fitted
    separately scatter more, and their ratios are not whole.

    Args:
        reactions: the reactions, from `read_reactions`, with first guesses of the constants.
        data: trajectories of the states; missing values are skipped.
        noise: as in `fit_constants`; with ``"log"`` a species that starts at exactly zero is known to.
        max_iterations: limit of steps.

    Returns:
        The fit; the reactions as they came, with NaN for errors, when they cannot be integrated at all.

    Raises:
        DataError: the data are of other states or inputs, or negative with noise ``"log"``.
        OptionError: an option out of range.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 2, 20)
        >>> data = na.Trajectories.from_arrays(t, np.stack([np.exp(-t), 1 - np.exp(-t)], axis=1), names=["A", "B"])
        >>> guess = na.read_reactions(na.EquationSystem({"A": "-0.7*A", "B": "0.7*A"}))
        >>> na.fit_rates(guess, data).equations.print(4)
        d A/dt = -A
        d B/dt = A
    """
    if noise not in NOISE:
        raise OptionError(f"noise must be one of {', '.join(NOISE)}, not {noise!r}")
    if max_iterations < 1:
        raise OptionError(f"max_iterations must be at least 1, not {max_iterations!r}")
    template = _tied(reactions)
    problem = Problem(reactions.to_equations(), template, data, relative=noise == "proportional")
    first = Point(np.array(template.values), np.array([piece.start for piece in problem.pieces]))
    # exponents belong to the laws by which the reactions were read
    free = np.flatnonzero(~np.array(template.is_exponent, dtype=bool))
    fitted = problem.fit(first, free, noise, max_iterations)
    n = len(reactions.reactions)
    if not np.isfinite(fitted.squares):
        equations = reactions.to_equations()
        return RefitResult(
            equations, (np.nan,) * n, np.inf, first.starts, _kind(problem, fitted), False, tied=reactions
        )
    constants = fitted.point.constants.tolist()
    own = [replace(old, rate_constant=k) for old, k in zip(reactions.reactions, constants[:n], strict=True)]
    found = Reactions(tuple(own), reactions.rest.with_constants(constants[n:]))
    covariance = problem.covariance(fitted, free)
    errors = np.full(n, np.nan) if covariance is None else np.sqrt(np.diag(covariance))[:n]
    return RefitResult(
        found.to_equations(),
        tuple(errors.tolist()),
        problem.loss(fitted),
        fitted.point.starts,
        _kind(problem, fitted),
        fitted.converged,
        tied=found,
    )


def _tied(reactions: Reactions) -> Template:
    """Right-hand sides in which every rate constant is one symbol, then those of the rest."""
    rest = reactions.rest.template
    symbols = [sp.Dummy(f"k{i}", real=True) for i in range(len(reactions.reactions))]
    rhs: dict[str, Any] = dict(zip(reactions.rest.states, rest.expressions, strict=True))
    for symbol, reaction in zip(symbols, reactions.reactions, strict=True):
        for name, number in reaction.net.items():
            rhs[name] += number * symbol * reaction.law
    values = (*(reaction.rate_constant for reaction in reactions.reactions), *rest.values)
    closed = (False,) * len(symbols)
    return Template(
        tuple(rhs.values()),
        (*symbols, *rest.symbols),
        values,
        (*closed, *rest.is_exponent),
        (*map(sp.Float, values[: len(symbols)]), *rest.written),
    )
