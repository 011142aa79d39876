"""A power unit under a layer of sums, fitted by algebra, against the formulas that made the data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAU, NPU, RealNPU, fit_closed_form
from neural_arith.layers.algebra.sums_of_powers import fit_sums_of_powers


def points(n, inputs=2, low=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return low + (2 - low) * torch.rand(n, inputs, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("unit", [RealNPU, NPU])
def test_all_four_outputs_of_the_simple_task_hold_far_outside(unit):
    x = points(300)
    a, b = x.unbind(1)
    network = nn.Sequential(unit(2, 6, dtype=x.dtype), NAU(6, 4, dtype=x.dtype))
    assert fit_closed_form(network, x, torch.stack([a + b, a * b, a / b, a.sqrt()], 1)).exact
    far = 8 * points(100, low=-1.0, seed=1)
    c, d = far.unbind(1)
    assert torch.allclose(network(far)[:, :3], torch.stack([c + d, c * d, c / d], 1), rtol=1e-12)
    assert torch.allclose(network(far.abs())[:, 3], c.abs().sqrt(), rtol=1e-12)


exponents = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -0.5, -2.0])
coefficients = st.floats(0.1, 10).flatmap(lambda c: st.sampled_from([c, -c]))
term = st.tuples(exponents, exponents)


@settings(max_examples=25, deadline=None)
@given(st.lists(term, min_size=1, max_size=3, unique=True), st.data())
def test_terms_of_the_grid_come_back(rows, data):
    weights = torch.tensor([data.draw(coefficients) for _ in rows], dtype=torch.float64)
    powers = torch.tensor(rows, dtype=torch.float64)
    x = points(200)
    y = (x[:, None, :] ** powers).prod(-1) @ weights
    if y.abs().max() < 1e-3:  # terms that nearly cancel
        return
    found = fit_sums_of_powers(x, y, torch.ones(2, dtype=torch.bool), 1e-15)
    far = 3 * points(50, seed=2)
    assert torch.allclose(found(far), (far[:, None, :] ** powers).prod(-1) @ weights, rtol=1e-8, atol=1e-8)


@given(st.floats(-3, 3), st.floats(-3, 3), coefficients)
def test_one_term_may_have_any_powers_and_coefficient(p, q, c):
    x = points(60)
    found = fit_sums_of_powers(x, c * x[:, 0] ** p * x[:, 1] ** q, torch.ones(2, dtype=torch.bool), 1e-15)
    far = 3 * points(50, seed=2)
    assert torch.allclose(found(far), c * far[:, 0] ** p * far[:, 1] ** q, rtol=1e-9)


def test_masked_inputs_stay_out_and_many_inputs_are_taken_one_by_one():
    x = points(400, inputs=12)
    live = torch.ones(12, dtype=torch.bool)
    live[5] = False
    found = fit_sums_of_powers(x, 2 * x[:, 3] ** 2 - x[:, 7].sqrt(), live, 1e-15)
    assert found(points(9, inputs=12, seed=3)).isfinite().all()
    assert torch.count_nonzero(found.powers) == 2
    assert not found.powers[:, 5].any()


def test_mixed_signs_keep_whole_powers():
    x = points(300, low=-2.0)
    y = x[:, 0] ** 2 - 3 * x[:, 0] * x[:, 1]
    assert torch.allclose(
        fit_sums_of_powers(x, y, torch.ones(2, dtype=torch.bool), 1e-15)(x), y, rtol=1e-10, atol=1e-10
    )


def test_what_is_no_such_sum_is_told_and_too_few_units_too():
    x = points(300)
    network = nn.Sequential(RealNPU(2, 2, dtype=x.dtype), NAU(2, 1, dtype=x.dtype))
    assert not fit_closed_form(network, x, torch.sin(5 * x[:, 0]) * x[:, 1]).exact
    narrow = nn.Sequential(RealNPU(2, 1, dtype=x.dtype), NAU(1, 2, dtype=x.dtype))
    with pytest.raises(OptionError, match="widen the first layer"):
        fit_closed_form(narrow, x, torch.stack([x[:, 0], x[:, 1]], 1))
