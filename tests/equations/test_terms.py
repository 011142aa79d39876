"""Sums of power products as arrays."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.equations import EquationSystem, from_terms, power_terms
from neural_arith.errors import EquationError


def test_power_terms():
    x, y = sp.symbols("x y")
    terms = power_terms(0.5 * x * (1 - 2 * y) - sp.sqrt(x * y) / 3 + x**1.25 / y + 4, [x, y])
    assert terms is not None
    found = {tuple(sorted(powers.items())): value for value, powers in terms}
    assert found == {
        (("x", 1.0),): 0.5,
        (("x", 1.0), ("y", 1.0)): -1.0,
        (("x", 0.5), ("y", 0.5)): pytest.approx(-1 / 3),
        (("x", 1.25), ("y", -1.0)): 1.0,
        (): 4.0,
    }
    assert power_terms(sp.S.Zero, [x]) == []
    assert power_terms(x, ["x"]) == [(1.0, {"x": 1.0})]


@pytest.mark.parametrize("text", ["exp(x)", "x/(1 + x)", "sin(y)*x", "(x + y)**0.5", "x**y", "Abs(x)"])
def test_other_formulas_are_none(text):
    assert power_terms(EquationSystem({"x": text, "y": 0}).rhs["x"], ["x", "y"]) is None


def test_foreign_variables_are_none():
    assert power_terms(sp.Symbol("z"), ["x"]) is None


def test_from_terms():
    eqs = from_terms(
        ["S", "I"],
        [-0.04, 0.04, -0.1, 0.0],
        [[0.5, 0.5000000001, 0.0], [0, 1, 1], [2.3, 0, -1.0]],
        [0, 1, 1, 0],
        [0, 0, 1, 2],
        inputs=["u"],
    )
    assert eqs.to_text() == {"S": "-0.04*sqrt(S)*sqrt(I)", "I": "0.04*sqrt(S)*sqrt(I) - 0.1*I*u"}
    assert eqs.rhs["S"].as_powers_dict()[sp.Symbol("S")] == sp.Rational(1, 2)
    assert from_terms(["x"], [], [], [], []).to_text() == {"x": "0"}
    one = from_terms(["x"], [1.0], [[1.0]], [0], [0])
    assert one.constants == [1.0]
    assert str(one) == "d x/dt = x"


def test_from_terms_wrong():
    with pytest.raises(EquationError, match="one length"):
        from_terms(["x"], [1.0, 2.0], [[1.0]], [0], [0])
    with pytest.raises(EquationError, match=r"unit in 0\.\.0"):
        from_terms(["x"], [1.0], [[1.0]], [0], [1])
    with pytest.raises(EquationError, match=r"equation must lie in 0\.\.0"):
        from_terms(["x"], [1.0], [[1.0]], [-1], [0])
    with pytest.raises(EquationError, match="1 columns, one per variable"):
        from_terms(["x"], [1.0], [[1.0, 1.0, 1.0]], [0], [0])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_round_trip(seed):
    rng = np.random.default_rng(seed)
    exponents = rng.choice([-1, 0, 0.5, 1, 2, 1.37], size=(5, 3))
    exponents = np.unique(exponents, axis=0)
    n = len(exponents)
    equation, unit = np.repeat(np.arange(3), n), np.tile(np.arange(n), 3)
    coefficients = rng.normal(size=3 * n)
    eqs = from_terms("abc", coefficients, exponents, equation, unit)
    for i, state in enumerate("abc"):
        terms = power_terms(eqs.rhs[state], "abc")
        assert terms is not None
        found = {tuple(powers.get(v, 0.0) for v in "abc"): value for value, powers in terms}
        expected = {tuple(exponents[k]): coefficients[i * n + k] for k in range(n)}
        assert found == expected
