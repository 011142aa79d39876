"""Statements: each doubt is said when there is reason for it, and only then."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import logistic

from neural_arith.data import Trajectories
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.smoothing import smooth
from neural_arith.discovery.statements import statements

T = np.linspace(0, 10, 60)
NOISE = Noise("additive", np.array([0.02]))


def said(
    x: np.ndarray, *, left: float = 0.0, weak=(), ties: int = 0, status: str = "done", u=None, noise=NOISE, given=0
):
    data = Trajectories.from_arrays(T, x, u=u)
    residuals = [left * (r.x - np.nanmean(r.x, axis=0)) for r in data.runs]
    return statements(
        data, smooth(list(data.runs), noise), noise, np.ones(data.n_states), residuals, list(weak), ties, status, given
    )


def test_nothing_to_doubt_is_nothing_said():
    assert said(logistic(T)) == ()


@pytest.mark.parametrize(("status", "word"), [("out of time", "time budget"), ("interrupted", "interrupted")])
def test_how_the_search_ended(status, word):
    (line,) = said(logistic(T), status=status)
    assert word in line


def test_one_state_that_turns_is_not_enough():
    (line,) = said(np.exp(-((T - 5) ** 2))[:, None] + 0.1, left=0.9)
    assert "One state is not enough: x0 both rises and falls" in line


def test_with_an_input_one_state_may_turn():
    assert not any("not enough" in line for line in said(np.sin(T)[:, None], u=np.cos(T)))


def test_a_monotone_state_with_noise_does_not_turn():
    for seed in range(20):
        x = logistic(T) + 0.02 * np.random.default_rng(seed).standard_normal((60, 1))
        assert not any("not enough" in line for line in said(x))


@pytest.mark.parametrize(("left", "percent"), [(0.5, "25%"), (1.0, "100%")])
def test_what_is_left_unexplained(left, percent):
    (line,) = said(logistic(T), left=left)
    assert percent in line
    assert "x0" in line


def test_a_state_at_rest_within_its_scatter_misses_nothing():
    x = 3 + 0.1 * np.random.default_rng(0).standard_normal((60, 1))
    (line,) = said(x, left=1.0, noise=Noise("additive", np.array([0.1])))
    assert line == "No change beyond the scatter of the measurements is seen in x0."


def test_few_values_are_few():
    t = np.linspace(0, 10, 6)
    data = Trajectories.from_arrays(t, logistic(t))
    rest = [0 * data[0].x]
    lines = statements(data, smooth(list(data.runs), NOISE), NOISE, np.ones(1), rest, [], 0, "done", 0)
    assert lines == ("There are only 6 measured values of a state: so few single out hardly any equation.",)


def test_what_was_stated_may_be_what_is_wrong():
    data = Trajectories.from_arrays(T, logistic(T))
    rest = [0.5 * (data[0].x - data[0].x.mean())]
    curves = smooth(list(data.runs), NOISE)
    for known in (False, True):
        (line,) = statements(data, curves, NOISE, np.ones(1), rest, [], 0, "done", 0, known)
        assert ("what was stated as known may not hold" in line) == known


def test_a_search_cut_short_does_not_count_rivals():
    (line,) = said(logistic(T), ties=4, status="out of time")
    assert "structures" not in line


def test_a_rest_no_larger_than_the_noise_is_not_mentioned():
    assert said(logistic(T), left=0.3, noise=Noise("additive", np.array([0.5]))) == ()
    # Much noise hides most of the variation; that is no fault of the equations.
    assert said(logistic(T), left=0.6, noise=Noise("additive", np.array([2.0]))) == ()


def test_a_rest_larger_than_the_noise_is_mentioned():
    (line,) = said(logistic(T), left=0.3)
    assert "times the scatter between neighbouring samples" in line


def test_a_solution_that_breaks_off_explains_nothing():
    (line,) = said(logistic(T), left=np.nan)
    assert "leave what happened to x0 unexplained" in line


@pytest.mark.parametrize(("ties", "words"), [(1, "one other structure explains"), (7, "7 other structures explain")])
def test_ties_are_counted(ties, words):
    (line,) = said(logistic(T), ties=ties)
    assert words in line


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
