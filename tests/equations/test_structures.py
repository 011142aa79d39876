"""Candidates of the search as equations, against each unit worked out in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from neural_arith.equations import EquationSystem
from neural_arith.equations.terms import from_structure, to_structure, unit_expression
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit, numbers_of, one_plus, power

SINE = -math.pi / 2
ONE, X, Y, U = power(0, 0, 0), power(1, 0, 0), power(0, 1, 0), power(0, 0, 1)
NAMES = ("x", "y", "u")
HILL = power(FITTED, 0, 0)
RADIUS = Sum(((X.times(X), 1.0), (Y.times(Y), 1.0)))
GROWN = Unit((1.0, 0.0, 0.0), rates=(0.0, FITTED, 0.0), sums=((one_plus(X, Y), FITTED),))

UNITS = {
    "constant": ONE,
    "powers": power(0.5, -1, 2),
    "fitted power": power(FITTED, 0, 1),
    "negative power": power(-2, 1 / 3, 0),
    "wave": replace(ONE, frequencies=(1.0, 0.0, 0.0)),
    "sine": replace(Y, frequencies=(1.0, -1.0, 0.0), phase=SINE),
    "fitted frequency": replace(ONE, frequencies=(FITTED, 0.0, 2.0), phase=SINE),
    "fitted phase": replace(X, frequencies=(FITTED, 0.0, 0.0), phase=FITTED),
    "rate": replace(X, rates=(0.0, -1.0, 0.0)),
    "fitted rates": replace(ONE, rates=(FITTED, 0.0, FITTED)),
    "logarithm": replace(X, logs=(0, 1, 0)),
    "two logarithms": replace(ONE, logs=(1, 1, 0)),
    "fraction": X.times(Y).over(one_plus(X)),
    "fraction of two": X.over(one_plus(X, Y)),
    "hill": Y.over(one_plus(HILL)),
    "logistic": ONE.over(one_plus(replace(ONE, rates=(FITTED, 0.0, 0.0)))),
    "kepler": X.over(RADIUS, -1.5),
    "fitted power of a sum": X.over(RADIUS, FITTED),
    "absolute value": X.over(Sum(((X.times(X), 1.0),)), 0.5),
    "product of waves": replace(ONE, frequencies=(1.0, 0.0, 0.0)).over(
        Sum(((replace(ONE, frequencies=(0.0, 1.0, 0.0), phase=SINE), 1.0),)), 1.0
    ),
    "everything": replace(GROWN, frequencies=(0.0, 2.0, 0.0), logs=(0, 0, 1)).over(RADIUS, -0.5),
}


def plain(unit: Unit, values: Mapping[Term | Number, float], v: np.ndarray) -> float:
    """A unit's value at a point, factor by factor."""

    def number(kind: str, fixed: float, k: int, owner: Unit | Sum = unit) -> float:
        return values[Number(kind, owner, k)] if fixed == FITTED else fixed

    out = math.prod(v[k] ** number("power", e, k) for k, e in enumerate(unit.powers))
    out *= math.exp(sum(number("rate", r, k) * v[k] for k, r in enumerate(unit.rates)))
    if unit.frequencies:
        turn = sum(number("frequency", w, k) * v[k] for k, w in enumerate(unit.frequencies))
        out *= math.cos(turn + number("phase", unit.phase, 0))
    out *= math.prod(math.log(v[k]) for k, has in enumerate(unit.logs) if has)
    for k, (total, q) in enumerate(unit.sums):
        parts = [number("coefficient", b, m, total) * plain(part, values, v) for m, (part, b) in enumerate(total.parts)]
        out *= sum(parts) ** number("sum power", q, k)
    return out


def draw(unit: Unit) -> dict[Term | Number, float]:
    """Values for the fitted numbers, all different."""
    return {number: 0.37 + 0.41 * k for k, number in enumerate(numbers_of(unit))}


def at(expression: sp.Expr, point: np.ndarray) -> float:
    return float(expression.subs(list(zip(sp.symbols(NAMES), map(float, point), strict=True))))


@pytest.mark.parametrize("name", UNITS)
def test_every_kind_of_unit_is_what_it_says(name):
    unit = UNITS[name]
    values = draw(unit)
    structure = Structure(((unit,), ()))
    eqs = from_structure(structure, {**values, (0, unit): -1.7}, ["x", "y"], ["u"])
    assert eqs.rhs["y"] == 0
    for point in np.random.default_rng(0).uniform(0.3, 2.5, size=(5, 3)):
        expected = plain(unit, values, point)
        assert at(unit_expression(unit, values, sp.symbols("x y u")), point) == pytest.approx(expected, rel=1e-10)
        assert at(eqs.rhs["x"], point) == pytest.approx(-1.7 * expected, rel=1e-10)


def test_terms_of_both_equations_add_up():
    units = list(UNITS.values())
    structure = Structure((tuple(units[::2]), tuple(units[1::2])))
    values: dict[Term | Number, float] = {term: 0.3 + 0.1 * k for k, term in enumerate(structure.terms)}
    numbers: dict[Term | Number, float] = {number: 0.37 + 0.1 * k for k, number in enumerate(structure.numbers)}
    eqs = from_structure(structure, {**values, **numbers}, ["x", "y"], ["u"])
    for point in np.random.default_rng(1).uniform(0.3, 2.5, size=(3, 3)):
        for i, state in enumerate("xy"):
            expected = sum(values[t] * plain(t[1], numbers, point) for t in structure.terms if t[0] == i)
            assert at(eqs.rhs[state], point) == pytest.approx(expected, rel=1e-9)


def test_fixed_numbers_are_exact_and_fitted_ones_are_constants():
    kepler = UNITS["kepler"]
    eqs = from_structure(Structure(((kepler,), ())), {(0, kepler): -2.0}, ["x", "y"], ["u"])
    assert eqs.constants == [-2.0]
    assert eqs.same_as(EquationSystem({"x": "-2*x/(x**2 + y**2)**1.5", "y": 0}, inputs=["u"]))
    free = UNITS["fitted power of a sum"]
    (number,) = numbers_of(free)
    eqs = from_structure(Structure(((free,), ())), {(0, free): -2.0, number: -1.4}, ["x", "y"], ["u"])
    assert sorted(eqs.constants) == [-2.0, -1.4]


def test_the_root_of_a_square_is_an_absolute_value_on_both_sides_of_zero():
    unit = UNITS["absolute value"]
    eqs = from_structure(Structure(((unit,), ())), {(0, unit): -0.5}, ["x", "y"], ["u"])
    assert eqs.rhs["x"].has(sp.Abs)
    for x in (-1.7, 0.0, 1.7):
        assert at(eqs.rhs["x"], np.array([x, 1.0, 1.0])) == pytest.approx(-0.5 * x * abs(x))


def test_zero_coefficients_are_left_out():
    structure = Structure(((X, Y), (Y,)))
    eqs = from_structure(structure, {(0, X): 2.0, (0, Y): 0.0, (1, Y): 0.0}, ["x", "y"], ["u"])
    assert eqs.to_text() == {"x": "2*x", "y": "0"}


# -------------------------------------------------------------------------------------------------- Gompertz' form
def log_x(unit: Unit) -> Unit:
    return replace(unit, logs=(1, 0, 0))


def test_growth_with_a_logarithm_is_written_as_gompertz_did():
    c, capacity = -0.4, 5.0
    structure = Structure(((X, log_x(X)), (Y,)))
    values: dict[Term | Number, float] = {(0, log_x(X)): c, (0, X): -c * math.log(capacity), (1, Y): 1.0}
    eqs = from_structure(structure, values, ["x", "y"], ["u"])
    assert len(eqs.constants) == 3
    assert [t for t in eqs.constants if t == pytest.approx(1 / capacity)]
    for x in (0.2, 1.0, 7.0):
        expected = c * x * math.log(x / capacity)
        assert at(eqs.rhs["x"], np.array([x, 1.0, 1.0])) == pytest.approx(expected, rel=1e-12)


def test_a_logarithm_alone_and_one_of_extreme_size_stay_as_they_are():
    alone = from_structure(Structure(((log_x(X),), ())), {(0, log_x(X)): 0.3}, ["x", "y"], ["u"])
    assert alone.rhs["x"] == sp.Float(0.3) * sp.Symbol("x") * sp.log(sp.Symbol("x"))
    structure = Structure(((X, log_x(X)), ()))
    eqs = from_structure(structure, {(0, X): 1.0, (0, log_x(X)): 1e-4}, ["x", "y"], ["u"])
    assert at(eqs.rhs["x"], np.array([2.0, 1, 1])) == pytest.approx(2 + 1e-4 * 2 * math.log(2), rel=1e-12)


def test_two_logarithms_share_no_plain_term():
    log_y = replace(X, logs=(0, 1, 0))
    structure = Structure(((X, log_x(X), log_y), ()))
    eqs = from_structure(structure, {(0, X): 0.7, (0, log_x(X)): 0.2, (0, log_y): -0.5}, ["x", "y"], ["u"])
    expected = 2 * (0.7 + 0.2 * math.log(2) - 0.5 * math.log(3))
    assert at(eqs.rhs["x"], np.array([2.0, 3.0, 1.0])) == pytest.approx(expected, rel=1e-12)


def test_units_with_numbers_of_their_own_are_not_drawn_together():
    bare = power(FITTED, 0, 0)
    structure = Structure(((bare, log_x(bare)), ()))
    one, other = Number("power", bare, 0), Number("power", log_x(bare), 0)
    values: dict[Term | Number, float] = {(0, bare): 0.7, (0, log_x(bare)): 0.2, one: 0.4, other: 1.3}
    eqs = from_structure(structure, values, ["x", "y"], ["u"])
    expected = 0.7 * 2**0.4 + 0.2 * 2**1.3 * math.log(2)
    assert at(eqs.rhs["x"], np.array([2.0, 1.0, 1.0])) == pytest.approx(expected, rel=1e-12)


def test_a_difference_of_logarithms_is_the_logarithm_of_a_ratio():
    log_x, log_y = (Unit((0.0, 0.0), logs=logs) for logs in ((1, 0), (0, 1)))
    unit = power(1, 0).over(Sum(((log_x, 1.0), (log_y, -1.0))), 1.0)
    eqs = from_structure(Structure(((unit,), ())), {(0, unit): -0.2}, ["x", "y"])
    assert str(eqs).splitlines()[0] == "d x/dt = -0.2*x*log(x/y)"


def test_powers_below_the_bar_are_positive_as_hill_wrote_them():
    hill = Unit((FITTED, 0.0, 0.0), copy=1)
    total = one_plus(hill, copy=1)
    unit = Y.over(total)
    values = {(0, unit): -1.2, Number("power", hill, 0): -1.3, Number("coefficient", total, 1): 4.1}
    system = from_structure(Structure(((unit,), ())), values, ("x", "y"), ("u",))
    x, y = sp.symbols("x y")
    assert system.rhs["x"] == -1.2 * x**1.3 * y / (x**1.3 + 4.1)


def test_ratios_below_the_bar_are_multiplied_out():
    total = one_plus(power(-1, 1, 0), copy=1)
    unit = power(0.5, 0, 1).over(total)
    values = {(0, unit): 2.0, Number("coefficient", total, 1): 0.1}
    system = from_structure(Structure(((unit,), ())), values, ("x", "y"), ("u",))
    x, y, u = sp.symbols("x y u")
    assert system.rhs["x"] == 2.0 * x ** sp.Rational(3, 2) * u / (x + 0.1 * y)


@pytest.mark.parametrize("name", UNITS)
def test_what_was_written_is_read_again(name):
    unit, numbers = UNITS[name], draw(UNITS[name])
    written = from_structure(Structure(((unit,), ())), {**numbers, (0, unit): -1.7}, ["x", "y"], ["u"])
    found = to_structure(written)
    assert found is not None
    structure, theta = found
    again = from_structure(structure, structure.values(theta), ["x", "y"], ["u"])
    points = np.random.default_rng(5).uniform(0.3, 2.0, (5, 3))
    for point in points:
        assert at(again.rhs["x"], point) == pytest.approx(at(written.rhs["x"], point), rel=1e-9)


def test_a_system_as_terms_says_which_numbers_are_fitted():
    found = to_structure(EquationSystem({"x": "2*x*(1 - 0.5*y) - 3*x**2/(4 + x**2)", "y": "x**1.3 - y"}))
    assert found is not None
    structure, theta = found
    numbers = {number.kind: value for number, value in zip(structure.numbers, theta[structure.n_terms :], strict=True)}
    assert numbers == pytest.approx({"power": 1.3, "coefficient": 4.0})
    plain = {unit.powers: c for (i, unit), c in zip(structure.terms, theta, strict=False) if i == 0 and unit.plain}
    assert plain == {(1.0, 0.0): 2.0, (1.0, 1.0): -1.0}


def test_same_forms_with_constants_of_their_own_are_told_apart():
    found = to_structure(EquationSystem({"x": "-x/(0.4 + x)", "y": "x/(0.7 + x) - 0.5*x/(0.7 + x)"}))
    assert found is not None
    structure, theta = found
    assert sorted(set(theta[structure.n_terms :])) == pytest.approx([0.4, 0.7])
    assert len({unit for equation in structure.equations for unit in equation}) == structure.n_terms


@pytest.mark.parametrize("text", ["tanh(x)", "sign(y)", "x**y", "exp(x*y)", "sin(1/x)", "sqrt(x + sqrt(1 + y))"])
def test_what_is_no_sum_of_units(text):
    assert to_structure(EquationSystem({"x": f"0.3*{text} - x", "y": "x"})) is None
