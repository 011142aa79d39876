"""The search steps: unit values, shortlists, pairings, and the climb to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, judge_of, lotka, noisy

from neural_arith.data import Run
from neural_arith.discovery.dictionary import monomials
from neural_arith.discovery.integral_form import integral_form
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.search import Shortlist, climb, combinations, shortlist, unit_values
from neural_arith.discovery.smoothing import smooth
from neural_arith.integrate.structure import Structure

T = np.linspace(0, 14, 40)
X, Y, XY, XX, ONE = (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 0.0), (0.0, 0.0)
SCALED = lotka(T) / [20.0, 15.0]
LOG = Noise("log", np.full(2, 0.02))


def test_unit_values_in_plain_python():
    nodes = np.array([[2.0, -3.0], [0.5, 4.0], [1.0, 0.0]])
    values = unit_values(nodes, [(1.0, 2.0), (-1.0, 1.0), (0.5, 0.0), (0.0, 0.0)])
    expected = [[a * b * b for a, b in nodes], [b / a for a, b in nodes], [a**0.5 for a, _ in nodes], [1.0] * 3]
    np.testing.assert_allclose(values, expected, rtol=1e-13)


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_the_right_equation_heads_the_shortlist_of_dense_data(share):
    t = np.linspace(0, 14, 150)
    runs = [Run(t, noisy(lotka(t) / [20.0, 15.0], share, 1))]
    noise = LOG if share else Noise("additive", np.zeros(2))
    curves = smooth(runs, noise)
    forms = [integral_form(curves, noise, length) for length in (None, 6)]
    for i, (units, values) in enumerate([((X, XY), (0.55, -0.42)), ((Y, XY), (-0.84, 0.52))]):
        found = shortlist(forms, i, monomials(2, 3), np.log(150))
        place = found.units.index(tuple(sorted(units)))
        assert place < 5
        named = dict(zip(found.units[place], found.coefficients[place], strict=True))
        np.testing.assert_allclose([named[u] for u in units], values, rtol=0.05)
        assert len(found.units) == len(set(found.units))


def test_pairings_start_with_the_best_and_keep_their_coefficients():
    one = Shortlist(((X,), (XY, XX), (Y,)), (np.array([1.0]), np.array([2.0, 3.0]), np.array([4.0])))
    two = Shortlist(((Y,), (XY,)), (np.array([5.0]), np.array([6.0])))
    pairs = combinations([one, two], 4)
    assert pairs[0][0] == Structure(((X,), (Y,)))
    structures = [s for s, _ in pairs]
    assert len(structures) == len(set(structures)) == 5  # 2 x 2 pairings, and the third of the first list
    assert Structure(((Y,), (Y,))) in structures
    for s, c in pairs:
        named = dict(zip(s.terms, c, strict=True))
        if (0, XX) in named:
            assert (named[0, XX], named[0, XY]) == (3.0, 2.0)


def test_coefficients_follow_the_canonical_order_of_terms():
    ordered = Shortlist((tuple(sorted((XY, X))),), (np.array([0.55, -0.42]),))
    ((s, c),) = combinations([ordered, Shortlist(((Y,),), (np.array([-0.84]),))], 1)
    assert dict(zip(s.terms, c, strict=True)) == {(0, X): 0.55, (0, XY): -0.42, (1, Y): -0.84}


@pytest.mark.parametrize(
    "begin",
    [
        {(0, X): 0.1, (1, Y): -0.1},
        {(0, X): 0.55, (0, XX): -0.3, (1, Y): -0.84, (1, XY): 0.52},
        {(0, X): 0.55, (0, XY): -0.42, (0, XX): -0.01, (0, ONE): 0.0, (1, Y): -0.84, (1, XY): 0.52, (1, XX): 0.0},
    ],
)
def test_the_climb_reaches_the_truth(begin):
    start = Structure(tuple(tuple(u for i, u in begin if i == k) for k in range(2)))
    judge = judge_of([Run(T, noisy(SCALED, 0.02, 0))], LOG)
    judge.judge([(start, np.array([begin[t] for t in start.terms]))])
    assert judge.ranked
    lines: list[str] = []
    found = climb(judge, [monomials(2, 2)] * 2, report=lines.append)
    best = min(found, key=lambda j: j.score)
    assert set(LOTKA_STRUCTURE.terms) <= set(best.structure.terms)
    assert judge.seen[LOTKA_STRUCTURE] is not None
    assert [j.score for j in found] == sorted(j.score for j in found)
    assert lines


def test_nothing_to_climb_from_is_no_error():
    judge = judge_of([Run(T, SCALED)], LOG)
    assert climb(judge, [monomials(2, 2)] * 2) == []
