"""What counts as the right formula in the suites: formulas by hand, of every kind that they hold."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from neural_arith_bench.suites.scores import without_negligible
from neural_arith_bench.suites.tasks import CONSTANTS, truth

from neural_arith import systems
from neural_arith.equations import EquationSystem

WRONG, SHAPE, EXACT = (False, False), (True, False), (True, True)


def _judged(found: EquationSystem, true: EquationSystem, visited: np.ndarray) -> tuple[bool, bool]:
    kept = without_negligible(found, visited)
    return kept.same_structure(true), kept.same_as(true, rtol=CONSTANTS)


def _verdict(found: str, true: str) -> tuple[bool, bool]:
    """One equation in x beside a second one in y that is right."""
    mine, right = (EquationSystem({"x": text, "y": "-0.5*y"}) for text in (found, true))
    return _judged(mine, right, np.random.default_rng(0).uniform(0.5, 2.0, (200, 2)))


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        # polynomials: terms, and coefficients within 5 %
        ("1.04*x - 0.5*x*y", "x - 0.5*x*y", EXACT),
        ("1.06*x - 0.5*x*y", "x - 0.5*x*y", SHAPE),
        ("x*(1 - 0.5*y)", "x - 0.5*x*y", EXACT),
        ("x - 0.5*x*y + 0.1*y", "x - 0.5*x*y", WRONG),
        ("x", "x - 0.5*x*y", WRONG),
        ("x - 0.5*x*y + 1e-5*y**3", "x - 0.5*x*y", EXACT),  # negligible along the solutions
        ("0", "x", WRONG),
        # fractions: numerator and denominator, up to one factor
        ("0.8*x/(0.4 + 2*x)", "0.4*x/(0.2 + x)", EXACT),
        ("1 - 0.2/(0.2 + x)", "x/(0.2 + x)", EXACT),
        ("0.4*x/(0.22 + x)", "0.4*x/(0.2 + x)", SHAPE),
        ("0.4*x/(0.2 + x)**2", "0.4*x/(0.2 + x)", WRONG),
        ("0.4*x/(0.2 + x**2)", "0.4*x/(0.2 + x)", WRONG),
        ("x/y", "x/y", EXACT),
        # functions: every number within 5 %, in whatever form
        ("1.01*sin(x) - y", "sin(x) - y", EXACT),
        ("1.1*sin(x) - y", "sin(x) - y", SHAPE),
        ("cos(x) - y", "sin(x) - y", WRONG),
        ("0.5*sin(2*x)", "sin(x)*cos(x)", EXACT),
        ("x - x**3/6", "sin(x)", WRONG),
        ("cos(y)/sin(y)", "cot(y)", EXACT),
        ("-0.64*y*Abs(y) - sin(x)", "-0.64*y*abs(y) - sin(x)", EXACT),
        ("-0.64*y**2 - sin(x)", "-0.64*y*abs(y) - sin(x)", WRONG),
        ("0.032*x*log(2.3*x)", "0.032*x*log(2.29*x)", EXACT),
        ("0.032*x*log(x)", "0.032*x*log(2.29*x)", WRONG),
        ("1/(1 + exp(0.5 - 1.04*x))", "1/(1 + 1.6487*exp(-1.04*x))", EXACT),
        ("1/(1 + 1.65*exp(-1.041*x))", "1/(1 + 1.6487*exp(-1.04*x))", EXACT),
        # real powers: the exponent is a number
        ("1.5*x**0.667 - y", "1.5*x**(2/3) - y", EXACT),
        ("1.5*sqrt(x) - y", "1.5*x**0.5 - y", EXACT),
        ("1.5*x**0.7 - y", "1.5*sqrt(x) - y", SHAPE),
        ("1.5*x - y", "1.5*sqrt(x) - y", WRONG),
        ("x*(x**2 + y**2)**(-1.5)", "x/(x**2 + y**2)**1.5", EXACT),
        ("-0.09*(22.0*x**0.38 - y)", "0.09*y - 1.98*x**0.38", EXACT),
    ],
)
def test_verdicts_by_hand(found, true, expected):
    assert _verdict(found, true) == expected


@pytest.mark.parametrize("slug", [*systems.names("odebench"), *systems.names("powerlaw")])
def test_every_truth_is_its_own_match_and_its_terms_are_needed(slug):
    system = systems.get(slug)
    _, solutions = truth(slug, None)
    visited = np.concatenate(solutions)
    assert _judged(system.equations, system.equations, visited) == EXACT
    for state, side in system.equations.rhs.items():
        more = system.equations.rhs | {state: side * (1 + sp.tanh(1 + sp.Symbol(state) ** 2))}
        assert _judged(EquationSystem(more), system.equations, visited) == WRONG
