"""The population finds the exponents that made the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from simulated import lotka, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.integral_form import IntegralForm, integral_form
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.population import fit_population
from neural_arith.discovery.smoothing import smooth


def form_of(runs: list[Run]) -> IntegralForm:
    noise = Noise("additive", np.zeros(runs[0].x.shape[1]))
    return integral_form(smooth(runs, noise), noise)


def fit(form: IntegralForm, state: int, units: int, positive: list[bool], **options):
    generator = torch.Generator().manual_seed(options.pop("seed", 0))
    return fit_population(form, state, units, np.array(positive), generator=generator, **options)


T = np.linspace(0, 5, 60)


@pytest.mark.parametrize("a", [0.38, -0.43, 1.62, 2.3])
def test_one_unusual_exponent(a):
    start = 0.3 if a > 1 else 1.0
    x = ((start ** (1 - a) + 0.4 * (1 - a) * T) ** (1 / (1 - a)))[:, None]
    fitted = fit(form_of([Run(T, x)]), 0, 1, [True], restarts=16)
    assert fitted.exponents[0, 0, 0] == pytest.approx(a, abs=1e-3)
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


def test_lotka_volterra_units():
    fitted = fit(form_of([Run(T, lotka(T) / 20)]), 1, 2, [True, True])
    np.testing.assert_allclose(sorted(map(tuple, fitted.exponents[0])), [(0.0, 1.0), (1.0, 1.0)], atol=0.05)


def test_states_that_change_sign_keep_whole_exponents():
    x = np.column_stack([np.sin(3 * T), np.cos(3 * T) + 1.5])
    fitted = fit(form_of([Run(T, x)]), 1, 3, [False, True], restarts=24)
    assert (fitted.exponents[:, :, 0] == np.round(fitted.exponents[:, :, 0])).all()
    assert np.isfinite(fitted.cost).all()


def test_optima_differ_and_come_best_first():
    fitted = fit(form_of([Run(T, lotka(T) / 20)]), 0, 2, [True, True])
    assert (np.diff(fitted.cost) >= 0).all()
    assert (fitted.cost >= 0).all()
    for k in range(len(fitted.cost)):
        for other in range(k):
            assert np.abs(fitted.exponents[k] - fitted.exponents[other]).max() > 0.02


def test_the_same_seed_finds_the_same_and_threads_are_given_back():
    form = form_of([Run(T, lotka(T) / 20)])
    before = torch.get_num_threads()
    one, two = (fit(form, 0, 2, [True, True], restarts=16, seed=5) for _ in range(2))
    assert np.array_equal(one.exponents, two.exponents)
    assert np.array_equal(one.cost, two.cost)
    assert torch.get_num_threads() == before


def test_a_target_that_never_moves_is_no_accident():
    x = np.column_stack([np.sin(3 * T) + 2, np.full(60, 2.0)])
    assert np.isfinite(fit(form_of([Run(T, x)]), 1, 2, [True, True], restarts=8).exponents).all()
