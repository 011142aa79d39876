"""What the catalogue holds: counts, names, facts, and right-hand sides finite along all trajectories."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
import sympy as sp

from neural_arith import systems
from neural_arith.equations import read_reactions
from neural_arith.errors import OptionError
from neural_arith.systems import System

KNOWN = [name for suite in ("odebench", "powerlaw", "reactions") for name in systems.names(suite)]


def test_counts():
    assert [len(systems.names(suite)) for suite in systems.SUITES] == [63, 24, 2, 3]
    assert systems.names() == sum((systems.names(suite) for suite in systems.SUITES), ())
    assert len(set(systems.names())) == 92
    dims = Counter(systems.get(name).n_states for name in systems.names("odebench"))
    assert dims == {1: 23, 2: 28, 3: 10, 4: 2}
    assert sum(d * n for d, n in dims.items()) == 117


def test_numbers_keep_the_order():
    assert [systems.get(name).number for name in systems.names("odebench")] == list(range(1, 64))
    assert [systems.get(name).number for name in systems.names("powerlaw")] == list(range(101, 125))


@pytest.mark.parametrize("name", systems.names())
def test_every_entry_is_complete(name):
    system = systems.get(name)
    assert system.slug == name
    assert name.isidentifier()
    assert name == name.lower()
    assert system.suite in systems.SUITES
    assert len(system.units) == len(set(system.states)) == system.n_states
    assert system.initial_states.shape == (1 if system.suite == "real" else 2, system.n_states)
    assert system.span[0] < system.span[1]
    assert system.n_points >= 14
    for text in (system.name, system.source, system.description):
        assert text.strip() == text
        assert len(text) > 3
    assert repr(system).startswith(f"System({name!r}")
    assert ", ".join(system.states) in repr(system)
    assert "\n" not in repr(system)
    with pytest.raises(ValueError, match="read-only"):
        system.initial_states[0] = 0


@pytest.mark.parametrize("name", KNOWN)
def test_equations_are_read_and_finite_along_both_trajectories(name):
    system = systems.get(name)
    equations = system.equations
    assert equations.states == system.states
    assert equations is system.equations
    symbols = [sp.Symbol(state) for state in system.states]
    for expression in equations.rhs.values():
        assert expression.free_symbols <= set(symbols)
    # a second way to evaluate, with no array code in between
    f: Any = sp.lambdify([symbols], list(equations.rhs.values()), "math")
    data = system.sample(40, initial=[0, 1])
    assert len(data) == 2
    for run, start in zip(data, system.initial_states, strict=True):
        np.testing.assert_array_equal(run.x[0], start)
        for x in run.x:
            assert all(math.isfinite(v) for v in f(x.tolist()))


def test_some_right_hand_sides_by_hand():
    S, i, R = 60.0, 5.0, 20.0
    flow = 0.06 * math.sqrt(S * i)
    expected: dict[str, tuple[list[float], list[float]]] = {
        "fractional_sir": ([S, i, R], [0.01 * R - flow, flow - 0.05 * i, 0.05 * i - 0.01 * R]),
        "lorenz": ([1.0, 2.0, 3.0], [10.0, 28 - 2 - 3, 2 - 8.0]),
        "language_prestige": ([0.3], [0.2 * 0.7 * 0.3**1.2 - 0.3 * 0.8 * 0.7**1.2]),
        "gene_switch": ([2.0], [0.1 - 1.1 + 4 / 5]),
        "driven_pendulum_drag": ([0.5, -2.0], [-2.0, 1.67 - math.sin(0.5) + 0.64 * 4]),
        "hahnfeldt_tumour": ([8.0, 27.0], [-0.192 * 8 * math.log(8 / 27), 5.85 * 8 - 0.00873 * 27 * 4]),
    }  # fmt: skip
    for name, (x, slope) in expected.items():
        np.testing.assert_allclose(systems.get(name).equations.to_numpy()(0.0, np.array(x)), slope, rtol=1e-12)


def test_reactions_are_the_published_ones():
    four = read_reactions(systems.get("four_reactions").equations)
    assert {str(r) for r in four.reactions} == {
        "2 A -> B  (k = 0.1)", "A -> C  (k = 0.2)", "C -> D  (k = 0.13)", "B + D -> E  (k = 0.3)"}  # fmt: skip
    robertson = read_reactions(systems.get("robertson").equations)
    assert {str(r) for r in robertson.reactions} == {
        "A -> B  (k = 0.04)", "2 B -> B + C  (k = 3e7)", "B + C -> A + C  (k = 1e4)"}  # fmt: skip
    assert four.complete
    assert robertson.complete


def test_the_published_fractional_sir_experiment():
    system = systems.get("fractional_sir")
    assert system.states == ("S", "I", "R")
    assert system.initial_states[0].tolist() == [100.0, 0.01, 0.0]
    assert (system.span, system.n_points) == ((0.0, 200.0), 40)
    data = system.sample()
    np.testing.assert_array_equal(data[0].t, np.linspace(0, 200, 40))
    assert data.names == ("S", "I", "R")
    assert data.time_name == "t"


@pytest.mark.parametrize("name", systems.names("real"))
def test_measured_series(name):
    system = systems.get(name)
    data = system.data()
    assert data.names == system.states
    assert (data.n_points, data.span) == (system.n_points, system.span)
    np.testing.assert_array_equal(data[0].x[0], system.initial_states[0])
    for use in (lambda: system.equations, system.sample):
        with pytest.raises(OptionError, match=r"measured series without known equations; use \.data\(\)"):
            use()


def test_measured_values():
    pelts = systems.get("lynx_hare").data()
    assert pelts.time_name == "year"
    assert pelts[0].x[[0, 3, -1]].tolist() == [[30, 4], [77.4, 35.2], [24.7, 8.6]]
    assert systems.get("boarding_school_flu").data()[0].x.max() == 298
    yeast = systems.get("yeast_growth").data()[0].x[:, 0]
    assert np.all(np.diff(yeast) > 0)


def test_known_systems_have_no_measurements():
    with pytest.raises(OptionError, match=r"without measurements; use \.sample\(\)"):
        systems.get("lorenz").data()


def test_wrong_names_get_close_matches():
    with pytest.raises(OptionError, match=r"no system 'fractional_si'; did you mean fractional_sir"):
        systems.get("fractional_si")
    with pytest.raises(OptionError, match=r"did you mean .*lotka_volterra"):
        systems.get("Lotka-Volterra")
    with pytest.raises(OptionError, match=r"no system 'zzz'; systems.names\(\) lists all 92"):
        systems.get("zzz")
    with pytest.raises(OptionError, match="one of odebench, powerlaw, reactions, real"):
        systems.names("strogatz")


def test_entries_are_shared_and_pickle():
    system = systems.get("pendulum")
    assert system is systems.get("pendulum")
    again = pickle.loads(pickle.dumps(system))
    assert isinstance(again, System)
    assert again.formulas == system.formulas
