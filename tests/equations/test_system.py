"""EquationSystem: what it accepts, how it looks, runs and compares to itself."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp

from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, EquationError, IntegrationError, NeuralArithError, OptionError

ODD = (
    "S",
    "I",
    "E",
    "N",
    "Q",
    "O",
    "C",
    "beta",
    "gamma",
    "zeta",
    "lambda",
    "pi",
    "exp",
    "is",
    "in bed",
    "CO2 (ppm)",
)


def hare_lynx():
    return EquationSystem({"hare": "0.5417*hare - 0.02721*hare*lynx", "lynx": "0.0237*hare*lynx - 0.8*lynx"})


def test_the_printed_line():
    eqs = EquationSystem({"hare": "0.54172*hare - 0.027214*hare*lynx", "lynx": "lynx"})
    assert str(eqs) == "d hare/dt = 0.5417*hare - 0.02721*hare*lynx\nd lynx/dt = lynx"
    assert eqs.to_text(2)["hare"] == "0.54*hare - 0.027*hare*lynx"


def test_print_goes_to_stdout(capsys):
    hare_lynx().print(figures=2)
    assert capsys.readouterr().out.splitlines()[0] == "d hare/dt = 0.54*hare - 0.027*hare*lynx"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.0*x", "x"),
        ("-1.0*x", "-x"),
        ("2*x + 3", "3 + 2*x"),
        ("0.00123*x", "0.00123*x"),
        ("0.000000123456*x*y", "1.235e-7*x*y"),
        ("123456.7*x", "1.235e5*x"),
        ("x**0.5 + y**-0.5", "1/sqrt(y) + sqrt(x)"),
        ("x**(2/3) - x/3", "x**(2/3) - x/3"),
        ("x**2.0*y", "x**2*y"),
        ("x**0.75/y**1.5", "x**0.75/y**(3/2)"),
        ("45.232*x**1.002 - 45.232*x**0.998", "45.23*x**1.002 - 45.23*x**0.998"),
        ("x*(1 - x)/(2.5 + x)", "x*(1 - x)/(2.5 + x)"),
        ("-0.5*exp(-x)/(1 + y)", "-0.5*exp(-x)/(1 + y)"),
        ("0", "0"),
        ("exp(0.3*x - 1)", "exp(-1 + 0.3*x)"),
        ("-(x + y)*x", "-x*(x + y)"),
        ("abs(x)*ln(y)", "Abs(x)*log(y)"),
        ("1/(x*y)", "1/(x*y)"),
        ("(x - y)**2", "(x - y)**2"),
        ("2**x", "2**x"),
        ("(-2)**3*x", "-8*x"),
        ("x - -y", "x + y"),
        ("1/3", "1/3"),
        ("+x", "x"),
    ],
)
def test_shown_text_and_its_way_back(text, shown):
    eqs = EquationSystem({"x": text, "y": 0})
    assert eqs.to_text()["x"] == shown
    assert EquationSystem(eqs.to_text(None)) == eqs


def test_order_of_terms_does_not_depend_on_constants():
    values = np.random.default_rng(0).normal(size=(20, 4))
    shapes = set()
    for a, b, c, d in values.tolist():
        text = str(EquationSystem({"x": f"{a}*x*y + {b}*y + {c}*x**2 + {d}", "y": "x"}))
        shapes.add("".join(ch for ch in text.split("\n")[0] if ch in "xy*"))
    assert len(shapes) == 1


def test_latex():
    eqs = EquationSystem({"beta": "0.00000125*beta**2/(x_0 + 1)", "x_0": "sqrt(beta)", "in bed": "Abs(beta)"})
    assert eqs.latex() == (
        "\\begin{aligned}\n"
        r"\frac{\mathrm{d} \beta}{\mathrm{d} t} &= \frac{1.25 \cdot 10^{-6} \, {\beta}^{2}}{1 + x_{0}} \\"
        "\n"
        r"\frac{\mathrm{d} x_{0}}{\mathrm{d} t} &= \sqrt{\beta} \\"
        "\n"
        r"\frac{\mathrm{d} \mathrm{in\ bed}}{\mathrm{d} t} &= \left|\beta\right|"
        "\n\\end{aligned}"
    )
    assert eqs._repr_latex_().startswith("$$")


@pytest.mark.parametrize("name", ODD)
def test_any_name_works_everywhere(name, tmp_path):
    quoted = f"`{name}`" if not name.isidentifier() else name
    eqs = EquationSystem({name: f"-0.5*{quoted}*exp(-{quoted}) + other", "other": f"cos({quoted})/3"})
    assert eqs.states == (name, "other")
    assert eqs.rhs["other"].free_symbols == {sp.Symbol(name)}
    assert str(eqs).startswith(f"d {quoted}/dt")
    assert EquationSystem(eqs.to_text(None)) == eqs
    x = np.array([0.3, 0.7])
    expected = [-0.5 * 0.3 * math.exp(-0.3) + 0.7, math.cos(0.3) / 3]
    np.testing.assert_allclose(eqs.to_numpy()(0.0, x), expected, rtol=1e-14)
    assert np.isfinite(eqs.simulate({name: 0.3, "other": 0.7}, [0.0, 1.0])).all()
    assert eqs.latex()
    space: dict = {}
    exec(eqs.to_code("numpy"), space)
    np.testing.assert_allclose(space["rhs"](0.0, x), expected, rtol=1e-14)
    eqs.save(tmp_path / "e.json")
    assert eqs.with_constants(eqs.constants) == eqs


def test_immutable_hashable_picklable():
    eqs = hare_lynx()
    same = EquationSystem({k: str(v) for k, v in eqs.rhs.items()})
    assert same == eqs
    assert hash(same) == hash(eqs)
    assert eqs != "text"
    eqs.rhs["hare"] = sp.S.Zero
    assert same == eqs
    eqs.simulate([30.0, 4.0], [0.0, 1.0])
    assert pickle.loads(pickle.dumps(eqs)) == eqs
    assert copy.deepcopy(eqs) == eqs
    assert eval(repr(eqs), {"EquationSystem": EquationSystem}) == eqs
    with pytest.raises(AttributeError):
        eqs.states = ("a",)  # type: ignore[misc]


def test_sympy_input_is_made_plain():
    x = sp.Symbol("x", positive=True)
    eqs = EquationSystem({"x": sp.Float("0.1", 40) * x**2.0 + sp.pi * sp.sqrt(x) + 2})
    assert eqs.rhs["x"].free_symbols == {sp.Symbol("x")}
    assert eqs.constants == [math.pi, 0.1]
    assert eqs == EquationSystem({"x": f"2 + 0.1*x**2 + {math.pi!r}*sqrt(x)"})


def test_numbers_as_right_hand_sides():
    eqs = EquationSystem({"a": 0, "b": 1.5, "c": np.float64(2.5), "d": int(np.int64(3))})
    assert eqs.to_text() == {"a": "0", "b": "1.5", "c": "2.5", "d": "3"}
    np.testing.assert_array_equal(eqs.to_numpy()(0, np.zeros((2, 4))), [[0, 1.5, 2.5, 3]] * 2)


def test_sign_cases_of_power_units_are_read():
    x = sp.Symbol("x")
    below = sp.Piecewise((sp.S.One, x < 0), (sp.S.Zero, True))
    eqs = EquationSystem({"x": sp.Abs(x) ** 0.5 * sp.cos(0.5 * sp.pi * below)})
    f = eqs.to_numpy()
    np.testing.assert_allclose(f(0, np.array([[4.0], [-4.0], [0.0]])), [[2.0], [0.0], [0.0]], atol=1e-14)
    with pytest.raises(EquationError, match="case distinction"):
        EquationSystem({"x": sp.Piecewise((x, sp.Eq(x, 0)), (1, True))})


@pytest.mark.parametrize(
    ("rhs", "match"),
    [
        ({"x": "a*x"}, r"unknown a in .*allowed names: x; functions: exp, log"),
        ({"hare": "0.5*hair"}, "did you mean hare for hair"),
        ({"x": sp.Symbol("time")}, "holds unknown time; allowed names: x"),
        ({"x": "foo(x)"}, r"unknown foo\(\.\.\.\)"),
        ({"x": "x^2"}, r"write \*\* instead"),
        ({"x": "2x"}, "cannot read the formula"),
        ({"x": ""}, "cannot read the formula"),
        ({"x": "x if x else 1"}, "unknown if, else"),
        ({"x": "x < 1"}, "Compare is not part of a formula"),
        ({"x": "x[0]"}, "Subscript is not part"),
        ({"x": "x.real"}, "not part of a formula|unknown|cannot read"),
        ({"x": "'x'"}, "unknown|Constant is not part"),
        ({"x": "exp(x, x)"}, "exp takes one argument, not 2"),
        ({"x": "1j*x"}, "Constant is not part|cannot read"),
        ({"x": "x/0"}, "division by zero"),
        ({"x": "log(0)"}, "holds zoo"),
        ({"x": "sqrt(-1)*x"}, "holds I "),
        ({"x": "1e999"}, "too large"),
        ({"x": "9**9**9**9"}, "too large"),
        ({"x": "x**99999"}, "too large"),
        ({"x": "(" * 500 + "x" + ")" * 500}, "cannot read|nested"),
        ({"x": "exp(" * 300 + "x" + ")" * 300}, "cannot read|nested|too large"),
        ({"x": sp.I * sp.Symbol("x")}, "no place in a right-hand side"),
        ({"x": sp.gamma(sp.Symbol("x"))}, "no place in a right-hand side"),
        ({"x": sp.oo}, "no place|not finite|not a real"),
        ({"x": float("nan")}, "not finite|no place"),
        ({"x": None}, "must be text, a number or a sympy expression"),
        ({"x": True}, "must be text, a number"),
        ({}, "rhs is empty"),
        ([("x", "x")], "rhs must map"),
        ({1: "x"}, "names must be text"),
        ({"": "1"}, "cannot be used"),
        ({"a`b": "1"}, "without backticks"),
    ],
)
def test_wrong_right_hand_sides(rhs, match):
    with pytest.raises(EquationError, match=match):
        EquationSystem(rhs)


def test_text_is_never_executed(tmp_path):
    target = tmp_path / "made"
    for text in (
        f"__import__('os').mkdir({str(target)!r})",
        f"open({str(target)!r}, 'w')",
        "x.__class__",
        "(lambda: x)()",
    ):
        with pytest.raises(EquationError):
            EquationSystem({"x": text})
    evil = f"__import__('os').mkdir({str(target)!r})"
    eqs = EquationSystem({evil: f"-`{evil}`"})
    eqs.simulate([1.0], [0.0, 1.0])
    exec(eqs.to_code("numpy"), {})
    assert not target.exists()


def test_long_sums_are_read():
    eqs = EquationSystem({"x": " + ".join(f"{i}.5*x**{i}" for i in range(2, 400))})
    assert len(eqs.constants) == 398


def test_wrong_inputs():
    with pytest.raises(EquationError, match="both a state and an input"):
        EquationSystem({"x": "x"}, inputs=["x"])
    with pytest.raises(EquationError, match="comes twice"):
        EquationSystem({"x": "x"}, inputs=["u", "u"])
    with pytest.raises(EquationError, match="not one text"):
        EquationSystem({"x": "x"}, inputs="u")


def test_constants_in_and_out():
    eqs = EquationSystem({"x": "0.5*x - 2*x**1.25/(x + 3.5)", "y": "0.5*y + exp(-0.1*x)"})
    assert sorted(eqs.constants) == [-0.1, 0.5, 0.5, 1.25, 3.5]
    assert eqs.with_constants(eqs.constants) == eqs
    other = eqs.with_constants(np.arange(1, 6) + 0.25)
    assert sorted(other.constants) == [1.25, 2.25, 3.25, 4.25, 5.25]
    assert other.constants == [1.25, 2.25, 3.25, 4.25, 5.25]
    assert other.same_structure(eqs)
    assert "2*" in other.to_text()["x"]
    exact = eqs.with_constants([sp.Rational(1, 2), *eqs.constants[1:]])
    assert len(exact.constants) == 4
    with pytest.raises(EquationError, match="5 constants, but 2 values"):
        eqs.with_constants([1.0, 2.0])
    with pytest.raises(EquationError, match="finite"):
        eqs.with_constants([1.0, 2.0, np.nan, 1.0, 1.0])


def test_complexity_counts_nodes():
    assert EquationSystem({"x": "x"}).complexity == 1
    assert EquationSystem({"x": "2*x"}).complexity == 3
    assert hare_lynx().complexity == 16


def test_numpy_function_is_vectorised_and_quiet():
    eqs = EquationSystem({"x": "x**0.5*u", "y": "1/y + 2"}, inputs=["u"])
    f = eqs.to_numpy()
    x = np.random.default_rng(1).uniform(0.5, 2, (3, 5, 2))
    u = np.linspace(0, 1, 5)[:, None]
    out = f(0.0, x, u)
    np.testing.assert_allclose(out[..., 0], np.sqrt(x[..., 0]) * u[:, 0], rtol=1e-15)
    np.testing.assert_allclose(out[..., 1], 1 / x[..., 1] + 2, rtol=1e-15)
    bad = f(0.0, [-1.0, 0.0], [1.0])
    assert np.isnan(bad[0])
    assert np.isinf(bad[1])
    with pytest.raises(DataError, match=r"\(\*batch, 2\)"):
        f(0.0, [1.0])
    with pytest.raises(DataError, match="inputs u; pass u"):
        f(0.0, [1.0, 1.0])
    with pytest.raises(DataError, match="u must have shape"):
        f(0.0, [1.0, 1.0], [1.0, 2.0])


def test_simulate_against_the_exact_solution():
    t = np.linspace(0, 4, 41)
    logistic = EquationSystem({"x": "0.9*x*(1 - x/5)"})
    exact = 5 / (1 + (5 / 0.5 - 1) * np.exp(-0.9 * t))
    np.testing.assert_allclose(logistic.simulate([0.5], t)[:, 0], exact, rtol=1e-6)
    np.testing.assert_allclose(logistic.simulate({"x": 0.5}, t, method="DOP853")[:, 0], exact, rtol=1e-6)


def test_simulate_with_inputs():
    eqs = EquationSystem({"x": "u - x"}, inputs=["u"])
    t = np.linspace(0, 3, 31)
    exact = t - 1 + np.exp(-t)  # u = t
    for u in (t, t[:, None], lambda time: [time], lambda time: time):
        np.testing.assert_allclose(eqs.simulate([0.0], t, u=u)[:, 0], exact, atol=1e-7)
    with pytest.raises(DataError, match=r"inputs u; pass u, shape \(time, 1\)"):
        eqs.simulate([0.0], t)
    with pytest.raises(DataError, match=r"u must have shape \(31, 1\)"):
        eqs.simulate([0.0], t, u=t[:5])
    with pytest.raises(DataError, match="finite"):
        eqs.simulate([0.0], t, u=np.full(31, np.nan))
    with pytest.raises(DataError, match="returned 2 numbers"):
        eqs.simulate([0.0], t, u=lambda time: [1.0, 2.0])
    with pytest.raises(DataError, match="no inputs"):
        hare_lynx().simulate([1.0, 1.0], t, u=t)


def test_simulate_failures():
    eqs = EquationSystem({"x": "x**2"})
    with pytest.raises(IntegrationError, match="blow-up"):
        eqs.simulate([1.0], [0.0, 2.0])
    assert np.isnan(eqs.simulate([1.0], [0.0, 2.0], throw=False)[1, 0])
    with pytest.raises(DataError, match=r"shape \(1,\)"):
        eqs.simulate([1.0, 2.0], [0.0, 1.0])
    with pytest.raises(DataError, match="exactly the states x"):
        eqs.simulate({"z": 1.0}, [0.0, 1.0])
    root = EquationSystem({"x": "-1 - sqrt(x)"})
    with pytest.raises(IntegrationError, match="not finite"):
        root.simulate([1.0], [0.0, 5.0])


def test_overflow_inside_has_the_value_of_the_limit():
    eqs = EquationSystem({"x": "1/(1 + exp(5000*x)) - 1"})
    np.testing.assert_allclose(eqs.simulate([1.0], [0.0, 0.5])[:, 0], [1.0, 0.5], rtol=1e-6)


def test_options():
    with pytest.raises(OptionError, match="figures"):
        hare_lynx().print(figures=0)
    with pytest.raises(OptionError, match="rtol"):
        hare_lynx().same_as(hare_lynx(), rtol=-1)


FLOW = EquationSystem({"a": "-a", "b": "0"})
DRIVEN = EquationSystem({"x": "u + 2*v"}, inputs=["u", "v"])


@pytest.mark.parametrize("kind", [dict, pd.Series], ids=["mapping", "series"])
def test_starting_values_go_by_name(kind):
    np.testing.assert_allclose(FLOW.simulate(kind({"b": 1.0, "a": 2.0}), [0, 1])[0], [2.0, 1.0])
    with pytest.raises(DataError, match="x0 must name exactly the states a, b; not so: 'a', 'c'"):
        FLOW.simulate(kind({"b": 1.0, "c": 2.0}), [0, 1])


def test_a_series_without_names_is_an_array():
    np.testing.assert_allclose(FLOW.simulate(pd.Series([2.0, 1.0]), pd.Series([0.0, 1.0]))[0], [2.0, 1.0])


@pytest.mark.parametrize("kind", [dict, pd.DataFrame], ids=["mapping", "frame"])
def test_inputs_go_by_name(kind):
    u = kind({"v": [1.0, 1.0], "u": [0.0, 0.0]})
    np.testing.assert_allclose(DRIVEN.simulate([0.0], [0.0, 1.0], u=u)[-1], [2.0])
    np.testing.assert_allclose(DRIVEN.to_numpy()(0.0, [[0.0], [0.0]], u), [[2.0], [2.0]])
    with pytest.raises(DataError, match="u: the columns are v, w, but the equations are of u, v"):
        DRIVEN.simulate([0.0], [0.0, 1.0], u=kind({"v": [1.0, 1.0], "w": [0.0, 0.0]}))


ODD = {
    "masked": (np.ma.masked_array([1.0, 5.0], mask=[False, True]), "finite"),
    "masked number": ([1.0, np.ma.masked], "finite"),
    "masked complex": (np.ma.masked_array([1 + 1j, 1.0]), "complex"),
    "complex": ([1 + 1j, 1.0], "complex"),
    "text": (["a", "b"], "number"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("where", ["x0", "t", "u", "u(t)"])
def test_simulate_asks_for_what_fit_asks(odd, where):
    value, word = ODD[odd]
    driven = EquationSystem({"x": "u + v", "y": "0"}, inputs=["u", "v"])
    given = {"x0": [1.0, 2.0], "t": [0.0, 1.0], "u": [[0.0, 0.0], [0.0, 0.0]]}
    given |= {"u": [value, value]} if where == "u" else {"u": lambda t: value} if where == "u(t)" else {where: value}
    if where == "u(t)" and word == "finite":
        with pytest.raises(IntegrationError, match="not finite"):
            driven.simulate(**given)
        return
    with pytest.raises(DataError, match=word):
        driven.simulate(**given)


DECAY: Any = EquationSystem({"x": "-0.5*x"})
WRONG_KINDS = {
    "language": lambda: DECAY.to_code([]),
    "rtol": lambda: DECAY.same_as(DECAY, rtol="a"),
    "text for constants": lambda: DECAY.with_constants(["a"]),
    "no constants": lambda: DECAY.with_constants(None),
    "max_evaluations": lambda: DECAY.simulate([1], [0, 1], max_evaluations="a"),
    "bound": lambda: DECAY.simulate([1], [0, 1], bound="a"),
    "method": lambda: DECAY.simulate([1], [0, 1], method=[]),
    "a text to evaluate": lambda: DECAY.to_numpy()(0.0, "a"),
    "5,000 digits": lambda: EquationSystem({"x": sp.Integer(10) ** 5000}),
    "5,000 digits below": lambda: EquationSystem({"x": sp.Symbol("x") / sp.Integer(10) ** 5000}),
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_things_of_another_kind_are_refused_in_one_line(kind):
    with pytest.raises(NeuralArithError) as caught:
        WRONG_KINDS[kind]()
    assert len(str(caught.value)) < 300
