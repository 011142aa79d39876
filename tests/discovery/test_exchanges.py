"""Exchanges of several terms at once lead to where no single step does."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import archive_of, noisy, right_hand_side, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.proposals.neighbours import propose, propose_exchanges
from neural_arith.discovery.search.climbing import rearrange
from neural_arith.discovery.search.judging import judge
from neural_arith.fit.noise import Noise
from neural_arith.terms.dictionary import Dictionary, monomials, roots_and_ratios
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import Number, power

T = np.linspace(0, 6, 80)
ONE, X, Y, ROOT_X, ROOT_Y = power(0, 0), power(1, 0), power(0, 1), power(0.5, 0), power(0, 0.5)
TANKS = Structure(((ONE, ROOT_X), (ROOT_X, ROOT_Y)))
VALUES: dict[Term | Number, float] = {(0, ONE): 0.4, (0, ROOT_X): -0.8, (1, ROOT_X): 0.8, (1, ROOT_Y): -0.6}
LINES = Structure(((ONE, ROOT_X), (X, Y)))
UNITS = [*monomials(2, 3), *roots_and_ratios(np.ones(2, dtype=bool))]
DICTIONARY = Dictionary([UNITS, UNITS])


@pytest.fixture(scope="module")
def archive():
    """An archive that knows two tanks, one flowing into the other, by straight lines in the second equation."""
    clean = scipy_solution(right_hand_side(TANKS, TANKS.theta(VALUES)), (2.0, 0.3), T)
    archive = archive_of([Run(T, noisy(clean, 0.002, 0))], Noise("log", np.full(2, 0.002)))
    judge(archive, [(LINES, LINES.theta({**VALUES, (1, X): 0.4, (1, Y): -0.4}))], iterations=60)
    return archive


def test_both_terms_of_an_equation_are_exchanged_for_a_flow_from_another_and_one_more(archive):
    (lines,) = [j for j in archive.ranked if j.structure == LINES]
    proposal = next(p for p in propose_exchanges(archive.likelihood, lines, DICTIONARY) if p.structure == TANKS)
    named = dict(zip(TANKS.terms, proposal.theta, strict=True))
    assert named[1, ROOT_X] == pytest.approx(0.8, rel=0.2)
    assert all(p.structure != TANKS for p in propose(archive.likelihood, lines, DICTIONARY))


def test_an_exchange_that_is_expected_to_score_better_does(archive):
    (lines,) = [j for j in archive.ranked if j.structure == LINES]
    proposal = next(p for p in propose_exchanges(archive.likelihood, lines, DICTIONARY) if p.structure == TANKS)
    (refined,) = judge(archive, [(TANKS, proposal.theta)], lines.starts, iterations=60, again=True)
    assert proposal.expected < lines.score
    assert refined.score < lines.score


def test_only_units_of_the_dictionary_come(archive):
    (lines,) = [j for j in archive.ranked if j.structure == LINES]
    allowed = Dictionary([[ONE, X, ROOT_X], [X, Y, ROOT_Y]])
    for p in propose_exchanges(archive.likelihood, lines, allowed):
        for units, equation, before in zip(allowed.units, p.structure.equations, LINES.equations, strict=True):
            assert set(equation) <= {*units, *before}


def test_rearranging_finds_the_tanks(archive):
    rearrange(archive, DICTIONARY)
    assert archive.best.structure == TANKS
