"""Equations in files and in other languages."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.equations import EquationSystem, load, save
from neural_arith.errors import DataError, EquationError, OptionError

RICH = EquationSystem(
    {
        "S": "-0.04*S**0.5*I**0.5 + 1/3",
        "I": "Abs(S - 1)**1.3*sign(I) + x**2*I**3/(2 + S*I)",
        "x": "exp(-x)*cos(2*I) - tanh(S)*sinh(x) + asinh(u)*cosh(x)",
        "in bed": "cot(S) + tan(I) + log(I) - x**(2/3) + (-2.5)*x**-2/3 + 2*(x + 1)/u",
        "if": "sqrt(S*I) - `in bed`*100000000000000000000 + `CO2 (ppm)`*1e-300",
    },
    inputs=["u", "CO2 (ppm)"],
)


def test_save_and_load(tmp_path):
    path = tmp_path / "equations.json"
    RICH.save(path)
    again = load(path)
    assert again == RICH
    assert again.inputs == RICH.inputs
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["version"] == 1
    assert content["equations"]["S"] == "1/3 - 0.04*sqrt(S)*sqrt(I)"
    save(again, str(path))
    assert load(str(path)) == RICH


PIECES = [
    *("{c}*x", "{c}*y**{c}", "exp({c}*x - y)", "sin(x*{c} + {c})/({c} + x**2)", "x**{n}"),
    *("-(x + {c})*y/{n}", "{c}", "{n}", "sqrt(x + {c})", "(x*y)**{c}", "{n}*(x + y)/(x - {c})"),
    *("Abs({c}*x)", "2/3*x**({n}/7)"),
]


@settings(deadline=None, max_examples=100)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    c=st.floats(-1e6, 1e6).filter(lambda c: abs(c) > 1e-6),
    n=st.integers(1, 9),
    joint=st.sampled_from([" + ", " - ", "*", ")*("]),
)
def test_text_comes_back_to_the_last_bit(pieces, c, n, joint):
    text = "(" + joint.join(piece.format(c=repr(c) if c > 0 else f"({c!r})", n=n) for piece in pieces) + ")"
    try:
        eqs = EquationSystem({"x": text, "y": "x"})
    except EquationError:  # a complex number, such as a root of a negative constant
        return
    again = EquationSystem(eqs.to_text(None))
    assert again == eqs
    assert again.constants == eqs.constants


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "not a file of equations"),
        ("[1]", "must hold"),
        ('{"format": "other"}', "must hold"),
        ('{"format": "neural_arith equations", "version": 2}', "version 2"),
        ('{"format": "neural_arith equations", "version": 1}', "must hold the lists"),
        ('{"a": 1, "a": 2}', "comes twice"),
    ],
)
def test_files_that_are_not(tmp_path, content, match):
    path = tmp_path / "e.json"
    path.write_text(content)
    with pytest.raises(EquationError, match=match):
        load(path)


def test_wrong_contents(tmp_path):
    path = tmp_path / "e.json"
    good = {
        "format": "neural_arith equations",
        "version": 1,
        "states": ["x"],
        "inputs": [],
        "equations": {"x": "x"},
    }
    for change, match in (
        ({"states": ["x", "y"]}, "one equation for each"),
        ({"states": [1]}, "one equation for each"),
        ({"equations": {"x": 1}}, "must be text"),
        ({"equations": {"x": "__import__('os')"}}, "unknown __import__"),
        ({"inputs": ["x"]}, "both a state"),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(EquationError, match=match) as caught:
            load(path)
        assert str(path) in str(caught.value)
    with pytest.raises(EquationError, match="cannot read"):
        load(tmp_path / "missing.json")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EquationError, match="not a file"):
        load(path)


def points(n=40):
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (n, 5))
    u = rng.uniform(0.5, 2, (n, 2))
    return x, u


def test_numpy_code_runs_and_agrees():
    x, u = points()
    space: dict = {}
    exec(RICH.to_code("numpy"), space)
    np.testing.assert_allclose(space["rhs"](0.0, x, u), RICH.to_numpy()(0.0, x, u), rtol=1e-13, equal_nan=True)
    np.testing.assert_allclose(space["rhs"](0.0, x[0], u[0]), RICH.to_numpy()(0.0, x[0], u[0]), rtol=1e-13)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")
def test_c_code_compiles_and_agrees(tmp_path):
    x, u = points()
    (tmp_path / "rhs.c").write_text(RICH.to_code("c"))
    body = """
#include <stdio.h>
void rhs(double t, const double *state, const double *inputs, double *derivative);
int main(void) {
    double state[5], inputs[2], out[5];
    while (scanf("%lf %lf %lf %lf %lf %lf %lf", state, state + 1, state + 2, state + 3, state + 4,
                 inputs, inputs + 1) == 7) {
        rhs(0.0, state, inputs, out);
        for (int i = 0; i < 5; i++) printf("%.17g ", out[i]);
        printf("\\n");
    }
    return 0;
}
"""
    (tmp_path / "main.c").write_text(body)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    command = ["gcc", *strict, "rhs.c", "main.c", "-o", "run", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    text = "\n".join(" ".join(map(repr, row)) for row in np.hstack([x, u]).tolist())
    out = subprocess.run([tmp_path / "run"], input=text, capture_output=True, text=True, check=True).stdout
    found = np.array([[float(v) for v in line.split()] for line in out.splitlines()])
    np.testing.assert_allclose(found, RICH.to_numpy()(0.0, x, u), rtol=1e-11, equal_nan=True)


def test_julia_code():
    text = RICH.to_code("julia")
    assert "function rhs!(derivative, state, inputs, t)" in text
    assert "    in_bed = state[4]" in text
    assert "    CO2_ppm = inputs[2]" in text
    assert "derivative[1] = 1/3 - 0.04*real_root(S)*real_root(I)" in text
    assert "real_power(b, e) = b < 0" in text
    assert "**" not in text
    assert text.rstrip().endswith("end")
    simple = EquationSystem({"x": "-0.5*x**2 + y", "y": "1"}).to_code("julia")
    assert simple == (
        "# Right-hand sides; states: x, y.\n"
        "function rhs!(derivative, state, inputs, t)\n"
        "    x = state[1]\n"
        "    y = state[2]\n"
        "    derivative[1] = y - 0.5*x^2\n"
        "    derivative[2] = 1\n"
        "    return nothing\n"
        "end\n"
    )


def test_unknown_language():
    with pytest.raises(OptionError, match="numpy, julia, c"):
        RICH.to_code("fortran")


LIMITS = {
    "9.0**9.0**9.0**9.0": "too large",
    "exp(exp(exp(9)))": "too large",
    "exp(exp(exp(9.0)))*x": "too large",
    "cosh(cosh(cosh(9)))": "too large",
    "x**(7.0**7.0**7.0)": "too large",
    "2**2**2**2**2**2": "too large",
    "*".join(["7**300"] * 300): "too large",
    "1e200*1e200*x": "too large",
    "*".join(f"(x + {k}.5)" for k in range(1500)): "parts; at most",
    "+".join(f"{k}.5*x**{k}" for k in range(4000)): "more than can be read",
    "9" * 300 + "*x": "more than 100 digits",
    f"x + 0.{'1' * 300}": "more than 100 digits",
    "sin(" * 250 + "x" + ")" * 250: "nested",
    "-" * 5000 + "x": "too deeply nested",
    "(" * 199 + "x" + " + 1)*2.5" * 199: "nested deeper",
    "x*" * 60_000 + "x": "more than can be read",
    "x*" * 15_000 + " " * 100_000 + "x": "characters",
    "(-8.0)**(1/3)*x": "complex",
    "0.0**-1": "division by zero",
    "+".join(f"name{k}" for k in range(9000)): "more in",
    "2(x)": "not part of a formula",
    "2if(x)": "unknown|cannot read",
}


@pytest.mark.parametrize("text", LIMITS, ids=[text[:20] for text in LIMITS])
def test_what_a_file_may_ask_is_bounded(tmp_path, text):
    path = tmp_path / "e.json"
    content = {
        "format": "neural_arith equations",
        "version": 1,
        "states": ["x"],
        "inputs": [],
        "equations": {"x": text},
    }
    path.write_text(json.dumps(content))
    with pytest.raises(EquationError, match=LIMITS[text]) as caught:
        load(path)
    assert len(str(caught.value)) < 1000


def test_a_file_of_equations_is_no_data_set(tmp_path):
    path = tmp_path / "e.json"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(EquationError, match="1000000 bytes"):
        load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(EquationError, match="not a file of equations"):
        load(path)


def test_large_and_small_numbers_come_back(tmp_path):
    equations = EquationSystem({"x": "1e300*x - 1e-300*x**2 + 123456789.125", "y": 10**50})
    equations.save(tmp_path / "e.json")
    assert load(tmp_path / "e.json") == equations


def content(inputs, equations):
    return json.dumps(
        {
            "format": "neural_arith equations",
            "version": 1,
            "states": list(equations),
            "inputs": inputs,
            "equations": equations,
        }
    )


STATES = [f"s{k}" for k in range(60)]
LARGE = {
    "names": (content([f"i{k}" for k in range(50_000)], {"x": "-x"}), "50000 input names; at most 5000"),
    "functions": (
        content([], {s: "+".join(f"{k}.5*sin({k}.7*{s}*s0)*exp(-{s}/{k + 1}.5)" for k in range(60)) for s in STATES}),
        "more than can be read at once",
    ),
}


@pytest.mark.parametrize("what", LARGE)
def test_large_files_are_refused_at_once(tmp_path, what):
    path = tmp_path / "e.json"
    text, words = LARGE[what]
    path.write_text(text)
    with pytest.raises(EquationError, match=words) as caught:
        load(path)
    assert len(str(caught.value)) < 1000


def test_a_large_system_of_plain_terms_is_read_again(tmp_path):
    large = EquationSystem({s: " + ".join(f"{k + 1}.5*{s}*{o}" for k, o in enumerate(STATES[:40])) for s in STATES})
    large.save(tmp_path / "e.json")
    assert load(tmp_path / "e.json") == large


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "e.json"
    path.write_text(content([], {"x": "-x"}), encoding="utf-8-sig")
    assert load(path) == EquationSystem({"x": "-x"})


@pytest.mark.parametrize("path", [None, 3, b"x", "a\0b", ""])
def test_paths_that_are_none(path):
    with pytest.raises(EquationError, match=r"path|name it"):
        load(path)
    with pytest.raises(DataError, match=r"path|name it"):
        RICH.save(path)


def test_the_name_of_a_function_is_no_typing_error():
    with pytest.raises(EquationError, match=r"exp is a function: write exp\(\.\.\.\)$"):
        EquationSystem({"x": "exp"})
