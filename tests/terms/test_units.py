"""Lifted units and sums of units: the compiled values, trajectories and derivatives against plain Python and SciPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import make, right_hand_side, scipy_solution, unit_value

from neural_arith.fit.refine import refine
from neural_arith.layers import LiftedNPU
from neural_arith.solve.compiled.prediction import predict, slopes_at, values_at
from neural_arith.solve.compiled.tables import KINDS
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit, one_plus, power

ONE, X, Y, XY = power(0, 0), power(1, 0), power(0, 1), power(1, 1)
SATURATION = one_plus(power(2, 0))
SQUARE = Sum(((power(2, 0), 1.0), (power(0, 2), 1.0)))
WARMTH = one_plus(Unit((0.0, 0.0), rates=(FITTED, 0.0)), power(0, FITTED))
GROWING = Unit((0.0, 1.0), rates=(FITTED, 0.0))
WAVE = Unit((0.0, 0.0), frequencies=(FITTED, -1.0), phase=FITTED)
LOG = Unit((1.0, 0.0), logs=(1, 1))
EVERYTHING = Unit((FITTED, -1.0), rates=(0.5, FITTED), frequencies=(1.0, FITTED), phase=0.3, logs=(0, 1))
KEPLER = Y.over(SQUARE, FITTED)
WARM = X.over(WARMTH)
BOTH = EVERYTHING.over(SATURATION, -2.0).over(SQUARE, FITTED)
UNITS = [XY.over(SATURATION), GROWING, WAVE, LOG, EVERYTHING, KEPLER, WARM, BOTH]
SCALE = np.array([1.5, 0.7])


def guesses(units: list[Unit], seed: int = 0) -> dict[Number, float]:
    """A value of usual size for every fitted number."""
    rng = np.random.default_rng(seed)
    return {number: float(rng.uniform(0.3, 1.2)) for number in Structure((tuple(units),)).numbers}


@pytest.mark.parametrize("unit", UNITS)
def test_values_are_those_of_the_formula(unit):
    values = guesses([unit])
    known: dict[Term | Number, float] = {**values}
    points = np.random.default_rng(1).uniform(0.2, 2.0, (20, 2))
    expected = [unit_value(unit, known, x, SCALE) for x in points]
    np.testing.assert_allclose(values_at([unit], values, points, SCALE)[0], expected, rtol=1e-12)


def test_values_come_in_the_order_asked():
    points = np.random.default_rng(1).uniform(0.2, 2.0, (5, 2))
    values = guesses(UNITS)
    together = values_at(UNITS[::-1], values, points, SCALE)
    for row, unit in zip(together, UNITS[::-1], strict=True):
        np.testing.assert_array_equal(row, values_at([unit], values, points, SCALE)[0])


def test_a_sum_out_of_its_domain_leaves_other_units_alone():
    root = ONE.over(Sum(((ONE, 1.0), (X, -1.0))), 0.5)  # of 1 - x
    fraction = Y.over(Sum(((ONE, 1.0), (X, 1.0))))
    found = values_at([root, fraction], {}, np.array([[3.0, 2.0], [0.75, 2.0]]), np.ones(2))
    np.testing.assert_allclose(found, [[np.nan, 0.5], [0.5, 2 / 1.75]], rtol=1e-15)


NUMBERS = st.tuples(st.floats(-2, 2), st.floats(-2, 2))


@given(NUMBERS, NUMBERS, NUMBERS, st.floats(-3, 3), st.tuples(st.floats(0.05, 5), st.floats(0.05, 5)))
@settings(deadline=None, max_examples=200)
def test_lifted_units_equal_the_layer(e, r, w, phase, x):
    mine = values_at([Unit(e, r, w, phase)], {}, np.array([x]), np.ones(2))[0, 0]
    layer = LiftedNPU.from_parts(power=[list(e)], rate=[list(r)], frequency=[list(w)], phase=[phase])
    with torch.no_grad():
        theirs = float(layer(torch.tensor([x], dtype=torch.float64))[0, 0])
    size = x[0] ** e[0] * x[1] ** e[1] * np.exp(r[0] * x[0] + r[1] * x[1])
    assert mine == pytest.approx(theirs, rel=1e-12, abs=1e-12 * size)


def test_the_layer_agrees_where_a_variable_is_negative():
    unit, x = Unit((1.0, 2.0), (0.3, -0.4), (1.1, 0.0), 0.2), np.array([-1.3, -0.8])
    layer = LiftedNPU.from_parts(power=[[1.0, 2.0]], rate=[[0.3, -0.4]], frequency=[[1.1, 0.0]], phase=[0.2])
    with torch.no_grad():
        theirs = float(layer(torch.tensor(x)[None])[0, 0])
    assert values_at([unit], {}, x[None], np.ones(2))[0, 0] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("unit", UNITS)
def test_slopes_in_fitted_numbers_against_differences(unit):
    s = Structure(((unit,),))
    values = {**guesses([unit]), (0, unit): 1.0}
    points = np.random.default_rng(2).uniform(0.3, 1.5, (6, 2))
    theta, h = s.theta(values), 1e-6
    _, found = slopes_at(s, theta, points, SCALE)
    assert found.shape == (1, len(s.numbers), 6)
    for q, step in enumerate(h * np.eye(len(theta))[1:]):
        plus, _ = slopes_at(s, theta + step, points, SCALE)
        minus, _ = slopes_at(s, theta - step, points, SCALE)
        np.testing.assert_allclose(found[0, q], (plus - minus)[0] / (2 * h), rtol=1e-6, atol=1e-8)


# ------------------------------------------------------------------------------------------- trajectories
def system() -> tuple[Structure, np.ndarray]:
    """Two equations with every kind of fitted number, and a unit that is a part of a sum as well."""
    inner = WARMTH.parts[1][0] if WARMTH.parts[1][0].rates else WARMTH.parts[2][0]
    s = Structure(((ONE, XY.over(SATURATION), WARM, power(FITTED, 0), inner), (GROWING, WAVE, LOG, KEPLER)))
    values: Mapping[Term | Number, float] = {
        **guesses(list(s.units)),
        **dict(zip(s.terms, [0.6, -0.5, -0.3, -0.2, 0.1, 0.3, 0.2, 0.1, -0.4], strict=True)),
        Number("rate", inner, 0): -0.7,
        Number("rate", GROWING, 0): -1.1,
        Number("sum power", KEPLER, 0): -0.8,
    }
    assert {number.kind for number in s.numbers} == set(KINDS)
    return s, s.theta(values)


T, START = np.linspace(0, 2, 25), np.array([[0.8, 0.6]])


def test_trajectories_as_scipy_integrates_them():
    s, theta = system()
    x = scipy_solution(right_hand_side(s, theta, scale=SCALE), START[0], T)
    found = predict(s, theta, START, make(T, x, scale=SCALE), rtol=1e-10)
    np.testing.assert_allclose(found.x, x, rtol=1e-8)


def test_misfit_slopes_for_every_kind_of_number_against_differences():
    s, theta = system()
    x = scipy_solution(right_hand_side(s, theta, scale=SCALE), START[0], T) * (1 + 0.05 * np.sin(7 * T)[:, None])
    problem, h = make(T, x, scale=SCALE, floor=1e-3), 1e-5

    def misfit(p: np.ndarray) -> float:
        return predict(s, p[:-2], p[None, -2:], problem, rtol=1e-11).misfit

    found = predict(s, theta, START, problem, rtol=1e-11)
    p = np.append(theta, START)
    slope = np.array([misfit(p + step) - misfit(p - step) for step in h * np.eye(len(p))]) / (2 * h)
    np.testing.assert_allclose(2 * found.gradient, slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())


def test_fixed_numbers_have_the_same_slopes_as_fitted_ones():
    free = Structure(((Unit((FITTED, 0.0), (0.0, FITTED)),), (Y.over(SQUARE, FITTED),)))
    held = Structure(((Unit((0.5, 0.0), (0.0, -0.4)),), (Y.over(SQUARE, -0.8),)))
    x = scipy_solution(right_hand_side(held, np.array([0.4, -0.3])), START[0], T) * 1.01
    problem, [lifted, kepler] = make(T, x), held.units if held.units[0].rates else held.units[::-1]
    columns = [Number("power", lifted, 0), Number("rate", lifted, 1), Number("sum power", kepler, 0)]
    fixed = {"power": 0.5, "rate": -0.4, "sum power": -0.8}
    theta = np.array([0.4, -0.3, *(fixed[number.kind] for number in free.numbers)])
    expected = predict(free, theta, START, problem, rtol=1e-10)
    found = predict(held, theta[:2], START, problem, columns=sorted(columns, key=order(free)), rtol=1e-10)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-9)
    np.testing.assert_allclose(found.normal, expected.normal, rtol=1e-9)


def order(structure: Structure):
    """Sorts numbers by kind as the structure has them."""
    kinds = [number.kind for number in structure.numbers]
    return lambda number: kinds.index(number.kind)


ROOT = Sum(((power(0), 1.0), (power(2), 1.0)))
SINE = Unit((0.0,), frequencies=(FITTED,), phase=-np.pi / 2)
CASES = {
    "rate": ([Unit((1.0,), rates=(FITTED,))], [0.8, -0.5], [0.6, -0.35], 0.4),
    "frequency": ([power(0), SINE], [1.0, 0.7, 1.9], [0.9, 0.6, 1.7], 0.4),
    "fraction": ([power(1).over(one_plus(power(1)))], [0.9, 0.6], [0.7, 0.4], 0.4),
    "sum power": ([power(0).over(ROOT, FITTED)], [1.2, -1.4], [1.0, -1.0], 0.1),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_within_units_are_refined_to_the_truth(name):
    units, truth, guess, start = CASES[name]
    s, t = Structure((tuple(units),)), np.linspace(0, 4, 40)
    x = scipy_solution(right_hand_side(s, np.array(truth)), (start,), t)
    problem = make(t, x)
    found = refine([s], [np.array(guess)], x[:1] * 1.05, problem, iterations=200, tolerance=1e-9, rtol=1e-10)
    np.testing.assert_allclose(found.thetas[0], truth, rtol=1e-5)


def test_a_rate_shared_by_a_term_and_a_part_is_refined_in_both():
    fading = Unit((0.0,), rates=(FITTED,))
    s = Structure(((fading, power(1).over(one_plus(fading))),))
    assert [number.kind for number in s.numbers].count("rate") == 1
    values: dict[Term | Number, float] = {number: 0.8 if number.kind == "coefficient" else -0.9 for number in s.numbers}
    theta = s.theta({**values, **{term: -0.5 if term[1].sums else 1.0 for term in s.terms}})
    t = np.linspace(0, 4, 40)
    x = scipy_solution(right_hand_side(s, theta), (0.1,), t)
    found = refine([s], [theta * 1.1], x[:1], make(t, x), iterations=200, tolerance=1e-9, rtol=1e-10)
    np.testing.assert_allclose(found.thetas[0], theta, rtol=1e-5)


def test_a_sum_that_turns_negative_is_an_infinite_misfit():
    s = Structure(((power(0), power(0).over(Sum(((power(0), 1.0), (power(1), -1.0))), 0.5)),))
    theta = s.theta({term: 0.0 if term[1].sums else 1.0 for term in s.terms})
    assert predict(s, theta, np.array([[0.5]]), make(T, np.ones((25, 1)))).misfit == np.inf
