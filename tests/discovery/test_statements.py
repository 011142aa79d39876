"""Statements: each doubt is said when there is reason for it, and only then, however the search ended."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import logistic

from neural_arith.data import Trajectories
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.verdict.statements import Circumstances, statements
from neural_arith.fit.noise import Noise

T = np.linspace(0, 10, 60)
NOISE = Noise("additive", np.array([0.02]))
ENDS = ["done", "out of time", "interrupted"]


def said(x: np.ndarray, *, left: float = 0.0, u=None, noise=NOISE, t=T, residuals=None, **about) -> tuple[str, ...]:
    data = Trajectories.from_arrays(t, x, u=u)
    if residuals is None:
        residuals = [left * (r.x - np.nanmean(r.x, axis=0)) for r in data.runs]
    curves = smooth(list(data.runs), noise)
    return statements(data, curves, noise, np.ones(data.n_states), residuals, Circumstances(**about))


def test_nothing_to_doubt_is_nothing_said():
    assert said(logistic(T)) == ()


@pytest.mark.parametrize(("status", "word"), [("out of time", "time budget"), ("interrupted", "interrupted")])
def test_how_the_search_ended(status, word):
    (line,) = said(logistic(T), status=status)
    assert word in line


def test_one_state_that_turns_is_not_enough():
    lines = said(np.exp(-((T - 5) ** 2))[:, None] + 0.1, left=0.9)
    assert "One state is not enough: x0 both rises and falls" in lines[0]
    assert "hidden, or an input" in lines[0]
    assert "leave 81% of the variation of x0" in lines[1]
    assert "may be missing" not in lines[1]  # why is said already


@pytest.mark.parametrize("kind", ["additive", "proportional"])
def test_an_oscillation_needs_its_rate_only(kind):
    x = np.exp(-0.1 * T) * np.cos(2 * T)
    lines = said(x[:, None], noise=Noise(kind, np.array([0.02])))
    assert any("give the rate of x0 as a second state" in line for line in lines)


def test_with_an_input_one_state_may_turn():
    assert not any("not enough" in line for line in said(np.sin(T)[:, None], u=np.cos(T)))


def test_a_monotone_state_with_noise_does_not_turn():
    for seed in range(20):
        x = logistic(T) + 0.02 * np.random.default_rng(seed).standard_normal((60, 1))
        assert not any("not enough" in line for line in said(x))


def test_random_steps_are_named_and_not_taken_for_a_missing_state():
    t = np.arange(300.0)
    for seed in (0, 2):
        x = 50 + np.cumsum(np.random.default_rng(seed).standard_normal((300, 1)), axis=0)
        lines = said(x, t=t, left=0.9)
        assert any("steps of x0 look random" in line for line in lines)
        assert not any("One state is not enough" in line or "missing" in line for line in lines)


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize(("left", "percent"), [(0.5, "25%"), (1.0, "100%")])
def test_what_is_left_unexplained_however_the_search_ended(left, percent, status):
    line = said(logistic(T), left=left, status=status)[-1]
    assert f"leave {percent} of the variation of x0 unexplained" in line
    assert "times the scatter" in line
    assert "A state or an input may be missing" in line


def test_a_state_at_rest_within_its_scatter_misses_nothing():
    x = 3 + 0.1 * np.random.default_rng(0).standard_normal((60, 1))
    (line,) = said(x, left=1.0, noise=Noise("additive", np.array([0.1])))
    assert line == "No change beyond the scatter of the measurements is seen in x0."


def test_few_values_are_few():
    t = np.linspace(0, 10, 6)
    lines = said(logistic(t), t=t)
    assert lines == ("There are only 6 measured values of a state: so few single out hardly any equation.",)


@pytest.mark.parametrize("known", [False, True])
def test_what_was_stated_may_be_what_is_wrong(known):
    (line,) = said(logistic(T), left=0.5, known=known)
    assert ("what was stated as known may not hold" in line) == known


def test_doubts_about_what_was_stated_come_first():
    lines = said(logistic(T), doubts=["x0 is no sum."], status="out of time")
    assert lines[0] == "x0 is no sum."


def test_own_constants_for_each_run_are_the_reason_then():
    apart = "Constants may differ between the runs."
    lines = said(logistic(T), left=0.5, apart=apart, near_ties=2, telling="starts")
    assert apart in lines
    assert not any("missing" in line or "other starting states" in line for line in lines)


def test_a_rest_no_larger_than_the_noise_is_not_mentioned():
    assert said(logistic(T), left=0.3, noise=Noise("additive", np.array([0.5]))) == ()
    # Much noise hides most of the variation; that is no fault of the equations.
    assert said(logistic(T), left=0.6, noise=Noise("additive", np.array([2.0]))) == ()


@pytest.mark.parametrize("status", ENDS)
def test_a_rest_larger_than_the_noise_is_mentioned(status):
    line = said(logistic(T), left=0.3, status=status)[-1]
    assert "times the scatter between neighbouring samples" in line


def test_a_solution_that_breaks_off_explains_nothing():
    (line,) = said(logistic(T), left=np.nan)
    assert "leave what happened to x0 unexplained" in line


def test_a_wrong_reading_is_named():
    rest = 0.02 * np.random.default_rng(0).standard_normal((60, 1))
    rest[30] = 0.8
    (line,) = said(logistic(T) + rest, residuals=[rest])
    assert line.startswith("One value lies far off")
    assert f"x0 at t = {T[30]:.6g}" in line
    assert "A wrong reading?" in line


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize(("ties", "words"), [(1, "one other structure explains"), (7, "7 other structures explain")])
def test_ties_are_counted_however_the_search_ended(ties, words, status):
    line = said(logistic(T), near_ties=ties, status=status)[-1]
    assert words in line
    assert ("so far" in line) == (status != "done")


@pytest.mark.parametrize(
    ("telling", "advice"), [("starts", "other starting states"), ("inputs", "another course of u0"), ("", None)]
)
def test_only_data_that_would_tell_are_asked_for(telling, advice):
    line = said(logistic(T), u=np.cos(T), near_ties=2, telling=telling)[-1]
    assert advice in line if advice else line.endswith("lists the others.")
    # Where none of them is right more of the same would not help.
    lines = said(logistic(T), u=np.cos(T), near_ties=2, telling=telling, left=0.5)
    assert not any("would tell them apart" in line for line in lines)


def test_inputs_that_tell_little_are_named():
    on = np.where((T > 3) & (T < 6), 2.0, 0.0)
    lines = said(logistic(T), u=on, unused=["heat"])
    assert lines[0] == "heat never changes, so nothing can be said about what it does."
    assert any(line.startswith("u0 has only two values") for line in lines)
    assert any(line.startswith("u0 jumps from one row to the next") for line in lines)


def test_weak_constants_are_listed():
    (line,) = said(logistic(T), weak=["0.31", "2.2"])
    assert "0.31, 2.2" in line


def test_constant_states_are_named():
    noise = Noise("additive", np.zeros(2))
    lines = said(np.column_stack([logistic(T), np.full(60, 3.0)]), noise=noise)
    assert any(line.startswith("Constant in all runs") and "x1" in line for line in lines)


def test_thinning_is_said():
    (line,) = said(logistic(T), given=5000)
    assert "Of 5000 samples 60 were used" in line


def test_missing_values_are_not_unexplained():
    x = logistic(T)
    x[[3, 8, 20]] = np.nan
    assert said(x) == ()
