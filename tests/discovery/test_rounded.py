"""Constants of the choice: round where the likelihood agrees, nowhere else, and the others refitted."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import lotka, noisy, scipy_solution

from neural_arith.data import Trajectories
from neural_arith.discovery import Discovery, Options, discover
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError

T = np.linspace(0, 10, 100)
NAMES = ("x", "y")


def find(x: np.ndarray, t: np.ndarray = T, **options) -> Discovery:
    data = Trajectories.from_arrays(t, x, names=NAMES[: x.shape[1]])
    return discover(data, **{"restarts": 16, "max_units": 2, "n_jobs": 1, **options})


def pendulum(level: float, seed: int = 0) -> np.ndarray:
    clean = scipy_solution(lambda _, x: [x[1], -0.3 * x[1] - 4 * np.sin(x[0])], (2.5, 0.0), T)
    return clean + level * np.random.default_rng(seed).standard_normal(clean.shape)


def test_ones_disappear_and_the_rest_becomes_more_precise():
    x = pendulum(0.02)
    fitted, rounded = find(x, round_constants=False), find(x)
    true = EquationSystem({"x": "y", "y": "-0.3*y - 4*sin(x)"})
    assert rounded.equations.same_as(true, rtol=0.005)
    assert fitted.equations.same_as(true, rtol=0.05)
    assert str(rounded.equations).splitlines()[0] == "d x/dt = y"
    assert rounded.equations.constants == pytest.approx([-0.3], rel=0.005)  # the four has become exact
    assert len(fitted.equations.constants) == 3


def test_the_solution_belongs_to_the_rounded_equations():
    found = find(pendulum(0.02))
    ((t, x),) = found.fitted
    again = found.equations.simulate(found.initial_states[0], t)
    np.testing.assert_allclose(x, again, atol=1e-5)
    np.testing.assert_allclose(found.residuals[0], found.data.runs[0].x - x[np.searchsorted(t, T)], atol=1e-4)


def test_candidates_stay_as_fitted():
    found = find(pendulum(0.02))
    (chosen,) = [c for c in found.candidates if c.selected]
    assert chosen.equations.same_as(found.equations, rtol=0.05)
    assert chosen.constants != tuple(found.equations.constants)
    assert chosen.equations == find(pendulum(0.02), round_constants=False).equations


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_constants_that_are_not_round_keep_the_figures_that_the_data_tell(level):
    rate, capacity = 0.8371946, 4.961738
    x = (capacity / (1 + 8 * np.exp(-rate * T)))[:, None]
    found = find(noisy(x, level, 1) if level else x)
    true = EquationSystem({"x": f"{rate}*x - {rate / capacity}*x**2"})
    (chosen,) = [c for c in found.candidates if c.selected]
    assert found.equations.same_as(true, rtol=0.03 if level else 1e-5)
    for value, fitted, error in zip(found.equations.constants, chosen.constants, chosen.standard_errors, strict=True):
        assert abs(value - fitted) <= max(3.5 * error, 1e-5 * abs(fitted))


def test_what_leaves_one_state_arrives_in_another():
    t = np.linspace(0, 15, 80)
    clean = scipy_solution(lambda _, x: [-0.61803 * x[0] * x[1], 0.61803 * x[0] * x[1] - 0.27183 * x[1]], (2.0, 0.1), t)
    x = clean + 0.02 * np.random.default_rng(1).standard_normal(clean.shape)
    fitted, found = find(x, t, round_constants=False), find(x, t)
    rates = {c for c in np.abs(found.equations.constants) if c > 0.4}
    assert len(rates) == 1
    assert rates.pop() == pytest.approx(0.61803, rel=0.02)
    assert len({c for c in np.abs(fitted.equations.constants) if c > 0.4}) == 2


def test_coefficients_that_the_data_tell_apart_are_not_tied():
    t = np.linspace(0, 15, 80)
    clean = scipy_solution(lambda _, x: [-0.61803 * x[0] * x[1], 0.5366 * x[0] * x[1] - 0.27183 * x[1]], (2.0, 0.1), t)
    found = find(clean + 0.02 * np.random.default_rng(1).standard_normal(clean.shape), t)
    rates = sorted(c for c in np.abs(found.equations.constants) if c > 0.4)
    assert rates == pytest.approx([0.5366, 0.61803], rel=0.03)


def test_rounding_costs_little_likelihood():
    t = np.linspace(0, 20, 80)
    x = noisy(lotka(t), 0.05, 3)
    fitted, rounded = find(x, t, round_constants=False), find(x, t)
    squares = [
        sum((np.log(r.data.runs[0].x / (r.data.runs[0].x - r.residuals[0])) ** 2).sum(0)) for r in (fitted, rounded)
    ]
    assert squares[1] < 1.3 * squares[0]


def test_an_option_that_is_no_truth_value_is_refused():
    with pytest.raises(OptionError, match="round_constants must be True or False, got 2"):
        Options(round_constants=2)  # pyright: ignore[reportArgumentType]
