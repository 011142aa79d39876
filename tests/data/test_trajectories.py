"""Trajectories from arrays: shapes, checks and the operations on them."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.data import Run, Trajectories
from neural_arith.errors import DataError, OptionError

T = np.arange(6.0)
X = np.column_stack([T**2, 10 - T])


# ------------------------------------------------------------------------------------------------ good input
def test_times_that_differ_by_rounding_are_duplicates():
    t = np.sort(np.r_[np.linspace(0, 10, 40), 5, 5 + 1e-13])
    with pytest.raises(DataError, match="duplicate time 5 at index"):
        Trajectories.from_arrays(t, np.cos(t))


def test_one_run_from_arrays():
    data = Trajectories.from_arrays(T, X, names=("hare", "lynx"))
    assert (len(data), data.n_states, data.n_points, data.n_inputs) == (1, 2, 6, 0)
    assert data.names == ("hare", "lynx")
    assert data.span == (0.0, 5.0)
    assert not data.has_missing
    (run,) = data
    np.testing.assert_array_equal(run.t, T)
    np.testing.assert_array_equal(run.x, X)
    assert run.u is None
    assert data[0] is run
    assert repr(data) == "Trajectories(1 run of hare, lynx; 6 points, t = 0 ... 5)"
    assert repr(run) == "Run(6 points, 2 states, t = 0 ... 5)"


def test_a_vector_is_one_state_and_names_have_defaults():
    data = Trajectories.from_arrays(list(range(6)), [1, 4, 9, 16, 25, 36])
    assert data.names == ("x0",)
    assert data[0].x.shape == (6, 1)
    assert data[0].x.dtype == np.float64


def test_a_list_of_rows_is_one_table():
    data = Trajectories.from_arrays([0, 1, 2, 3], [[1, 2], [3, 4], [5, 6], [7, 9]])
    assert len(data) == 1
    assert data[0].x.shape == (4, 2)


@pytest.mark.parametrize("kind", ["list of arrays", "array", "tuple", "nested lists"])
def test_many_runs_share_one_time(kind):
    x: object = [X, 2 * X]
    if kind == "array":
        x = np.stack([X, 2 * X])
    elif kind == "tuple":
        x = (X, 2 * X)
    elif kind == "nested lists":
        x = [X.tolist(), (2 * X).tolist()]
    data = Trajectories.from_arrays(T, x)
    assert len(data) == 2
    np.testing.assert_array_equal(data[1].x, 2 * X)
    np.testing.assert_array_equal(data[1].t, T)


def test_many_runs_of_different_length():
    data = Trajectories.from_arrays([T, T[:4] + 7], [X, X[:4]])
    assert data.n_points == 10
    assert [len(run) for run in data] == [6, 4]
    assert data.span == (0.0, 10.0)
    assert repr(data).startswith("Trajectories(2 runs of x0, x1; 10 points")


def test_many_runs_of_one_state_as_vectors():
    data = Trajectories.from_arrays([T, T[:5]], [T**2, T[:5] ** 3])
    assert [run.x.shape for run in data] == [(6, 1), (5, 1)]


def test_inputs_for_one_and_many_runs():
    data = Trajectories.from_arrays(T, X, u=np.sin(T), input_names=("light",))
    assert data.input_names == ("light",)
    assert data[0].u is not None
    assert data[0].u.shape == (6, 1)
    many = Trajectories.from_arrays(T, [X, X], u=[X, X])
    assert many.input_names == ("u0", "u1")
    assert "inputs u0, u1" in repr(many)


def test_arrays_are_read_only_copies():
    source = X.copy()
    data = Trajectories.from_arrays(T, source, u=T)
    source[:] = -1
    np.testing.assert_array_equal(data[0].x, X)
    run = data[0]
    assert run.u is not None
    for array in (run.t, run.x, run.u):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_tensors_masked_arrays_and_objects_are_understood():
    tensor = torch.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(Trajectories.from_arrays(torch.tensor(T), tensor)[0].x, X)
    masked = np.ma.masked_equal(X.astype(int), 10)
    assert np.argwhere(np.isnan(Trajectories.from_arrays(T, masked)[0].x)).tolist() == [[0, 1]]
    cells = [1, None, "3.5", Decimal("4.25"), "", "NA"]
    x = Trajectories.from_arrays(T, np.array(cells, dtype=object))[0].x[:, 0]
    np.testing.assert_array_equal(x, [1, np.nan, 3.5, 4.25, np.nan, np.nan])


@pytest.mark.parametrize("size", [1e-12, 1e12, 1e-300, 1e300])
def test_very_small_and_very_large_states_move(size):
    data = Trajectories.from_arrays(T, size * X)
    assert data.constant_states == ()
    np.testing.assert_array_equal(data[0].x, size * X)


def test_missing_values_are_kept():
    x = X.copy()
    x[2] = np.nan
    x[4, 0] = np.nan
    data = Trajectories.from_arrays(T, x)
    assert data.has_missing
    assert data.n_points == 6
    assert "3 missing values" in repr(data)


def test_a_state_may_be_unobserved_in_one_run():
    hidden = X.copy()
    hidden[:, 1] = np.nan
    assert len(Trajectories.from_arrays(T, [X, hidden])) == 2


def test_one_constant_state_is_named_not_refused():
    x = np.column_stack([T**2, np.full(6, 0.1 + 0.2)])
    x[3, 1] = 0.3  # rounding noise
    data = Trajectories.from_arrays(T, x, names=("moves", "rests"))
    assert data.constant_states == ("rests",)


def test_a_state_that_differs_between_runs_only_is_constant():
    rests = np.ones(6)
    data = Trajectories.from_arrays(T, [np.column_stack([T, rests]), np.column_stack([T, 2 * rests])])
    assert data.constant_states == ("x1",)


def test_pickle_round_trip():
    data = Trajectories.from_arrays(T, X, names=("a", "b"))
    again = pickle.loads(pickle.dumps(data))
    assert again.names == data.names
    np.testing.assert_array_equal(again[0].x, X)


def test_a_number_is_the_step_between_the_rows():
    np.testing.assert_array_equal(Trajectories.from_arrays(0.5, X)[0].t, 0.5 * T)
    np.testing.assert_array_equal(Trajectories.from_arrays(np.float32(2), X)[0].t, 2 * T)
    several = Trajectories.from_arrays(0.1, [X, X[:4]])
    np.testing.assert_array_equal(several[1].t, 0.1 * np.arange(4))
    own = Trajectories.from_arrays([0.1, 0.2], [X, X[:4]])
    np.testing.assert_array_equal(own[1].t, 0.2 * np.arange(4))
    for step in (0, -1, np.nan, np.inf):
        refused(r"t is .*: a single number is the step between the rows", t=step)
    refused(r"t of run 1 is 0", t=[1.0, 0.0], x=[X, X])
    refused(r"t is missing.*the step between", t=None)


def test_lists_of_rows_are_one_table():
    for row in (tuple, list, np.asarray, pd.Series):
        data = Trajectories.from_arrays(T, [row(x) for x in X.tolist()])
        np.testing.assert_array_equal(data[0].x, X)
        assert len(data) == 1


def test_columns_of_frames_are_taken_by_name():
    a = pd.DataFrame(X, columns=["hare", "lynx"])
    b = pd.DataFrame(2 * X, columns=["hare", "lynx"])
    data = Trajectories.from_arrays(T, [a, b[["lynx", "hare"]]])
    assert data.names == ("hare", "lynx")
    np.testing.assert_array_equal(data[1].x, 2 * X)
    turned = Trajectories.from_arrays(T, [a, b], names=["lynx", "hare"])
    np.testing.assert_array_equal(turned[0].x, X[:, ::-1])
    driven = Trajectories.from_arrays(T, [a, b], u=[a.add_suffix("s"), b.add_suffix("s")[["lynxs", "hares"]]])
    assert driven.input_names == ("hares", "lynxs")
    assert driven[1].u is not None
    np.testing.assert_array_equal(driven[1].u, 2 * X)
    refused(
        r"states of run 1: the columns are hare, fox, those of run 0 hare, lynx",
        x=[a, b.set_axis(["hare", "fox"], axis=1)],
    )
    refused(r"two columns named 'hare'", x=a.set_axis(["hare", "hare"], axis=1))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "float32", "object"])
def test_pandas_is_taken_wherever_numpy_is(dtype):
    x = pd.DataFrame(X.astype(int), columns=["a", "b"]).astype(dtype)
    x.iloc[2, 1] = pd.NA if dtype[0] in "IF" else np.nan
    expected = X.copy()
    expected[2, 1] = np.nan
    data = Trajectories.from_arrays(pd.Series(T).astype(dtype), x, u=pd.Series(T, name="light").astype(dtype))
    np.testing.assert_array_equal(data[0].x, expected)
    np.testing.assert_array_equal(data[0].t, T)
    many = Trajectories.from_arrays([pd.Series(T), pd.Series(T)], [x, x])
    np.testing.assert_array_equal(many[1].x, expected)


def test_logarithmic_times_are_no_duplicates():
    t = np.geomspace(1e-12, 1e3, 60)
    np.testing.assert_array_equal(Trajectories.from_arrays(t, np.log(t))[0].t, t)
    t = np.r_[0.0, t]
    assert Trajectories.from_arrays(t, t)[0].t[1] == 1e-12
    late = 1.7e9 + 1e-3 * np.arange(50)  # seconds since 1970, every millisecond
    assert Trajectories.from_arrays(late, np.cos(late)).n_points == 50


@pytest.mark.parametrize("scale", [1e-300, 1e150])
def test_times_of_a_size_nobody_can_compute_with(scale):
    refused(r"the times span .*give them in another unit", t=scale * T)


# ------------------------------------------------------------------------------------------------- bad input
def refused(match: str, t: Any = T, x: Any = X, **options: Any) -> None:
    with pytest.raises(DataError, match=match):
        Trajectories.from_arrays(t, x, **options)


def test_times_that_do_not_increase():
    refused(r"at index 3 the time 1 follows 2; sort", t=[0, 1, 2, 1, 4, 5])
    refused(r"run 1: duplicate time 2 at index 3", t=[T, [0, 1, 2, 2, 4, 5]], x=[X, X])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_times_that_are_not_finite(bad):
    refused(r"time at index 2 is .*; every row needs a finite time", t=[0, 1, bad, 3, 4, 5])


def test_infinite_values():
    x = X.copy()
    x[4, 1] = -np.inf
    refused(r"run 0: 'lynx' is infinite at row 4", x=x, names=("hare", "lynx"))
    refused(r"run 1: 'x1' is infinite at row 4", x=[X, x])


def test_inputs_must_be_known():
    u = T.copy()
    u[1] = np.nan
    refused(r"input 'u0' is missing at row 1.*interpolation", u=u)
    u[1] = np.inf
    refused(r"'u0' is infinite at row 1", u=u)


def test_a_state_without_values():
    refused(r"state 'x1' has no value at all", x=np.column_stack([T, np.full(6, np.nan)]))


def test_nothing_moves():
    refused(r"nothing changes: every state \(x0, x1\) is constant", x=np.ones((6, 2)))


def test_too_few_points():
    refused(r"run 0 has 3 points; each run needs at least 4", t=T[:3], x=X[:3])
    refused(r"run 0 has 2 points", t=[T[:2], T[:3]], x=[X[:2], X[:3]])
    data = Trajectories.from_arrays([T[:3], T], [X[:3], 2 * X])
    assert len(data) == 1
    np.testing.assert_array_equal(data[0].x, 2 * X)
    assert data.notes == ("Left out, for a run needs at least 4 points: run 0 (3 points).",)


def test_empty_input():
    refused(r"at least one entry", t=[], x=np.empty((0, 2)))
    refused(r"at least one entry", t=[], x=[])
    refused(r"there is no state", x=np.empty((6, 0)))


def test_text_names_row_and_column():
    refused(
        r"x, row 2, column 'b': expected a number, got 'oops'",
        x=[[0, 1], [1, 2], [2, "oops"], [3, 3]],
        t=T[:4],
        names=("a", "b"),
    )
    refused(
        r"x of run 1, row 0, column 1: expected a number, got 'oops'",
        x=[X, np.array([[0, "oops"]], dtype=object)],
    )
    refused(r"t, row 1: expected a number, got 'noon'", t=[0, "noon", 2, 3, 4, 5])
    refused(r"decimal points, not decimal commas", t=[0, "1,5", 2, 3, 4, 5])


def test_dates_say_to_convert():
    refused(r"t: expected numbers, got dates .*convert", t=np.arange("2020-01", "2020-07", dtype="datetime64[M]"))
    refused(r"t, row 0: .*'2020-01-01'; a date must be converted", t=["2020-01-01"] * 6)


def test_other_kinds_of_numbers_are_refused():
    refused(r"complex", x=X * 1j)
    refused(r"complex", x=np.ma.masked_invalid(X * 1j))
    refused(r"got dates", t=np.ma.masked_array(np.arange("2020-01", "2020-07", dtype="datetime64[M]")))
    refused(r"got dates", t=pd.date_range("2020-01-01", periods=6))
    refused(r"a date must be converted", t=pd.date_range("2020-01-01", periods=6, tz="UTC"))
    refused(r"expected a number, got", x=np.array([{}] * 6, dtype=object))
    refused(r"too large", x=np.array([10**400] * 6, dtype=object))


def test_shapes_that_do_not_fit():
    refused(r"6 times but 5 rows of states", x=X[:5])
    refused(r"looks transposed", x=X.T)
    refused(r"2 columns of states but 1 names", names=("a",))
    refused(r"run 1: 1 columns of states but 2 names", x=[X, X[:, :1]])
    refused(r"\(time, columns\) or \(time,\), got \(1, 1, 6, 2\)", x=X[None, None])
    refused(r"x has 2 runs but t has 3", t=[T, T, T], x=[X, X])
    refused(r"x has 2 runs but u has 1", x=[X, X], u=T)
    refused(r"times must have shape \(time,\)", t=np.ones((6, 2)))
    refused(r"rows have different lengths", x=[[1, 2], [3], [4, 5], [6, 7], [8, 9], [10, 11]])
    refused(r"no inputs, but there are input names force", input_names=("force",))


def test_runs_that_differ_in_inputs():
    with pytest.raises(DataError, match="run 1: no inputs"):
        Trajectories((Run(T, X, T[:, None]), Run(T, X)), ("a", "b"), ("u",))
    with pytest.raises(DataError, match="there is no run"):
        Trajectories((), ("a",))


def test_names():
    for bad in ("", "  ", "a`b", "a\nb"):
        refused(r"state name .* cannot be used", names=(bad, "b"))
    refused(r"'a' is used twice", names=("a", "a"))
    refused(r"'a' is already the name", names=("a", "b"), u=T, input_names=("a",))
    refused(r"'t' is already the name", names=("t", "b"))
    refused(r"names must be text, got 3", names=(3, "b"))
    refused(r"state names must be a list of texts, got 5", names=5)
    refused(r"input names must be a list of texts, got 5", u=T, input_names=5)
    refused(r"list of texts, got one text; write \['ab'\]", names="ab")


def test_names_are_kept_as_given():
    names = ("biomass (g/L)", "lambda")
    assert Trajectories.from_arrays(T, X, names=names, u=T, input_names=["θ °C"]).names == names


# ------------------------------------------------------------------------------------------------ operations
def test_select():
    data = Trajectories.from_arrays(T, X, names=("a", "b"), u=T)
    turned = data.select(["b", "a"])
    assert turned.names == ("b", "a")
    np.testing.assert_array_equal(turned[0].x, X[:, ::-1])
    assert data.select("b").n_states == 1
    assert data.select("b").input_names == ("u0",)
    with pytest.raises(DataError, match=r"no state column 'hare'; did you mean 'hares'\? The columns are 'hares'"):
        Trajectories.from_arrays(T, T, names=("hares",)).select(["hare"])


def test_split_by_time():
    t = np.array([0, 1, 2, 3, 10, 20.0])
    train, test = Trajectories.from_arrays([t, t + 5], [X, X]).split(0.5)
    assert [run.t.tolist() for run in train] == [[0, 1, 2, 3, 10], [5, 6, 7, 8, 15]]
    assert [run.t.tolist() for run in test] == [[20], [25]]
    np.testing.assert_array_equal(test[1].x, X[5:])


def test_split_refuses_what_cannot_be_done():
    data = Trajectories.from_arrays(T, X)
    for fraction in (0.0, 1.0, -1, 2, float("nan")):
        with pytest.raises(OptionError, match="between 0 and 1"):
            data.split(fraction)
    with pytest.raises(DataError, match="has 2 points"):
        data.split(0.3)


def test_thin_keeps_the_ends():
    t = np.linspace(0, 1, 101)
    data = Trajectories.from_arrays([t, T], [t**2, T**2])
    thin = data.thin(11)
    np.testing.assert_array_equal(thin[0].t, t[::10])
    assert thin[1] is data[1]
    with pytest.raises(OptionError, match="at least 4"):
        data.thin(3)


@pytest.mark.parametrize("n", [100, 1000])
def test_thin_keeps_what_was_seldom_measured(n):
    """One state at every row, one at every tenth row: an even choice by index alone would lose most of the second."""
    t = np.linspace(0, 10, 2500)
    seldom = np.full(2500, np.nan)
    seldom[5::10] = np.exp(-t[5::10])
    thin = Trajectories.from_arrays(t, np.column_stack([np.cos(t), seldom])).thin(n)
    assert thin.n_points == n
    assert thin[0].t[[0, -1]].tolist() == [0, 10]
    kept = thin[0].t[np.isfinite(thin[0].x[:, 1])]
    assert len(kept) >= min(250, n // 2 - 2)
    assert np.diff(kept).max() < 3 * 10 / min(250, n // 2)


def test_a_million_points():
    t = np.arange(1e6)
    data = Trajectories.from_arrays(t, np.column_stack([np.sin(t), np.cos(t)]))
    assert data.n_points == 10**6
    assert data.thin(1000).n_points == 1000


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 40), st.integers(4, 40))
def test_thin_is_even_and_exact(n, keep):
    thin = Trajectories.from_arrays(np.arange(n), np.arange(n) ** 2).thin(keep)[0].t
    assert len(thin) == min(n, keep)
    assert (thin[0], thin[-1]) == (0, n - 1)
    steps = np.diff(thin)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1 + (n > keep)


def test_inputs_keep_short_steps_when_states_are_thinned():
    t = np.linspace(0, 30, 3000)
    dose = np.where((t > 3.01) & (t < 3.06), 5.0, 0.0) + np.where((t > 12) & (t < 12.3), 2.0, 0.0)
    slow = np.sin(t)
    data = Trajectories.from_arrays(t, np.cos(t), u=np.column_stack([dose, slow]))
    (run,) = data.thin(100).runs
    assert run.u is not None
    assert np.isfinite(run.x).sum() == 100
    assert np.isfinite(run.x[[0, -1]]).all()
    np.testing.assert_array_equal(np.interp(t, run.t, run.u[:, 0]), dose)
    np.testing.assert_allclose(np.interp(t, run.t, run.u[:, 1]), slow, atol=5e-3)
    np.testing.assert_array_equal(run.x[np.isfinite(run.x)], np.cos(run.t[np.isfinite(run.x[:, 0])]))
    assert len(run) < 300


def test_rough_inputs_keep_so_many_rows_and_no_more():
    rough = np.random.default_rng(0).standard_normal(5000)
    data = Trajectories.from_arrays(np.arange(5000.0), np.arange(5000.0), u=rough)
    (run,) = data.thin(50).runs
    assert np.isfinite(run.x).sum() == 50
    assert len(run) <= 250


def test_rows_of_inputs_alone_take_no_place_of_measured_ones():
    t = np.arange(1000.0)
    x = np.where(t % 10 == 0, t, np.nan)
    (run,) = Trajectories.from_arrays(t, x, u=np.where(t == 503, 1.0, 0.0)).thin(200).runs
    assert np.isfinite(run.x).sum() == 100
    assert {502.0, 503.0, 504.0} <= set(run.t)
    assert len(run) < 120


def test_masks_of_rows_in_a_list_are_kept():
    t = np.linspace(0, 6, 8)
    table = np.ma.masked_array(np.c_[np.sin(t), np.cos(t)], mask=False)
    table[3, 0] = np.ma.masked
    rows, runs = (Trajectories.from_arrays(t, x) for x in ([table[i] for i in range(8)], [table, table]))
    assert np.argwhere(np.isnan(rows[0].x)).tolist() == [[3, 0]]
    assert all(np.argwhere(np.isnan(run.x)).tolist() == [[3, 0]] for run in runs)


def test_series_of_different_names_are_asked_about():
    t = np.linspace(0, 6, 8)
    series = [pd.Series(np.sin(t), name="a"), pd.Series(np.cos(t), name="b")]
    with pytest.raises(DataError, match="x is a list of series named 'a, b'"):
        Trajectories.from_arrays(t, series)
    assert len(Trajectories.from_arrays(t, series, names=["a"])) == 2
    assert Trajectories.from_arrays(t, pd.concat(series, axis=1)).names == ("a", "b")


RUN = Run(np.arange(6.0), np.arange(6.0)[:, None])
WRONG_KINDS = {
    "states are a number": lambda: Run(np.arange(6.0), 3.0),  # pyright: ignore[reportArgumentType]
    "times are a number": lambda: Run(3.0, np.ones((6, 1))),  # pyright: ignore[reportArgumentType]
    "nothing": lambda: Run(None, None),  # pyright: ignore[reportArgumentType]
    "runs are numbers": lambda: Trajectories((1, 2), ("a",)),  # pyright: ignore[reportArgumentType]
    "one run": lambda: Trajectories(RUN, ("a",)),  # pyright: ignore[reportArgumentType]
    "a number to select": lambda: Trajectories((RUN,), ("a",)).select(5),  # pyright: ignore[reportArgumentType]
    "a text to split by": lambda: Trajectories((RUN,), ("a",)).split("a"),  # pyright: ignore[reportArgumentType]
    "a text to thin to": lambda: Trajectories((RUN,), ("a",)).thin("a"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_things_of_another_kind_are_refused_in_one_line(kind):
    with pytest.raises((DataError, OptionError)):
        WRONG_KINDS[kind]()


def test_none_may_stand_among_the_words_for_missing():
    frame = pd.DataFrame({"t": range(6), "x": [1.0, 2.0, 4.0, None, 16.0, 9.0]})
    assert np.isnan(Trajectories.from_frame(frame, time="t", missing=[None, 9])[0].x[[3, 5]]).all()  # pyright: ignore[reportArgumentType]
