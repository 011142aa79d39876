"""A fraction written otherwise: the same right-hand side with a term less where the constants allow it."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import judge_of, right_hand_side, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.neighbours import other_fractions
from neural_arith.discovery.noise import Noise
from neural_arith.integrate.structure import Structure
from neural_arith.integrate.units import Number, Unit, one_plus, power

ONE, X, XX = power(0), power(1), power(2)
CLEAN = Noise("additive", np.zeros(1))
T = np.linspace(0, 6, 40)


def judged(units: tuple[Unit, ...], coefficients: dict[Unit, float], b: float):
    """A candidate that meets measurements of itself."""
    structure = Structure((units,))
    numbers = dict.fromkeys(structure.numbers, b)
    theta = structure.theta({(0, u): c for u, c in coefficients.items()} | numbers)
    x = scipy_solution(right_hand_side(structure, theta), (2.0,), T)
    judge = judge_of([Run(T, x)], CLEAN)
    (found,) = judge.judge([(structure, theta)], iterations=5)
    return found


def slope(structure: Structure, theta: np.ndarray, x: float) -> float:
    return float(right_hand_side(structure, theta)(0.0, np.array([x]))[0])


@pytest.mark.parametrize("part", [X, XX])
def test_a_constant_and_a_fraction_that_cancel_become_one_term(part):
    """0.8 - 0.8 / (1 + 0.5 p) = 0.4 p / (1 + 0.5 p)."""
    bar = ONE.over(one_plus(part))
    here = judged((ONE, X, bar), {ONE: 0.8, X: -0.3, bar: -0.8}, 0.5)
    wanted = Structure(((X, part.over(one_plus(part))),))
    ((structure, theta),) = [c for c in other_fractions(here) if c[0] == wanted]
    values = structure.values(theta)
    assert values[0, part.over(one_plus(part))] == pytest.approx(0.4, rel=1e-6)
    for x in (0.5, 1.0, 3.0):
        assert slope(structure, theta, x) == pytest.approx(slope(here.structure, here.theta, x), rel=1e-6)


def test_a_term_and_a_fraction_of_higher_degree_become_one_fraction():
    """0.6 x - 0.3 x^2 / (1 + 0.5 x) = 0.6 x / (1 + 0.5 x)."""
    bar = XX.over(one_plus(X))
    here = judged((ONE, X, bar), {ONE: 0.2, X: 0.6, bar: -0.3}, 0.5)
    wanted = Structure(((ONE, X.over(one_plus(X))),))
    ((structure, theta),) = [c for c in other_fractions(here) if c[0] == wanted]
    for x in (0.5, 1.0, 3.0):
        assert slope(structure, theta, x) == pytest.approx(slope(here.structure, here.theta, x), rel=1e-6)


def test_a_bar_that_does_nothing_is_left_out():
    bar = ONE.over(one_plus(X))
    here = judged((X, bar), {X: -0.3, bar: 0.8}, 1e-9)
    ((structure, theta),) = [c for c in other_fractions(here) if c[0] == Structure(((ONE, X),))]
    assert slope(structure, theta, 2.0) == pytest.approx(0.2, rel=1e-5)


def test_equations_without_fractions_have_no_other_spelling():
    here = judged((ONE, X), {ONE: 0.5, X: -0.3}, 0.0)
    assert other_fractions(here) == []


def test_only_numbers_that_are_known_are_used():
    bar = ONE.over(one_plus(X))
    here = judged((ONE, X, bar), {ONE: 0.8, X: -0.3, bar: -0.8}, 0.5)
    for structure, theta in other_fractions(here):
        assert len(theta) == structure.n_fitted
        assert np.isfinite(theta).all()
        assert all(isinstance(number, Number) for number in structure.numbers)
