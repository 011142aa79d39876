"""Intervals against SciPy's densities and tests, and what must hold for any data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_arith_bench.arithmetic import scores
from scipy import optimize, stats

from neural_arith.errors import DataError

HALF_DROP = stats.chi2.ppf(0.95, 1) / 2


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_scipys(counts, level):
    k, n = counts
    low, high = scores.wilson(k, n, level)
    expected = stats.binomtest(k, n).proportion_ci(level, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= k / n <= high <= 1


def test_wilson_of_the_published_tables():
    low, high = scores.wilson([98, 0], [100, 100])  # NMU on products; every model on quotients
    np.testing.assert_array_equal(np.round(100 * low), [93, 0])
    np.testing.assert_array_equal(np.round(100 * high), [99, 4])


def test_wilson_refuses_more_successes_than_runs():
    with pytest.raises(DataError, match="at least one run"):
        scores.wilson(3, 2)


def gamma_likelihood(x: np.ndarray, mean: float) -> float:
    """The log likelihood at the best shape, by brute force."""
    found = optimize.minimize_scalar(
        lambda log_k: -stats.gamma.logpdf(x, np.exp(log_k), scale=mean / np.exp(log_k)).sum(), bracket=(0, 2)
    )
    return -found.fun  # pyright: ignore[reportAttributeAccessIssue]


def beta_likelihood(x: np.ndarray, mean: float) -> float:
    """The same at the best concentration."""
    found = optimize.minimize_scalar(
        lambda log_v: -stats.beta.logpdf(x, mean * np.exp(log_v), (1 - mean) * np.exp(log_v)).sum(), bracket=(0, 2)
    )
    return -found.fun  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("shape", "runs"), [(0.5, 10), (4.0, 98), (50.0, 3)])
def test_gamma_ends_where_the_likelihood_ratio_does(shape, runs):
    x = np.random.default_rng(1).gamma(shape, 1e6 / shape, runs)
    mean, low, high = scores.gamma(x)
    assert mean == pytest.approx(x.mean())
    best = gamma_likelihood(x, mean)
    for end in (low, high):
        assert best - gamma_likelihood(x, end) == pytest.approx(HALF_DROP, rel=1e-6)


@pytest.mark.parametrize(("a", "b", "runs"), [(2.0, 3.0, 40), (0.5, 20.0, 12), (300.0, 5.0, 5)])
def test_beta_ends_where_the_likelihood_ratio_does(a, b, runs):
    x = np.random.default_rng(2).beta(a, b, runs)
    mean, low, high = scores.beta(x / 2)
    best = beta_likelihood(x, 2 * mean)
    assert low < mean < high
    for end in (low, high):
        assert best - beta_likelihood(x, 2 * end) == pytest.approx(HALF_DROP, rel=1e-6)
    for other in (0.99 * mean, 1.01 * mean):
        assert beta_likelihood(x, 2 * other) < best


STEPS = st.lists(st.integers(1, 5000), min_size=2, max_size=20).filter(lambda steps: len(set(steps)) > 1)


@settings(max_examples=20, deadline=None)
@given(STEPS, st.floats(0.1, 1e5))
def test_gamma_follows_the_unit_and_the_level(steps, unit):
    plain = np.array(scores.gamma(steps))
    assert plain[1] < plain[0] < plain[2]
    np.testing.assert_allclose(scores.gamma(np.array(steps) * unit), unit * plain, rtol=1e-6)
    wider = scores.gamma(steps, 0.99)
    assert wider.low < plain[1]
    assert wider.high > plain[2]


SHARES = st.lists(st.floats(1e-6, 0.499), min_size=2, max_size=12).filter(lambda x: np.std(x) > 1e-3)


@settings(max_examples=20, deadline=None)
@given(SHARES)
def test_beta_is_symmetric(errors):
    mean, low, high = scores.beta(errors)
    assert 0 <= low < mean < high <= 0.5
    np.testing.assert_allclose(scores.beta(0.5 - np.array(errors)), (0.5 - mean, 0.5 - high, 0.5 - low), atol=1e-6)


def test_the_published_mean_of_a_beta_is_half_of_it():
    # a linear layer's worst weights are as far from whole numbers as they can be, yet the paper prints 0.25
    errors = 0.5 - np.random.default_rng(3).uniform(0, 0.004, 100)
    assert scores.beta(errors).mean == pytest.approx(0.498, abs=1e-3)
    assert round(scores.beta(errors, as_published=True).mean, 2) == 0.25


@pytest.mark.parametrize("interval", [scores.gamma, scores.beta])
def test_no_bounds_from_one_value(interval):
    for values in ([0.25], [0.25, np.nan, 0.25]):
        mean, low, high = interval(values)
        assert mean == 0.25
        assert np.isnan([low, high]).all()
    assert np.isnan(interval([])).all()


def test_values_out_of_range_are_refused():
    with pytest.raises(DataError, match="positive steps"):
        scores.gamma([0, 1000])
    with pytest.raises(DataError, match=r"0 to 0\.5"):
        scores.beta([0.1, 0.6])
