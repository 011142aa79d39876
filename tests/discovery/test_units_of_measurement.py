"""What is found does not depend on the units in which states and time were written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from simulated import noisy, scipy_solution

from neural_arith.data import Trajectories
from neural_arith.discovery import Discovery, Knowledge, discover
from neural_arith.equations import EquationSystem

FEW: dict[str, Any] = {"restarts": 8, "max_units": 2, "n_jobs": 1}
ENZYME = EquationSystem({"S": "-2.3*S/(0.8 + S)"})
SCALES = [(1e3, 1.0), *10.0 ** np.random.default_rng(4).uniform(-9, 9, (3, 2))]


def enzyme(size: float, clock: float) -> Trajectories:
    t = np.linspace(0.0, 2.5, 70)
    runs = [scipy_solution(lambda _, s: [-2.3 * s[0] / (0.8 + s[0])], (start,), t) for start in (5.0, 2.0)]
    runs = [size * noisy(x, 0.03, k) for k, x in enumerate(runs)]
    return Trajectories.from_arrays(clock * t, runs, names=["S"])


@pytest.fixture(scope="module")
def first() -> Discovery:
    return discover(enzyme(1.0, 1.0), **FEW)


def test_a_constant_with_a_unit_is_fitted(first):
    """One plus the substrate would leave the fastest rate many standard errors off."""
    assert first.equations.same_structure(ENZYME)
    fastest, half = first.chosen.constants[0] / first.chosen.constants[1], 1 / first.chosen.constants[1]
    assert len(first.chosen.constants) == 2
    assert -fastest == pytest.approx(2.3, rel=0.1)
    assert half == pytest.approx(0.8, rel=0.3)
    slope = -2.3 / 0.8, 1 / 0.8
    for value, error, true in zip(first.chosen.constants, first.chosen.standard_errors, slope, strict=True):
        assert abs(value - true) < 4 * error


@pytest.mark.parametrize(("size", "clock"), SCALES)
def test_law_and_errors_go_along_with_the_units(first, size, clock):
    found = discover(enzyme(size, clock), **FEW).chosen
    state = sp.Symbol("S")
    law = found.equations.rhs["S"].xreplace({state: size * state})
    back = EquationSystem({"S": sp.Mul(law, clock / size)})  # pyright: ignore[reportArgumentType]
    assert back.same_structure(first.equations)
    assert back.constants == pytest.approx(first.chosen.constants, rel=1e-3)
    relative, expected = (np.array(c.standard_errors) / np.abs(c.constants) for c in (found, first.chosen))
    np.testing.assert_allclose(relative, expected, rtol=1e-2)


def test_millions_of_persons_that_are_known_to_be_positive():
    persons = 8e7
    t = np.linspace(0.0, 90.0, 31)

    def f(_, y):
        new = 0.5 * y[0] * y[1] / persons
        return [-new, new - 0.1 * y[1], 0.1 * y[1]]

    x = noisy(scipy_solution(f, (persons - 8e4, 6e4, 2e4), t), 0.02, 0)
    data = Trajectories.from_arrays(t, x, names=["S", "I", "R"])
    found = discover(data, restarts=4, max_units=1, n_jobs=1, knowledge=Knowledge(positive=["S", "I", "R"]))
    law = EquationSystem(
        {"S": "-6.25e-9*S*I", "I": "6.25e-9*S*I - 0.1*I", "R": "0.1*I"},
    )
    assert found.equations.same_as(law, rtol=0.1)
