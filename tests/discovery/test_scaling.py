"""Scaling: sizes, times, and coefficients that go back exactly."""

from __future__ import annotations

import numpy as np
import pytest

from neural_arith.data import Trajectories
from neural_arith.discovery.scaling import fit_scaling
from neural_arith.errors import DataError
from neural_arith.integrate.structure import Structure


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


def test_factors_take_a_scaled_right_hand_side_back():
    data = made((3.0, 700.0, 0.02))
    scaling = fit_scaling(data)
    s = Structure((((1.0, 0.0, 0.0), (0.5, -1.0, 2.0)), ((0.38, 1.0, 0.0), (0.0, 0.0, 0.0))))
    scaled = np.array([0.3, -1.2, 2.0, 0.7])
    real = scaled * scaling.factors(s)
    x = np.concatenate([data.runs[0].x, data.runs[0].u], axis=1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    z = x / scaling.variable
    for i in range(2):
        mine = [(c, r, np.array(u)) for c, r, (j, u) in zip(scaled, real, s.terms, strict=True) if j == i]
        slope = sum(r * np.prod(x**u, axis=1) for _, r, u in mine)
        slope_scaled = sum(c * np.prod(z**u, axis=1) for c, _, u in mine)
        np.testing.assert_allclose(slope, slope_scaled * scaling.state[i] / scaling.time, rtol=1e-12)


def test_sizes_whose_powers_overflow_are_refused():
    with pytest.raises(DataError, match="other units"):
        fit_scaling(Trajectories.from_arrays(np.arange(9.0), 1e160 * np.cos(np.arange(9.0))))


def test_a_variable_that_is_always_zero_has_size_one():
    x = np.column_stack([np.cos(np.arange(9.0)), np.zeros(9)])
    assert fit_scaling(Trajectories.from_arrays(np.arange(9.0), x)).variable[1] == 1.0
