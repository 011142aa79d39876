"""Best subsets against brute force by least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neural_arith.discovery.proposals.shortlists import best_subsets


def brute(columns: np.ndarray, target: np.ndarray, prices: np.ndarray, per: float, floor: float, n: int, largest: int):
    """Score of every subset by numpy's least squares."""
    found = {}
    for k in range(largest + 1):
        for members in itertools.combinations(range(len(columns)), k):
            c = np.linalg.lstsq(columns[list(members)].T, target, rcond=None)[0] if k else np.zeros(0)
            rss = float(((target - c @ columns[list(members)]) ** 2).sum()) if k else float(target @ target)
            misfit = n * np.log(rss / n + floor**2)
            price = sum(prices[j] + per for j in members) * (n / max(n - k - 2, 1) if k else 1)
            found[members] = (misfit + price, c, misfit)
    return found


def made(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(9, 40)) * 10.0 ** rng.integers(-6, 6, (9, 1))
    true = columns[[1, 4, 7]] / np.linalg.norm(columns[[1, 4, 7]], axis=1, keepdims=True)
    target = np.array([2.0, -1.0, 0.5]) @ true + 0.03 * rng.standard_normal(40)
    return columns, target, rng.uniform(1, 12, 9)


@pytest.mark.parametrize("seed", range(5))
def test_exhaustive_search_equals_brute_force(seed):
    columns, target, prices = made(seed)
    expected = brute(columns, target, prices, 3.7, 1e-5, 40, 5)
    found = best_subsets(
        columns, target, prices, per_coefficient=3.7, floor=1e-5, n_samples=40, largest=5, keep=25, beam=1000
    )
    best = sorted(expected, key=lambda m: expected[m][0])[:25]
    assert [s.members for s in found[:25]] == best
    for s in found:
        score, coefficients, misfit = expected[s.members]
        assert s.score == pytest.approx(score, rel=1e-6)
        assert s.misfit == pytest.approx(misfit, rel=1e-6)
        size = np.linalg.norm(columns[list(s.members)], axis=1)
        np.testing.assert_allclose(s.coefficients * size, coefficients * size, atol=1e-5)
    assert set(found[0].members) >= {1, 4}


@pytest.mark.parametrize("seed", range(5))
def test_the_beam_finds_the_truth_when_there_are_too_many(seed):
    columns, target, prices = made(seed)
    found = best_subsets(
        columns, target, prices, per_coefficient=3.7, floor=1e-5, n_samples=40, largest=5, exhaustive=20, beam=20
    )
    expected = brute(columns, target, prices, 3.7, 1e-5, 40, 5)
    assert found[0].members == min(expected, key=lambda m: expected[m][0])


def test_every_size_is_represented():
    columns, target, prices = made(0)
    found = best_subsets(columns, target, prices, per_coefficient=3.7, floor=1e-5, n_samples=40, largest=4, keep=3)
    for k in range(1, 5):
        of_size = [s.members for s in found if len(s.members) == k]
        assert len(of_size) >= 1
        expected = brute(columns, target, prices, 3.7, 1e-5, 40, 4)
        assert of_size[0] == min((m for m in expected if len(m) == k), key=lambda m: expected[m][0])
    assert len({s.members for s in found}) == len(found)


def test_useless_columns_are_left_out():
    columns, target, prices = made(0)
    columns[2], columns[3, 5], columns[5, 0] = 0.0, np.nan, np.inf
    found = best_subsets(columns, target, prices, per_coefficient=3.7, floor=1e-5, n_samples=40)
    assert not any({2, 3, 5} & set(s.members) for s in found)
    assert all(np.isfinite(s.score) for s in found)


def test_equal_columns_and_an_exact_fit_do_no_harm():
    columns = np.vstack([np.ones(20), np.ones(20), np.arange(20.0)])
    found = best_subsets(
        columns, 3 * columns[2], np.array([5.0, 5.0, 1.0]), per_coefficient=3.0, floor=1e-5, n_samples=20
    )
    assert found[0].members == (2,)
    assert found[0].coefficients[0] == pytest.approx(3.0)


def test_noise_alone_is_explained_by_nothing():
    rng = np.random.default_rng(0)
    empty = 0
    for _ in range(20):
        columns, target = rng.normal(size=(9, 40)), rng.normal(size=40)
        found = best_subsets(columns, target, np.full(9, 6.0), per_coefficient=3.7, floor=1e-5, n_samples=40)
        empty += found[0].members == ()
    assert empty >= 15


def test_no_columns_leave_the_empty_set():
    found = best_subsets(np.zeros((0, 10)), np.ones(10), np.zeros(0), per_coefficient=3.0, floor=1e-5, n_samples=10)
    assert [s.members for s in found] == [()]
