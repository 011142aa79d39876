"""Smooth curves: nearer to the truth than the data, through clean data, over gaps, in logarithms, with inputs."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import one_run

from neural_arith import systems
from neural_arith.data import Run
from neural_arith.discovery.noise import Noise, estimate_noise
from neural_arith.discovery.scaling import fit_scaling
from neural_arith.discovery.smoothing import smooth

T = np.linspace(0, 1, 80)
CLEAN_NOISE = Noise("additive", np.zeros(1))
# Drawn at random from the catalogue.
CASES = [
    (name, share, seed)
    for name in ("lotka_volterra", "hill_autorepression", "seir", "budworm", "van_der_pol", "michaelis_menten_chain")
    for share in (0.01, 0.05, 0.2)
    for seed in range(2)
]


@pytest.mark.parametrize(("name", "share", "seed"), CASES)
def test_curves_are_nearer_to_the_truth_than_the_measurements(name, share, seed):
    system = systems.get(name)
    truth, data = system.sample(), system.sample(noise=share, seed=seed)
    scaling = fit_scaling(data)
    runs = scaling.runs(data)
    x = smooth(runs, estimate_noise(runs))[0](runs[0].t)
    true = truth.runs[0].x / scaling.state
    raw = np.sqrt(((runs[0].x - true) ** 2).mean(axis=0))
    left = np.sqrt(((x - true) ** 2).mean(axis=0))
    assert (left <= raw).all(), left / raw


def test_clean_data_are_met_and_quintics_reproduced_between_them():
    t = np.sort(np.random.default_rng(0).uniform(0, 1, 30))
    f = np.polynomial.Polynomial([1.0, -2.0, 3.0, 0.5, -4.0, 2.0])
    curve = smooth(one_run(t, f(t)[:, None]), CLEAN_NOISE)[0]
    fine = np.linspace(t[0], t[-1], 200)
    np.testing.assert_allclose(curve(fine)[:, 0], f(fine), atol=1e-10)


def test_missing_values_are_bridged():
    x = np.sin(6 * T)[:, None].copy()
    x[30:34] = np.nan
    x[50] = np.nan
    assert np.abs(smooth(one_run(T, x), CLEAN_NOISE)[0](T)[:, 0] - np.sin(6 * T)).max() < 1e-4


def test_curves_of_logarithms_stay_positive():
    rng = np.random.default_rng(0)
    x = (np.exp(-8 * T) * np.exp(0.3 * rng.standard_normal(80)))[:, None]
    curve = smooth(one_run(T, x), Noise("log", np.array([0.3])))[0]
    assert curve.logarithmic
    assert (curve(np.linspace(0, 1, 500)) > 0).all()


def test_inputs_come_behind_the_states_as_straight_lines():
    u = np.random.default_rng(0).normal(size=(80, 2))
    curve = smooth(one_run(T, np.sin(T)[:, None], u), CLEAN_NOISE)[0]
    at = np.linspace(0, 1, 333)
    assert curve(at).shape == (333, 3)
    np.testing.assert_allclose(curve(at)[:, 2], np.interp(at, T, u[:, 1]))


@pytest.mark.parametrize("seen", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_few_values_still_give_a_curve(seen, level):
    x = np.full((20, 1), np.nan)
    x[np.linspace(0, 19, seen).astype(int), 0] = np.linspace(1, 2, seen)
    curve = smooth(one_run(np.arange(20.0), x), Noise("additive", np.array([level])))[0]
    assert np.isfinite(curve(np.arange(20.0))).all()


def test_every_run_has_its_own_curve():
    runs = [Run(T, np.sin(3 * T)[:, None]), Run(T[:20], np.cos(3 * T[:20])[:, None])]
    curves = smooth(runs, CLEAN_NOISE)
    for run, curve in zip(runs, curves, strict=True):
        np.testing.assert_allclose(curve(run.t), run.x, atol=1e-9)
