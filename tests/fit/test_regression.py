"""Variable projection on the integral form finds the numbers within units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from simulated import scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.integral_form import IntegralForm, integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.regression import Regression
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, Unit, numbers_of, one_plus, power

CLEAN = Noise("additive", np.zeros(1))
MONOD = power(1).over(one_plus(power(1)))
SINE = Unit((0.0,), frequencies=(FITTED,), phase=-math.pi / 2)


def form_of(slope: Callable[[float], float], start: float, end: float, points: int = 200) -> IntegralForm:
    """The integral form of noiseless samples of one state."""
    t = np.linspace(0, end, points)
    return integral_form(smooth([Run(t, scipy_solution(lambda _, x: [slope(x[0])], (start,), t))], CLEAN), CLEAN)


def fit(form: IntegralForm, units: tuple[Unit, ...], guess: Mapping[Number, float], scale: float = 1.0):
    structure = Structure((units,))
    theta = structure.theta({**guess})
    found, rss = Regression(form, 0, np.array([scale])).fit(structure, theta, iterations=30)
    return structure.values(found), rss


@pytest.mark.parametrize("guess", [0.1, 0.3, 2.0, 10.0])
def test_the_denominator_of_a_fraction(guess):
    form = form_of(lambda x: 0.5 - 1.2 * x / (1 + 0.7 * x), 4.0, 6.0)
    (number,) = numbers_of(MONOD)
    values, rss = fit(form, (power(0), MONOD), {number: guess})
    assert values[number] == pytest.approx(0.7, rel=1e-3)
    assert values[0, MONOD] == pytest.approx(-1.2, rel=1e-3)
    assert values[0, power(0)] == pytest.approx(0.5, rel=1e-3)
    assert rss < 1e-6 * (form.target[0] ** 2).sum()


@pytest.mark.parametrize("guess", [2.05, 2.55])
def test_the_frequency_of_a_sine(guess):
    form = form_of(lambda x: 0.8 + 0.5 * np.sin(2.3 * x), 0.0, 10.0)
    (number,) = numbers_of(SINE)
    values, rss = fit(form, (power(0), SINE), {number: guess})
    assert values[number] == pytest.approx(2.3, rel=1e-3)
    assert values[0, SINE] == pytest.approx(0.5, rel=5e-3)
    assert rss < 1e-5 * (form.target[0] ** 2).sum()


def test_the_sum_of_squares_is_that_of_a_general_optimiser():
    """The wrong form on purpose, so that a residual is left."""
    form = form_of(lambda x: 0.5 - 1.2 * x / (1 + 0.7 * x), 4.0, 6.0)
    unit = power(FITTED)
    number = Number("power", unit, 0)
    values, rss = fit(form, (unit,), {number: 1.0})

    def residual(p: np.ndarray) -> np.ndarray:
        return form.target[0] - p[0] * form.columns(form.nodes[:, 0] ** p[1], 0)

    best = least_squares(residual, [-0.5, 1.0], xtol=1e-12, ftol=1e-12)
    assert rss == pytest.approx(2 * best.cost, rel=1e-3)
    assert rss > 1e-5
    np.testing.assert_allclose([values[0, unit], values[number]], best.x, rtol=0.02)


def test_without_numbers_it_is_linear_least_squares():
    form = form_of(lambda x: 0.8 * x - 0.16 * x**2, 0.5, 8.0)
    values, rss = fit(form, (power(1), power(2)), {})
    columns = form.columns(np.stack([form.nodes[:, 0], form.nodes[:, 0] ** 2]), 0)
    expected, (left,), _, _ = np.linalg.lstsq(columns.T, form.target[0])
    np.testing.assert_allclose([values[0, power(1)], values[0, power(2)]], expected, rtol=1e-7)
    assert rss == pytest.approx(left, rel=1e-5)


def test_columns_that_were_made_beside_others_are_those_made_alone():
    form = form_of(lambda x: 0.5 - 1.2 * x / (1 + 0.7 * x), 4.0, 6.0)
    beside, alone = (Regression(form, 0, np.ones(1)) for _ in range(2))
    (number,) = numbers_of(MONOD)
    made = beside.guesses([power(0.5), MONOD, power(2)], {number: 0.3})
    np.testing.assert_array_equal(beside.columns((power(2), power(0.5))), made[[2, 0]])
    np.testing.assert_array_equal(alone.columns((power(2), power(0.5))), made[[2, 0]])


def test_fixed_numbers_are_meant_in_the_users_units():
    form = form_of(lambda x: 0.3 + 0.5 * np.sin(2.0 * x), 0.0, 10.0)
    fixed = replace(SINE, frequencies=(1.0,))
    values, rss = fit(form, (power(0), fixed), {}, scale=2.0)
    assert values[0, fixed] == pytest.approx(0.5, rel=5e-3)
    assert fit(form, (power(0), fixed), {}, scale=1.0)[1] > 100 * rss


def test_units_that_are_not_finite_or_depend_on_each_other_have_no_fit():
    form = form_of(lambda x: -x, 1.0, 3.0)
    nodes = np.where(np.arange(len(form.nodes))[:, None] == 5, 0.0, form.nodes)
    through_zero = IntegralForm(nodes, form.step, form.window, form.first, form.weight, form.target)
    assert fit(through_zero, (power(1),), {})[1] < np.inf
    assert fit(through_zero, (power(-1),), {})[1] == np.inf
    first, second = (Unit((FITTED,), copy=k) for k in range(2))
    _, rss = fit(form, (first, second), {Number("power", first, 0): 2.0, Number("power", second, 0): 2.0})
    assert rss == np.inf
