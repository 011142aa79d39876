"""Doubts about what was stated as known, about one law for all runs, and about inputs that tell little."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import logistic, noisy, scipy_solution

from neural_arith.data import Trajectories
from neural_arith.discovery import Discovery, discover
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.verdict.doubts import against_positive, against_sums
from neural_arith.equations import EquationSystem
from neural_arith.terms.units import FITTED, Unit, one_plus, power

T = np.linspace(0, 10, 40)


def find(data: Trajectories, **stated) -> Discovery:
    return discover(data, restarts=4, max_units=1, n_jobs=1, knowledge=Knowledge(**stated))


def chain(loss: float, noise: float = 0.0, seed: int = 0) -> Trajectories:
    """A becomes B, of which some is lost."""
    x = scipy_solution(lambda _, x: [-0.5 * x[0], 0.5 * x[0] - loss * x[1]], (5.0, 1.0), T)
    x = x + noise * np.random.default_rng(seed).standard_normal(x.shape)
    return Trajectories.from_arrays(T, x, names=("A", "B"))


# --------------------------------------------------------------------------------------------- what was stated
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_sums_are_held_against_the_measurements(size):
    known = Constraints(conserved=((1.0, 1.0),), size=np.ones(2))
    for seed in range(5):
        for loss, wrong in ((0.0, False), (0.3, True)):
            data = chain(loss, 0.05, seed)
            data = Trajectories.from_arrays(T, data[0].x * size, names=("A", "B"))
            said, flatly = against_sums(known, ["A + B"], data)
            assert bool(said) == flatly == wrong
            assert all("A + B was stated as conserved, but the measurements say otherwise" in line for line in said)


def test_exact_sums_and_missing_values_are_no_contradiction():
    known = Constraints(conserved=((1.0, 1.0),), size=np.ones(2))
    x = chain(0.0)[0].x.copy()
    x[5:12, 0] = np.nan
    assert against_sums(known, ["A + B"], Trajectories.from_arrays(T, x)) == ([], False)


def test_positive_states_are_held_against_the_measurements():
    known = Constraints(positive=np.array([True]))
    noise = 0.02 * np.random.default_rng(0).standard_normal((40, 1))
    fall = np.exp(-T)[:, None]
    assert against_positive(known, Trajectories.from_arrays(T, fall + noise)) == []
    (line,) = against_positive(known, Trajectories.from_arrays(T, fall - 0.3 + noise, names=("x",)))
    assert "x was stated as never negative, but was measured down to -0.3" in line


def test_a_sum_that_is_not_conserved_is_said_first_and_has_no_small_errors():
    found = find(chain(0.3, 0.02), conserved=["A + B"], kinds=[], max_terms=2)
    assert found.messages[0].startswith("A + B was stated as conserved, but the measurements say otherwise")
    assert any("of the variation of B unexplained" in line for line in found.messages)
    assert all(np.isnan(found.chosen.standard_errors))


def test_a_true_sum_keeps_its_errors():
    found = find(chain(0.0, 0.02), conserved=["A + B"], kinds=[], max_terms=2)
    assert found.equations.same_as(EquationSystem({"A": "-0.5*A", "B": "0.5*A"}), rtol=0.05)
    assert found.messages == ()
    assert np.isfinite(found.chosen.standard_errors).all()


def test_a_required_term_that_means_nothing_is_said():
    growth = Trajectories.from_arrays(T, noisy(logistic(T), 0.02, 1), names=("y",))
    found = find(growth, require={"y": ["y**3"]}, kinds=[])
    assert any("only because it was required" in line and "y**3" in line for line in found.messages)
    found = find(growth, require={"y": ["y", "y**2"]}, kinds=[])
    assert not any("required" in line for line in found.messages)


def test_a_sign_that_the_data_contradict_is_said():
    growth = Trajectories.from_arrays(T, noisy(logistic(T), 0.01, 1), names=("y",))
    found = find(growth, signs={"y": ["+y**2"]}, kinds=[], max_terms=2)
    assert any(line.startswith("+y**2 in the equation of y was stated") for line in found.messages)


# --------------------------------------------------------------------------------------- true knowledge never hurts
@pytest.mark.parametrize(
    ("rhs", "start", "names", "stated"),
    [
        (lambda y: [0.9 * y[0] * (1 - y[0] / 8) - 0.5], (1.5,), ("y",), {"require": {"y": ["1"]}, "kinds": []}),
        (
            lambda y: [1.1 * y[0] - 0.1 * y[0] ** 2 - 0.4 * y[0] * y[1], 0.3 * y[0] * y[1] - 0.6 * y[1]],
            (1.0, 2.0),
            ("hare", "lynx"),
            {"require": {"hare": ["hare**2", "hare*lynx"]}, "positive": ["hare", "lynx"], "kinds": []},
        ),
        (
            lambda y: [y[1], -2 * y[0] - 0.15 * y[1]],
            (1.0, 0.0),
            ("x", "v"),
            {"require": {"v": ["v"]}, "signs": {"v": ["-v", "-x"]}, "kinds": []},
        ),
        (lambda y: [-2.3 * y[0] / (0.8 + y[0])], (15.0,), ("s",), {"kinds": ["fractions"], "positive": ["s"]}),
    ],
    ids=["harvest", "competition", "oscillator", "enzyme"],
)
def test_true_knowledge_gives_the_law(rhs, start, names, stated):
    x = scipy_solution(lambda _, y: rhs(y), start, T)
    x = x + 0.01 * x.std(axis=0) * np.random.default_rng(2).standard_normal(x.shape)
    found = find(Trajectories.from_arrays(T, x, names=names), **stated)
    rng = np.random.default_rng(0)
    points = x[rng.integers(0, len(x), 30)]
    mine = found.equations.to_numpy()(0.0, points)
    true = np.array([rhs(point) for point in points])
    np.testing.assert_allclose(mine, true, atol=0.05 * np.abs(true).max())
    text = " ".join(found.equations.to_text().values())
    assert not any("only because it was required" in line for line in found.messages), text


# --------------------------------------------------------------------------------------------- one law for all runs
def test_constants_that_differ_between_runs_are_named():
    runs = [noisy(logistic(T, 0.5, rate), 0.02, k) for k, rate in enumerate((0.4, 0.6, 0.9))]
    found = discover(Trajectories.from_arrays([T] * 3, runs, names=("y",)), restarts=4, max_units=1, n_jobs=1)
    assert any(line.startswith("Constants may differ between the runs") for line in found.messages)
    assert not any("other starting states" in line or "missing" in line for line in found.messages)


def test_runs_of_one_law_have_nothing_said_against_them():
    runs = [noisy(logistic(T, start, 0.6), 0.02, k) for k, start in enumerate((0.3, 1.0, 7.0))]
    found = discover(Trajectories.from_arrays([T] * 3, runs, names=("y",)), restarts=4, max_units=1, n_jobs=1)
    assert not any("Constants may differ" in line for line in found.messages)


# -------------------------------------------------------------------------------------------------------- inputs
def test_an_input_that_never_changes_is_left_out_and_said():
    heat = np.full(40, 1.5)
    x = scipy_solution(lambda _, x: 0.4 * (18 - x) + 2.1 * 1.5, (15.0,), T)
    data = Trajectories.from_arrays(T, x, u=heat, names=("temperature",), input_names=("heat",))
    found = find(data, positive=["heat"])
    assert found.equations.same_as(EquationSystem({"temperature": "10.35 - 0.4*temperature"}, inputs=("heat",)), 1e-3)
    assert found.messages == ("heat never changes, so nothing can be said about what it does.",)
    assert found.data.input_names == ("heat",)
    np.testing.assert_allclose(found.equations.simulate([15.0], T, u=heat), x, rtol=1e-3)


@pytest.mark.parametrize("high", [0.05, 3.0])
def test_of_an_input_with_two_values_the_plainest_function_is_taken(high):
    road = np.where((T > 2) & (T < 7), high, 0.0)
    x = scipy_solution(lambda t, x: -0.7 * x + 4 * np.interp(t, T, road), (0.5,), T)
    found = find(Trajectories.from_arrays(T, x, u=road, names=("x",), input_names=("road",)))
    assert found.equations.same_as(EquationSystem({"x": "-0.7*x + 4*road"}, inputs=("road",)), rtol=1e-2)
    assert any(line.startswith("road has only two values") for line in found.messages)


def test_functions_of_a_switch_are_the_switch_itself():
    known = Constraints(switches=frozenset({1}))
    x, u, both = power(1, 0), power(0, 1), power(1, 1)
    for plain in (x, u, both, power(-2, 1), x.over(one_plus(x)), x.over(one_plus(both))):
        assert known.may_stand(0, plain)
    for other in (
        power(0, 2),
        power(1, 0.5),
        power(0, FITTED),
        Unit((1.0, 0.0), rates=(0.0, FITTED)),
        Unit((0.0, 0.0), frequencies=(0.0, 2.0)),
        x.over(one_plus(u)),
        x.over(one_plus(power(0, 2))),
    ):
        assert not known.may_stand(0, other)
        assert Constraints(required=((other,),), switches=frozenset({1})).may_stand(0, other)


def test_a_short_dose_in_a_long_series_is_not_smeared():
    t = np.linspace(0, 20, 2001)
    dose = np.where((t >= 4) & (t < 4.1), 30.0, 0.0) + np.where((t >= 9) & (t < 9.05), 50.0, 0.0)
    x = np.zeros(len(t))
    for k in range(1, len(t)):  # exact for straight lines from row to row
        h, a, b = t[k] - t[k - 1], dose[k - 1], dose[k]
        fall = np.exp(-0.4 * h)
        x[k] = x[k - 1] * fall + a * (1 - fall) / 0.4 + (b - a) / h * (h / 0.4 - (1 - fall) / 0.16)
    data = Trajectories.from_arrays(t, x, u=dose, names=("drug",), input_names=("dose",))
    found = discover(data, restarts=4, max_units=1, n_jobs=1, max_points=80)
    assert found.equations.same_as(EquationSystem({"drug": "dose - 0.4*drug"}, inputs=("dose",)), rtol=1e-2)
    assert np.isfinite(found.data[0].x).sum() == 80
    assert any("Of 2001 samples 80 were used" in line for line in found.messages)
