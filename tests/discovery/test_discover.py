"""The whole route: known systems found again, doubts said, and answers that do not depend on the machine."""

from __future__ import annotations

import time

import numpy as np
import pytest
from simulated import LOGISTIC, LOTKA, logistic, noisy, predator_prey, scipy_solution

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.discovery import Discovery, discover
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.terms.units import is_simple

T = np.linspace(0, 10, 60)


def find(data: Trajectories, **options) -> Discovery:
    """With a small population, on one thread."""
    return discover(data, **{"restarts": 16, "max_units": 2, "n_jobs": 1, **options})


def growth(x: np.ndarray | None = None, t: np.ndarray = T) -> Trajectories:
    return Trajectories.from_arrays(t, logistic(t) if x is None else x, names=("y",))


# ---------------------------------------------------------------------------------------------------- recovery
def test_logistic_growth_and_everything_that_comes_with_it():
    data = growth()
    found = find(data)
    assert found.equations.same_as(LOGISTIC, rtol=1e-6)
    assert found.status == "done"
    assert found.messages == ()
    assert found.data.names == data.names
    assert np.array_equal(found.data.runs[0].x, data.runs[0].x)
    assert found.noise.level[0] < 1e-6
    np.testing.assert_allclose(found.initial_states, [[0.5]], rtol=1e-6)
    assert np.abs(found.residuals[0]).max() < 1e-5
    ((t, x),) = found.fitted
    np.testing.assert_allclose(x, logistic(t), rtol=1e-5)
    assert sum(c.selected for c in found.candidates) == 1
    chosen = next(c for c in found.candidates if c.selected)
    assert chosen.equations.same_as(found.equations, rtol=1e-6)
    assert [c.price for c in found.candidates] == sorted(c.price for c in found.candidates)
    for c in found.candidates:
        assert len(c.constants) == len(c.standard_errors)
        assert c.constants == tuple(c.equations.constants)


@pytest.mark.parametrize("size", [1e-12, 1e12])
@pytest.mark.parametrize("pace", [1e-9, 1e9])
def test_units_of_measurement_do_not_matter(size, pace):
    true = EquationSystem({"y": f"{0.8 / pace!r}*y - {0.16 / pace / size!r}*y**2"})
    found = find(growth(logistic(T) * size, T * pace))
    assert found.equations.same_as(true, rtol=1e-6)
    np.testing.assert_allclose(found.initial_states, [[0.5 * size]], rtol=1e-6)


def test_several_runs_of_different_lengths():
    ts = [np.linspace(0, 3, 12), np.linspace(5, 11, 20), np.linspace(2, 4, 5)]
    xs = [logistic(t, start) for t, start in zip(ts, (0.5, 8.0, 2.0), strict=True)]
    found = find(Trajectories.from_arrays(ts, xs, names=("y",)))
    assert found.equations.same_as(LOGISTIC, rtol=1e-4)
    np.testing.assert_allclose(found.initial_states, [[0.5], [8.0], [2.0]], rtol=1e-4)
    assert [len(r) for r in found.residuals] == [12, 20, 5]


def test_an_input_that_drives_the_state():
    t = np.linspace(0, 12, 49)
    u = np.sin(t) + 0.5 * np.sin(2.3 * t)
    x = scipy_solution(lambda s, x: -0.7 * x + 1.3 * np.interp(s, t, u), (0.5,), t)
    found = find(Trajectories.from_arrays(t, x, u=u, names=("x",), input_names=("v",)))
    assert found.equations.same_as(EquationSystem({"x": "-0.7*x + 1.3*v"}, inputs=("v",)), rtol=1e-3)


def test_an_unusual_exponent():
    x = ((1 + 0.62 * 0.5 * T) ** (1 / 0.62))[:, None]
    found = find(Trajectories.from_arrays(T, x, names=("x",)), max_units=1)
    assert found.equations.same_as(EquationSystem({"x": "0.5*x**0.38"}), rtol=1e-3)
    assert not is_simple(next(c for c in found.equations.constants if abs(c - 0.38) < 1e-2))


def test_irregular_times_and_missing_values():
    rng = np.random.default_rng(1)
    t = np.sort(np.append(0.0, rng.uniform(0, 14, 35)))
    x = scipy_solution(LOTKA.to_numpy(), (30.0, 4.0), t)
    x.flat[rng.choice(np.arange(2, x.size), 10, replace=False)] = np.nan
    found = find(Trajectories.from_arrays(t, x, names=("hare", "lynx")))
    assert found.equations.same_as(LOTKA, rtol=1e-3)
    assert np.isnan(found.residuals[0]).sum() == 10


@pytest.fixture(scope="module")
def lotka_volterra() -> list[Discovery]:
    """Found from data with 2 % noise, one for each seed."""
    return [find(predator_prey(30, 0.02, seed)) for seed in range(3)]


def test_lotka_volterra_with_noise_as_a_rate(lotka_volterra):
    right = [found.equations.same_as(LOTKA, rtol=0.05) for found in lotka_volterra]
    assert sum(right) >= 2
    for found in lotka_volterra:
        assert found.noise.kind == "log"
        np.testing.assert_allclose(found.noise.level, 0.02, rtol=0.6)


def test_the_truth_lies_within_the_standard_errors(lotka_volterra):
    inside = total = 0
    for found in lotka_volterra:
        if not found.equations.same_structure(LOTKA):
            continue
        chosen = next(c for c in found.candidates if c.selected)
        true = dict(zip(np.round(LOTKA.constants, 6), LOTKA.constants, strict=True))
        for value, error in zip(chosen.constants, chosen.standard_errors, strict=True):
            nearest = min(true.values(), key=lambda c: abs(c - value))
            inside += abs(value - nearest) < 2.5 * error
            total += 1
    assert inside / total >= 0.75


def test_the_answer_is_repeatable_and_does_not_depend_on_threads(lotka_volterra):
    again = find(predator_prey(30, 0.02, 0), n_jobs=2)
    assert again.equations == lotka_volterra[0].equations
    assert again.messages == lotka_volterra[0].messages
    assert [c.constants for c in again.candidates] == [c.constants for c in lotka_volterra[0].candidates]
    assert [c.score for c in again.candidates] == [c.score for c in lotka_volterra[0].candidates]


def test_van_der_pol_whose_states_change_sign():
    true = EquationSystem({"x": "y", "y": "-x + 0.9*y - 0.9*x**2*y"})
    t = np.linspace(0, 8, 40)
    x = scipy_solution(true.to_numpy(), (1.0, 0.3), t)
    assert find(Trajectories.from_arrays(t, x, names=("x", "y"))).equations.same_as(true, rtol=1e-3)


def test_the_published_fractional_sir_data():
    system = systems.get("fractional_sir")
    assert find(system.sample(), max_units=1).equations.same_as(system.equations, rtol=1e-3)


# ---------------------------------------------------------------------------------------------- measured series
def test_hare_and_lynx():
    found = find(systems.get("lynx_hare").data())
    assert found.equations.same_structure(EquationSystem({"hare": "hare - hare*lynx", "lynx": "-lynx + hare*lynx"}))
    f = found.equations.to_numpy()
    # d hare/dt at (1, 0) is a, at (1, 1) a - b; likewise for the lynx.
    a, b = f(0.0, np.array([1.0, 0.0]))[0], f(0.0, np.array([1.0, 0.0]))[0] - f(0.0, np.array([1.0, 1.0]))[0]
    c, d = -f(0.0, np.array([0.0, 1.0]))[1], f(0.0, np.array([1.0, 1.0]))[1] - f(0.0, np.array([0.0, 1.0]))[1]
    assert 0.45 < a < 0.65
    assert 0.022 < b < 0.033
    assert 0.65 < c < 0.95
    assert 0.019 < d < 0.029


def test_yeast_grows_to_its_capacity():
    found = find(systems.get("yeast_growth").data()).equations
    assert found.same_structure(EquationSystem({"biomass": "biomass - biomass**2"}))
    rate, brake = (abs(c) for c in sorted(found.constants, key=abs, reverse=True))
    assert 640 < rate / brake < 690


def test_influenza_says_that_one_state_is_not_enough():
    assert any("One state is not enough" in line for line in find(systems.get("boarding_school_flu").data()).messages)


# -------------------------------------------------------------------------------------------------- hard data
def test_a_constant_state_is_said_and_does_no_harm():
    found = find(Trajectories.from_arrays(T, np.column_stack([logistic(T), np.full(60, 2.0)]), names=("y", "c")))
    assert found.equations.same_as(EquationSystem({"y": "0.8*y - 0.16*y**2", "c": "0"}), rtol=1e-3)
    assert any("c" in line and line.startswith("Constant") for line in found.messages)


@pytest.mark.parametrize("values", [[1.0, 2.0, 2.9, 3.5], [1.0, -1.0, 1.0, -1.0], [5.0, 5.0, 5.0, 6.0]])
def test_four_points_give_an_answer(values):
    found = find(Trajectories.from_arrays(np.arange(4.0), np.array(values)))
    assert found.status == "done"
    assert len(found.candidates) >= 1


def test_pure_noise_is_explained_by_nothing():
    empty = 0
    for seed in range(3):
        x = 100 * np.random.default_rng(seed).standard_normal((40, 1))
        found = find(Trajectories.from_arrays(T[:40], x), max_units=1)
        empty += found.equations.rhs["x0"] == 0
        assert found.messages
    assert empty >= 2


def test_growth_is_still_found_under_heavy_noise():
    data = Trajectories.from_arrays([T, T], [noisy(logistic(T, s), 0.25, k) for k, s in enumerate((0.2, 0.5))])
    found = find(data)
    np.testing.assert_allclose(found.noise.level, 0.25, rtol=0.5)
    end = found.equations.simulate([0.3], np.array([0.0, 15.0]))[-1]
    assert end == pytest.approx(5.0, rel=0.25)


def test_missing_beginnings_and_ends():
    x = logistic(T)
    x[:3] = np.nan
    x[45:] = np.nan
    assert find(growth(x)).equations.same_as(LOGISTIC, rtol=1e-3)


# -------------------------------------------------------------------------------------- stopping early, options
def test_an_interrupt_returns_the_best_so_far():
    def stop(line: str) -> None:
        if "best score" in line:
            raise KeyboardInterrupt

    found = discover(growth(), restarts=8, max_units=1, n_jobs=1, progress=stop)
    assert found.status == "interrupted"
    assert found.equations.same_as(LOGISTIC, rtol=1e-3)
    assert "interrupted" in found.messages[0]


def test_an_interrupt_before_there_is_anything_goes_through():
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        discover(growth(), progress=stop)


def test_a_budget_that_runs_out_leaves_usable_equations():
    find(growth())  # whatever is done once only is done now
    begun, budget = time.monotonic(), 3.0

    def dawdle(line: str) -> None:
        while "best score" in line and time.monotonic() - begun <= budget:
            pass

    found = discover(growth(), restarts=8, max_units=1, n_jobs=1, time_budget=budget, progress=dawdle)
    assert found.status == "out of time"
    assert any("time budget" in line for line in found.messages)
    assert found.equations.same_as(LOGISTIC, rtol=1e-3)


def test_progress_is_told():
    lines: list[str] = []
    discover(growth(), restarts=8, max_units=1, n_jobs=1, progress=lines.append)
    assert "estimating the noise" in lines[:2]  # what is compiled may have to be loaded before
    assert len(lines) > 4


def test_long_series_are_thinned_and_say_so():
    t = np.linspace(0, 10, 5000)
    found = find(growth(logistic(t), t), max_points=100)
    assert found.data.n_points == 100
    assert found.equations.same_as(LOGISTIC, rtol=1e-4)
    assert any("5000" in line for line in found.messages)


def test_an_unknown_kind_of_noise_is_refused():
    with pytest.raises(OptionError, match="'auto', 'additive', 'proportional' or 'log'"):
        discover(growth(), noise="pink")
