"""Noise: contrasts that see nothing smooth, levels and kinds over many seeds, missing values, irregular times."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import one_run

from neural_arith.data import Run
from neural_arith.discovery.measurements.noise import differences, estimate_noise
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.errors import OptionError
from neural_arith.fit.noise import CLEAN, Noise

T = np.linspace(0, 1, 120)
WAVE = np.column_stack([np.sin(6 * T), np.cos(9 * T)])
GROWTH = np.column_stack([np.exp(3 * T) / 8, 0.2 + T**2])
SEEDS = range(20)


def irregular(n: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).uniform(0, 1, n))


@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_contrasts_vanish_on_polynomials_and_keep_the_level_of_white_noise(order):
    t = irregular(400, order)
    polynomial = np.polynomial.Polynomial(np.random.default_rng(order).normal(size=order))(t)
    contrast, size = differences(t, polynomial, order)
    assert np.abs(contrast).max() < 1e-7 * max(size.max(), 1)
    white, _ = differences(t, np.random.default_rng(0).standard_normal(400), order)
    assert white.std() == pytest.approx(1.0, abs=0.2)


def test_additive_noise_over_seeds():
    levels = []
    for seed in SEEDS:
        found = estimate_noise(one_run(T, WAVE + 0.05 * np.random.default_rng(seed).standard_normal(WAVE.shape)))
        assert found.kind in ("additive", "proportional")
        levels.append(found.level if found.kind == "additive" else np.full(2, np.nan))
    levels = np.array(levels)
    right = np.isfinite(levels[:, 0])
    assert right.mean() >= 0.9
    np.testing.assert_allclose(np.median(levels[right], axis=0), 0.05, rtol=0.1)
    assert (np.abs(levels[right] / 0.05 - 1) < 0.5).all()


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_multiplicative_noise_of_positive_states_over_seeds(share):
    right, levels = 0, []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        found = estimate_noise(one_run(T, GROWTH * np.exp(share * rng.standard_normal(GROWTH.shape))))
        right += found.kind == "log"
        levels.append(found.level)
    assert right >= 18
    np.testing.assert_allclose(np.median(levels, axis=0), share, rtol=0.15)


def test_multiplicative_noise_of_states_that_change_sign_over_seeds():
    kinds = [
        estimate_noise(one_run(T, WAVE * (1 + 0.1 * np.random.default_rng(seed).standard_normal(WAVE.shape)))).kind
        for seed in SEEDS
    ]
    assert kinds.count("proportional") >= 18


def test_irregular_times_and_missing_values_over_seeds():
    levels = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        t = irregular(150, seed)
        x = np.column_stack([np.sin(6 * t)]) + 0.05 * rng.standard_normal((150, 1))
        x[rng.uniform(size=x.shape) < 0.2] = np.nan
        levels.append(estimate_noise(one_run(t, x), "additive").level[0])
    assert np.median(levels) == pytest.approx(0.05, rel=0.15)
    assert max(levels) < 0.08
    assert min(levels) > 0.03


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("signal", "share"),
    [
        (lambda t: np.exp(-30 * t), 0.05),  # thirteen decades
        (lambda t: np.sin(50 * t), 0.03),  # eight periods, nearly zero sixteen times
        (lambda t: 1 + 20 * np.exp(-(((t - 0.5) / 0.02) ** 2)), 0.05),  # one peak
    ],
)
def test_proportional_levels_of_steep_fast_and_spiky_signals(signal, share, seed):
    t = np.linspace(0, 1, 150)
    x = signal(t) * (1 + share * np.random.default_rng(seed).standard_normal(150))
    level = estimate_noise(one_run(t, x[:, None] / np.sqrt((x**2).mean())), "proportional").level[0]
    assert share / 1.6 < level < share * 1.6


@pytest.mark.parametrize("n", [20, 40, 600])
def test_levels_with_few_and_many_points(n):
    t = np.linspace(0, 1, n)
    levels = [
        estimate_noise(
            one_run(t, (np.sin(3 * t) + 0.05 * np.random.default_rng(s).standard_normal(n))[:, None]), "additive"
        ).level[0]
        for s in SEEDS
    ]
    assert np.median(levels) == pytest.approx(0.05, rel=0.3)
    assert np.abs(np.log(np.array(levels) / 0.05)).max() < (0.3 if n == 600 else 2.0)


def test_several_runs_count_together():
    rng = np.random.default_rng(0)
    runs = [Run(T[:30] * k, np.sin(5 * T[:30] * k)[:, None] + 0.03 * rng.standard_normal((30, 1))) for k in (1, 2, 3)]
    assert estimate_noise(runs, "additive").level[0] == pytest.approx(0.03, rel=0.3)


def several(levels: list[float], seed: int) -> list[Run]:
    rng = np.random.default_rng(seed)
    return [Run(T, np.roll(WAVE, k, 1) + s * rng.standard_normal(WAVE.shape)) for k, s in enumerate(levels)]


def test_runs_may_differ_in_noise():
    found = [estimate_noise(several([0.02, 0.04, 0.08], seed), "additive") for seed in SEEDS]
    shares = np.array([noise.shares for noise in found])
    np.testing.assert_allclose(np.exp(np.log(shares).mean(1)), 1, rtol=1e-9)
    np.testing.assert_allclose(np.median(shares, axis=0), [[0.5, 0.5], [1, 1], [2, 2]], rtol=0.15)
    np.testing.assert_allclose(np.median([noise.level for noise in found], axis=0), 0.04, rtol=0.15)
    assert found[0].share(1).tolist() == shares[0, 1].tolist()


def test_runs_of_one_noise_are_not_told_apart_by_chance():
    found = [estimate_noise(several([0.05] * 5, seed), "additive") for seed in SEEDS]
    assert sum(noise.shares is not None for noise in found) <= 1
    assert found[0].share(3).tolist() == [1, 1]


def test_noise_in_proportion_to_runs_of_different_size_is_no_difference_between_runs():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        runs = [Run(T, c * GROWTH * np.exp(0.1 * rng.standard_normal(GROWTH.shape))) for c in (0.2, 1.0, 3.0)]
        found = estimate_noise(runs)
        assert found.kind == "log"
        assert found.shares is None
        np.testing.assert_allclose(found.level, 0.1, rtol=0.3)


def test_a_run_without_noise_and_a_state_that_is_absent_do_not_hide_the_noise_of_others():
    for seed in range(5):
        noisy = several([0.05, 0.05], seed)
        clean = estimate_noise([*noisy, Run(T, WAVE)], "additive")
        assert not clean.clean
        np.testing.assert_allclose(clean.level * clean.share(0), 0.05, rtol=0.4)
        absent = [*noisy, Run(T, np.column_stack([noisy[0].x[:, 0], np.zeros(len(T))]))]
        found = estimate_noise(absent)
        assert found.kind == "additive"
        np.testing.assert_allclose(found.level, 0.05, rtol=0.4)


def test_noisier_runs_weigh_less():
    runs = several([0.02, 0.08], 0)
    noise = estimate_noise(runs, "additive")
    weight = make_problem(runs, smooth(runs, noise), noise, np.ones(2)).weight
    np.testing.assert_allclose(weight, np.repeat([1 / noise.share(0), 1 / noise.share(1)], len(T), axis=0))
    np.testing.assert_allclose(weight[0] / weight[-1], 4, rtol=0.5)


def test_smooth_states_are_clean():
    found = estimate_noise(one_run(T, WAVE))
    assert found.clean
    assert found.kind == "additive"
    assert (found.level < CLEAN / 10).all()
    assert not Noise("additive", np.array([0.0, 0.1])).clean


def test_a_kind_that_is_given_is_kept():
    x = GROWTH * np.exp(0.1 * np.random.default_rng(0).standard_normal(GROWTH.shape))
    for kind in ("additive", "proportional", "log"):
        assert estimate_noise(one_run(T, x), kind).kind == kind


def test_too_few_points_show_no_noise():
    assert estimate_noise(one_run(T[:4], GROWTH[:4])).level.tolist() == [0.0, 0.0]


def test_bad_kinds_are_refused():
    with pytest.raises(OptionError, match="'auto', 'additive', 'proportional' or 'log', got 'pink'"):
        estimate_noise(one_run(T, WAVE), "pink")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="positive"):
        estimate_noise(one_run(T, WAVE), "log")
