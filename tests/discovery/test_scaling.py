"""Scaling: sizes, times, and coefficients that go back exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import right_hand_side

from neural_arith.data import Run, Trajectories
from neural_arith.discovery.measurements.scaling import can_be_written, fit_scaling
from neural_arith.errors import DataError
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Sum, Unit, one_plus, power


def made(sizes: tuple[float, float, float], seed: int = 0) -> Trajectories:
    rng = np.random.default_rng(seed)
    ts = [np.sort(rng.uniform(3, 9, 12)), np.sort(rng.uniform(-5, 20, 30))]
    xs = [rng.uniform(0.2, 2, (len(t), 2)) * sizes[:2] for t in ts]
    us = [rng.uniform(0.2, 2, (len(t), 1)) * sizes[2] for t in ts]
    return Trajectories.from_arrays(ts, xs, u=us)


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (1e-12, 1e12, 1e-3), (1e40, 1e-40, 1.0)])
def test_scaled_variables_have_size_one_and_runs_start_at_zero(sizes):
    data = made(sizes)
    scaling = fit_scaling(data)
    runs = scaling.runs(data)
    x = np.concatenate([np.hstack([r.x, r.u]) for r in runs if r.u is not None])
    np.testing.assert_allclose(np.sqrt((x**2).mean(axis=0)), 1.0)
    assert [r.t[0] for r in runs] == [0.0, 0.0]
    assert max(r.t[-1] for r in runs) == 1.0
    assert scaling.state.shape == (2,)


def test_missing_values_do_not_count():
    x = np.array([[3.0, 2.0], [np.nan, 2.0], [4.0, 2.0], [5.0, 2.0]])
    data = Trajectories.from_arrays(np.arange(4.0), x)
    scaling = fit_scaling(data)
    np.testing.assert_allclose(scaling.state, [np.sqrt(50 / 3), 2.0])
    assert np.isnan(scaling.runs(data)[0].x[1, 0])


WAVE = Unit((1.0, 0.0, 0.0), rates=(0.0, FITTED, 0.0), frequencies=(FITTED, 0.0, 0.5), phase=FITTED)
LOG = Unit((0.0, FITTED, 0.0), logs=(1, 0, 0))
CIRCLE = Sum(((power(2, 0, 0), 1.0), (power(0, 2, 0), 1.0)))
STRUCTURES = [
    Structure(((power(1, 0, 0), power(0.5, -1, 2)), (power(FITTED, 1, 0), power(0, 0, 0)))),
    Structure(((WAVE, power(0, 1, 0)), (LOG, Unit((0.0, 1.0, 0.0), rates=(0.5, 0.0, FITTED))))),
    Structure(
        ((power(1, 1, 0).over(one_plus(power(2, 0, 0), power(0, 0, 1))),), (power(0, 1, 0).over(CIRCLE, FITTED),))
    ),
    Structure(
        (
            (power(1, 0, 0).over(one_plus(Unit((0.0, 0.0, 0.0), rates=(0.0, FITTED, 0.0)))),),
            (power(0, 0, 0).over(one_plus(power(FITTED, 0, 0)), -2.0).over(CIRCLE, -1.5), WAVE),
        )
    ),
]


EXPONENTIAL = Unit((0.0, 1.0, 0.0), rates=(FITTED, 0.0, 0.0))
HILL = power(0, 0, 1).over(one_plus(power(FITTED, 0, 0)))
FREE = [
    STRUCTURES[0],
    Structure(((power(1, 1, 0).over(one_plus(power(2, 0, 0), power(0, 0, 1))),), (EXPONENTIAL, power(0, 1, 0)))),
    Structure(((HILL, power(1, 0, 0)), (power(0, 1, 0).over(one_plus(EXPONENTIAL)),))),
]
"""Structures without a fixed number that has a unit of measurement."""


@pytest.mark.parametrize("s", STRUCTURES)
def test_original_values_give_the_same_right_hand_side(s):
    data = made((3.0, 7.0, 0.2))
    scaling = fit_scaling(data)
    theta = np.random.default_rng(1).uniform(0.2, 1.2, s.n_fitted)
    run = data.runs[0]
    assert run.u is not None
    for x, u in zip(run.x, run.u, strict=True):
        scaled = np.concatenate([x, u]) / scaling.variable
        f = right_hand_side(s, theta, lambda _, z=scaled: z[2:], scaling.variable)
        g = right_hand_side(s, scaling.original(s, theta), lambda _, u=u: u)
        np.testing.assert_allclose(g(0.0, x), f(0.0, scaled[:2]) * scaling.state / scaling.time, rtol=1e-11)


@pytest.mark.parametrize("s", STRUCTURES)
def test_scaling_goes_there_and_back(s):
    scaling = fit_scaling(made((3.0, 7.0, 0.2)))
    theta = np.random.default_rng(1).uniform(0.2, 1.2, s.n_fitted)
    np.testing.assert_allclose(scaling.scaled(s, scaling.original(s, theta)), theta, rtol=1e-12)
    slopes, step = scaling.slopes(s, theta), 1e-4 * np.cos(np.arange(len(theta)))
    change = scaling.original(s, theta + step) - scaling.original(s, theta - step)
    np.testing.assert_allclose(2 * slopes @ step, change, rtol=1e-5, atol=1e-9)


def test_sizes_whose_powers_overflow_are_refused():
    with pytest.raises(DataError, match="other units"):
        fit_scaling(Trajectories.from_arrays(np.arange(9.0), 1e160 * np.cos(np.arange(9.0))))


def test_a_variable_that_is_always_zero_has_size_one():
    x = np.column_stack([np.cos(np.arange(9.0)), np.zeros(9)])
    assert fit_scaling(Trajectories.from_arrays(np.arange(9.0), x)).variable[1] == 1.0


@settings(max_examples=60, deadline=None)
@given(
    states=st.tuples(*[st.floats(-9, 9)] * 2),
    clock=st.floats(-9, 9),
    s=st.sampled_from(FREE),
)
def test_other_units_give_the_same_law(states, clock, s):
    """One million as the number of a state or one: the right-hand side in the first units is the same to rounding."""
    base, sizes, longer = made((3.0, 7.0, 0.2)), 10.0 ** np.array(states), 10.0**clock
    other = Trajectories(
        tuple(Run(r.t * longer, r.x * sizes, r.u) for r in base.runs), base.names, base.input_names, base.time_name
    )
    theta = np.random.default_rng(1).uniform(0.2, 1.2, s.n_fitted)
    first, second = fit_scaling(base), fit_scaling(other)
    run = base.runs[0]
    assert run.u is not None
    for x, u in zip(run.x, run.u, strict=True):
        f = right_hand_side(s, first.original(s, theta), lambda _, u=u: u)(0.0, x)
        g = right_hand_side(s, second.original(s, theta), lambda _, u=u: u)(0.0, x * sizes)
        np.testing.assert_allclose(g * longer / sizes, f, rtol=1e-9)


@pytest.mark.parametrize(("exponent", "writable"), [(2.0, True), (-9.0, True), (-25.0, False), (30.0, False)])
def test_constants_that_no_number_holds_are_told(exponent, writable):
    s = Structure(((power(exponent),),))
    assert can_be_written(s, np.ones(1), np.array([8e7])) == writable
    assert can_be_written(s, np.ones(1), np.ones(1))
