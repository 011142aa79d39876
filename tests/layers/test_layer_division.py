"""What is special about dividing: exact selections, zeros, signs, the two modes of the NRU, learning a quotient."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import sympy as sp
import torch
from hypothesis import given, settings

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import NMRU, NRU, ModifiedRealNPU, functional
from neural_arith.testing import evaluate_formula

DOUBLE = torch.float64
SIGNED = [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [0.0, -1.0, 0.0], [1.0, 1.0, 1.0]]


def nmru(signed) -> NMRU:
    """The NMRU of the same products: 1 takes the input, -1 its reciprocal."""
    w = torch.as_tensor(signed, dtype=DOUBLE)
    return NMRU.from_weights(torch.cat([w.clamp(min=0), (-w).clamp(min=0)], 1))


def exact(signed, x):
    """Plain products and quotients, in Python's own arithmetic."""
    outputs = []
    for row in signed:
        y = 1.0
        for w, v in zip(row, x, strict=True):
            y = y * v if w == 1 else y / v if w == -1 else y
        outputs.append(y)
    return outputs


UNITS: Any = {
    "nru": NRU.from_weights,
    "nru in training": lambda w: NRU.from_weights(w).train(),
    "nru, separate signs": lambda w: NRU.from_weights(w, sign="separate"),
    "nmru": nmru,
    "modified real npu": ModifiedRealNPU.from_weights,
}
unit = pytest.mark.parametrize("make", UNITS.values(), ids=UNITS)
values = st.floats(0.01, 100) | st.floats(-100, -0.01)


@unit
@settings(deadline=None, max_examples=30)
@given(st.lists(values, min_size=3, max_size=3))
def test_discrete_weights_multiply_and_divide_exactly(make, x):
    y = make(SIGNED)(torch.tensor(x, dtype=DOUBLE))
    assert y.tolist() == pytest.approx(exact(SIGNED, x), rel=1e-14)


@unit
def test_discrete_weights_print_as_plain_fractions(make):
    x, y, z = sp.symbols("x y z")
    assert make(SIGNED).to_sympy((x, y, z)) == [x / y, z, z / (x * y), 1, 1 / y, x * y * z]
    assert make(SIGNED[:1]).penalty().item() == (1 / 3 if make is UNITS["modified real npu"] else 0)


@unit
def test_zero_by_cases(make):
    y = make(SIGNED)(torch.tensor([[0.0, 2.0, -4.0], [3.0, 0.0, -4.0]], dtype=DOUBLE))
    assert y[0].tolist() == pytest.approx([0, -4, -math.inf, 1, 0.5, 0])
    assert y[1].tolist() == pytest.approx([math.inf, -4, -math.inf, 1, math.inf, 0])


@unit
def test_zero_over_zero_is_not_a_number(make):
    y = make([[1.0, -1.0], [0.0, 0.0]])(torch.zeros(1, 2, dtype=DOUBLE))
    assert y[0, 0].isnan()
    assert y[0, 1] == 1


@unit
def test_one_infinite_output_leaves_the_gradients_of_the_others(make):
    layer, x = make([[1.0, -1.0], [1.0, 1.0]]), torch.tensor([[3.0, 0.0]], dtype=DOUBLE, requires_grad=True)
    y = layer(x)
    assert y[0, 0] == math.inf
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == pytest.approx([0, 3], rel=1e-15)  # of x y alone
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("exponent", [0, -2, -4])
def test_gold_weights_divide_by_almost_nothing(exponent):
    """The authors' float32 Real NPU, with its epsilon, is off by 1e6 at 1e-4."""
    x = torch.rand(1000, 1, generator=torch.Generator().manual_seed(0)) * 10.0**exponent + 1e-12
    for make in (NRU.from_weights, nmru, ModifiedRealNPU.from_weights):
        y = make([[-1.0]]).float()(x)
        torch.testing.assert_close(y.double(), 1 / x.double(), rtol=1e-6, atol=0)


def test_modes_of_the_nru_differ_between_discrete_weights_only():
    layer, x = NRU.from_weights([[0.5, -1.0]]), torch.tensor([[4.0, -2.0]], dtype=DOUBLE)
    assert layer.eval()(x).item() == pytest.approx((0.5 * 2 + 0.5) / -2)
    assert evaluate_formula(layer, x).item() == pytest.approx(-0.75)
    assert layer.train()(x).item() == pytest.approx(2 / -2)
    assert evaluate_formula(layer, x).item() == pytest.approx(-1)


def test_training_lets_small_weights_of_the_nru_move():
    """``|w|`` has slope 0 at a weight of 0 and the sign of w beside it; ``tanh(1000 w)^2`` is round there."""
    weight = torch.tensor([0.0, 1e-4, 0.5], dtype=DOUBLE, requires_grad=True)
    share = functional.relevance(weight, steep=True)
    share.sum().backward()
    assert share.tolist() == pytest.approx([0, math.tanh(0.1) ** 2, 1])
    assert weight.grad is not None
    assert weight.grad.tolist() == pytest.approx([0, 2000 * math.tanh(0.1) / math.cosh(0.1) ** 2, 0])


def test_separate_signs_are_those_of_the_rounded_weights():
    x = torch.tensor([[-4.0]], dtype=DOUBLE)
    half = [NRU.from_weights([[w]], sign="separate").eval()(x).item() for w in (0.4, 0.6, -0.6)]
    assert half == pytest.approx([0.4 * 4**0.4 + 0.6, -(0.6 * 4**0.6 + 0.4), -(0.6 * 4**-0.6 + 0.4)])


def test_formulas_of_positive_inputs_have_no_signs():
    x = sp.Symbol("x", positive=True)
    nru = NRU.from_weights([[0.5]], sign="separate").eval().to_sympy([x])[0]
    assert nru == sp.Float(0.5) * x ** sp.Float(0.5) + sp.Float(0.5)
    (formula,) = NMRU.from_weights([[0.5, 0.25]]).to_sympy([x])
    assert not formula.has(sp.Abs, sp.cos, sp.Piecewise)


@pytest.mark.parametrize("aligned", [False, True])
def test_populations_equal_their_members(aligned):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 3, 6, 3) if aligned else (6, 3), generator=generator, dtype=DOUBLE)
    x[..., 0, 1] = 0.0
    w = 2 * torch.rand(2, 3, 4, 6, generator=generator, dtype=DOUBLE) - 1
    share, noise = w[..., :3].abs(), 1 + torch.rand(x.shape, generator=generator, dtype=DOUBLE)
    found = (
        functional.nru(x, w[..., :3], share, sign="separate", aligned=aligned),
        functional.nmru(x, w.abs(), aligned),
        functional.snmu(x, share, noise, aligned),
    )
    for i in range(2):
        for j in range(3):
            own, factors = (x[i, j], noise[i, j]) if aligned else (x, noise)
            expected = (
                functional.nru(own, w[i, j, :, :3], share[i, j], sign="separate"),
                functional.nmru(own, w[i, j].abs()),
                functional.snmu(own, share[i, j], factors),
            )
            for a, b in zip(found, expected, strict=True):
                torch.testing.assert_close(a[i, j], b, rtol=1e-13, atol=1e-13, equal_nan=True)


@unit
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # raised inside torch
def test_vmap_over_samples(make):
    layer, x = make(SIGNED), torch.tensor([[2.0, -3.0, 4.0], [0.0, 1.0, -2.0]], dtype=DOUBLE)
    torch.testing.assert_close(torch.vmap(layer)(x), layer(x))


@pytest.mark.parametrize("kind", [NRU, NMRU, ModifiedRealNPU])
def test_learns_a_quotient(kind):
    """Two inputs from [1, 2]: the weights end at exactly those of x / y."""
    generator = torch.Generator().manual_seed(0)
    layer = kind(2, 1, dtype=DOUBLE, generator=generator)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    for step in range(600):
        x = 1 + torch.rand(64, 2, generator=generator, dtype=DOUBLE)
        loss = (layer(x)[:, 0] - x[:, 0] / x[:, 1]).square().mean() + (0.02 * layer.penalty() if step > 300 else 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        layer.project_()
    x, y = sp.symbols("x y")
    assert layer.to_sympy((x, y)) == [x / y]


def test_initial_weights_projection_and_clip():
    generator = torch.Generator().manual_seed(0)
    for layer, low, high in ((NRU(40, 40), -0.27387, 0.27387), (NMRU(40, 40), 0.25, 0.75)):
        layer.reset_parameters(generator)
        assert low <= layer.weight.min() < low + 0.01
        assert high - 0.01 < layer.weight.max() <= high
    power: Any = ModifiedRealNPU(40, 40, generator=generator)
    assert 0.26 < power.wr.abs().max() <= 0.27387  # sqrt(6 / 80)
    assert power.gate.unique().tolist() == [0.5]
    with torch.no_grad():
        power.wr.fill_(-3.0)
        power.gate.fill_(2.0)
    assert power.effective_weight().unique().tolist() == [-1]
    power.effective_weight().sum().backward()
    assert power.wr.grad.unique().tolist() == [1]  # passes the clip
    power.project_()
    assert power.wr.unique().tolist() == [-1]
    assert power.gate.unique().tolist() == [1]


def test_penalties_of_the_modified_unit():
    layer = ModifiedRealNPU.from_weights([[0.5, -1.0]], gate=[1.0, 0.25])
    assert layer.penalty().item() == pytest.approx(0.25 + 0.125)
    assert layer.size_penalty().item() == pytest.approx(0.5 + 1 + 1 + 0.25)


def test_what_is_refused():
    with pytest.raises(OptionError, match="sign must be one of 'joint', 'separate'"):
        NRU(1, 1, sign="none")
    with pytest.raises(DataError, match=r"2 \* in_features columns, got 3"):
        NMRU.from_weights([[1.0, 0.0, 1.0]])
