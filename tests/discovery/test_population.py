"""The population finds the constants inside the units that made the data."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import lotka, scipy_solution

from neural_arith import systems
from neural_arith.data import Run
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.proposals.population import (
    Fitted,
    Starts,
    climb_all,
    draw_lifted,
    draw_plain,
    fit_population,
)
from neural_arith.errors import DataError
from neural_arith.fit.integral_form import IntegralForm, integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.projection import make_grid


def form_of(runs: list[Run], window: int | None = None) -> IntegralForm:
    noise = Noise("additive", np.zeros(runs[0].x.shape[1]))
    return integral_form(smooth(runs, noise), noise, window)


def fit(form: IntegralForm, state: int, units: int, positive: list[bool], **options) -> Fitted:
    return fit_population(form, state, units, np.array(positive), **options)


T = np.linspace(0, 5, 60)


@pytest.mark.parametrize("a", [0.38, -0.43, 1.62, 2.3])
def test_one_unusual_exponent(a):
    start = 0.3 if a > 1 else 1.0
    x = ((start ** (1 - a) + 0.4 * (1 - a) * T) ** (1 / (1 - a)))[:, None]
    fitted = fit(form_of([Run(T, x)]), 0, 1, [True], restarts=16)
    assert fitted.exponents[0, 0, 0] == pytest.approx(a, abs=1e-3)
    assert fitted.cost[0] < 1e-9


def test_a_ratio_with_an_unusual_power():
    x = scipy_solution(lambda _, x: [0.7 * x[0] ** -0.8 * x[1], 0.5 - 0.3 * x[1]], (0.4, 0.2), np.linspace(0, 5, 120))
    fitted = fit(form_of([Run(np.linspace(0, 5, 120), x)]), 0, 1, [True, True], restarts=32)
    np.testing.assert_allclose(fitted.exponents[0, 0], [-0.8, 1.0], atol=1e-3)
    assert fitted.cost[0] < 1e-9


def test_two_units_in_two_variables():
    x = scipy_solution(
        lambda _, x: [0.9 * x[1] ** 0.5 - 0.5 * x[0], 0.4 * x[0] * x[1] ** 0.5 - 0.6 * x[1]], (0.5, 2), T
    )
    form = form_of([Run(T, x)])
    first = fit(form, 0, 2, [True, True]).exponents[0]
    np.testing.assert_allclose(sorted(map(tuple, first)), [(0.0, 0.5), (1.0, 0.0)], atol=0.06)
    second = fit(form, 1, 2, [True, True]).exponents[0]
    np.testing.assert_allclose(sorted(map(tuple, second)), [(0.0, 1.0), (1.0, 0.5)], atol=0.06)


def test_the_square_roots_of_fractional_epidemics():
    data = systems.get("fractional_sir").sample(initial=[(99, 1, 0.1), (60, 9, 2), (30, 3, 1), (80, 20, 1)])
    runs = [Run(r.t / 200, r.x / 50) for r in data.runs]
    form = form_of(runs)
    for state, truth in enumerate([[(0, 0, 1), (0.5, 0.5, 0)], [(0, 1, 0), (0.5, 0.5, 0)], [(0, 0, 1), (0, 1, 0)]]):
        fitted = fit(form, state, 2, [True] * 3)
        found = sorted(map(tuple, fitted.exponents[0].round(1)))
        np.testing.assert_allclose(found, truth)
        order = np.lexsort(fitted.exponents[0].round(1).T[::-1])
        np.testing.assert_allclose(fitted.exponents[0][order], truth, atol=1e-3)


def test_lotka_volterra_units():
    fitted = fit(form_of([Run(T, lotka(T) / 20)]), 1, 2, [True, True])
    np.testing.assert_allclose(sorted(map(tuple, fitted.exponents[0])), [(0.0, 1.0), (1.0, 1.0)], atol=0.05)
    assert not fitted.lifted.any()


def test_states_that_change_sign_keep_whole_exponents():
    x = np.column_stack([np.sin(3 * T), np.cos(3 * T) + 1.5])
    fitted = fit(form_of([Run(T, x)]), 1, 3, [False, True], restarts=24)
    assert (fitted.exponents[:, :, 0] == np.round(fitted.exponents[:, :, 0])).all()
    assert np.isfinite(fitted.cost).all()


def test_a_sine_over_a_constant():
    t = np.linspace(0, 5, 120)
    x = scipy_solution(lambda _, x: [1.1 + 0.7 * np.sin(2.3 * x[0])], (0.1,), t)
    fitted = fit(form_of([Run(t, x)]), 0, 2, [False], lifted=True)
    h = int(np.flatnonzero(fitted.lifted[0])[0])
    assert fitted.lifted[0].sum() == 1
    assert fitted.frequencies[0, h, 0] == pytest.approx(2.3, abs=1e-3)
    assert fitted.phases[0, h] == pytest.approx(-np.pi / 2, abs=1e-3)
    assert fitted.exponents[0].tolist() == [[0.0], [0.0]]


def test_an_exponential():
    x = np.log(np.exp(1.04 * 0.1) + 1.3 * 1.04 * T)[:, None] / 1.04  # dx/dt = 1.3 exp(-1.04 x)
    fitted = fit(form_of([Run(T, x)]), 0, 1, [False], lifted=True)
    assert fitted.rates[0, 0, 0] == pytest.approx(-1.04, abs=1e-3)
    assert not fitted.frequencies[0].any()
    assert fitted.cost[0] < 1e-9


def test_a_power_times_a_cosine_of_another_state():
    t = np.linspace(0, 5, 120)
    x = scipy_solution(lambda _, x: [0.5 * x[0] * np.cos(1.7 * x[1]), 1.0 - 0.1 * x[1]], (1.0, 0.0), t)
    fitted = fit(form_of([Run(t, x)]), 0, 1, [True, False], lifted=True)
    np.testing.assert_allclose(fitted.exponents[0, 0], [1, 0], atol=1e-3)
    np.testing.assert_allclose(fitted.frequencies[0, 0], [0, 1.7], atol=1e-3)
    assert fitted.phases[0, 0] == pytest.approx(0, abs=1e-3)


def test_what_plain_units_explain_is_left_to_them():
    form = form_of([Run(T, lotka(T) / 20)])
    plain, lifted = (fit(form, 0, 2, [True, True], lifted=lifted) for lifted in (False, True))
    assert not lifted.lifted[0].any()
    assert lifted.cost[0] <= plain.cost[0]
    # dx/dt = 1 + t: a line, which sines of low frequency and slow exponentials imitate
    line = fit(form_of([Run(T, np.column_stack([T + T**2 / 2, T]))]), 0, 2, [False, False], lifted=True)
    assert not line.lifted[0].any()


def test_factors_that_imitate_lines_are_not_offered():
    form = form_of([Run(T, lotka(T) / 20)])
    extent = np.ptp(form.nodes, axis=0)
    for units in (1, 2, 3):
        fitted = fit(form, 0, units, [True, True], lifted=True)
        rates, turns = np.abs(fitted.rates * extent), np.abs(fitted.frequencies * extent)
        assert (rates[rates > 0] > 0.3).all()
        assert (turns[turns > 0] > 0.5).all()


def test_optima_differ_and_plain_ones_come_best_first():
    fitted = fit(form_of([Run(T, lotka(T) / 20)]), 0, 2, [True, True])
    assert (np.diff(fitted.cost) >= 0).all()
    assert (fitted.cost >= 0).all()
    for k in range(len(fitted.cost)):
        for other in range(k):
            assert np.abs(fitted.exponents[k] - fitted.exponents[other]).max() > 0.02


@pytest.mark.parametrize("lifted", [False, True])
def test_the_same_seed_finds_the_same_whatever_the_threads(lifted):
    form = form_of([Run(T, lotka(T) / 20)])
    results = [
        fit(form, 0, 2, [True, True], restarts=16, seed=seed, lifted=lifted, n_jobs=n_jobs)
        for seed, n_jobs in ((5, 1), (5, 3), (5, -1), (6, 1))
    ]
    for name in ("exponents", "rates", "frequencies", "phases", "cost"):
        one, three, every, other = (getattr(r, name) for r in results)
        assert np.array_equal(one, three)
        assert np.array_equal(one, every)
    assert not np.array_equal(one, other)  # the costs of another seed


def test_lifted_starts_have_a_factor_within_the_bounds_and_free_what_they_use():
    positive, extent = np.array([True, False, True]), np.array([2.0, 1e-3, 0.0])
    starts = draw_lifted(300, 3, positive, extent, np.random.default_rng(0))
    factors = np.concatenate([starts.real[..., 3:6], starts.imaginary[..., 3:6]], axis=2)
    assert (factors[:, 0] != 0).any(axis=1).all()
    assert not factors[..., [2, 5]].any()  # the third variable never moves
    assert (np.abs(factors[..., [0, 3]] * 2) <= 25.1).all()
    weights = np.stack([starts.real, starts.imaginary], axis=2)
    assert (weights[..., :3][~starts.free[..., :3]] == np.round(weights[..., :3][~starts.free[..., :3]])).all()
    assert starts.free[..., 3:6][weights[..., 3:6] != 0].all()
    assert not starts.free[:, :, 0, 1].any()


def test_a_restart_never_ends_worse_than_it_began():
    form = form_of([Run(T, lotka(T) / 20)], window=6)
    grid = make_grid(form, 0, np.array([True, True]))
    begun = draw_plain(50, 2, grid.positive, np.random.default_rng(0))
    copy = Starts(begun.real.copy(), begun.imaginary.copy(), begun.free)
    before, _ = climb_all(grid, copy, 0)
    after, spent = climb_all(grid, begun, 40)
    assert (after <= before).all()
    assert (after < 0.5 * before).mean() > 0.5
    assert (spent <= 41).all()


def test_a_variable_that_is_not_positive_is_refused():
    form = form_of([Run(T, np.sin(T)[:, None])])
    with pytest.raises(DataError, match="variable 0 is said to be positive, but a node has -1:"):
        fit(form, 0, 1, [True])


def test_a_target_that_never_moves_is_no_accident():
    x = np.column_stack([np.sin(3 * T) + 2, np.full(60, 2.0)])
    fitted = fit(form_of([Run(T, x)]), 1, 2, [True, True], restarts=8, lifted=True)
    assert np.isfinite(fitted.exponents).all()
