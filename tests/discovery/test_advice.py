"""What measurements tell by themselves: random steps, wrong readings, rates that would do, inputs that tell little."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import logistic, scipy_solution

from neural_arith.data import Trajectories
from neural_arith.discovery.measurements.advice import (
    constant_inputs,
    jumps,
    random_steps,
    rate_would_do,
    spikes,
    switches,
)
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.noise import Noise

T = np.linspace(0, 12, 200)


def series(*columns: np.ndarray, t: np.ndarray = T) -> Trajectories:
    return Trajectories.from_arrays(t, np.column_stack(columns))


def test_random_walks_are_told_from_curves_and_from_white_noise():
    walks = curves = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((200, 3))
        walk, white = np.cumsum(noise[:, 0]), noise[:, 1]
        curve = np.sin(T) + 0.1 * noise[:, 2]
        found = random_steps(series(walk, white, curve, logistic(T)[:, 0]))
        walks += "x0" in found
        curves += len(set(found) - {"x0"})
    assert walks >= 17
    assert curves == 0


def test_few_steps_are_not_called_random():
    assert random_steps(series(np.cumsum(np.random.default_rng(0).standard_normal(20)), t=T[:20])) == {}


@pytest.mark.parametrize("relative", [False, True])
def test_wrong_readings_are_found_and_nothing_else(relative):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = logistic(T)
        left = 0.02 * rng.standard_normal((200, 1)) * (x if relative else 1.0)
        assert spikes(series(x + left), [left], relative) == []
        left[[70, 140]] *= 0
        left[[70, 140]] += [[0.6], [-1.5]] * (x[[70, 140]] if relative else np.ones(1))
        found = spikes(series(x + left), [left], relative)
        assert {s.t for s in found} == {T[70], T[140]}
        assert all(s.name == "x0" and s.times > 8 for s in found)


def test_what_wrong_equations_leave_is_no_wrong_reading():
    for seed in range(10):
        noise = 0.01 * np.random.default_rng(seed).standard_normal((200, 1))
        for left in (np.sin(5 * T), np.exp(-3 * T), np.cos(T) ** 9, np.zeros(200)):
            assert spikes(series(left + T), [left[:, None] + noise]) == []


def test_a_rate_is_advised_where_it_would_do():
    level = Noise("additive", np.array([0.01]))

    def asked(x: np.ndarray) -> bool:
        noise = 0.01 * np.random.default_rng(1).standard_normal((200, 1))
        (curve,) = smooth(list(series(x + noise).runs), level)
        return rate_would_do(curve)

    pendulum = scipy_solution(lambda _, x: [x[1], -4 * np.sin(x[0]) - 0.1 * x[1]], (1.5, 0.0), T)
    assert asked(pendulum[:, :1])
    assert asked((np.exp(-0.1 * T) * np.cos(3 * T))[:, None])
    assert not asked(np.exp(-((T - 6) ** 2))[:, None])  # a hump: something hidden drives it
    assert not asked((np.cos(2 * T) + np.cos(3.3 * T) + np.cos(5.9 * T))[:, None])


def test_inputs_are_sorted_by_what_they_tell():
    t = np.linspace(0, 10, 50)
    dose = np.where((t > 3) & (t < 4), 2.0, 0.0)
    u = np.column_stack([np.full(50, 1.5), dose, np.sin(t), np.round(2 * t) / 2])
    data = Trajectories.from_arrays(t, logistic(t), u=u, input_names=["still", "dose", "wave", "steps"])
    assert constant_inputs(data) == ["still"]
    assert switches(data) == ["dose"]
    assert jumps(data) == ["dose"]


def test_a_jump_between_rows_close_together_is_no_ramp():
    t = np.sort(np.append(np.linspace(0, 10, 50), [3 - 1e-6, 3.0, 4 - 1e-6, 4.0]))
    dose = np.where((t >= 3) & (t < 4), 2.0, 0.0)
    assert jumps(Trajectories.from_arrays(t, logistic(t), u=dose)) == []
