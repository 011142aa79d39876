"""Equations as modules agree with their NumPy function, and layers read back as the equations."""

import copy
import pickle

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn

from neural_arith.equations import EquationSystem
from neural_arith.equations.export import FormulaModule
from neural_arith.errors import DataError
from neural_arith.layers import NAU, NPU, LiftedNPU
from neural_arith.layers.power import PowerLayer

POWERS = EquationSystem(
    {
        "S": "-0.04*S**0.5*I**0.5 + 0.01*R",
        "I": "0.04*sqrt(S)*sqrt(I) - 0.05*I",
        "R": "0.05*I - 2*R*(1 - S/3)/I + 4",
    }
)
LIFTED = EquationSystem(
    {
        "x": "0.93*cos(-x - 0.5) + 0.5*x**2*exp(-0.3*x + 0.2*y)*sin(2*x - y)",
        "y": "(cos(x) - 0.93)*sin(x) - 0.0007*y*Abs(-1)",
    }
)
OTHER = EquationSystem(
    {
        "x": "1.5*x/(2.5 + x) + log(2)*x",
        "y": "3",
        "z": "0.5",
        "N": "tanh(x)*sign(y - 1.2)*cot(N) + asinh(2.0)",
    }
)


def agree(eqs, module, low=0.1):
    x = np.random.default_rng(0).uniform(low, 2, (4, 7, len(eqs.states) + len(eqs.inputs)))
    n = len(eqs.states)
    expected = eqs.to_numpy()(0.0, x[..., :n], x[..., n:] if eqs.inputs else None)
    np.testing.assert_allclose(module(torch.tensor(x)).detach().numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(module(torch.tensor(x[0, 0])).detach().numpy(), expected[0, 0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("eqs", "first"), [(POWERS, NPU), (LIFTED, LiftedNPU)])
def test_layers_hold_the_constants(eqs, first):
    module = eqs.to_torch()
    assert isinstance(module, nn.Sequential)
    assert isinstance(module[0], first)
    assert isinstance(module[1], NAU)
    agree(eqs, module)
    symbols = [sp.Symbol(name, positive=True) for name in eqs.states]
    units, sums = module
    assert isinstance(units, PowerLayer)
    assert isinstance(sums, NAU)
    read = sums.to_sympy(units.to_sympy(symbols))
    again = EquationSystem(dict(zip(eqs.states, read, strict=True)))
    assert again.same_as(eqs, rtol=1e-9)


def test_whole_powers_of_negative_numbers():
    eqs = EquationSystem({"x": "x**3 - 0.5*x*y**2", "y": "y/x - x**2"})
    agree(eqs, eqs.to_torch(), low=-2)


def test_inputs_are_further_columns():
    eqs = EquationSystem({"x": "u*x**0.7 - sin(v)"}, inputs=["u", "v"])
    agree(eqs, eqs.to_torch())


def test_other_formulas():
    module = OTHER.to_torch()
    assert isinstance(module, FormulaModule)
    agree(OTHER, module)
    for clone in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        agree(OTHER, clone)
    assert module.to_equations() == OTHER


def test_formula_module_learns():
    module = OTHER.to_torch()
    x = torch.rand(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x + 0.1,))
    module(x).sum().backward()
    assert isinstance(module, FormulaModule)
    assert module.constants.grad is not None
    assert torch.isfinite(module.constants.grad).all()
    with torch.no_grad():
        module.constants.mul_(2)
    doubled = {
        "x": "3.0*x/(5.0 + x) + log(4)*x",
        "y": "6",
        "z": "1.0",
        "N": "tanh(x)*sign(y - 2.4)*cot(N) + 2*asinh(2.0)",
    }
    assert module.to_equations().same_as(EquationSystem(doubled), 1e-12)
    with pytest.raises(DataError, match=r"\(\*batch, 4\)"):
        module(torch.zeros(3, dtype=torch.float64))


def test_nothing_moves_and_powers_too_large_to_multiply_out():
    agree(EquationSystem({"x": 0}), EquationSystem({"x": 0}).to_torch())
    eqs = EquationSystem({"x": "(x + 0.5)**40"})
    assert isinstance(eqs.to_torch(), FormulaModule)
    agree(eqs, eqs.to_torch())


def test_negative_base_of_a_fractional_power_gives_the_real_part():
    module = EquationSystem({"x": "x**0.25"}).to_torch()
    out = module(torch.tensor([-16.0], dtype=torch.float64))
    assert out.item() == pytest.approx(2 * np.cos(np.pi / 4))
