"""ODERegressor: scikit-learn's conventions, the short way in, and clear words when the data are wrong."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp
from simulated import LOGISTIC, logistic, scipy_solution
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import neural_arith as na
from neural_arith.data.trajectories import Trajectories
from neural_arith.errors import DataError, NeuralArithError, OptionError
from neural_arith.regressor import ODERegressor

T = np.linspace(0, 10, 40)
X = logistic(T)
FAST: dict[str, Any] = {"restarts": 8, "max_units": 1, "n_jobs": 1}


def fresh(model: ODERegressor) -> ODERegressor:
    copy = clone(model)
    assert isinstance(copy, ODERegressor)
    return copy


@pytest.fixture(scope="module")
def fitted() -> ODERegressor:
    return ODERegressor(**FAST).fit(X, T, feature_names=["y"])


# ------------------------------------------------------------------------------------------------- conventions
def test_parameters_are_stored_and_cloned():
    model = ODERegressor(noise="log", max_units=3, restarts=7, max_points=50, time_budget=9.0, n_jobs=1, random_state=5)
    copy = fresh(model)
    assert copy.get_params() == model.get_params()
    assert copy.get_params()["time_budget"] == 9.0
    assert copy.set_params(restarts=9) is copy
    assert copy.restarts == 9
    assert model.restarts == 7
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(colour="red")


def test_parameters_are_checked_at_fit_not_before():
    model = ODERegressor(restarts=-1)
    with pytest.raises(OptionError, match="restarts"):
        model.fit(X, T)


def test_fit_changes_no_parameter_and_no_data(fitted):
    x, t = X.copy(), T.copy()
    model = ODERegressor(**FAST)
    before = model.get_params()
    assert model.fit(x, t) is model
    assert model.get_params() == before
    assert np.array_equal(x, X)
    assert np.array_equal(t, T)
    assert set(vars(model)) - set(before) == {"discovery_", "n_features_in_", "feature_names_in_"}


def test_pandas_is_taken_wherever_numpy_is(fitted):
    frame, t = pd.DataFrame({"y": X.ravel()}), pd.Series(T)
    same = fresh(fitted).fit(frame.astype("Float64"), T[1])
    assert same.feature_names_in_.tolist() == ["y"]
    assert same.equations_.rhs == fitted.equations_.rhs
    np.testing.assert_array_equal(fitted.predict(frame.astype("Float64")), fitted.predict(X.reshape(-1, 1)))
    np.testing.assert_array_equal(fitted.simulate(pd.Series({"y": 0.5}), t), fitted.simulate([0.5], T))
    assert fitted.score([frame, frame], t) == fitted.score([X, X], T)
    with pytest.raises(DataError, match="the columns are z, but the equations are of y"):
        fitted.predict(frame.set_axis(["z"], axis=1))


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.equations_,
        lambda m: m.candidates_,
        lambda m: m.print(),
        lambda m: m.latex(),
        lambda m: m.sympy(),
        lambda m: m.predict([[1.0]]),
        lambda m: m.simulate([1.0], T),
        lambda m: m.score(X, T),
        lambda m: m.save("nowhere.json"),
    ],
)
def test_everything_asks_for_fit_first(use):
    with pytest.raises(NotFittedError, match=r"call fit\(X, t\) first"):
        use(ODERegressor())


def test_sklearn_can_tell_whether_it_is_fitted(fitted):
    check_is_fitted(fitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(ODERegressor())
    assert not hasattr(ODERegressor(), "equations_")
    with pytest.raises(NotFittedError):
        check_is_fitted(fresh(fitted))


def test_refitting_forgets_the_past(fitted):
    model = fresh(fitted).fit(X, T, feature_names=["y"])
    assert model.equations_ == fitted.equations_
    decay = np.column_stack([np.exp(-0.3 * T)])
    model.fit(decay, T, feature_names=["z"])
    assert model.equations_.states == ("z",)
    assert model.equations_.same_as(na.EquationSystem({"z": "-0.3*z"}), rtol=1e-4)
    assert model.feature_names_in_.tolist() == ["z"]


def test_pickle_keeps_everything(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.equations_ == fitted.equations_
    assert copy.get_params() == fitted.get_params()
    assert np.array_equal(copy.predict([[2.0]]), fitted.predict([[2.0]]))
    assert len(copy.candidates_) == len(fitted.candidates_)


def test_random_state_may_be_none_or_a_numpy_integer():
    for state in (None, np.int64(3)):
        options: dict[str, Any] = {**FAST, "random_state": state}
        assert ODERegressor(**options).fit(X, T, feature_names=["y"]).equations_.same_as(LOGISTIC)


@pytest.mark.parametrize("state", [-1, 1.5, "seed", True])
def test_other_random_states_are_refused(state):
    with pytest.raises(OptionError, match="random_state must be a whole number"):
        ODERegressor(random_state=state).fit(X, T)


# ------------------------------------------------------------------------------------------------- what comes out
def test_the_equation_in_every_form(fitted, capsys, tmp_path):
    assert fitted.equations_.same_as(LOGISTIC, rtol=1e-4)
    assert fitted.n_features_in_ == 1
    assert fitted.feature_names_in_.tolist() == ["y"]
    fitted.print()
    assert capsys.readouterr().out.startswith("d y/dt = 0.8*y - 0.16*y")
    assert "0.16" in fitted.latex()
    (expr,) = fitted.sympy().values()
    assert float(expr.subs(sp.Symbol("y"), 2.5)) == pytest.approx(1.0, rel=1e-5)
    fitted.save(tmp_path / "found.json")
    assert na.load(tmp_path / "found.json") == fitted.equations_


def test_printing_a_model_shows_its_equations_with_errors(fitted):
    shown = str(fitted)
    assert shown.startswith("d y/dt = 0.8*y - 0.16*y**2\n")
    for constant, error in zip(fitted.candidates_[0].constants, fitted.candidates_[0].standard_errors, strict=True):
        assert error > 0
        assert len([line for line in shown.splitlines() if f"{constant:.4g} +- {error:.1g} " in line]) == 1
    assert str(fitted.discovery_) == shown
    assert str(ODERegressor(restarts=7)) == repr(ODERegressor(restarts=7)) == "ODERegressor(restarts=7)"


def test_what_a_fit_leaves_is_shown_in_a_few_lines(fitted):
    """Also after long data, of whose numbers none is shown."""
    left = [fitted, fitted.equations_, fitted.candidates_, fitted.discovery_, *fitted.candidates_]
    assert all(len(repr(part)) < 2000 for part in left)
    assert "chosen, score" in repr(fitted.candidates_)
    assert isinstance(fitted.candidates_, tuple)
    names = [f"state number {k}" for k in range(40)]
    wide = na.EquationSystem({n: " + ".join(f"0.123456789*`{m}`" for m in names) for n in names})
    assert repr(wide).startswith("<EquationSystem of 40 states, 1600 constants: {'state number 0'")
    assert len(repr(wide)) < 2000


def test_predict_is_the_right_hand_side(fitted):
    y = np.linspace(0.1, 6, 20)[:, None]
    np.testing.assert_allclose(fitted.predict(y), 0.8 * y - 0.16 * y**2, rtol=1e-4, atol=1e-5)
    assert fitted.predict([[2.5]]).shape == (1, 1)


def test_simulate_is_the_trajectory(fitted):
    t = np.linspace(0, 20, 15)
    np.testing.assert_allclose(fitted.simulate([0.5], t), logistic(t), rtol=1e-4)


def test_score_is_r2_of_the_trajectory(fitted):
    assert fitted.score(X, T) == pytest.approx(1.0, abs=1e-6)
    off = X + 0.3 * np.cos(np.arange(40))[:, None]
    simulated = fitted.simulate(off[0], T)
    expected = 1 - ((off - simulated) ** 2).sum() / ((off - off.mean()) ** 2).sum()
    assert fitted.score(off, T) == pytest.approx(expected, rel=1e-9)


def test_score_starts_where_all_states_are_measured_and_skips_gaps(fitted):
    x = X.copy()
    x[:2] = np.nan
    x[7] = np.nan
    assert fitted.score(x, T) == pytest.approx(1.0, abs=1e-6)
    assert fitted.score([x, X[:9]], [T, T[:9]]) == pytest.approx(1.0, abs=1e-6)


def test_score_needs_one_complete_row():
    x = np.column_stack([X, X])
    model = ODERegressor(**FAST).fit(x, T)
    x[::2, 0] = np.nan
    x[1::2, 1] = np.nan
    with pytest.raises(DataError, match="no row in which all states"):
        model.score(x, T)


# -------------------------------------------------------------------------------------------------- what goes in
def test_trajectories_lists_and_arrays_say_the_same(fitted):
    data = Trajectories.from_arrays(T, X, names=("y",))
    assert fresh(fitted).fit(data).equations_ == fitted.equations_
    assert fresh(fitted).fit([X], [T], feature_names=["y"]).equations_ == fitted.equations_
    assert fresh(fitted).fit(X[:, 0].tolist(), T.tolist(), feature_names=["y"]).equations_ == fitted.equations_
    assert fitted.score(data) == fitted.score(X, T)


class Frame:
    """As much of a data frame as is needed."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.columns = list(columns)
        self._values = np.column_stack(list(columns.values()))
        self.ndim, self.shape = 2, self._values.shape

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self._values.astype(dtype or float)

    def __len__(self) -> int:
        return len(self._values)


def test_frames_name_their_states(fitted):
    model = fresh(fitted).fit(Frame({"y": X[:, 0]}), T)
    assert model.equations_ == fitted.equations_
    assert fresh(fitted).fit(Frame({"y": X[:, 0]}), T, feature_names=["z"]).equations_.states == ("z",)


def test_inputs_are_passed_on():
    u = np.sin(T)
    x = scipy_solution(lambda s, x: -0.5 * x + 0.8 * np.interp(s, T, u), (1.0,), T)
    model = ODERegressor(**FAST).fit(x, T, u=u, feature_names=["x"], input_names=["v"])
    assert model.equations_.same_as(na.EquationSystem({"x": "-0.5*x + 0.8*v"}, inputs=["v"]), rtol=1e-2)
    np.testing.assert_allclose(model.predict([[2.0]], [[1.0]]), [[-0.2]], atol=1e-2)
    np.testing.assert_allclose(model.simulate([1.0], T, u=u), x, atol=1e-2)
    assert model.score(x, T, u=u) > 0.999


def test_progress_is_shown_on_request_and_never_on_stdout(capsys):
    ODERegressor(**FAST, progress=True).fit(X, T)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err
    ODERegressor(**FAST).fit(X, T)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("x", "t", "options", "words"),
    [
        (X, None, {}, "t is missing"),
        (X, T[:-1], {}, "39 times but 40 rows"),
        (X.T, T, {}, "transposed"),
        (X, T[::-1], {}, "increas|order|sorted"),
        (np.where(X > 4, np.inf, X), T, {}, "infinite|finite"),
        (X[:3], T[:3], {}, "points"),
        (np.full((40, 1), np.nan), T, {}, "value|missing|NaN"),
        (np.ones((40, 1)), T, {}, "constant|change|move"),
        ([["a"]] * 40, T, {}, "number"),
        (X, T, {"feature_names": ["a", "b"]}, "1 columns of states but 2 names"),
        ([X, X], [T], {}, "2 runs but t has 1"),
        (X, T, {"u": np.ones(7)}, "40 times but 7 rows of inputs"),
        (Trajectories.from_arrays(T, X), T, {}, "give nothing beside it"),
    ],
)
def test_wrong_data_are_named(x, t, options, words):
    with pytest.raises(DataError, match=words):
        ODERegressor(**FAST).fit(x, t, **options)


def test_wrong_questions_are_named(fitted):
    with pytest.raises(NeuralArithError):
        fitted.predict([[1.0, 2.0]])
    with pytest.raises(NeuralArithError):
        fitted.simulate([1.0, 2.0], T)
    with pytest.raises(DataError):
        fitted.score(np.column_stack([X, X]), T)


def test_unknown_parameters_are_named_without_the_equations(fitted):
    with pytest.raises(OptionError, match="Invalid parameter 'foo'; the parameters are checkpoint, ") as caught:
        fitted.set_params(foo=1)
    assert "d y/dt" not in str(caught.value)


@pytest.mark.parametrize("start", [pd.Series({"z": 0.5}), {"z": 0.5}, np.ma.masked_array([0.5], [True]), [0.5 + 1j]])
def test_a_simulation_starts_from_numbers_of_its_states(fitted, start):
    with pytest.raises(DataError, match="x0"):
        fitted.simulate(start, T)


def test_the_function_takes_what_the_estimator_takes():
    found = na.discover(Trajectories.from_arrays(T, X, names=["y"]), knowledge=None, random_state=None, **FAST)
    assert found.equations.same_as(LOGISTIC, rtol=1e-4)
    assert 0 <= found.options.random_state < 2**31  # what was drawn is kept, so that it can be had again
    names = set(ODERegressor().get_params()) - {"progress"}
    assert names == set(vars(na.Options()))
    with pytest.raises(OptionError, match=r"no option .seed.; the options are noise, .*random_state"):
        na.discover(Trajectories.from_arrays(T, X), seed=1)
    with pytest.raises(OptionError, match="time_budget must be positive seconds"):
        na.discover(Trajectories.from_arrays(T, X), time_budget=True)
