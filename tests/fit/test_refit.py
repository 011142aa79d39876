"""Constants found again from trajectories, from bad starts, with noise, gaps, inputs and several runs."""

import sys

import numpy as np
import pytest
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, OptionError
from neural_arith.fit import fit_constants, refit_constants, round_coefficients

SIR = EquationSystem({"S": "-0.04*sqrt(S*I) + 0.01*R", "I": "0.04*sqrt(S*I) - 0.05*I", "R": "0.05*I - 0.01*R"})
SIR_POWERS = EquationSystem(
    {"S": "-0.04*S**0.4*I**0.55 + 0.01*R", "I": "0.04*S**0.4*I**0.55 - 0.05*I", "R": "0.05*I - 0.01*R"}
)
LYNX = EquationSystem({"hare": "0.5417*hare - 0.02721*hare*lynx", "lynx": "0.0237*hare*lynx - 0.8*lynx"})
DECAY = EquationSystem({"x": "-0.5*x"})


def sample(eqs, starts, t, noise=0.0, kind="multiplicative", seed=0):
    rng = np.random.default_rng(seed)
    xs = [eqs.simulate(start, t, rtol=1e-11, atol=1e-13) for start in starts]
    if kind == "multiplicative":
        xs = [x * (1 + noise * rng.standard_normal(x.shape)) for x in xs]
    else:
        xs = [x + noise * x.std(0) * rng.standard_normal(x.shape) for x in xs]
    return Trajectories.from_arrays([t] * len(xs), xs, names=eqs.states)


def detuned(eqs, factor, seed):
    rng = np.random.default_rng(seed)
    up = rng.random(len(eqs.constants)) < 0.5
    size = np.where(eqs.template.is_exponent, 1.2, factor)
    return eqs.with_constants(np.array(eqs.constants) * np.where(up, size, 1 / size))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("truth", [SIR, SIR_POWERS])
def test_fractional_sir_from_a_start_twice_off(truth, seed):
    data = sample(truth, [[100.0, 0.01, 0.0]], np.linspace(0, 200, 41))
    found = refit_constants(detuned(truth, 2.0, seed), data)
    np.testing.assert_allclose(found.constants, truth.constants, rtol=1e-6)
    assert found.same_structure(truth)


@pytest.mark.parametrize(
    ("rhs", "start", "span", "n"),
    [
        ({"x": "0.79*x*(1 - 0.0134*x)"}, [7.3], 10, 30),
        ({"x": "-1.8*x/(x + 0.9)", "y": "1.8*x/(x + 0.9) - 1.1*y/(y + 0.35)"}, [6, 0.1], 9, 60),
        ({"x": "y", "y": "-0.9*sin(1.3*x) - 0.2*y*Abs(y)"}, [2, 0], 10, 60),
        ({"x": "0.9*x**2 - 1.1*x"}, [1.1], 3, 20),
        ({"x": "-5.1*x + 5.1*y", "y": "-x*z + 12.2*x - 1.1*y", "z": "x*y - 1.67*z"}, [2.3, 8.1, 12.4], 5, 100),
        ({"x": "-2.1*x**3.3 + exp(-0.4*x)"}, [0.0], 2, 25),
    ],
)
def test_other_systems_from_a_start_twice_off(rhs, start, span, n):
    truth = EquationSystem(rhs)
    data = sample(truth, [start], np.linspace(0, span, n))
    result = fit_constants(detuned(truth, 1.7, 1), data)
    assert result.converged
    assert result.loss < 1e-12
    np.testing.assert_allclose(result.equations.constants, truth.constants, rtol=1e-5)


def test_linear_decay_against_the_closed_form():
    """Noise in proportion: the fit in logarithms is a straight line, with textbook standard errors."""
    rng = np.random.default_rng(3)
    t = np.linspace(0, 4, 50)
    log_x = 1.0 - 0.5 * t + 0.05 * rng.standard_normal(t.size)
    data = Trajectories.from_arrays(t, np.exp(log_x)[:, None], names=["x"])
    result = fit_constants(EquationSystem({"x": "-0.9*x"}), data, noise="log")
    slope, cov = np.polyfit(t, log_x, 1, cov=True)[0][0], np.polyfit(t, log_x, 1, cov=True)[1]
    assert result.equations.constants[0] == pytest.approx(slope, rel=1e-6)
    assert result.standard_errors[0] == pytest.approx(np.sqrt(cov[0, 0]), rel=0.02)
    assert result.noise == "log"


def test_noise_in_proportion_takes_either_sign():
    truth = EquationSystem({"x": "-3.0*y - 0.2*x", "y": "2.0*x"})
    t = np.linspace(0, 12, 200)
    data = sample(truth, [[10.0, 0.0]], t, 0.1, seed=3)
    guess = EquationSystem({"x": "-2.8*y - 0.1*x", "y": "2.1*x"})
    fits = {kind: fit_constants(guess, data, noise=kind) for kind in ("additive", "proportional")}
    fit = fits["proportional"]
    assert fit.noise == "proportional"
    assert fit.converged
    assert 0 < fit.loss < 0.1
    off = np.abs(np.array(fit.equations.constants) - truth.constants)
    assert np.all(off < 4 * np.array(fit.standard_errors) + 1e-4)
    assert fit.standard_errors[0] < fits["additive"].standard_errors[0]  # small values late in the run now count
    assert refit_constants(guess, data, noise="proportional") == fit.equations


def test_noise_in_proportion_is_additive_in_units_of_a_value_that_stays():
    truth = EquationSystem({"x": "0.5 - 0.005*x"})
    data = sample(truth, [[100.01]], np.linspace(0, 50, 60), 0.001, seed=1)
    one, other = (fit_constants(truth, data, noise=kind, hold=-0.005) for kind in ("additive", "proportional"))
    np.testing.assert_allclose(one.equations.constants, other.equations.constants, rtol=1e-4)
    np.testing.assert_allclose(one.standard_errors, other.standard_errors, rtol=1e-2)


def test_the_kind_of_noise_is_recognised():
    t = np.linspace(0, 20, 81)
    assert fit_constants(LYNX, sample(LYNX, [[30.0, 4.0]], t, 0.05, seed=1)).noise == "log"
    assert fit_constants(LYNX, sample(LYNX, [[30.0, 4.0]], t, 0.05, "additive", seed=1)).noise == "additive"


def test_errors_cover_the_truth():
    """Over twenty data sets the squared errors in units of the standard errors are about one each."""
    scores = []
    for seed in range(20):
        result = fit_constants(LYNX, sample(LYNX, [[30.0, 4.0]], np.linspace(0, 12, 31), 0.05, seed=seed), noise="log")
        miss = (np.array(result.equations.constants) - LYNX.constants) / np.array(result.standard_errors)
        scores.append(miss**2)
    assert 0.5 < np.mean(scores) < 1.7


def test_runs_gaps_and_column_order():
    t = np.linspace(0, 10, 41)
    xs = [LYNX.simulate(start, t, rtol=1e-11, atol=1e-13) for start in ([30.0, 4.0], [10.0, 10.0])]
    for x in xs:
        x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    xs[0][0, 1] = np.nan
    data = Trajectories.from_arrays([t, t], [x[:, ::-1] for x in xs], names=["lynx", "hare"])
    result = fit_constants(detuned(LYNX, 1.3, 0), data)
    np.testing.assert_allclose(result.equations.constants, LYNX.constants, rtol=1e-6)
    np.testing.assert_allclose(result.initial_states, [[30, 4], [10, 10]], rtol=1e-5)


def test_inputs_are_taken_linearly():
    truth = EquationSystem({"x": "0.7*u - 1.3*x"}, inputs=["u"])
    t = np.linspace(0, 6, 40)
    u = np.sin(t)
    x = truth.simulate([0.4], t, u=u, rtol=1e-11, atol=1e-13)
    data = Trajectories.from_arrays(t, x, u=u, names=["x"], input_names=["u"])
    found = refit_constants(detuned(truth, 2.0, 0), data)
    np.testing.assert_allclose(found.constants, truth.constants, rtol=1e-6)


def test_fixed_constants_and_held_starts():
    data = sample(LYNX, [[30.0, 4.0]], np.linspace(0, 10, 41))
    wrong = LYNX.with_constants([0.6, *LYNX.constants[1:]])
    result = fit_constants(wrong, data, hold=0.6, fit_initial=False)
    assert result.equations.constants[0] == 0.6
    assert result.standard_errors[0] == 0
    assert result.loss > 1e-6
    np.testing.assert_allclose(result.initial_states, [[30, 4]], rtol=1e-12)


def test_exact_numbers_stay_unless_freed():
    truth = EquationSystem({"x": "-0.3*x**1.7"})
    data = sample(truth, [[2.0]], np.linspace(0, 5, 30))
    square = EquationSystem({"x": "-0.4*x**2"})
    kept = refit_constants(square, data)
    assert "x**2" in str(kept)
    freed = fit_constants(square, data, free_exponents=True)
    np.testing.assert_allclose(freed.equations.constants, truth.constants, rtol=1e-6)
    assert all(error < 1e-4 for error in freed.standard_errors)


def test_nothing_to_fit_and_nothing_integrable():
    t = np.linspace(0, 3, 10)
    data = Trajectories.from_arrays(t, np.exp(-t)[:, None], names=["x"])
    exact = EquationSystem({"x": "-x"})
    result = fit_constants(exact, data, fit_initial=False)
    assert result.equations == exact
    assert result.loss < 1e-12
    hopeless = EquationSystem({"x": "0.5*log(-x - 1)"})
    failed = fit_constants(hopeless, data)
    assert failed.loss == np.inf
    assert failed.equations == hopeless
    assert not failed.converged
    assert np.isnan(failed.standard_errors).all()


def test_blow_ups_on_the_way_are_no_errors():
    truth = EquationSystem({"x": "0.5*x**2 - 0.2*x"})
    data = sample(truth, [[1.0]], np.linspace(0, 2, 15))
    found = refit_constants(truth.with_constants([-1.0, 5.0]), data)
    np.testing.assert_allclose(found.constants, truth.constants, rtol=1e-6)


def test_a_first_sample_that_noise_made_negative_is_no_dead_end():
    # Of y' = 0.5 sqrt(y) the solution is (sqrt(y0) + t / 4)^2; the measured start has no root.
    t = np.linspace(0, 10, 40)
    y = (0.1 + t / 4) ** 2 + 0.05 * np.random.default_rng(3).standard_normal(40)
    y[0] = -0.04
    data = Trajectories.from_arrays(t, y[:, None], names=["y"])
    found = fit_constants(EquationSystem({"y": "0.8*sqrt(y)"}), data)
    assert found.equations.constants[0] == pytest.approx(0.5, rel=0.02)
    assert 0 <= found.initial_states[0, 0] < 0.1


def test_a_negative_state_without_a_root_is_left_alone():
    true = EquationSystem({"x": "0.9*sqrt(x) - 0.1*v", "v": "-0.5*v"})
    t = np.linspace(0, 10, 60)
    x = true.simulate([0.01, -2.0], t) + 0.02 * np.random.default_rng(0).standard_normal((60, 2))
    x[0, 0] = -0.02
    data = Trajectories.from_arrays(t, x, names=["x", "v"])
    start = EquationSystem({"x": "0.7*sqrt(x) - 0.2*v", "v": "-0.3*v"})
    assert refit_constants(start, data).constants == pytest.approx(true.constants, rel=0.15)
    with pytest.warns(RuntimeWarning, match="as they came"):
        assert refit_constants(start, data, fit_initial=False) == start  # held where it cannot start: as it came


def test_a_constant_the_data_do_not_determine_has_no_error():
    t = np.linspace(0, 3, 20)
    data = Trajectories.from_arrays(t, np.exp(-0.5 * t)[:, None], names=["x"])
    result = fit_constants(EquationSystem({"x": "-0.2*x - 0.3*x*sin(1.0)"}), data)
    assert result.loss < 1e-12
    assert np.isfinite(result.equations.constants).all()


def test_wrong_data_and_options():
    t = np.linspace(0, 3, 10)
    data = Trajectories.from_arrays(t, np.exp(-t)[:, None], names=["x"])
    with pytest.raises(DataError, match="have states y"):
        refit_constants(EquationSystem({"y": "-0.5*y"}), data)
    with pytest.raises(DataError, match="inputs u"):
        refit_constants(EquationSystem({"x": "-0.5*u"}, inputs=["u"]), data)
    with pytest.raises(OptionError, match="auto, additive, proportional, log"):
        refit_constants(DECAY, data, noise="white")
    with pytest.raises(OptionError, match="theirs are"):
        refit_constants(DECAY, data, hold=[3])
    with pytest.raises(OptionError, match="max_iterations"):
        refit_constants(DECAY, data, max_iterations=0)
    negative = Trajectories.from_arrays(t, np.cos(t)[:, None], names=["x"])
    with pytest.raises(DataError, match="never negative"):
        refit_constants(DECAY, negative, noise="log")


def test_whole_numbers_are_fitted_like_decimal_ones():
    t = np.linspace(0, 3, 61)
    truth = EquationSystem({"angle": "speed", "speed": "-37.0*sin(angle) - 0.3*speed"})
    data = sample(truth, [[0.9, 0.0]], t)
    guess = EquationSystem({"angle": "speed", "speed": "-16*sin(angle) - speed/2"})
    result = fit_constants(guess, data)
    np.testing.assert_allclose(result.equations.constants, [-0.3, -37.0], rtol=1e-6)
    assert result.equations.to_text()["angle"] == "speed"
    assert all(0 < error < 1e-3 for error in result.standard_errors)
    held = fit_constants(guess, data, hold=[16])
    assert "16*sin(angle)" in held.equations.to_text()["speed"]
    assert held.held == (-16.0,)
    assert fit_constants(guess, data, hold="exact").equations == guess
    assert round_coefficients(guess, data).to_text()["speed"] == "-0.3*speed - 37*sin(angle)"


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("-16*sin(x)", [-16]),
        ("y - x", []),
        ("3", [3]),
        ("0", []),
        ("1 - x**2/2", [1, -0.5]),
        ("2*x/(1 + 3*x)", [2, 3]),  # the 1 sets a scale that the 2 sets already
        ("2*x/(3 + 4*x)", [2, 4]),
        ("2*x/(1 + x)", [2, 1]),  # this 1 does not: it is where half of 2 is reached
        ("x/(1 + 3*x)", [1, 3]),
        ("x*(1 - x/42)", [1, -1 / 42]),
        ("0.3*x*(1 - x/42)", [0.3, -1 / 42]),
        ("2*x**3/(1 + x**3)", [2, 1]),
        ("x*(1 + 3*x)/(1 + 4*y)", [1, 3, 4]),
        ("-(x + y)/(1 + 2*x)", [1, 2]),
        ("2*exp(1 - x)", [2]),
        ("3*cos(2*x + 1)", [3, 1, 2]),
    ],
)
def test_which_numbers_are_fitted(text, fitted):
    template = EquationSystem({"x": text, "y": "x"}).fit_template
    np.testing.assert_allclose(template.values, fitted)


def test_open_numbers_change_the_right_hand_side_in_as_many_ways():
    """The derivatives in the fitted numbers are linearly independent: none of them repeats another."""
    texts = ["2*x/(1 + 3*x)", "2*x/(1 + x)", "x*(1 + 3*x)/(1 + 4*y)", "2*exp(1 - x)", "0.3*x*(1 - x/42)*(2 + y)"]
    x, y = sp.symbols("x y")
    points = np.random.default_rng(0).uniform(0.2, 3, (40, 2))
    for text in texts:
        template = EquationSystem({"x": text, "y": "x"}).fit_template
        slopes = [sp.diff(template.expressions[0], c) for c in template.symbols]
        f = sp.lambdify([x, y, *template.symbols], slopes)
        table = np.array([f(*point, *template.values) for point in points])
        assert np.linalg.matrix_rank(table / np.linalg.norm(table, axis=0), tol=1e-9) == len(template.symbols)


@pytest.mark.parametrize(
    ("hold", "kept"),
    [
        (2, [2.0, 2.0]),
        ([-2], []),
        ("2", [2.0, 2.0]),
        (sp.Rational(1, 3), [1 / 3]),
        ("x/3", [1 / 3]),
        ("0.123457*x*y", [0.1234567]),
        (0.1235, [0.1234567]),
        (sp.Symbol("x") / 3, [1 / 3]),
        (["2*y", 0.5], [2.0, 0.5]),
        ((), []),
    ],
)
def test_what_hold_takes(hold, kept):
    t = np.linspace(0, 1, 12)
    eqs = EquationSystem({"x": "x/3 - 0.1234567*x*y + 2*y", "y": "2*x - 0.5*y"})
    data = sample(eqs, [[1.0, 0.5]], t)
    if hold == [-2]:
        with pytest.raises(OptionError, match="no such constant; theirs are"):
            fit_constants(eqs, data, hold=hold)
        return
    result = fit_constants(eqs, data, hold=hold, fit_initial=False, max_iterations=1)
    assert sorted(abs(c) for c in result.held) == pytest.approx(sorted(kept))
    for number in kept:
        assert any(abs(c) == number for c in result.equations.fit_template.values)


@pytest.mark.parametrize("hold", ["z*x", "x", [7.0], "2*", object(), [None], ["x*y*2"]])
def test_what_hold_does_not_take(hold):
    data = Trajectories.from_arrays(np.linspace(0, 1, 5), np.arange(5.0)[:, None], names=["x"])
    with pytest.raises(OptionError, match="hold has"):
        refit_constants(DECAY, data, hold=hold)


@pytest.mark.parametrize(("text", "n"), [("-2*sin(2*x)", 6), ("-2*sign(x)", 40)])
def test_a_fit_that_leads_nowhere_is_given_up(text, n):
    """It took ten times as long, wandering through solutions that are given up."""
    t = np.linspace(0, 6, n)
    data = Trajectories.from_arrays(t, 3 * np.exp(-0.7 * t)[:, None], names=["x"])
    assert not fit_constants(EquationSystem({"x": text}), data).converged


DECAYING = Trajectories.from_arrays(np.linspace(0, 3, 10), np.exp(-np.linspace(0, 3, 10))[:, None], names=["x"])


@pytest.mark.parametrize(("text", "says"), [("-x", "no constants"), ("sqrt(x - 5)", "as they came")])
def test_a_fit_that_changes_nothing_is_said(text, says):
    with pytest.warns(RuntimeWarning, match=says):
        assert refit_constants(EquationSystem({"x": text}), DECAYING) == EquationSystem({"x": text})


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"max_iterations": "5"}, OptionError),
        ({"max_iterations": None}, OptionError),
        ({"max_iterations": float("nan")}, OptionError),
        ({"fit_initial": "no"}, OptionError),
        ({"equations": "-x"}, OptionError),
        ({"equations": DECAYING, "data": DECAY}, OptionError),
        ({"data": np.zeros((3, 1))}, DataError),
        ({"data": None}, DataError),
        (
            {"data": Trajectories.from_arrays([0.0, 1, 2, 3], [[1e200], [2e200], [3e200], [4e200]], names=["x"])},
            DataError,
        ),
        (
            {"data": Trajectories.from_arrays([0.0, 1, 2, 3], [[1e-300], [2e-300], [3e-300], [5e-300]], names=["x"])},
            DataError,
        ),
    ],
)
def test_arguments_that_are_none(wrong, error):
    with pytest.raises(error, match=next(iter(wrong)) + "|another unit"):
        refit_constants(**{"equations": DECAY, "data": DECAYING, **wrong})


@pytest.mark.parametrize(
    ("rhs", "noise"),
    [
        ({"x": "0.5*x*(1 - 0.04*x)"}, "additive"),
        ({"x": "-1.8*x/(x + 0.9)", "y": "1.8*x/(x + 0.9) - 1.1*y/(y + 0.35)"}, "log"),
        ({"x": "-0.4*x**1.6", "y": "0.5*cos(0.4*x) - 0.3*y"}, "proportional"),
        ({"x": "y - 0.3*x", "y": "0.2 + 0.3*x/sqrt(x**2 + y**2) - 0.4*y*log(x)"}, "additive"),
    ],
)
def test_the_compiled_solver_and_scipy_find_the_same(rhs, noise):
    """A sign of something positive is one, but no term the compiled solver knows: SciPy then does the work."""
    truth = EquationSystem(rhs)
    odd = EquationSystem({name: f"sign(x)*({text})" for name, text in rhs.items()})
    data = sample(truth, [[2.0, 0.5][: len(rhs)], [6.0, 1.5][: len(rhs)]], np.linspace(0, 5, 25), 0.01)
    guess = np.array(truth.fit_template.values) * np.resize([1.2, 0.8], len(truth.fit_template.values))
    fits, evaluations = [], []
    for system in (truth, odd):
        count = [0]

        def tell(frame, event, _, count=count):
            count[0] += event == "call" and frame.f_code.co_filename.startswith("<lambdifygenerated")

        start = system.filled(system.fit_template, guess.tolist())
        sys.setprofile(tell)
        try:
            fits.append(fit_constants(start, data, noise=noise))
        finally:
            sys.setprofile(None)
        evaluations.append(count[0])
    one, other = fits
    assert one.converged
    assert one.loss == pytest.approx(other.loss, rel=1e-6)
    errors = np.array(one.standard_errors)
    np.testing.assert_allclose(errors, other.standard_errors, rtol=1e-2)
    assert np.all(np.abs(np.array(one.equations.constants) - other.equations.constants) < 0.01 * errors)
    np.testing.assert_allclose(one.initial_states, other.initial_states, rtol=1e-3)
    assert 20 * evaluations[0] < evaluations[1]
