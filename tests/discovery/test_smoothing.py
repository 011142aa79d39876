"""Smooth curves: nearer to the truth than the data, through clean data, over gaps, in logarithms, with inputs."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import one_run

from neural_arith import systems
from neural_arith.data import Run
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.noise import Noise

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


# Rests and spikes, chaos, undersampled chaos, values that decay over many decades, kinks.
HARD = (
    "rossler",
    "lorenz",
    "chen_lee",
    "aizawa",
    "goldbeter_mitotic",
    "van_der_pol_lienard",
    "dipole_flow",
    "kepler_planar",
)


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("noise_kind", ["multiplicative", "additive"])
@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_curves_are_never_clearly_worse_than_the_measurements_when_the_noise_is_known(name, noise_kind, drop):
    system, share = systems.get(name), 0.05
    data = system.sample(noise=share, noise_kind=noise_kind, drop=drop, seed=1)
    full = system.sample().runs[0]
    scaling = fit_scaling(data)
    run = scaling.runs(data)[0]
    true = full.x[np.searchsorted(full.t, data.runs[0].t)] / scaling.state
    if noise_kind == "multiplicative":
        noise = Noise("proportional", np.full(data.n_states, share))
    else:
        noise = Noise("additive", share * full.x.std(axis=0) / scaling.state)
    x = smooth([run], noise)[0](run.t)
    raw = np.sqrt(((run.x - true) ** 2).mean(axis=0))
    left = np.sqrt(((x - true) ** 2).mean(axis=0))
    assert (left <= 1.1 * raw).all(), left / raw


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


def spiky(t: np.ndarray) -> np.ndarray:
    """Long rests and sharp peaks, as of a firing neuron."""
    return 0.1 + 3.0 * np.exp(-(((t - 0.3) / 0.015) ** 2)) + 2.0 * np.exp(-(((t - 0.75) / 0.02) ** 2))


def test_rests_are_smoothed_although_peaks_are_not():
    t = np.linspace(0, 1, 150)
    errors, shares = [], []
    for seed in range(10):
        x = spiky(t) + 0.05 * np.random.default_rng(seed).standard_normal(150)
        runs = one_run(t, x[:, None])
        error = smooth(runs, estimate_noise(runs, "additive"))[0](t)[:, 0] - spiky(t)
        rest = np.abs(t - 0.5) < 0.08
        errors.append(np.sqrt((error[rest] ** 2).mean()) / 0.05)
        shares.append(np.sqrt((error**2).mean()) / 0.05)
    assert np.median(errors) < 0.6
    assert max(shares) < 1.05


def test_integrals_of_the_curve_are_better_than_those_of_the_measurements():
    t = np.linspace(0, 1, 150)
    fine = np.linspace(0, 1, 3000)
    gains = []
    for seed in range(10):
        x = np.sin(12 * t) + 0.1 * np.random.default_rng(seed).standard_normal(150)
        runs = one_run(t, x[:, None])
        curve = smooth(runs, estimate_noise(runs))[0](fine)[:, 0]
        pieces = [((v - np.sin(12 * fine)) / 3000).reshape(30, 100).sum(1) for v in (curve, np.interp(fine, t, x))]
        gains.append(np.linalg.norm(pieces[0]) / np.linalg.norm(pieces[1]))
    assert max(gains) < 0.9


def test_a_bad_estimate_of_the_noise_costs_little():
    x = np.sin(9 * T) + 0.05 * np.random.default_rng(0).standard_normal(80)
    for level in (0.025, 0.1):
        left = smooth(one_run(T, x[:, None]), Noise("additive", np.array([level])))[0](T)[:, 0] - np.sin(9 * T)
        assert np.sqrt((left**2).mean()) < 0.9 * 0.05


def test_units_and_origins_of_time_do_not_matter():
    x = np.sin(6 * T)[:, None] + 0.1 * np.random.default_rng(0).standard_normal((80, 1))
    noise = Noise("additive", np.array([0.1]))
    here = smooth(one_run(T, x), noise)[0](T)
    np.testing.assert_allclose(smooth(one_run(5 + 1000 * T, x), noise)[0](5 + 1000 * T), here, atol=1e-6)


def test_samples_that_nearly_coincide_do_not_bend_the_curve():
    rng = np.random.default_rng(0)
    t = np.sort(np.append(np.linspace(0, 1, 60), np.linspace(0, 1, 60)[10:50] + 1e-9))
    x = np.sin(6 * t)[:, None] + 0.1 * rng.standard_normal((100, 1))
    fine = np.linspace(0, 1, 1000)
    assert (
        np.abs(smooth(one_run(t, x), Noise("additive", np.array([0.1])))[0](fine)[:, 0] - np.sin(6 * fine)).max() < 0.2
    )


def test_long_series_are_smoothed_in_overlapping_chunks():
    t = np.linspace(0, 1, 1000)
    x = np.sin(40 * t)[:, None] + 0.1 * np.random.default_rng(0).standard_normal((1000, 1))
    curve = smooth(one_run(t, x), Noise("additive", np.array([0.1])))[0]
    left = curve(t)[:, 0] - np.sin(40 * t)
    assert np.sqrt((left**2).mean()) < 0.03
    assert np.abs(np.diff(left)).max() < 0.1
