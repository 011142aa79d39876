"""The field: shapes, names, formulas, known physics."""

import copy

import pytest
import sympy as sp
import torch
from torch import nn

from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, EquationError, OptionError
from neural_arith.layers import NAU, NPU, RealNaiveNPU
from neural_arith.ode import ArithmeticField

S = sp.Symbol("S")


def infection(**kwargs):
    power = RealNaiveNPU.from_weights([[0.5, 0.5], [0.0, 1.0]])
    return ArithmeticField(power, NAU.from_weights([[-0.06, 0.0], [0.06, -0.05]]), states=("S", "I"), **kwargs)


def test_forward_is_the_formula():
    x = torch.tensor([[4.0, 9.0], [1.0, 16.0]], dtype=torch.float64)
    expected = torch.tensor([[-0.36, 0.36 - 0.45], [-0.24, 0.24 - 0.8]], dtype=torch.float64)
    torch.testing.assert_close(infection()(0.0, x), expected)
    assert infection()(0.0, x[0]).shape == (2,)
    assert infection()(0.0, x.expand(5, 2, 2)).shape == (5, 2, 2)


def test_to_equations_reads_the_weights():
    field = infection()
    field.positive.fill_(True)
    field_equations = field.to_equations()
    assert field_equations.same_as(EquationSystem({"S": "-0.06*S**0.5*I**0.5", "I": "0.06*S**0.5*I**0.5 - 0.05*I"}))


def test_signs_unknown_keep_the_real_part():
    x = torch.tensor([-4.0, 9.0], dtype=torch.float64)
    field = infection()
    rhs = field.to_equations().to_numpy()
    assert rhs(0.0, x.numpy()) == pytest.approx(field(0.0, x).detach().numpy())


def test_known_physics_is_added_and_not_trained():
    known = EquationSystem({"S": "0.01*(100 - S)", "I": "0"})
    field = infection(known=known)
    x = torch.tensor([[4.0, 9.0]], dtype=torch.float64)
    torch.testing.assert_close(field(0.0, x) - infection()(0.0, x), torch.tensor([[0.96, 0.0]], dtype=torch.float64))
    assert sum(p.requires_grad for p in field.parameters()) == 2
    assert field.to_equations().rhs["S"].coeff(S, 1) == pytest.approx(-0.01)
    copy.deepcopy(field)


def test_known_function_of_time_and_inputs():
    field = ArithmeticField(
        NPU(2, 2, dtype=torch.float64),
        NAU(2, 1, dtype=torch.float64),
        states=("x",),
        inputs=("u",),
        known=lambda t, x, u: x * 0 if u is None else t[..., None] * u,
    )
    x, u = torch.ones(3, 1, dtype=torch.float64), torch.full((3, 1), 2.0, dtype=torch.float64)
    late = torch.full((3,), 5.0, dtype=torch.float64)
    torch.testing.assert_close(field(late, x, u) - field(0 * late, x, u), torch.full_like(x, 10.0))
    with pytest.raises(EquationError, match="plain function"):
        field.to_equations()


def test_known_equations_with_inputs():
    known = EquationSystem({"x": "sin(u)*x"}, inputs=("u",))
    field = ArithmeticField(NAU.from_weights([[0.0, 0.0]]), states="x", inputs=("u",), known=known)
    x, u = torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)
    torch.testing.assert_close(field(0.0, x, u), torch.sin(u) * x)


def test_known_formula_with_inputs_keeps_its_values_and_slopes():
    """No sum of powers, so a compiled formula: at every call the same one, with inputs in another order than here."""
    known = EquationSystem({"x": "-9.81*asinh(u)*x/(1 + v**2)", "y": "tanh(x - y)*v"}, inputs=("v", "u"))
    layer = NAU.from_weights([[0.0] * 5] * 2)
    field = ArithmeticField(layer, states=("x", "y"), inputs=("u", "w", "v"), known=known)
    g = torch.Generator().manual_seed(0)
    x, u = (torch.rand(7, n, generator=g, dtype=torch.float64, requires_grad=True) for n in (2, 3))
    first, second, drive, other = *x.unbind(-1), u[..., 0], u[..., 2]
    # asinh by logarithms and tanh by exponentials
    root = torch.log(drive + torch.sqrt(drive**2 + 1))
    grown = torch.exp(2 * (first - second))
    expected = torch.stack([-9.81 * root * first / (1 + other**2), (grown - 1) / (grown + 1) * other], -1)
    for part in (field, copy.deepcopy(field)):
        torch.testing.assert_close(part(0.0, x, u), expected, rtol=1e-12, atol=1e-14)
        slopes = torch.autograd.grad(part(0.0, x, u).square().sum(), (x, u))
        wanted = torch.autograd.grad(expected.square().sum(), (x, u), retain_graph=True)
        torch.testing.assert_close(slopes, wanted, rtol=1e-11, atol=1e-12)
    assert layer.weight.requires_grad
    assert sum(p.requires_grad for p in field.parameters()) == 1


def test_ordinary_layers_have_no_formula():
    field = ArithmeticField(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2), states=("a", "b"))
    assert field(0.0, torch.ones(3, 2)).shape == (3, 2)
    with pytest.raises(EquationError, match=r"Tanh.*no to_sympy"):
        field.to_equations()


def test_wrong_sizes_and_names():
    with pytest.raises(OptionError, match="in_features=3"):
        ArithmeticField(NPU(3, 2), NAU(2, 2), states=("a", "b"))
    with pytest.raises(OptionError, match="out_features=1"):
        ArithmeticField(NPU(2, 2), NAU(2, 1), states=("a", "b"))
    with pytest.raises(OptionError, match="must differ"):
        ArithmeticField(NPU(2, 2), NAU(2, 2), states=("a", "a"))
    with pytest.raises(OptionError, match="at least one layer"):
        ArithmeticField(states=("a",))
    with pytest.raises(EquationError, match="same names"):
        ArithmeticField(NAU(1, 1), states=("a",), known=EquationSystem({"b": "b"}))
    with pytest.raises(DataError, match="inputs"):
        infection()(0.0, torch.ones(1, 2, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
