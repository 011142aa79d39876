"""Stateless units: agreement with the modules bit for bit, populations, the Julia layout."""

import numpy as np
import pytest
import torch

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import NAU, NMU, NPU, FastChain, FastNAU, FastNPU, FastRealNPU, RealNPU, functional

PAIRS = [(FastNAU, NAU), (FastNPU, NPU), (FastRealNPU, RealNPU)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def data(*shape, seed=1):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize(("fast", "module"), PAIRS)
@pytest.mark.parametrize("positive", [True, False])
def test_values_and_gradients_equal_the_module_bit_for_bit(fast, module, positive):
    f, layer = fast(3, 4), module(3, 4, dtype=torch.float64, generator=seeded())
    p = f.initial_params(seeded(), dtype=torch.float64).requires_grad_()
    assert torch.equal(p, f.flatten(layer))
    x1, x2 = (data(9, 3).abs() if positive else data(9, 3) for _ in range(2))
    x1.requires_grad_()
    x2.requires_grad_()
    y = layer(x1)
    assert torch.equal(f(x2, p), y)
    y.square().sum().backward()
    f(x2, p).square().sum().backward()
    assert p.grad is not None
    own = torch.cat([w.grad.flatten() for w in layer.parameters() if w.grad is not None])
    assert torch.equal(p.grad, own)
    assert x1.grad is not None
    assert x2.grad is not None
    assert torch.equal(x1.grad, x2.grad)


@pytest.mark.parametrize(
    ("f", "count"),
    [
        (FastNAU(3, 4), 12),
        (FastRealNPU(3, 4), 15),
        (FastNPU(3, 4), 27),
        (FastChain(FastNPU(3, 6), FastNAU(6, 3)), 57),
        (FastChain(FastRealNPU(3, 20), FastNAU(20, 3)), 123),
    ],
)
def test_parameter_counts_of_the_ancestor(f, count):
    assert f.num_params == count
    assert f.initial_params().shape == (count,)
    assert f.initial_params(population=(2, 5)).shape == (2, 5, count)


def test_new_units_start_real_with_half_open_gates():
    p = FastNPU(3, 4).initial_params(seeded(), population=(2,))
    _, imaginary, gate = FastNPU(3, 4).split(p)
    assert not imaginary.any()
    assert (gate == 0.5).all()


@pytest.mark.parametrize("sizes", [(1, 1), (3, 4), (2, 2)])
def test_population_equals_its_members(sizes):
    f = FastChain(FastNPU(sizes[0], 5), FastNAU(5, sizes[1]), FastRealNPU(sizes[1], 2))
    p = f.initial_params(seeded(), population=(2, 3), dtype=torch.float64) + 0.1 * data(2, 3, f.num_params)
    for batch in ((), (7,), (4, 2), (0,)):
        x = data(*batch, sizes[0])
        y = f(x, p)
        assert y.shape == (2, 3, *batch, 2)
        for i in range(2):
            for j in range(3):
                assert torch.allclose(y[i, j], f(x, p[i, j]), rtol=1e-13, atol=1e-15)
                assert torch.allclose(f(x, p[i, j]), f.to_layer(p[i, j])(x), rtol=0, atol=0)


def test_aligned_inputs_meet_their_member():
    f = FastNPU(3, 2)
    p, x = f.initial_params(seeded(), population=(4,), dtype=torch.float64), data(4, 6, 3)
    y = f(x, p, aligned=True)
    assert torch.allclose(y, torch.stack([f(a, b) for a, b in zip(x, p, strict=True)]), rtol=1e-14)


def test_population_with_zeros_and_imaginary_weights():
    x = data(5, 3)
    x[1, 0] = x[3] = 0
    wr, wi = data(2, 4, 3, seed=3).abs(), 0.2 * data(2, 4, 3, seed=4)
    gate = torch.tensor([[1.0, 1.0, 1.0], [0.5, 1.0, 0.0]], dtype=torch.float64)
    y = functional.npu(x, wr, wi, gate)
    each = [functional.npu(x, *one) for one in zip(wr, wi, gate, strict=True)]
    assert torch.allclose(y, torch.stack(each), rtol=1e-13, atol=1e-15)
    assert not y[0, 3].any()
    shared = functional.npu(x, wr, wi, gate[1])
    assert torch.allclose(shared[1], y[1], rtol=1e-13, atol=1e-15)
    log_abs, phase, zero = functional.log_polar(x)
    plain = functional.power_unit(log_abs, phase, wr, wi, zero)
    assert plain.shape == (2, 5, 4)
    assert torch.allclose(plain[0], y[0], rtol=1e-13, atol=1e-15)


def test_multiplication_unit_of_a_population():
    x, w = data(6, 3), torch.rand(2, 4, 3, generator=seeded(), dtype=torch.float64)
    y = functional.nmu(x, w)
    for member, weight in zip(y, w, strict=True):
        assert torch.allclose(member, NMU.from_weights(weight)(x), rtol=1e-14)
    aligned = functional.nmu(x.expand(2, 6, 3), w, aligned=True)
    assert torch.equal(aligned, y)


def test_reads_column_major_vectors_of_the_ancestor():
    re, im = np.arange(12.0).reshape(4, 3), np.arange(12.0, 24.0).reshape(4, 3)
    g, w = np.array([0.1, 0.2, 0.3]), np.arange(8.0).reshape(2, 4)
    julia = np.concatenate([re.ravel(order="F"), im.ravel(order="F"), g, w.ravel(order="F")])
    f = FastChain(FastNPU(3, 4), FastNAU(4, 2))
    expected = np.concatenate([re.ravel(), im.ravel(), g, w.ravel()])
    assert f.from_julia(julia).numpy().tolist() == expected.tolist()
    assert f.from_julia(julia.tolist()).dtype == torch.float64
    both = f.from_julia(torch.tensor(np.stack([julia, 2 * julia])))
    assert both[1].tolist() == (2 * expected).tolist()
    exponents = FastRealNPU(3, 4).split(FastRealNPU(3, 4).from_julia(np.concatenate([re.ravel(order="F"), g])))
    assert exponents[0].numpy().tolist() == re.tolist()


def test_errors_say_what_was_expected():
    f = FastNPU(3, 4)
    with pytest.raises(DataError, match=r"FastNPU\(3, 4\) expects parameters \(\*pop, 27\), got \(26,\)"):
        f(torch.ones(3), torch.ones(26))
    with pytest.raises(DataError, match="expects inputs"):
        f(torch.ones(4), torch.ones(27))
    with pytest.raises(DataError, match="population of 2"):
        f.to_layer(torch.ones(2, 27))
    with pytest.raises(DataError, match="cannot hold the weights"):
        f.flatten(NPU(2, 4))
    with pytest.raises(OptionError, match="reads a NPU, not NAU"):
        f.flatten(NAU(3, 4))
    with pytest.raises(OptionError, match="FastNAU reads a NAU"):
        FastNAU(3, 4).flatten(NPU(3, 4))
    with pytest.raises(OptionError, match="cannot follow"):
        FastChain(f, FastNAU(3, 3))
    with pytest.raises(OptionError, match="at least one layer"):
        FastChain()
    with pytest.raises(OptionError, match="positive integer"):
        FastNAU(0, 1)


def test_restart_beside_a_diverged_one_is_unharmed():
    f = FastChain(FastRealNPU(2, 3), FastNAU(3, 1))
    p = f.initial_params(seeded(), population=(2,), dtype=torch.float64)
    p[1] = torch.nan
    p.requires_grad_()
    x = data(10, 2)
    f(x, p).square().mean((-1, -2)).sum().backward()
    assert p.grad is not None
    alone = p.detach()[0].clone().requires_grad_()
    f(x, alone).square().mean().backward()
    assert alone.grad is not None
    assert torch.allclose(p.grad[0], alone.grad, rtol=1e-13)
