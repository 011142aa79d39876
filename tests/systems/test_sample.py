"""Drawing data: exact solutions, conserved quantities, noise statistics, losses, and determinism."""

from __future__ import annotations

import numpy as np
import pytest

from neural_arith import systems
from neural_arith.errors import IntegrationError, OptionError

SIR = systems.get("fractional_sir")
OSCILLATOR = systems.get("harmonic_oscillator")


def states(name: str, **options) -> tuple[np.ndarray, np.ndarray]:
    run = systems.get(name).sample(**options)[0]
    return run.t, run.x


# ----------------------------------------------------------------------------------------------------- truth
EXACT = {
    "rc_charging": lambda t, x: 0.84 + (x - 0.84) * np.exp(-t / (1.2 * 2.31)),
    "exponential_growth": lambda t, x: x * np.exp(0.23 * t),
    "logistic_growth": lambda t, x: 74.3 / (1 + (74.3 / x - 1) * np.exp(-0.79 * t)),
    "critical_slowing": lambda t, x: 1 / np.sqrt(1 / x**2 + 2 * t),
    "gompertz_tumour": lambda t, x: np.exp(np.log(2.29 * x) * np.exp(0.032 * t)) / 2.29,
    "generalized_growth": lambda t, x: (x**0.4 + 0.4 * 0.6 * t) ** 2.5,
    "bertalanffy": lambda t, x: (1.567 / 0.6 + (np.cbrt(x) - 1.567 / 0.6) * np.exp(-0.2 * t)) ** 3,
    "west_growth": lambda t, m: 840 * (1 - (1 - (m / 840) ** 0.25) * np.exp(-0.21 * t / (4 * 840**0.25))) ** 4,
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("start", [0, 1])
def test_exact_solutions(name, start):
    t, x = states(name, initial=start)
    np.testing.assert_allclose(x[:, 0], EXACT[name](t, x[0, 0]), rtol=2e-8)


def _kepler_energy(s: np.ndarray) -> np.ndarray:
    x, y, u, v = s.T
    return (u**2 + v**2) / 2 - 39.478 / np.hypot(x, y)


CONSERVED = {
    "harmonic_oscillator": lambda s: s[:, 1] ** 2 + 2.1 * s[:, 0] ** 2,
    "pendulum": lambda s: s[:, 1] ** 2 / 2 - 0.9 * np.cos(s[:, 0]),
    "hoop_bead": lambda s: s[:, 1] ** 2 / 2 - 0.93 * np.cos(s[:, 0]) - np.sin(s[:, 0]) ** 2 / 2,
    "lotka_volterra": lambda s: (1.62 * s[:, 0] + 1.45 * s[:, 1]) - np.log(s) @ [3, 1.84],
    "seir": lambda s: s.sum(axis=1),
    "fractional_sir": lambda s: s.sum(axis=1),
    "freundlich_batch": lambda s: s[:, 0] + 2 * s[:, 1],
    "hydrogen_bromide": lambda s: s[:, 0] + s[:, 2] / 2,
    "apoptosis": lambda s: s[:, 1] + s[:, 2],
    "kepler_planar": _kepler_energy,
}  # fmt: skip


@pytest.mark.parametrize("name", CONSERVED)
@pytest.mark.parametrize("start", [0, 1])
def test_what_is_conserved(name, start):
    _, x = states(name, initial=start)
    values = CONSERVED[name](x)
    np.testing.assert_allclose(values, values[0], rtol=1e-7)


def test_zero_starts_of_power_laws_integrate():
    assert SIR.sample(initial=np.array([100.0, 0.0, 0.0]))[0].x[-1].tolist() == [100.0, 0.0, 0.0]
    filling = systems.get("torricelli_tanks").sample(initial=np.zeros(2))[0].x
    assert np.all(np.isfinite(filling))
    assert np.all(filling[1:] > 0)
    refilling = SIR.sample(initial=np.array([0.0, 1.0, 0.0]))[0].x
    np.testing.assert_allclose(refilling.sum(axis=1), 1.0, rtol=1e-9)
    assert refilling.min() > -1e-8


def test_a_start_outside_the_domain_is_an_error():
    with pytest.raises(IntegrationError, match="not finite"):
        systems.get("bertalanffy").sample(initial=np.array([-1.0]))


# ------------------------------------------------------------------------------------------ starts and times
def test_times():
    assert len(OSCILLATOR.sample()[0]) == 150
    np.testing.assert_array_equal(OSCILLATOR.sample(11)[0].t, np.arange(11.0))
    t = np.array([0.0, 0.1, 5.0, 40.0])
    run = OSCILLATOR.sample(t=t)[0]
    np.testing.assert_array_equal(run.t, t)
    w = np.sqrt(2.1)
    np.testing.assert_allclose(run.x[:, 0], 0.4 * np.cos(w * t) - 0.03 / w * np.sin(w * t), atol=1e-7)


def test_several_starts():
    data = OSCILLATOR.sample(20, initial=[1, np.array([2.0, 0.0]), (3.0, 1.0), 0])
    assert [run.x[0].tolist() for run in data] == [[0.0, 0.2], [2.0, 0.0], [3.0, 1.0], [0.4, -0.03]]
    table = OSCILLATOR.sample(20, initial=np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert [run.x[0].tolist() for run in table] == [[1, 2], [3, 4]]
    assert OSCILLATOR.sample(20, initial=[1.0, 2.0])[0].x[0].tolist() == [1, 2]


def test_an_equilibrium_can_be_sampled():
    assert np.all(OSCILLATOR.sample(5, initial=np.zeros(2))[0].x == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_points": 1}, "n_points must be a whole number of at least 2"),
        ({"n_points": 2.5}, "n_points must be a whole number"),
        ({"n_points": 5, "t": [0, 1]}, "n_points or t, not both"),
        ({"t": [0, 1, 1]}, "strictly increasing"),
        ({"t": [0, np.nan]}, "finite"),
        ({"initial": 2}, "there are 2 initial states, numbered from 0; got 2"),
        ({"initial": -1}, "got -1"),
        ({"initial": [100, 0]}, "write an array or decimal numbers"),
        ({"initial": []}, "empty list"),
        ({"initial": np.ones(3)}, "must have 2 finite numbers"),
        ({"initial": [np.nan, 1.0]}, "must have 2 finite numbers"),
        ({"initial": "first"}, "an index or a state of 2 numbers"),
        ({"noise": -0.1}, "noise must be"),
        ({"noise": np.inf}, "noise must be"),
        ({"noise_kind": "gauss"}, "one of multiplicative, additive, not 'gauss'"),
        ({"drop": 1.0}, r"drop is a share and must lie in \[0, 1\)"),
        ({"missing": -0.5}, "missing is a share"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(OptionError, match=message):
        OSCILLATOR.sample(**options)


# ------------------------------------------------------------------------------------------ noise and losses
def test_multiplicative_noise():
    clean = SIR.sample(4000)[0].x
    noisy = SIR.sample(4000, noise=0.05)[0].x
    assert noisy[0, 2] == 0.0
    ratio = noisy[1:] / clean[1:] - 1
    # four standard errors: of the mean 0.05/sqrt(n), of the deviation 0.05/sqrt(2 n)
    n = ratio.size
    assert abs(ratio.mean()) < 4 * 0.05 / np.sqrt(n)
    assert abs(ratio.std() - 0.05) < 4 * 0.05 / np.sqrt(2 * n)
    assert abs(np.corrcoef(ratio.T) - np.eye(3)).max() < 4 / np.sqrt(len(ratio))


def test_additive_noise_is_relative_to_each_states_deviation():
    clean = SIR.sample(4000)[0].x
    shock = SIR.sample(4000, noise=0.1, noise_kind="additive")[0].x - clean
    expected = 0.1 * clean.std(axis=0)
    np.testing.assert_allclose(shock.std(axis=0), expected, rtol=4 / np.sqrt(2 * 4000))
    assert np.all(abs(shock.mean(axis=0)) < 4 * expected / np.sqrt(4000))


def test_noise_is_normal():
    noisy, clean = (OSCILLATOR.sample(5000, noise=s)[0].x[:, 0] for s in (1.0, 0.0))
    shock = noisy / clean - 1
    assert abs((shock**3).mean()) < 4 * np.sqrt(15 / 5000)
    assert abs((shock**4).mean() - 3) < 4 * np.sqrt(96 / 5000)


def test_dropped_rows():
    full = OSCILLATOR.sample(100)[0]
    run = OSCILLATOR.sample(100, drop=0.35)[0]
    assert len(run) == 65
    rows = np.searchsorted(full.t, run.t)
    np.testing.assert_array_equal(full.t[rows], run.t)
    np.testing.assert_array_equal(full.x[rows], run.x)


def test_missing_values():
    full = OSCILLATOR.sample(100)[0].x
    data = OSCILLATOR.sample(100, missing=0.2)
    gaps = np.isnan(data[0].x)
    assert gaps.sum() == 40
    assert 0 < gaps[:, 0].sum() < 40
    np.testing.assert_array_equal(data[0].x[~gaps], full[~gaps])
    assert data.has_missing
    both = OSCILLATOR.sample(100, drop=0.5, missing=0.1)[0].x
    assert both.shape == (50, 2)
    assert np.isnan(both).sum() == 10


# ----------------------------------------------------------------------------------------------- determinism
def test_the_same_arguments_give_the_same_data():
    options = {"noise": 0.1, "drop": 0.2, "missing": 0.1, "seed": 7, "initial": [0, 1]}
    first = SIR.sample(**options)
    np.random.default_rng().random(10)
    systems.get("lorenz").sample(noise=0.1)
    for a, b in zip(first, SIR.sample(**options), strict=True):
        np.testing.assert_array_equal(a.t, b.t)
        np.testing.assert_array_equal(a.x, b.x)


def test_a_run_does_not_depend_on_its_neighbours():
    both = SIR.sample(noise=0.1, initial=[0, 1])
    alone = SIR.sample(noise=0.1, initial=1)
    np.testing.assert_array_equal(both[1].x, alone[0].x)


def test_noise_differs_between_seeds_levels_starts_and_systems():
    def shock(system=OSCILLATOR, noise=0.1, **options):
        noisy = system.sample(50, noise=noise, **options)
        clean = system.sample(50, **{k: v for k, v in options.items() if k != "seed"})
        return [(a.x[1:, 0] / b.x[1:, 0] - 1) / noise for a, b in zip(noisy, clean, strict=True)]

    (base,) = shock()
    pairs = [
        *shock(seed=1),
        *shock(noise=0.2),
        *shock(initial=1),
        *shock(systems.get("pendulum")),
        *shock(initial=[0, 0, np.array([0.4, -0.03])])[1:],
    ]
    for other in pairs:
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / np.sqrt(49)
