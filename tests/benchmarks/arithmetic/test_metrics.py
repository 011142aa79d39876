"""Metrics against plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from neural_arith_bench.arithmetic import scores
from neural_arith_bench.arithmetic.references import trivial_errors

from neural_arith.errors import DataError, OptionError

ERRORS = st.one_of(st.floats(0, 10), st.just(math.nan), st.just(math.inf))


def first_below(errors: list[float], steps: list[int], bar: float) -> float:
    for error, step in zip(errors, steps, strict=True):
        if error < bar:
            return step
    return math.nan


@settings(deadline=None, max_examples=50)
@given(arrays(float, (3, 7), elements=ERRORS), st.floats(0.1, 9))
def test_solved_at_is_the_first_step_below_the_bar(errors, bar):
    steps = list(range(0, 7000, 1000))
    expected = [first_below(row, steps, bar) for row in errors.tolist()]
    np.testing.assert_array_equal(scores.solved_at(errors, steps, bar), expected)
    np.testing.assert_array_equal(scores.solved_at(torch.tensor(errors), torch.tensor(steps), bar), expected)


@settings(deadline=None, max_examples=50)
@given(arrays(float, (3, 7), elements=ERRORS), arrays(float, (3, 7), elements=ERRORS), st.integers(1, 9))
def test_the_model_is_that_of_the_lowest_validation_error(validation, test, last):
    expected = []
    for seen, judged in zip(validation.tolist(), test.tolist(), strict=True):
        tail = [(v, i) for i, v in enumerate(seen) if math.isfinite(v) and i >= 7 - last]
        expected.append(judged[min(tail)[1]] if tail else math.nan)
    np.testing.assert_array_equal(scores.at_best_validation(validation, test, last), expected)


@settings(deadline=None, max_examples=50)
@given(arrays(float, (2, 3, 4), elements=st.floats(-2, 2)), arrays(float, (2, 5), elements=st.floats(-2, 2)))
def test_sparsity_error_is_the_largest_distance_to_a_whole_number(first, second):
    expected = [
        max(min(abs(w), abs(1 - abs(w))) for w in [*first[member].ravel(), *second[member]]) for member in range(2)
    ]
    np.testing.assert_array_equal(scores.sparsity_error(first, torch.tensor(second)), expected)


def test_errors_leave_out_what_is_not_judged_and_never_forgive_a_nan():
    true = np.array([[1.0, np.nan], [2.0, 5.0]])
    found = np.array([[[2.0, 9.0], [4.0, 2.0]], [[np.nan, 9.0], [2.0, 5.0]]])
    np.testing.assert_array_equal(scores.mean_squared_error(found, true), [[2.5, 9.0], [np.inf, 0.0]])
    np.testing.assert_array_equal(scores.mean_absolute_error(found, true), [[1.5, 3.0], [np.inf, 0.0]])


def test_logs_and_steps_must_agree():
    with pytest.raises(DataError, match=r"steps \(logs,\)"):
        scores.solved_at([[1.0, 2.0]], [0, 1, 2], 1.0)
    with pytest.raises(DataError, match="one shape"):
        scores.at_best_validation([[1.0, 2.0]], [1.0, 2.0])


def test_constant_answers():
    train = torch.tensor([[[1.0], [3.0], [8.0]]])
    test = torch.tensor([[[2.0], [4.0], [12.0], [math.nan]]])
    squared = {name: error.item() for name, error in trivial_errors(train, test).items()}
    assert squared == pytest.approx(
        {
            "zero": (4 + 16 + 144) / 3,
            "training mean": (4 + 0 + 64) / 3,
            "training median": (1 + 1 + 81) / 3,
            "best constant": (16 + 4 + 36) / 3,
        }
    )
    absolute = {name: error.item() for name, error in trivial_errors(train, test, "absolute").items()}
    assert absolute == pytest.approx(
        {"zero": 6, "training mean": 10 / 3, "training median": 11 / 3, "best constant": 10 / 3}
    )
    with pytest.raises(OptionError, match="squared or absolute"):
        trivial_errors(train, test, "cubic")  # pyright: ignore[reportArgumentType]
