"""The SciPy front: exact solutions, tolerances, and every way to fail."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.errors import DataError, IntegrationError, OptionError
from neural_arith.solve import Status, solve

METHODS = ["LSODA", "RK45", "DOP853", "Radau", "BDF"]


@pytest.mark.parametrize("method", METHODS)
def test_linear_system_has_its_exact_solution(method):
    t = np.linspace(0, 3, 31)
    tol = 1e-6 if method == "BDF" else 1e-9
    found = solve(lambda t, x: [x[1], -x[0]], [0.0, 1.0], t, method=method, rtol=tol, atol=tol)
    assert found.status is Status.DONE
    assert found.ok
    assert found.message == ""
    assert found.n_evaluations > 0
    np.testing.assert_allclose(found.x, np.column_stack([np.sin(t), np.cos(t)]), atol=300 * tol)


def test_time_dependence_is_seen_in_the_users_time():
    t = np.linspace(5, 9, 9)
    found = solve(lambda t, x: [3 * t**2], [125.0], t)
    np.testing.assert_allclose(found.x[:, 0], t**3, rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_error_falls_with_the_tolerance(method):
    t = np.linspace(0, 2, 5)
    errors = []
    for tol in (1e-3, 1e-6, 1e-9):
        x = solve(lambda t, x: -x, [1.0], t, method=method, rtol=tol, atol=tol * 1e-3).x[:, 0]
        errors.append(np.max(np.abs(x - np.exp(-t))))
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 3e-7


@settings(deadline=None, max_examples=40)
@given(scale=st.floats(-12, 12), origin=st.floats(-3, 3), method=st.sampled_from(["LSODA", "DOP853"]))
def test_any_time_scale(scale, origin, method):
    span = 10.0**scale
    t = origin * span + np.linspace(0, 1, 7) * span
    found = solve(lambda s, x: -x / span, [2.0], t, method=method)
    np.testing.assert_allclose(found.x[:, 0], 2 * np.exp(-(t - t[0]) / span), rtol=2e-6)


def test_one_time_and_a_bare_number():
    for t in ([4.0], 4.0):
        found = solve(lambda t, x: x, [1.0, 2.0], t)
        assert found.x.tolist() == [[1.0, 2.0]]
        assert found.t.tolist() == [4.0]
        assert found.ok


def test_backward_in_time():
    t = np.linspace(0, -2, 5)
    np.testing.assert_allclose(solve(lambda t, x: x, [1.0], t).x[:, 0], np.exp(t), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_blow_up_is_typed(method):
    """x' = x^2, x(0) = 1 has a pole at t = 1."""
    t = np.linspace(0, 2, 21)
    with pytest.raises(IntegrationError, match="blow-up") as caught:
        solve(lambda t, x: x**2, [1.0], t, method=method, rtol=1e-6, atol=1e-8)
    assert 0.99 < caught.value.time < 1.01
    assert caught.value.state is not None
    assert caught.value.state[0] > 1e3
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.time == caught.value.time
    stopped = solve(lambda t, x: x**2, [1.0], t, method=method, rtol=1e-6, atol=1e-8, throw=False)
    assert stopped.status is Status.BLOW_UP
    np.testing.assert_allclose(stopped.x[:9, 0], 1 / (1 - t[:9]), rtol=1e-3)
    assert np.isnan(stopped.x[11:]).all()


def test_own_bound():
    found = solve(lambda t, x: x, [1.0], np.linspace(0, 10, 11), bound=100.0, throw=False)
    assert found.status is Status.BLOW_UP
    assert "100" in found.message
    assert np.isfinite(found.x[:5]).all()
    assert np.isnan(found.x[6:]).all()


@pytest.mark.parametrize("method", ["LSODA", "Radau", "BDF"])
def test_robertson(method):
    """The stiff standard; reference values at t = 40 and 4e5 from Hairer and Wanner, Solving ODEs II."""

    def f(t, y):
        a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return [-a + b, a - b - c, c]

    found = solve(f, [1.0, 0.0, 0.0], [0.0, 40.0, 4e5], method=method, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.x[1], [0.7158271, 9.185535e-6, 0.2841637], rtol=2e-5)
    np.testing.assert_allclose(found.x[2, 0], 4.938283e-3, rtol=2e-4)
    np.testing.assert_allclose(found.x.sum(1), 1.0, rtol=1e-7)


def test_stiff_with_an_explicit_method_runs_out_of_its_budget():
    stiff = solve(
        lambda t, x: -1e6 * (x - np.cos(t)),
        [0.0],
        [0.0, 10.0],
        method="RK45",
        max_evaluations=2000,
        throw=False,
    )
    assert stiff.status is Status.STIFF_OR_SLOW
    assert stiff.n_evaluations == 2000
    assert "max_evaluations" in stiff.message
    assert np.isnan(stiff.x[-1]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_right_hand_side_that_is_not_finite(method, bad):
    at_once = solve(lambda t, x: [bad], [1.0], [0.0, 1.0], method=method, throw=False)
    assert at_once.status is Status.NOT_FINITE
    assert at_once.x[0] == 1.0
    assert np.isnan(at_once.x[1])
    later = solve(lambda t, x: [1.0 if t < 0.5 else bad], [0.0], np.linspace(0, 1, 11), method=method, throw=False)
    assert later.status is Status.NOT_FINITE
    assert np.isfinite(later.x[0]).all()
    with pytest.raises(IntegrationError, match="not finite"):
        solve(lambda t, x: [bad], [1.0], [0.0, 1.0], method=method)


def test_fractional_power_that_leaves_its_domain():
    found = solve(lambda t, x: -1 - np.sqrt(x), [1.0], np.linspace(0, 2, 21), throw=False)
    assert found.status is Status.NOT_FINITE
    assert np.isfinite(found.x[:5]).all()


def test_no_warning_and_no_output_leaks(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in METHODS:
            solve(lambda t, x: np.exp(x**3), [1.0], [0.0, 5.0], method=method, throw=False)
            solve(lambda t, x: -1e5 * x + np.log(-x), [1.0], [0.0, 5.0], method=method, throw=False)
    assert capfd.readouterr() == ("", "")


def test_errors_of_the_right_hand_side_pass_through():
    def f(t, x):
        raise KeyError("mine")

    for method in METHODS:
        with pytest.raises(KeyError, match="mine"):
            solve(f, [1.0], [0.0, 1.0], method=method, throw=False)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x0": [[1.0]]}, DataError, r"shape \(states,\)"),
        ({"x0": [np.nan]}, DataError, "x0 must be finite"),
        ({"t": []}, DataError, "at least one time"),
        ({"t": [0.0, 1.0, 1.0]}, DataError, "entry 2"),
        ({"t": [0.0, 2.0, 1.0, 3.0]}, DataError, "entry 2"),
        ({"t": [0.0, np.inf]}, DataError, "entry 1"),
        ({"f": lambda t, x: [1.0, 2.0]}, DataError, "2 numbers for 1 states"),
        ({"method": "euler"}, OptionError, "LSODA, RK45"),
        ({"rtol": 0.0}, OptionError, "rtol"),
        ({"atol": -1.0}, OptionError, "atol"),
        ({"bound": 0.5}, OptionError, "bound"),
        ({"max_evaluations": 0}, OptionError, "max_evaluations"),
    ],
)
def test_wrong_input(change, error, match):
    call = {"f": lambda t, x: -x, "x0": [1.0], "t": [0.0, 1.0]} | change
    with pytest.raises(error, match=match):
        solve(call.pop("f"), call.pop("x0"), call.pop("t"), **call)


def test_a_motion_that_never_leaves_its_start_is_given_up_early():
    said = solve(lambda t, x: (x + 1) ** 500, [1.0], [0.0, 1.0], throw=False)
    assert not said.ok
    assert said.n_evaluations <= 20_000
