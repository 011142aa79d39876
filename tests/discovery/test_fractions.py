"""A fraction written otherwise: the same right-hand side with a term less where the constants allow it."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import archive_of, right_hand_side, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.proposals.sums import other_fractions, other_sums, shared_fractions
from neural_arith.discovery.search.judging import judge
from neural_arith.fit.noise import Noise
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, Unit, one_plus, power

ONE, X, XX = power(0), power(1), power(2)
CLEAN = Noise("additive", np.zeros(1))
T = np.linspace(0, 6, 40)


def judged(units: tuple[Unit, ...], coefficients: dict[Unit, float], b: float):
    """A candidate that meets measurements of itself."""
    structure = Structure((units,))
    numbers = dict.fromkeys(structure.numbers, b)
    theta = structure.theta({(0, u): c for u, c in coefficients.items()} | numbers)
    x = scipy_solution(right_hand_side(structure, theta), (2.0,), T)
    archive = archive_of([Run(T, x)], CLEAN, rtol=1e-11)
    (found,) = judge(archive, [(structure, theta)], iterations=5)
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


def test_a_hill_term_with_a_fitted_power_is_turned_over():
    """0.8 - 0.8 / (1 + 0.5 x^1.4) = 0.8 / (1 + 2 x^-1.4)."""
    hill = ONE.over(one_plus(power(FITTED)))
    structure = Structure(((ONE, X, hill),))
    (b,) = [n for n in structure.numbers if n.kind == "coefficient"]
    (p,) = [n for n in structure.numbers if n.kind == "power"]
    theta = structure.theta({(0, ONE): 0.8, (0, X): -0.3, (0, hill): -0.8, b: 0.5, p: 1.4})
    x = scipy_solution(right_hand_side(structure, theta), (2.0,), T)
    (here,) = judge(archive_of([Run(T, x)], CLEAN), [(structure, theta)], iterations=5)
    ((turned, values),) = [c for c in other_fractions(here) if c[0] == Structure(((X, hill),))]
    for x in (0.5, 1.0, 3.0):
        assert slope(turned, values, x) == pytest.approx(slope(structure, theta, x), rel=1e-5)


def test_two_sums_with_fitted_powers_are_offered_as_one():
    first = X.over(one_plus(Unit((FITTED,), copy=1), copy=1))
    second = ONE.over(one_plus(Unit((FITTED,), copy=2), copy=2))
    structure = Structure(((ONE, first, second),))
    values = {n: (1.4 if n.kind == "power" else 0.5) for n in structure.numbers}
    theta = structure.theta({(0, ONE): 0.3, (0, first): -0.4, (0, second): 0.2} | values)
    x = scipy_solution(right_hand_side(structure, theta), (2.0,), T)
    (here,) = judge(archive_of([Run(T, x)], CLEAN), [(structure, theta)], iterations=2)
    assert any(found.n_fitted == structure.n_fitted - 2 for found, _ in other_sums(here, 1))


def test_a_fraction_is_written_as_that_of_another_equation():
    """0.8 y - 1.1 y / (1 + 0.5 x) = -0.3 y + 0.55 x y / (1 + 0.5 x)."""
    x, y = power(1, 0), power(0, 1)
    total = one_plus(x)
    flow, bar = power(1, 1).over(total), y.over(total)
    structure = Structure(((x, flow), (y, bar)))
    (b,) = structure.numbers
    theta = structure.theta({(0, x): 0.7, (0, flow): -0.9, (1, y): 0.8, (1, bar): -1.1, b: 0.5})
    rhs = right_hand_side(structure, theta)
    solution = scipy_solution(rhs, (2.0, 0.3), T)
    (here,) = judge(archive_of([Run(T, solution)], Noise("additive", np.zeros(2))), [(structure, theta)], iterations=5)
    ((shared, values),) = shared_fractions(here)
    assert shared == Structure(((x, flow), (y, flow)))
    for point in ([0.5, 1.0], [3.0, 0.2]):
        expected = right_hand_side(structure, here.theta)(0.0, np.array(point))
        np.testing.assert_allclose(right_hand_side(shared, values)(0.0, np.array(point)), expected, rtol=1e-9)


def test_a_fraction_that_stands_nowhere_else_keeps_its_spelling():
    bar = ONE.over(one_plus(X))
    assert shared_fractions(judged((ONE, X, bar), {ONE: 0.8, X: -0.3, bar: -0.5}, 0.5)) == []
