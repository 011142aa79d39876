"""Rate constants fitted to trajectories: one number for each reaction, however many equations it stands in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.equations.constants import Template
from neural_arith.equations.reactions import Reactions
from neural_arith.errors import OptionError
from neural_arith.fit.least_squares import Point, Problem
from neural_arith.fit.noise import NOISE


@dataclass(frozen=True)
class RateFit:
    """What a fit of rate constants found.

    Attributes:
        reactions: the reactions with the fitted rate constants, and the rest with its constants fitted along.
        standard_errors: one for each rate constant, NaN where the data do not determine it.
        initial_states: the starting state of each run, ``(runs, states)``.
        noise: ``"additive"``, ``"proportional"`` or ``"log"``.
        converged: whether the last step was negligible.
    """

    reactions: Reactions
    standard_errors: tuple[float, ...]
    initial_states: np.ndarray = field(repr=False)
    noise: str
    converged: bool


def fit_rates(reactions: Reactions, data: Trajectories, *, noise: str = "auto", max_iterations: int = 100) -> RateFit:
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
    kind = "log" if fitted.log else "additive" if problem.floor is None else "proportional"
    n = len(reactions.reactions)
    if not np.isfinite(fitted.squares):
        return RateFit(reactions, (np.nan,) * n, first.starts, kind, False)
    constants = fitted.point.constants.tolist()
    own = [replace(old, rate_constant=k) for old, k in zip(reactions.reactions, constants[:n], strict=True)]
    rest = reactions.rest.with_constants(constants[n:])
    covariance = problem.covariance(fitted, free)
    errors = np.full(n, np.nan) if covariance is None else np.sqrt(np.diag(covariance))[:n]
    starts = fitted.point.starts
    return RateFit(Reactions(tuple(own), rest), tuple(errors.tolist()), starts, kind, fitted.converged)


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
