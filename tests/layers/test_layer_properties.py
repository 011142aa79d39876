"""Laws that hold for all weights and inputs."""

from typing import Any

import hypothesis.strategies as st
import pytest
import sympy as sp
import torch
from hypothesis import given, settings

from neural_arith.layers import INALU, NALU, NAU, NMU, RealNaiveNPU, RealNPU, functional
from neural_arith.layers.symbolic import number, power_product

examples = settings(deadline=None, max_examples=50)

exponents = st.floats(-3, 3, allow_subnormal=False)
whole = st.integers(-3, 3).map(float)
bases = st.floats(0.1, 5) | st.floats(-5, -0.1)


def matrix(elements, rows=2, columns=3):
    row = st.lists(elements, min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows).map(lambda m: torch.tensor(m, dtype=torch.float64))


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@examples
@given(matrix(exponents), matrix(bases, 4), st.floats(0.1, 10))
def test_scaling_law(w, x, c):
    """f(c x) = c^(sum of exponents) f(x) for c > 0."""
    layer = RealNaiveNPU.from_weights(w)
    factor = c ** w.sum(1)
    torch.testing.assert_close(layer(c * x), factor * layer(x), rtol=1e-10, atol=1e-10 * factor.max().item())


@examples
@given(matrix(whole), matrix(bases, 4), st.permutations(range(3)))
def test_permuting_inputs_permutes_columns(w, x, order):
    close(RealNaiveNPU.from_weights(w[:, order])(x[:, order]), RealNaiveNPU.from_weights(w)(x))


@examples
@given(matrix(exponents), matrix(exponents), matrix(bases, 4).map(abs))
def test_products_add_exponents(v, w, x):
    product = RealNaiveNPU.from_weights(v)(x) * RealNaiveNPU.from_weights(w)(x)
    close(RealNaiveNPU.from_weights(v + w)(x), product, 1e-10)


@examples
@given(matrix(whole), matrix(bases | st.just(0.0), 4))
def test_integer_powers_equal_repeated_multiplication(w, x):
    w = w.abs()
    expected = torch.stack([(x**row).prod(1) for row in w], -1)
    close(RealNaiveNPU.from_weights(w)(x), expected, 1e-11)


@examples
@given(matrix(exponents), matrix(bases | st.just(0.0), 4), matrix(bases | st.just(0.0), 4), st.integers(0, 2))
def test_a_masked_input_has_exactly_no_influence(w, x, y, column):
    layer = RealNPU.from_weights(w)
    layer.drop_input_(column)
    y = torch.where(torch.arange(3) == column, y, x)
    assert torch.equal(layer(x).nan_to_num(), layer(y).nan_to_num())


@examples
@given(matrix(st.floats(-2, 2)), matrix(bases, 4), matrix(bases, 4), st.floats(-3, 3))
def test_addition_unit_is_linear(w, x, y, c):
    layer = NAU.from_weights(w)
    close(layer(c * x + y), c * layer(x) + layer(y), 1e-11)


@examples
@given(matrix(st.booleans().map(float)), matrix(bases | st.just(0.0), 4))
def test_multiplication_unit_selects(w, x):
    expected = torch.stack([x[:, row == 1].prod(1) for row in w], -1)
    close(NMU.from_weights(w)(x), expected)


@examples
@given(st.lists(exponents | whole, min_size=2, max_size=2), st.lists(bases, min_size=2, max_size=2))
def test_formula_for_known_signs_equals_the_general_one(w, x):
    x = [abs(v) for v in x]
    general = power_product(sp.symbols("a b"), w, [0.0, 0.0], [1.0, 1.0])
    known = power_product(sp.symbols("a b", positive=True), w, [0.0, 0.0], [1.0, 1.0])
    values = [
        float(e.subs(dict(zip(s, x, strict=True))))
        for e, s in ((general, sp.symbols("a b")), (known, sp.symbols("a b", positive=True)))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@examples
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_all_their_digits(value):
    assert float(number(value)) == value


@examples
@given(st.integers(0, 2**31))
def test_sign_of_each_output_is_its_own(seed):
    """The published code mixes the signs of several outputs up; ours, saturated, are exact products."""
    generator = torch.Generator().manual_seed(seed)
    layer: Any = INALU(3, 4, dtype=torch.float64)
    w = torch.randint(-1, 2, (4, 3), generator=generator).double()
    with torch.no_grad():
        layer.w_hat_multiply.copy_(40 * w)
        layer.m_hat_multiply.fill_(40.0)
        layer.gate_bias.fill_(-40.0)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    expected = torch.stack([(x**row).prod(1) for row in w], -1).clamp(-4.8e8, 4.8e8)
    torch.testing.assert_close(layer(x), expected, rtol=1e-9, atol=1e-9)


def test_weights_of_the_accumulator_are_formed_at_every_call():
    """Popular ports formed them once, so that tanh and sigmoid never trained."""
    layer, x = NALU(2, 1), torch.ones(1, 2)
    before = layer(x).item()
    with torch.no_grad():
        layer.w_hat += 1
    assert layer(x).item() != before


def test_cap_of_the_improved_unit():
    layer: Any = INALU(1, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.w_hat_multiply.fill_(-40.0)
        layer.m_hat_multiply.fill_(40.0)
        layer.gate_bias.fill_(-40.0)
    y = layer(torch.tensor([[1e-12]], dtype=torch.float64))
    assert y.item() == pytest.approx(1e7, rel=1e-9)  # the floor, 1e-7
    layer.cap = 5.0
    assert layer(torch.tensor([[1e-12]], dtype=torch.float64)).item() == pytest.approx(torch.tensor(5.0).exp().item())


@pytest.mark.parametrize("kind", [NALU, INALU])
def test_floor_must_be_positive(kind):
    with pytest.raises(ValueError, match="floor must be positive"):
        kind(1, 1, floor=0.0)
    with pytest.raises(ValueError, match="weights must be one of"):
        kind(1, 1, weights="both")


def test_restart_draws_wide_weights():
    layer = INALU(10, 10)
    layer.restart_parameters(torch.Generator().manual_seed(0))
    assert layer.w_hat.abs().max() <= 2
    assert layer.w_hat.abs().max() > 1.5


def test_penalties_vanish_for_discrete_weights():
    assert NAU.from_weights([[1.0, 0.0, -1.0]]).penalty().item() == 0
    assert NAU.from_weights([[0.5, 0.75]]).penalty().item() == 0.375
    assert NMU.from_weights([[1.0, 0.0]]).penalty().item() == 0
    layer = INALU(1, 1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(20.0)
    assert layer.penalty().item() == 0


def test_projection_clamps_clipped_units_only():
    free, clipped, product = NAU.from_weights([[3.0]]), NAU(1, 1, clip=True), NMU.from_weights([[1.5]])
    with torch.no_grad():
        clipped.weight.fill_(3.0)
    for layer in (free, clipped, product):
        layer.project_()
    assert free.weight.item() == 3
    assert clipped.weight.item() == 1
    assert product.weight.item() == 1


def test_multiplication_weight_comes_back_from_outside():
    """The gradient passes the clip: outside [0, 1] a weight still moves."""
    layer: Any = NMU.from_weights([[1.5]])
    layer(torch.tensor([[3.0]], dtype=torch.float64)).sum().backward()
    assert layer.weight.grad.item() == 2


def test_drop_input_names_the_range():
    with pytest.raises(ValueError, match=r"0\.\.1, not 2"):
        NAU(2, 1).drop_input_(2)


def test_clip_keeps_values_inside():
    x = torch.linspace(-2, 2, 101, dtype=torch.float64)
    assert torch.equal(functional.clip_through(x, -1, 1), x.clamp(-1, 1))
