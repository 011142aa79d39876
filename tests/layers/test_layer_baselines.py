"""What is special about the units of the literature that one compares with."""

import math
from typing import Any

import mpmath as mp
import pytest
import sympy as sp
import torch

from neural_arith.errors import OptionError
from neural_arith.layers import (
    GNALU,
    NACNMU,
    NALU,
    NMU,
    Dense,
    GatedNAUNMU,
    NACMul,
    NACSigma,
    StochasticNMU,
    functional,
)

DOUBLE = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_cancels_where_weights_are_discrete():
    layer = StochasticNMU.from_weights([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    x = torch.randn(50, 3, generator=seeded(), dtype=DOUBLE)
    torch.testing.assert_close(layer.train()(x), NMU.from_weights([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])(x))


def test_noise_moves_the_output_between_discrete_weights_and_in_training_only():
    layer, x = StochasticNMU.from_weights([[0.5, 0.5]]), torch.tensor([[2.0, 3.0]], dtype=DOUBLE)
    assert layer.train()(x).item() != layer(x).item()
    assert layer.eval()(x).item() == layer(x).item() == 1.5 * 2
    assert x.tolist() == [[2, 3]]


def test_noisy_product_is_the_published_formula():
    x, noise, weight = [1.5, -2.0], [3.0, 1.25], [0.75, 0.25]

    def product(values):
        return mp.fprod(mp.mpf(w) * v + 1 - mp.mpf(w) for w, v in zip(weight, values, strict=True))

    expected = product([n * v for n, v in zip(noise, x, strict=True)]) / product(noise)
    a, w, n = (torch.tensor([v], dtype=DOUBLE) for v in (x, weight, noise))
    found = functional.snmu(a, w, n)
    assert found.item() == pytest.approx(float(expected), rel=1e-15)


def test_noise_has_gradients_for_inputs_and_weights():
    x, weight = torch.randn(4, 3, generator=seeded(), dtype=DOUBLE), torch.rand(2, 3, generator=seeded(1), dtype=DOUBLE)
    noise = 1 + 4 * torch.rand(4, 3, generator=seeded(2), dtype=DOUBLE)
    assert torch.autograd.gradcheck(functional.snmu, (x.requires_grad_(), weight.requires_grad_(), noise))


@pytest.mark.parametrize(("noise", "high"), [((1.0, 5.0), 5.0), ((0.5, 2.0), 2.0), ("batch", None)])
def test_noise_stays_within_its_bounds(noise, high):
    """For a weight of one half, an input of 3 and noise n the output is (1 + 3 n) / (1 + n)."""
    layer: Any = StochasticNMU(1, 1, noise=noise, dtype=DOUBLE, generator=seeded())
    with torch.no_grad():
        layer.weight.fill_(0.5)
    x = torch.cat([torch.full((1000, 1), 3.0, dtype=DOUBLE), torch.full((1000, 1), 5.0, dtype=DOUBLE)])
    deviation = x.std().item()
    high = 1 + 1 / deviation if noise == "batch" else high
    low = 1.0 if noise == "batch" else noise[0]
    y = layer(x)[:1000]
    n = (y - 1) / (3 - y)
    assert low - 1e-9 <= n.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < n.max() <= high + 1e-9


@pytest.mark.parametrize("x", [[[2.0, 2.0]], [[2.0]]])
def test_no_noise_from_a_batch_without_spread(x):
    inputs = torch.tensor(x, dtype=DOUBLE)
    layer = StochasticNMU(inputs.shape[1], 1, noise="batch", dtype=DOUBLE, generator=seeded())
    torch.testing.assert_close(layer(inputs), NMU.from_weights(layer.weight.detach())(inputs))


def test_generator_fixes_the_noise():
    first, second = (StochasticNMU(3, 2, generator=seeded(4)) for _ in range(2))
    x = torch.randn(5, 3, generator=seeded())
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert torch.equal(first(x), second(x))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("noise", [(0.0, 1.0), (2.0, 1.0), (1.0,), "all"])
def test_noise_must_be_positive_bounds(noise):
    with pytest.raises(OptionError, match="noise must be two bounds"):
        StochasticNMU(1, 1, noise=noise)


def test_golden_unit_is_a_unit_with_scaled_parameters():
    golden: Any = GNALU(3, 2, dtype=DOUBLE, generator=seeded())
    plain = NALU(3, 2, dtype=DOUBLE)
    scale = math.log((1 + math.sqrt(5)) / 2)
    plain.load_state_dict({k: v if v.dtype == torch.bool else scale * v for k, v in golden.state_dict().items()})
    x = torch.randn(10, 3, generator=seeded(1), dtype=DOUBLE)
    torch.testing.assert_close(golden(x), plain(x), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("bias", "expected"), [(50.0, 2.0), (-50.0, 15.0)])
def test_saturated_gate_adds_or_multiplies_exactly(bias, expected):
    layer: Any = GatedNAUNMU(3, 1, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0, 0.0]]))
        layer.multiply.copy_(torch.tensor([[1.0, 1.0, 0.0]]))
        layer.gate_weight.zero_()
        layer.gate_bias.fill_(bias)
    assert layer(torch.tensor([5.0, 3.0, 7.0], dtype=DOUBLE)).item() == pytest.approx(expected, rel=1e-14)
    assert layer.penalty().item() == 0
    layer.project_()
    assert layer.weight.tolist() == [[1, -1, 0]]


def test_gated_unit_starts_as_its_parts_and_clamps_to_their_ranges():
    layer: Any = GatedNAUNMU(40, 40, gate="free", generator=seeded())
    assert 0.26 < layer.weight.abs().max() <= 0.27387
    assert 0.25 <= layer.multiply.min() < 0.26
    assert not layer.gate_bias.any()
    assert layer.penalty().item() == pytest.approx(40 / 16 + 0.137 + 0.375, abs=0.02)
    with torch.no_grad():
        layer.weight.fill_(-2.0)
        layer.multiply.fill_(-2.0)
    layer.project_()
    assert layer.weight.unique().tolist() == [-1]
    assert layer.multiply.unique().tolist() == [0]


def test_units_in_log_space_select_magnitudes():
    x = torch.tensor([3.0, -5.0, 0.0], dtype=DOUBLE)
    clipped: Any = NACNMU(3, 1, dtype=DOUBLE)
    sigma: Any = NACSigma(3, 1, dtype=DOUBLE)
    signed: Any = NACMul(3, 1, dtype=DOUBLE)
    choice = torch.tensor([[1.0, 1.0, 0.0]], dtype=DOUBLE)
    with torch.no_grad():
        clipped.weight.copy_(3 * choice - 1)  # outside the range on both sides
        sigma.w_hat.copy_(1600 * choice - 800)
        signed.w_hat.copy_(torch.tensor([[40.0, -40.0, 0.0]]))
        signed.m_hat.fill_(800.0)
    assert clipped(x).item() == pytest.approx(15, rel=1e-14)
    assert sigma(x).item() == pytest.approx(15, rel=1e-14)
    assert signed(x).item() == pytest.approx(3 / 5, rel=1e-14)
    assert [layer.penalty().item() for layer in (clipped, sigma, signed)] == [0, 0, 0]
    clipped.project_()
    assert clipped.weight.tolist() == [[1, 1, 0]]
    a, b, c = sp.symbols("a b c")
    floor = sp.Float(1e-7)
    assert clipped.to_sympy((a, b, c)) == [sp.Max(sp.Abs(a), floor) * sp.Max(sp.Abs(b), floor)]


def test_units_in_log_space_keep_a_floor():
    layer: Any = NACNMU(1, 1, floor=0.5, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    assert layer(torch.tensor([[0.0], [-0.25], [-2.0]], dtype=DOUBLE)).flatten().tolist() == pytest.approx(
        [0.5, 0.5, 2]
    )
    with pytest.raises(OptionError, match="floor must be positive"):
        NACMul(1, 1, floor=0.0)


def test_initial_weights_of_the_sigmoid_unit_are_normal():
    layer = NACSigma(100, 100, generator=seeded())
    assert layer.w_hat.std().item() == pytest.approx(0.1, rel=0.02)
    assert layer.w_hat.abs().max() > 0.3  # beyond what a uniform draw of this spread reaches


@pytest.mark.parametrize(
    ("activation", "formula", "bound"),
    [
        ("linear", "2*x - 1", 6 / 80),
        ("relu", "Max(0, 2*x - 1)", 6 / 60),
        ("relu6", "Min(6, Max(0, 2*x - 1))", 6 / 60),
        ("sigmoid", "1/(exp(1 - 2*x) + 1)", 6 / 80),
    ],
)
def test_dense_layers_as_formulas(activation, formula, bound):
    layer: Any = Dense(1, 1, activation=activation, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(-1.0)
    assert layer.to_sympy([sp.Symbol("x")]) == [sp.sympify(formula)]
    assert layer.complexity() == 2
    large = Dense(60, 20, activation=activation, generator=seeded())
    assert 0.99 * math.sqrt(bound) < large.weight.abs().max() <= math.sqrt(bound)
    assert large.bias is not None
    assert not large.bias.any()


def test_dense_layer_names_its_activations():
    with pytest.raises(OptionError, match="'linear', 'relu', 'relu6', 'sigmoid'"):
        Dense(1, 1, activation="tanh")
