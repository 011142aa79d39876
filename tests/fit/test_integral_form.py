"""The integral form is exact where the curve is, and sees neither missing values nor starting states."""

from __future__ import annotations

import numpy as np
import pytest

from neural_arith.data import Run
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.integral_form import IntegralForm, integral_form
from neural_arith.fit.noise import Noise

CLEAN = Noise("additive", np.zeros(2))
# x = 1 + t and y = x^3 + 2 obey dx/dt = 1 and dy/dt = 3 x^2.
TIMES = {
    "even": np.linspace(0, 2, 24),
    "irregular": np.sort(np.random.default_rng(0).uniform(0, 2, 31)),
}


def cubic(t: np.ndarray) -> np.ndarray:
    return np.column_stack([1 + t, (1 + t) ** 3 + 2])


def form_of(runs: list[Run], noise: Noise = CLEAN, window: int | None = None) -> IntegralForm:
    return integral_form(smooth(runs, noise), noise, window)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("window", [None, 6, 4, 1000])
@pytest.mark.parametrize("kind", ["additive", "proportional"])
def test_polynomial_trajectories_are_met_exactly(times, window, kind):
    t = TIMES[times]
    form = form_of([Run(t, cubic(t))], Noise(kind, np.zeros(2)), window)
    np.testing.assert_allclose(form.target[0], form.columns(np.ones(len(form.nodes)), 0), atol=1e-10)
    np.testing.assert_allclose(form.target[1], form.columns(3 * form.nodes[:, 0] ** 2, 1), atol=1e-9)


def test_many_columns_at_once_are_the_same_columns():
    t = TIMES["even"]
    form = form_of([Run(t, cubic(t))], window=6)
    values = np.random.default_rng(0).normal(size=(3, 2, len(form.nodes)))
    together = form.columns(values, 1)
    assert together.shape == (3, 2, len(t))
    np.testing.assert_allclose(together[2, 1], form.columns(values[2, 1], 1))


@pytest.mark.parametrize("window", [None, 6])
def test_runs_start_anew(window):
    t = TIMES["irregular"]
    runs = [
        Run(t, cubic(t)),
        Run(t[:9], cubic(t[:9]) + np.array([0.0, 50.0])),
        Run(t[5:25] - 1, cubic(t[5:25] - 1) - [0.0, 9.0]),
    ]
    form = form_of(runs, window=window)
    assert form.target.shape == (2, 31 + 9 + 20)
    np.testing.assert_allclose(form.target[1], form.columns(3 * form.nodes[:, 0] ** 2, 1), atol=1e-9)


def test_missing_values_have_weight_zero():
    t = TIMES["even"]
    x = cubic(t)
    x[[3, 4, 11], 1] = np.nan
    form = form_of([Run(t, x)], window=6)
    assert (form.target[1, [3, 4, 11]] == 0).all()
    assert (form.columns(np.ones(len(form.nodes)), 1)[[3, 4, 11]] == 0).all()
    np.testing.assert_allclose(form.target[1], form.columns(3 * form.nodes[:, 0] ** 2, 1), atol=1e-9)


def test_windows_have_about_the_length_asked_for():
    t = np.linspace(0, 1, 47)
    form = form_of([Run(t, cubic(t))], window=6)
    counts = np.bincount(form.window)
    assert counts.sum() == 47
    assert counts.min() >= 6
    assert counts.max() <= 8
    assert form.first.sum() == len(counts)
    assert len(form.nodes) == len(form.step) == 4 * (47 - len(counts))


def test_windows_and_runs_are_free_of_their_starting_states():
    t = TIMES["even"]
    form = form_of([Run(t, cubic(t))], window=6)
    for w in np.unique(form.window):
        here = form.window == w
        assert form.target[1, here].sum() == pytest.approx(0, abs=1e-9)
