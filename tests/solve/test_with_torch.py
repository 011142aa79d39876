"""The torchdiffeq front: exact solutions, orders, gradients, and typed failures, also under -O."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from neural_arith.errors import DataError, IntegrationError, OptionError
from neural_arith.solve import solve_torch

ADAPTIVE = ["dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun"]
FIXED = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def turn(t, x):
    return torch.stack([x[..., 1], -x[..., 0]], -1)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_exact_solution_and_shape(method):
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    x0 = tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]] * 2)
    tol = 1e-9 if method.startswith("dopri") else 1e-6
    out = solve_torch(turn, x0, t, method=method, rtol=tol, atol=tol)
    assert out.shape == (2, 3, 5, 2)
    torch.testing.assert_close(out[0, 0], torch.stack([t.sin(), t.cos()], -1), rtol=0, atol=500 * tol)
    torch.testing.assert_close(out[1, 2], 2 * torch.stack([t.cos(), -t.sin()], -1), rtol=0, atol=800 * tol)
    assert solve_torch(turn, x0[0, 0], t, method=method, rtol=tol, atol=tol).shape == (5, 2)


@pytest.mark.parametrize(("method", "order"), FIXED.items())
def test_order_of_fixed_steps(method, order):
    t = tensor([0.0, 0.3, 1.0])
    errors = []
    for step in (0.1, 0.05, 0.025):
        out = solve_torch(turn, tensor([0.0, 1.0]), t, method=method, options={"step_size": step})
        errors.append(float((out[:, 0] - t.sin()).abs().max()))
    slopes = np.diff(np.log(errors)) / np.log(0.5)
    np.testing.assert_allclose(slopes, order, atol=0.35)


def test_without_a_step_size_steps_go_from_time_to_time():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    out = solve_torch(turn, tensor([0.0, 1.0]), t, method="rk4")
    torch.testing.assert_close(out[:, 0], t.sin(), rtol=0, atol=1e-9)


def test_backward_in_time_and_its_own_time():
    t = torch.linspace(2, 0, 5, dtype=torch.float64)
    for method, options in (("dopri5", None), ("rk4", {"step_size": 0.01})):
        out = solve_torch(lambda t, x: 3 * t**2 + 0 * x, tensor([8.0]), t, method=method, options=options)
        torch.testing.assert_close(out[:, 0], t**3, rtol=0, atol=1e-6)


def test_single_time_and_integer_times():
    assert solve_torch(turn, tensor([[0.0, 1.0]]), tensor([3.0])).tolist() == [[[0.0, 1.0]]]
    out = solve_torch(turn, tensor([0.0, 1.0]), torch.arange(3))
    torch.testing.assert_close(out[:, 0], torch.arange(3.0).double().sin(), rtol=0, atol=1e-6)


def test_gradients():
    x0 = tensor([0.3, 0.8]).requires_grad_()
    t = torch.linspace(0, 1, 4, dtype=torch.float64)

    def end(x):
        return solve_torch(lambda t, x: -(x**2), x, t, rtol=1e-10, atol=1e-12)

    assert torch.autograd.gradcheck(end, (x0,))
    torch.testing.assert_close(end(x0)[-1], x0 / (1 + x0), rtol=1e-8, atol=0)


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(tensor(0.7))

    def forward(self, t, x):
        return -self.rate * x


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
@pytest.mark.parametrize("adjoint", [False, True])
def test_parameter_gradient_with_and_without_adjoint(method, adjoint):
    model, t = Decay(), tensor([0.0, 0.4, 1.5])
    options = {"step_size": 0.01} if method == "rk4" else None
    x0 = tensor([2.0]).requires_grad_()
    out = solve_torch(model, x0, t, method=method, adjoint=adjoint, options=options)
    out[-1].sum().backward()
    assert model.rate.grad is not None
    assert x0.grad is not None
    assert model.rate.grad.item() == pytest.approx(-1.5 * 2 * np.exp(-0.7 * 1.5), rel=1e-6)
    assert x0.grad.item() == pytest.approx(np.exp(-0.7 * 1.5), rel=1e-6)


@pytest.mark.parametrize("method", [*ADAPTIVE, "rk4"])
def test_blow_up(method):
    options = {"step_size": 0.01} if method == "rk4" else None
    with pytest.raises(IntegrationError) as caught:
        solve_torch(
            lambda t, x: x**2,
            tensor([1.0]),
            tensor([0.0, 2.0]),
            method=method,
            options=options,
            rtol=1e-5,
            atol=1e-5,
            max_steps=2000,
        )
    assert 0.9 < caught.value.time < 1.3
    assert caught.value.state is not None
    assert caught.value.state[0] > 10
    assert any(word in caught.value.reason for word in ("finite", "shrank", "steps were not enough"))


def test_not_finite_and_too_many_steps():
    with pytest.raises(IntegrationError, match="right-hand side is not finite"):
        solve_torch(lambda t, x: x / 0, tensor([1.0]), tensor([0.0, 1.0]))
    with pytest.raises(IntegrationError, match="right-hand side is not finite") as caught:
        solve_torch(lambda t, x: -1 - x.sqrt(), tensor([1.0]), tensor([0.0, 5.0]))
    assert 0.3 < caught.value.time < 0.7
    with pytest.raises(IntegrationError, match="30 steps were not enough"):
        solve_torch(lambda t, x: -1e5 * x, tensor([1.0]), tensor([0.0, 10.0]), max_steps=30)
    with pytest.raises(IntegrationError, match="30 steps were not enough"):
        solve_torch(
            turn,
            tensor([0.0, 1.0]),
            tensor([0.0, 1.0]),
            method="rk4",
            options={"step_size": 0.01},
            max_steps=30,
        )


def test_last_step_of_a_fixed_method_that_overflows():
    with pytest.raises(IntegrationError, match="state is not finite"):
        solve_torch(lambda t, x: 0 * x + 1e308, tensor([1.7e308]), tensor([0.0, 1.0]), method="euler")


class Explosive(nn.Module):
    """Harmless forward; backward, the gradient grows beyond all bounds."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(tensor(1.0))

    def forward(self, t, x):
        return -1000.0 * self.rate * (x - 1)


def test_adjoint_failure_comes_from_backward():
    out = solve_torch(
        Explosive(),
        tensor([1.0 + 1e-6]),
        tensor([0.0, 5.0]),
        adjoint=True,
        max_steps=6000,
        rtol=1e-4,
        atol=1e-6,
    )
    with pytest.raises(IntegrationError):
        out.sum().backward()


def test_large_finite_values_are_no_failure():
    x0 = tensor([1.7e308, 1.7e308])
    out = solve_torch(lambda t, x: torch.zeros_like(x), x0, tensor([0.0, 1.0]), method="euler")
    assert torch.isfinite(out).all()


SCRIPT = """
import torch
from neural_arith.errors import IntegrationError
from neural_arith.solve import solve_torch
print(__debug__)
for f in (lambda t, x: x**2, lambda t, x: x / 0, lambda t, x: -1 - x.sqrt(), lambda t, x: -1e7 * x):
    for method in ("dopri5", "rk4"):
        try:
            solve_torch(f, torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 2.0]), method=method,
                        rtol=1e-5, atol=1e-5, max_steps=500, options={"step_size": 0.01} if method == "rk4" else None)
            print("reached")
        except IntegrationError as error:
            print("typed", error.time, error.reason)
"""


@pytest.mark.parametrize("flag", [[], ["-O"]])
def test_failures_are_typed_under_optimised_python_too(flag):
    out = subprocess.run(
        [sys.executable, *flag, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True
    ).stdout.splitlines()
    assert out[0] == ("False" if flag else "True")
    assert len(out) == 9
    assert all(line.startswith("typed") for line in out[1:]), out


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x0": torch.tensor([1, 2])}, DataError, "floating point"),
        ({"x0": tensor(1.0)}, DataError, "floating point"),
        ({"x0": tensor([float("nan")])}, DataError, "finite"),
        ({"t": tensor([])}, DataError, "at least one"),
        ({"t": tensor([0.0, 1.0, 1.0])}, DataError, "strictly"),
        ({"f": lambda t, x: x[:0]}, DataError, "shape of the state"),
        ({"method": "lsoda"}, OptionError, "dopri5, dopri8"),
        ({"rtol": 0.0}, OptionError, "rtol"),
        ({"max_steps": 0}, OptionError, "max_steps"),
        ({"adjoint": True}, OptionError, "nn.Module"),
        ({"options": {"step_size": 0.1}}, OptionError, "first_step"),
        ({"method": "rk4", "options": {"step_size": 0.0}}, OptionError, "step_size"),
        ({"method": "rk4", "options": {"step": 0.0}}, OptionError, "step_size"),
    ],
)
def test_wrong_input(change, error, match):
    call = {"f": lambda t, x: -x, "x0": tensor([1.0]), "t": tensor([0.0, 1.0])} | change
    with pytest.raises(error, match=match):
        solve_torch(call.pop("f"), call.pop("x0"), call.pop("t"), **call)
