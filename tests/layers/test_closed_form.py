"""Closed-form fits: the weights themselves must come back, from data that plain NumPy made."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neural_arith.errors import DataError, DomainError, OptionError
from neural_arith.layers import (
    NAC,
    NALU,
    NAU,
    NMU,
    NPU,
    LiftedNPU,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
    fit_closed_form,
)

F64: Any = {"dtype": torch.float64}
INPUTS, SUBSET, SHARED = 100, 25, 12


def subsets(seed):
    """Two contiguous subsets that overlap, as indicator vectors (Madsen & Johansen 2020, section 4)."""
    start = np.random.default_rng(seed).integers(0, INPUTS - 2 * SUBSET + SHARED + 1)
    a, b = np.zeros(INPUTS), np.zeros(INPUTS)
    a[start : start + SUBSET] = 1
    b[start + SUBSET - SHARED : start + 2 * SUBSET - SHARED] = 1
    return a, b


def static(seed, operation, low=1.0, high=2.0, samples=800):
    a, b = subsets(seed)
    x = np.random.default_rng((seed, 1)).uniform(low, high, (samples, INPUTS))
    return torch.from_numpy(x), torch.from_numpy(operation(x @ a, x @ b)[:, None]), a, b


def two(second: Any = RealNPU, clip=False, inputs=INPUTS, hidden=2, outputs=1, kind=F64):
    return nn.Sequential(NAU(inputs, hidden, clip=clip, **kind), second(hidden, outputs, **kind))


def weights(network):
    return [layer.effective_weight().detach().numpy() for layer in network]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("low", [1.0, -2.0])
@pytest.mark.parametrize("clip", [False, True])
def test_static_task_quotient(seed, low, clip):
    x, y, a, b = static(seed, lambda a, b: a / b, low)
    network = two(clip=clip)
    assert fit_closed_form(network, x, y).exact
    inner, outer = weights(network)
    assert inner.tolist() == [a.tolist(), b.tolist()]
    assert outer.tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize(
    ("second", "low", "high"),
    [(NMU, 1.0, 2.0), (NMU, -2.0, 2.0), (NPU, -2.0, -1.0), (NaiveNPU, 1.0, 2.0), (RealNPU, 1.1, 1.2)],
)
def test_static_task_product(second, low, high):
    x, y, a, b = static(0, lambda a, b: a * b, low, high)
    network = two(second, clip=True)
    assert fit_closed_form(network, x, y).exact
    inner, outer = weights(network)
    assert sorted(inner.tolist()) == sorted([a.tolist(), b.tolist()])
    assert outer.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("operation", "power", "low"),
    [
        (lambda a, b: np.sqrt(a), 0.5, 1.0),
        (lambda a, b: a**2, 2.0, 1.0),
        (lambda a, b: 1 / a, -1.0, 1.0),
        (lambda a, b: 1 / a, -1.0, -2.0),
        (lambda a, b: a**3, 3.0, -2.0),
        (lambda a, b: 1 / np.sqrt(a), -0.5, 0.0),
    ],
)
def test_static_task_power_of_one_sum(operation, power, low):
    x, y, a, _ = static(1, operation, low)
    network = two()
    assert fit_closed_form(network, x, y).exact
    inner, outer = weights(network)
    assert inner.tolist() == [a.tolist(), [0.0] * INPUTS]
    assert outer.tolist() == [[power, 0.0]]
    assert network.get_submodule("1").get_parameter("gate").tolist() == [1.0, 0.0]


def test_static_task_sum_and_difference():
    x, y, a, b = static(2, lambda a, b: a + b)
    network = two(NAU, clip=True)
    assert fit_closed_form(network, x, y).exact
    assert weights(network)[0].tolist() == [np.maximum(a, b).tolist(), (a * b).tolist()]
    assert weights(network)[1].tolist() == [[1.0, 1.0]]
    x, y, a, b = static(2, lambda a, b: a - b, 1.1, 1.2)
    network = two(NAU, clip=True)
    assert fit_closed_form(network, x, y).exact
    assert weights(network)[0].tolist() == [(a - b).tolist(), [0.0] * INPUTS]
    single = NAU(INPUTS, 1, **F64)
    assert single.fit_closed_form(x, y).exact
    assert single.weight.tolist() == [(a - b).tolist()]


@pytest.mark.parametrize(("p", "q"), [(0.7, -1.3), (2.0, 1.0)])
def test_any_two_powers_of_positive_sums(p, q):
    x, y, a, b = static(0, lambda a, b: a**p * b**q, samples=600)
    network = two()
    assert fit_closed_form(network, x, y).exact
    inner, outer = weights(network)
    found = dict(zip(outer[0].tolist(), inner.tolist(), strict=True))
    assert found == {p: a.tolist(), q: b.tolist()}


def test_square_of_a_sum_that_changes_sign():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (200, 12))
    a = np.repeat([1.0, 0.0, -1.0], 4)
    network = two(inputs=12)
    assert fit_closed_form(network, torch.from_numpy(x), torch.from_numpy((x @ a) ** 2)).exact
    inner, outer = weights(network)
    assert abs(np.abs(outer).sum() - 2) == 0
    assert all(row.tolist() in (a.tolist(), (-a).tolist(), [0.0] * 12) for row in inner)


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (1.1, 1.2)])
def test_single_precision_data_and_layers(low, high):
    """On [1.1, 1.2] the square of one sum explains a product to 1e-5, and float32 still tells them apart."""
    x, _, a, b = static(3, lambda a, b: a, low, high, samples=4000)
    x = x.float()
    one, other = (x @ torch.from_numpy(subset).float() for subset in (a, b))
    for y, powers in ((one / other, [1.0, -1.0]), (one * other, [1.0, 1.0])):
        network = two(kind={"dtype": torch.float32})
        assert fit_closed_form(network, x, y).exact
        inner, outer = weights(network)
        assert outer.tolist() == [powers]
        assert sorted(inner.tolist()) == sorted([a.tolist(), b.tolist()])
        assert network(x).dtype == torch.float32


def test_several_outputs_share_hidden_sums():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 2, (100, 4))
    s, t = x[:, 0] + x[:, 1], x[:, 1] - x[:, 2] + 3 * x[:, 3]
    y = torch.from_numpy(np.stack([s**2, 1 / s, s / t], 1))
    network = two(inputs=4, outputs=3)
    assert fit_closed_form(network, torch.from_numpy(x), y).exact
    inner, outer = weights(network)
    assert inner.tolist() == [[1, 1, 0, 0], [0, 1, -1, 3]]
    assert outer.tolist() == [[2, 0], [-1, 0], [1, -1]]
    with pytest.raises(OptionError, match="more than the 1 hidden sums"):
        fit_closed_form(two(inputs=4, hidden=1, outputs=3), torch.from_numpy(x), y)


def test_what_is_no_product_of_sums_is_told():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.uniform(0.5, 2, (60, 3)))
    result = fit_closed_form(two(inputs=3), x, torch.sin(3 * x[:, 0]) + 2)
    assert not result.exact
    assert 0.01 < result.errors[0] < 1


def test_sum_with_real_and_whole_coefficients():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(40, 5)))
    wanted = torch.tensor([[1.0, 0.0, -1.0, 0.3, 0.0], [0.0, 2.0, 0.0, 0.0, 1e-3]], **F64)
    layer = NAU(5, 2, **F64)
    assert layer.fit_closed_form(x, x @ wanted.T).exact
    exactly = wanted == wanted.round()
    assert torch.equal(layer.weight[exactly], wanted[exactly])
    assert torch.allclose(layer.weight, wanted, rtol=1e-12, atol=0)


def test_noise_is_no_reason_to_keep_crooked_numbers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = x @ np.array([1.0, 0.0, -1.0, 1.0]) + 0.01 * rng.normal(size=200)
    layer = NAU(4, 1, **F64)
    result = layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y))
    assert layer.weight.tolist() == [[1.0, 0.0, -1.0, 1.0]]
    assert not result.exact
    assert result.errors[0] == pytest.approx(0.01 / np.sqrt(3), rel=0.3)
    y = x @ np.array([0.8, 0.0, -1.0, 1.0]) + 0.01 * rng.normal(size=200)
    layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y))
    assert layer.weight[0, 0].item() == pytest.approx(0.8, abs=0.005)


def test_clipped_sum_says_that_it_cannot():
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0), **F64)
    layer = NAU(2, 1, clip=True, **F64)
    result = layer.fit_closed_form(x, 2 * x[:, 0] + x[:, 1])
    assert not result.exact
    assert result.errors[0] > 0.1


def test_masks_are_kept():
    x = torch.rand(30, 3, generator=torch.Generator().manual_seed(0), **F64) + 1
    layer = NAU(3, 1, **F64)
    layer.masks["weight"][0, 1] = False
    before = layer.weight[0, 1].item()
    assert layer.fit_closed_form(x, x[:, 0] - x[:, 2]).exact
    assert layer.effective_weight().tolist() == [[1.0, 0.0, -1.0]]
    assert layer.weight[0, 1].item() == before
    unit = RealNaiveNPU(3, 1, **F64)
    unit.masks["wr"][0, 1] = False
    assert not unit.fit_closed_form(x, x[:, 0] * x[:, 1]).exact
    assert unit.fit_closed_form(x, x[:, 0] / x[:, 2]).exact


@pytest.mark.parametrize("low", [0.1, -2.0])
def test_product_selection(low):
    rng = np.random.default_rng(0)
    x = rng.uniform(low, 2, (50, 20))
    x[:5, 3] = 0
    chosen = np.zeros((2, 20))
    chosen[0, [0, 3, 7]] = chosen[1, [1, 19]] = 1
    y = np.stack([x[:, row > 0].prod(1) for row in chosen], 1)
    layer = NMU(20, 2, **F64)
    assert layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y)).exact
    assert layer.weight.tolist() == chosen.tolist()
    assert not layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(-y)).exact
    assert not layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y + 1)).exact


exponents = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.0, 1 / 3, 0.5, 1.0, 1.7, 2.0])


@settings(max_examples=40, deadline=None)
@given(st.lists(exponents, min_size=4, max_size=4), st.integers(0, 99))
def test_powers_on_one_sign(row, seed):
    x = np.random.default_rng(seed).uniform(0.1, 3, (30, 4))
    layer = RealNaiveNPU(4, 1, **F64)
    assert layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy((x**row).prod(1))).exact
    assert layer.wr.tolist()[0] == pytest.approx(row, rel=1e-12)
    assert all(found == true for found, true in zip(layer.wr.tolist()[0], row, strict=True) if true != 1.7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=4, max_size=4), st.integers(0, 99))
def test_parity_on_mixed_signs(row, seed):
    x = np.random.default_rng(seed).uniform(-3, 3, (60, 4))
    y = torch.from_numpy((x ** np.array(row, dtype=float)).prod(1))
    for kind in (RealNPU, NPU, NaiveNPU):
        layer = kind(4, 1, **F64)
        assert layer.fit_closed_form(torch.from_numpy(x), y).exact
        assert layer.wr.tolist() == [row]
        if layer.gate is not None:
            assert layer.gate.tolist() == [float(value != 0) for value in row]
        assert layer.wi is None or not layer.wi.any()


def test_real_part_of_fractional_powers_of_negative_inputs():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (80, 2))
    y = np.real(x[:, 0].astype(complex) ** (1 / 3)) * x[:, 1] ** 2
    layer = RealNaiveNPU(2, 1, **F64)
    assert layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y)).exact
    assert layer.wr.tolist() == [[1 / 3, 2.0]]


def test_few_samples_many_inputs():
    """40 samples, 100 inputs, three exponents: the sparse answer, not the smallest."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=(40, INPUTS)))
    y = x[:, 4] * np.sqrt(x[:, 50]) / x[:, 90]
    layer = RealNPU(INPUTS, 1, **F64)
    assert layer.fit_closed_form(torch.from_numpy(x), torch.from_numpy(y)).exact
    wanted = np.zeros(INPUTS)
    wanted[[4, 50, 90]] = 1.0, 0.5, -1.0
    assert layer.wr.tolist() == [wanted.tolist()]


def test_published_simple_task_without_its_sum():
    """(x y, x / y, sqrt x) of two inputs: one layer, three products (Heim, Pevný, Šmídl 2020, section 4.1)."""
    x = np.random.default_rng(0).uniform(0.1, 2, (100, 2))
    y = np.stack([x[:, 0] * x[:, 1], x[:, 0] / x[:, 1], np.sqrt(x[:, 0])], 1)
    layer = RealNPU(2, 3, **F64)
    assert fit_closed_form(layer, torch.from_numpy(x), torch.from_numpy(y)).exact
    assert layer.wr.tolist() == [[1, 1], [1, -1], [0.5, 0]]


def test_a_product_with_a_factor_is_none():
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), **F64) + 1
    result = RealNPU(2, 1, **F64).fit_closed_form(x, 3 * x[:, 0])
    assert not result.exact
    assert result.errors[0] > 1e-3


def test_wrong_use_is_told():
    x, y = torch.ones(3, 2, **F64), torch.ones(3, **F64)
    with pytest.raises(OptionError, match="no closed form for NALU"):
        fit_closed_form(NALU(2, 1), x, y)
    with pytest.raises(OptionError, match="no closed form for NAC -> NMU"):
        fit_closed_form(nn.Sequential(NAC(2, 2), NMU(2, 1)), x, y)
    with pytest.raises(OptionError, match="lifted"):
        LiftedNPU(2, 1).fit_closed_form(x, y)
    with pytest.raises(DataError, match="expected inputs"):
        NAU(2, 1).fit_closed_form(x, torch.ones(4))
    with pytest.raises(DataError, match="all finite"):
        NAU(2, 1).fit_closed_form(x * torch.nan, y)
    with pytest.raises(DataError, match="rescale"):
        NAU(2, 1).fit_closed_form(x, 1e-170 * y)
    with pytest.raises(DataError, match="real tensors of inputs and outputs, got ndarray and ndarray"):
        NAU(2, 1).fit_closed_form(x.numpy(), y.numpy())  # pyright: ignore[reportArgumentType]
    assert fit_closed_form(nn.Sequential(NAU(2, 2), RealNPU(2, 1)), x * 0, y).errors == (1.0,)
    with pytest.raises(DataError, match="every sample has a zero"):
        RealNPU(2, 1).fit_closed_form(x * 0, y)
    x = torch.tensor([[-1.0, 2.0], [-2.0, 3.0], [-3.0, 5.0]])
    with pytest.raises(DomainError, match="declared positive"):
        RealNPU(2, 1, negative="positive").fit_closed_form(x, x.prod(1))
