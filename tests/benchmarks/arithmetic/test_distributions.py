"""Distributions against SciPy and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_arith_bench.arithmetic.inputs import Exponential, TruncatedNormal, Uniform
from neural_arith_bench.arithmetic.large_tasks import LargeScaleTask
from scipy import stats
from scipy.stats import qmc

from neural_arith.errors import OptionError

U = np.linspace(0, 1, 101)[:-1]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Uniform(-2, 3), stats.uniform(-2, 5)),
        (TruncatedNormal(-2, 4), stats.truncnorm(-3, 3, 1, 1)),
        (Exponential(0.2), stats.expon(scale=0.2)),
    ],
)
def test_quantiles_are_scipys(ours, theirs):
    np.testing.assert_allclose(ours.quantile(torch.tensor(U)), theirs.ppf(U), rtol=1e-9, atol=1e-12)


def test_mirrored_numbers_have_both_signs():
    x = Uniform(2, 6, mirrored=True).quantile(torch.tensor(U)).numpy()
    assert (x[:50] < 0).all()
    assert (x[50:] > 0).all()
    assert ((np.abs(x) >= 2) & (np.abs(x) <= 6)).all()
    assert (np.diff(x) > 0).all()


@settings(deadline=None, max_examples=50)
@given(st.floats(-5, 5), st.floats(0.1, 5), st.integers(-2, 6), st.booleans())
def test_moments_of_a_uniform_number(low, width, order, absolute):
    inputs = Uniform(low, low + width)
    if (low * (low + width) <= 0 and (order < 0 or absolute)) or (order < 0 and min(abs(low), abs(low + width)) < 1e-2):
        return
    expected = mpmath.quad(lambda x: abs(x) ** order if absolute else x**order, [low, low + width]) / width
    assert inputs.moment(order, absolute=absolute) == pytest.approx(float(expected), rel=1e-8, abs=1e-10)


def test_moments_of_a_mirrored_one():
    inputs = Uniform(2, 6, mirrored=True)
    assert inputs.moment(1) == 0
    assert inputs.moment(1, absolute=True) == 4
    assert inputs.moment(2) == Uniform(2, 6).moment(2)


@pytest.mark.parametrize(("bounds", "order"), [((-1, 1), -2), ((0, 1), -1)])
def test_moments_that_do_not_exist(bounds, order):
    with pytest.raises(OptionError):
        Uniform(*bounds).moment(order)


def test_bounds_must_be_in_order():
    for low, high, mirrored in ((2, 2, False), (3, 2, False), (-1, 2, True)):
        with pytest.raises(OptionError, match="low < high"):
            Uniform(low, high, mirrored)


def test_the_sobol_sequence_is_scipys():
    with pytest.warns(UserWarning, match="power of 2"):
        theirs = qmc.Sobol(100, scramble=False).random(301)[1:]
    ours = LargeScaleTask("sqrt").stream((4,)).batch(300).x[0].numpy()
    np.testing.assert_allclose(ours, 2 * theirs, atol=1e-8)
