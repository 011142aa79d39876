"""The batched adaptive integrator and its sensitivities against exact solutions and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.data import Trajectories
from neural_arith.layers import NAU, RealNaiveNPU
from neural_arith.ode import ArithmeticField
from neural_arith.ode.descent import rollout
from neural_arith.ode.flat import FlatField
from neural_arith.ode.shooting import PenalisedResidual, ShootingResidual, cut, fly, sensitivities


def two_runs(u=False):
    t1, t2 = np.linspace(0, 3, 7), np.array([0.0, 0.5, 0.7, 2.0])
    x = [np.stack([np.exp(-t), 2 * np.exp(-0.5 * t)], 1) for t in (t1, t2)]
    return Trajectories.from_arrays([t1, t2], x, u=[t1, t2] if u else None)


def lotka():
    power = RealNaiveNPU.from_weights([[1.0, 0.0], [1.1, 0.9], [0.0, 1.0]])
    return ArithmeticField(power, NAU.from_weights([[0.8, -0.5, 0.0], [0.0, 0.4, -0.6]]), states=("x0", "x1"))


@settings(deadline=None, max_examples=20)
@given(a=st.floats(-3, 1), b=st.floats(-3, 1))
def test_exponentials_of_two_runs(a, b):
    segments = cut(two_runs())
    rates = torch.tensor([a, b], dtype=torch.float64)
    flight = fly(lambda t, x, u: x * rates, segments, rtol=1e-9)
    exact = segments.start[:, None] * torch.exp(rates * segments.t[:, :, None])
    assert bool(flight.reached.all())
    torch.testing.assert_close(flight.x, exact, rtol=1e-6, atol=1e-9)


def test_inputs_are_interpolated():
    segments = cut(two_runs(u=True), 1)
    flight = fly(lambda t, x, u: u.expand(-1, 2), segments, rtol=1e-9)
    rise = (segments.t[:, 1] ** 2 - segments.t[:, 0] ** 2) / 2
    torch.testing.assert_close(flight.x[:, 1] - segments.start, rise[:, None].expand(-1, 2))


def test_blow_up_is_marked():
    segments = cut(two_runs())
    flight = fly(lambda t, x, u: 10 * x**2, segments, rtol=1e-6)
    assert not bool(flight.reached.any())
    assert bool(torch.isnan(flight.x[:, -1]).all())


def test_sensitivities_agree_with_finite_differences():
    field, segments = lotka(), cut(two_runs())
    flat = FlatField(field)
    p = flat.read()
    flight = fly(flat.at(p), segments, rtol=1e-11, record=True)
    columns = sensitivities(lambda t, x, u: flat.jacobians(p, t, x, u), flight, flat.n_params, start=True)[..., 2:]
    for i in range(flat.n_params):
        e = torch.zeros_like(p)
        e[i] = 1e-5
        up, down = (fly(flat.at(p + s * e), segments, rtol=1e-12).x for s in (1, -1))
        torch.testing.assert_close(columns[..., i], (up - down) / 2e-5, rtol=1e-4, atol=1e-6)


def test_residual_rows_are_the_measured_values():
    t = np.linspace(0, 3, 7)
    x = np.stack([np.exp(-t), 2 * np.exp(-0.5 * t)], 1)
    x[3, 0] = x[0, 1] = np.nan
    segments = cut(Trajectories.from_arrays(t, x), 2)
    # The first complete sample is the second; a segment never starts at the fourth, which lacks a value.
    assert segments.t[:, 0].tolist() == [0.5, 2.0]
    assert segments.n_residuals == 9
    torch.testing.assert_close(segments.start, torch.as_tensor(x[[1, 4]]))
    linear = ShootingResidual(FlatField(lotka()), segments).linearise(FlatField(lotka()).read())
    assert linear is not None
    assert linear[0].shape == (9,)
    assert linear[1].shape == (9, FlatField(lotka()).n_params)


def test_penalty_rows_add_the_absolute_values():
    flat = FlatField(lotka())
    residual = ShootingResidual(flat, cut(two_runs()))
    p = flat.read()
    plain, more = residual.value(p), PenalisedResidual(residual, 0.1).linearise(p)
    assert plain is not None
    assert more is not None
    torch.testing.assert_close(more[0].square().mean(), plain.square().mean() + 0.1 * p.abs().sum(), rtol=1e-5, atol=0)


def test_rollout_agrees_with_the_adaptive_flight():
    field, segments = lotka(), cut(two_runs())
    with torch.no_grad():
        fixed = rollout(field, segments, substeps=40)
    torch.testing.assert_close(fixed, fly(FlatField(field).at(FlatField(field).read()), segments, rtol=1e-10).x)


@pytest.mark.parametrize("width", [2, 30])  # few numbers go by forward mode, many by reverse mode
def test_jacobians_are_those_of_autograd(width):
    field = ArithmeticField(
        torch.nn.Linear(2, width, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(width, 2, dtype=torch.float64),
        states=("x0", "x1"),
    )
    flat = FlatField(field)
    p, x = flat.read(), torch.rand(5, 2, dtype=torch.float64)
    t, u = torch.zeros(5, dtype=torch.float64), torch.zeros(5, 0, dtype=torch.float64)
    in_state, in_numbers = flat.jacobians(p, t, x, u)
    by_p, by_x = torch.autograd.functional.jacobian(lambda q, y: flat(q, t, y, u), (p, x))
    torch.testing.assert_close(in_numbers, by_p)
    torch.testing.assert_close(in_state, torch.stack([by_x[k, :, k] for k in range(5)]))
