"""The field in a solver against exact solutions."""

import math

import pytest
import torch

from neural_arith.errors import DataError, IntegrationError
from neural_arith.layers import NAU, RealNaiveNPU
from neural_arith.ode import ArithmeticField, NeuralODE

T = torch.linspace(0, 2, 9, dtype=torch.float64)


def decay(rate=-0.7):
    return ArithmeticField(NAU.from_weights([[rate]]), states=("x",))


@pytest.mark.parametrize(
    ("method", "options", "close"), [("dopri5", None, 1e-6), ("dopri8", None, 1e-6), ("rk4", {"step_size": 0.05}, 1e-6)]
)
def test_exponential(method, options, close):
    x0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    x = NeuralODE(decay(), method=method, options=options)(x0, T)
    assert x.shape == (2, 9, 1)
    torch.testing.assert_close(x, x0[:, None] * torch.exp(-0.7 * T)[None, :, None], rtol=close, atol=0)


@pytest.mark.parametrize("adjoint", [False, True])
def test_gradient(adjoint):
    field = decay()
    end = NeuralODE(field, adjoint=adjoint)(torch.ones(1, dtype=torch.float64), T)[-1, 0]
    end.backward()
    weight = field.get_parameter("layers.0.weight")
    assert weight.grad is not None
    assert float(weight.grad) == pytest.approx(2 * math.exp(-1.4), rel=1e-5)


def test_inputs_as_samples_and_as_function():
    field = ArithmeticField(NAU.from_weights([[0.0, 1.0]]), states=("x",), inputs=("u",))
    node, x0 = NeuralODE(field), torch.zeros(1, dtype=torch.float64)
    exact = (T**2 / 2)[:, None]
    torch.testing.assert_close(node(x0, T, T[:, None]), exact, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(node(x0, T, lambda t: t.reshape(1)), exact, rtol=1e-6, atol=1e-9)
    with pytest.raises(DataError, match="one row per time"):
        node(x0, T, torch.zeros(3, 1, dtype=torch.float64))


def test_blow_up_is_a_typed_error():
    field = ArithmeticField(RealNaiveNPU.from_weights([[2.0]]), NAU.from_weights([[1.0]]), states=("x",))
    with pytest.raises(IntegrationError):
        NeuralODE(field)(torch.ones(1, dtype=torch.float64), T)
