"""Equations read as reactions: against stoichiometric matrices, textbook mechanisms, and numbers by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.equations import EquationSystem, Reaction, read_reactions
from neural_arith.errors import OptionError

SPECIES = ("A", "B", "C", "D", "E")

Mechanism = tuple[np.ndarray, np.ndarray, np.ndarray]


def read(**rhs: str) -> list[str]:
    return str(read_reactions(EquationSystem(rhs))).splitlines()


@st.composite
def mechanisms(draw) -> Mechanism:
    """Numbers going in and out, ``(reactions, species)``, and rate constants: each reactant side once."""
    side = st.lists(st.integers(0, 4), max_size=3).map(lambda which: tuple(which.count(j) for j in range(5)))
    into = draw(st.lists(side, min_size=1, max_size=5, unique=True))
    out = [draw(side) for _ in into]
    out = [(s[0] + 1, *s[1:]) if s == r else s for s, r in zip(out, into, strict=True)]
    constants = [draw(st.floats(0.01, 100.0)) for _ in into]
    return np.array(into), np.array(out), np.array(constants)


def equations_of(mechanism: Mechanism, factors: np.ndarray) -> EquationSystem:
    """Mass action written out as text; each single coefficient times one of the ``factors``, (reactions, species)."""
    into, out, constants = mechanism
    rhs = {}
    for j, species in enumerate(SPECIES):
        terms = []
        for h in range(len(into)):
            number = int(out[h, j] - into[h, j])
            powers = [f"{name}**{e}" for name, e in zip(SPECIES, into[h], strict=True) if e]
            coefficient = number * float(constants[h]) * float(factors[h, j])
            terms += [f"({'*'.join([repr(coefficient), *powers])})"] if number else []
        rhs[species] = " + ".join(terms) or "0"
    return EquationSystem(rhs)


def expected(mechanism: Mechanism) -> dict[tuple, float]:
    """Net numbers without their common divisor, and constants that make up for it, by reactants."""
    found = {}
    for into, out, k in zip(*mechanism, strict=True):
        net = out - into
        shared = math.gcd(*net.tolist())
        found[tuple(into), tuple(net // shared)] = float(k * shared)
    return found


def found_in(system: EquationSystem) -> dict[tuple, float]:
    result = read_reactions(system)
    assert result.complete
    assert all(reaction.mass_action for reaction in result.reactions)
    return {
        (tuple(r.reactants.get(s, 0) for s in SPECIES), tuple(r.net.get(s, 0) for s in SPECIES)): r.rate_constant
        for r in result.reactions
    }


@given(mechanisms())
@settings(max_examples=40, deadline=None)
def test_mass_action_comes_back(mechanism):
    system = equations_of(mechanism, np.ones((5, 5)))
    assert found_in(system) == pytest.approx(expected(mechanism), rel=1e-12)
    assert read_reactions(system).to_equations().same_as(system, rtol=1e-12)


@given(mechanisms(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_mass_action_comes_back_from_inexact_coefficients(mechanism, seed):
    factors = 1 + 0.01 * np.random.default_rng(seed).uniform(-1, 1, (5, 5))
    assert found_in(equations_of(mechanism, factors)) == pytest.approx(expected(mechanism), rel=0.011)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("xyz"), st.tuples(*[st.sampled_from([-1, 0, 0.5, 1, 2])] * 3)),
        st.floats(-3, 3).filter(lambda c: abs(c) > 1e-3),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_reactions_and_rest_are_the_equations(terms):
    rhs: dict[str, Any] = dict.fromkeys("xyz", sp.S.Zero)
    for (state, powers), value in terms.items():
        product = sp.Mul(*(sp.Symbol(n) ** sp.Rational(p) for n, p in zip("xyz", powers, strict=True)))
        rhs[state] += sp.Float(value) * product
    system = EquationSystem(rhs)
    result = read_reactions(system)
    exact = read_reactions(system, rtol=0.0)
    x = np.random.default_rng(0).uniform(0.5, 2.0, (20, 3))
    slope = system.to_numpy()(0.0, x)
    np.testing.assert_allclose(exact.to_equations().to_numpy()(0.0, x), slope, rtol=1e-12, atol=1e-12)
    # within the tolerance of each term; no product of two to six factors below 2 exceeds 64
    size = sum(abs(value) * 64.0 for value in terms.values())
    np.testing.assert_allclose(result.to_equations().to_numpy()(0.0, x), slope, atol=0.06 * size + 1e-12)
    for reaction in result.reactions:
        assert reaction.rate_constant > 0
        assert all(number > 0 for number in (*reaction.reactants.values(), *reaction.products.values()))
        assert all(sp.Symbol(s) in reaction.law.free_symbols for s, n in reaction.net.items() if n < 0)


def test_the_convention_of_the_rate_constant():
    system = EquationSystem({"A": "-0.2*A**2 - 0.2*A", "B": "0.1*A**2 - 0.3*B*D", "C": "0.2*A - 0.13*C",
                             "D": "0.13*C - 0.3*B*D", "E": "0.3*B*D"})  # fmt: skip
    result = read_reactions(system)
    assert str(result).splitlines() == [
        "A -> C  (k = 0.2)",
        "2 A -> B  (k = 0.1)",
        "B + D -> E  (k = 0.3)",
        "C -> D  (k = 0.13)",
    ]
    assert result.stoichiometry.tolist() == [[-1, -2, 0, 0], [0, 1, -1, 0], [1, 0, 0, -1], [0, 0, -1, 1], [0, 0, 1, 0]]
    concentration = np.array([0.7, 0.3, 0.2, 0.5, 0.1])
    at = [(sp.Symbol(state), value) for state, value in zip(system.states, concentration.tolist(), strict=True)]
    rates = [float(reaction.rate.subs(at)) for reaction in result.reactions]
    np.testing.assert_allclose(result.stoichiometry @ rates, system.to_numpy()(0.0, concentration), rtol=1e-12)
    assert result.linked


def test_textbook_mechanisms():
    # Robertson (1966), as every text writes it
    robertson = read(A="-0.04*A + 1e4*B*C", B="0.04*A - 1e4*B*C - 3e7*B**2", C="3e7*B**2")
    assert robertson == ["A -> B  (k = 0.04)", "B + C -> A + C  (k = 1e4)", "2 B -> B + C  (k = 3e7)"]
    # Brusselator: autocatalysis of third order, a source, a sink
    brusselator = read(X="1.0 - 4.0*X + 1.0*X**2*Y", Y="3.0*X - 1.0*X**2*Y")
    assert brusselator[0] == "nothing -> X  (k = 1)"
    assert brusselator[2] == "2 X + Y -> 3 X  (k = 1)"
    # decay of dinitrogen pentoxide: two go at once, but the law is of first order
    assert read(N="-0.6*N", NO2="1.2*N", O2="0.3*N") == ["2 N -> 4 NO2 + O2  (rate = 0.3*N)"]
    assert read(S="-2.0*S/(0.4 + S)", P="2.0*S/(0.4 + S)") == ["S -> P  (rate = 2*S/(0.4 + S))"]


def test_one_reactant_may_go_several_ways():
    assert read(A="-0.3*A", B="0.1*A", C="0.2*A") == ["A -> B  (k = 0.1)", "A -> C  (k = 0.2)"]
    assert read(A="-0.4*A", B="0.2*A", C="0.2*A") == ["A -> B  (k = 0.2)", "A -> C  (k = 0.2)"]
    assert read(A="-0.62*A**2", B="0.11*A**2", C="0.2*A**2") == ["2 A -> B  (k = 0.11)", "2 A -> C  (k = 0.2)"]
    assert read(A="-0.2*A", B="0.2*A", C="0.2*A") == ["A -> B + C  (k = 0.2)"]


def test_what_stays_is_a_catalyst():
    assert read(A="-0.3*A*K", B="0.3*A*K", K="0") == ["A + K -> B + K  (k = 0.3)"]
    assert read(A="0.5*A") == ["A -> 2 A  (k = 0.5)"]
    assert read(A="0", B="0.5*A**2") == ["2 A -> 2 A + B  (k = 0.5)"]


def test_real_orders_and_inputs_stand_in_the_law_only():
    assert read(S="-0.06*sqrt(S)*I**0.7", I="0.06*sqrt(S)*I**0.7") == ["S -> I  (rate = 0.06*sqrt(S)*I**0.7)"]
    result = read_reactions(EquationSystem({"A": "-0.3*A*heat", "B": "0.3*A*heat"}, inputs=["heat"]))
    assert str(result) == "A -> B  (rate = 0.3*A*heat)"
    assert result.to_equations().inputs == ("heat",)
    assert not result.reactions[0].mass_action


def test_what_is_no_reaction_is_left():
    prey = EquationSystem({"hare": "0.54*hare - 0.027*hare*lynx", "lynx": "-0.8*lynx + 0.024*hare*lynx"})
    result = read_reactions(prey)
    assert [str(r) for r in result.reactions] == ["hare -> 2 hare  (k = 0.54)", "lynx -> nothing  (k = 0.8)"]
    assert result.rest.to_text() == {"hare": "-0.027*hare*lynx", "lynx": "0.024*hare*lynx"}
    assert not result.complete
    assert not result.linked
    # nothing of what is not there can be used up, and less of it cannot make it go faster
    assert read(x="-y", y="-0.1/y")[:2] == ["not a reaction: d x/dt = ... -y", "not a reaction: d y/dt = ... -0.1/y"]
    assert read(x="-0.2") == ["not a reaction: d x/dt = ... -0.2"]
    empty = read_reactions(EquationSystem({"x": 0}))
    assert (empty.reactions, empty.stoichiometry.shape, empty.complete) == ((), (1, 0), True)


def test_tolerance_of_ratios():
    system = EquationSystem({"A": "-0.104*A", "B": "0.1*A"})
    assert read_reactions(system).reactions[0].rate_constant == pytest.approx(0.102)
    assert not read_reactions(system, rtol=0.01).reactions
    for wrong in (-0.1, 0.2, float("nan")):
        with pytest.raises(OptionError, match="rtol must lie between 0 and"):
            read_reactions(system, rtol=wrong)


def test_standard_errors_widen_and_weigh():
    system = EquationSystem({"A": "-0.2034*A**2", "B": "0.0866*A**2"})
    assert not read_reactions(system).reactions
    assert not read_reactions(system, standard_errors=[0.002, 0.002]).reactions
    found = read_reactions(system, standard_errors=[0.002, 0.006])
    assert [str(r).split("  ")[0] for r in found.reactions] == ["2 A -> B"]
    assert found.reactions[0].rate_constant == pytest.approx(0.1, rel=0.015)  # the better known one counts more
    # what is not known at all passes for nothing, not even where it fits
    vague = EquationSystem({"A": "-0.2*A", "B": "0.195*A"})
    assert read_reactions(vague, standard_errors=[0.001, 0.01]).linked
    assert not read_reactions(vague, standard_errors=[0.001, math.nan]).reactions
    with pytest.raises(OptionError, match="one number for each of the 2 constants, not 1"):
        read_reactions(vague, standard_errors=[0.1])


def test_a_reaction_is_a_value():
    A = sp.Symbol("A")
    one, same = (Reaction({"A": 2}, {"B c": 1}, A**2, 1 / 3) for _ in range(2))
    assert one == same
    assert len({one, same}) == 1
    assert one.net == {"A": -2, "B c": 1}
    assert one.to_text(2) == "2 A -> `B c`  (k = 0.33)"


@pytest.mark.parametrize("seed", range(5))
def test_ratios_that_the_errors_leave_open_are_not_read(seed):
    """Yields such as 0.6 young for each prey are no ratio of whole numbers; only small errors may say that one is."""
    rng = np.random.default_rng(seed)
    for share in (0.05, 0.1, 0.15):
        eaten, born = 0.03, 0.03 * rng.uniform(0.3, 1.2)
        system = EquationSystem({"prey": f"0.5*prey - {eaten}*prey*fox", "fox": f"-0.8*fox + {born}*prey*fox"})
        errors = [share * abs(c) for c in system.constants]
        ratio, sigma = born / eaten, share * 2**0.5
        wholes = {a / b for a in range(1, 5) for b in range(1, 5)}
        near = [w for w in wholes if abs(math.log(ratio / w)) < 3 * sigma]
        found = read_reactions(system, standard_errors=errors)
        assert not found.linked or len(near) == 1
    assert not found.linked  # at 15 % no ratio is alone


def test_several_ways_need_only_what_appears_and_what_vanishes_to_agree():
    system = EquationSystem({"A": "-0.3*A", "B": "0.1*A", "C": "0.2*A"})
    found = read_reactions(system, standard_errors=[0.012, 0.005, 0.01])  # B : C may be anything
    assert [str(r).split("  ")[0] for r in found.reactions] == ["A -> B", "A -> C"]
    assert not read_reactions(system, standard_errors=[0.05, 0.005, 0.01]).reactions
