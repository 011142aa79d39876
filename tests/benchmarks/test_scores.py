"""Scores by numbers against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from neural_arith_bench.suites import scores
from sklearn.metrics import r2_score

from neural_arith.equations import EquationSystem

T = np.linspace(0.0, 2.0, 41)


def test_r2_is_the_variance_weighted_one():
    rng = np.random.default_rng(0)
    true, found = rng.normal(size=(30, 3)) * [1, 5, 0.1], rng.normal(size=(30, 3))
    assert scores.r2(true, found) == pytest.approx(r2_score(true, found, multioutput="variance_weighted"))


def test_r2_of_a_truth_that_never_changes():
    still = np.ones((5, 2))
    assert scores.r2(still, still) == 1
    assert scores.r2(still, still + 1e-9) == -np.inf


def test_simulation_agrees_with_the_exact_solution():
    f = EquationSystem({"x": "v", "v": "-4.0*x"}).to_numpy()
    states = scores.simulated(f, np.array([1.0, 0.0]), T)
    assert states is not None
    np.testing.assert_allclose(states, np.stack([np.cos(2 * T), -2 * np.sin(2 * T)], axis=1), atol=1e-6)


@pytest.mark.parametrize(
    "formula",
    [
        "x**2",  # 1/(1 - t) has a pole at 1
        "20.0*x",  # stays finite, but beyond 2e6
        "-1.0/sqrt(x)",  # reaches zero at 2/3
    ],
)
def test_what_does_not_reach_the_end_fails(formula):
    assert scores.simulated(EquationSystem({"x": formula}).to_numpy(), np.array([1.0]), T) is None


def test_r2_of_a_rate_that_is_a_tenth_too_small():
    # x = exp(-t) against exp(-0.9 t) on a fine grid; both integrals are elementary
    t = np.linspace(0.0, 2.0, 20_001)
    found = scores.simulated(EquationSystem({"x": "-0.9*x"}).to_numpy(), np.array([1.0]), t)
    assert found is not None

    def integral(rate: float) -> float:
        return (1 - np.exp(-2 * rate)) / rate

    missed = integral(1.8) - 2 * integral(1.9) + integral(2.0)
    spread = integral(2.0) - integral(1.0) ** 2 / 2
    assert scores.r2(np.exp(-t)[:, None], found) == pytest.approx(1 - missed / spread, abs=1e-4)


def test_error_of_a_right_hand_side():
    points = scores.box(np.array([[1.0, -1.0], [2.0, 3.0]]), 7)
    true = EquationSystem({"x": "3.0", "y": "4.0"}).to_numpy()
    assert scores.rhs_error(true, true, points) == 0
    found = EquationSystem({"x": "3.0", "y": "4.5"}).to_numpy()
    assert scores.rhs_error(found, true, points) == pytest.approx(0.1)
    undefined = EquationSystem({"x": "3.0", "y": "log(y)"}).to_numpy()
    assert scores.rhs_error(undefined, true, points) == np.inf
    assert scores.rhs_error(true, undefined, points) < np.inf  # where the truth has no value, nothing is asked


def test_the_box_is_a_tenth_wider_but_stays_on_the_side_of_zero():
    points = scores.box(np.array([[0.1, -1.0, 5.0], [2.1, 1.0, 6.0]]), 3)
    assert points.shape == (400, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_array_less([0.1, -1.2, 4.9], low)
    np.testing.assert_array_less(high, [2.3, 1.2, 6.1])
    np.testing.assert_allclose(low, [0.1, -1.2, 4.9], atol=0.03)
    np.testing.assert_allclose(high, [2.3, 1.2, 6.1], atol=0.03)
