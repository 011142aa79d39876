"""Neighbours: what the quadratic model expects is what refining gives, and every kind of neighbour is offered."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, judge_of, noisy, right_hand_side, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.dictionary import Dictionary, monomials
from neural_arith.discovery.neighbours import propose
from neural_arith.discovery.noise import Noise
from neural_arith.integrate.structure import Structure, Term
from neural_arith.integrate.units import FITTED, Number, numbers_of, one_plus, power

T = np.linspace(0, 14, 60)
X, Y, XY, XX = power(1, 0), power(0, 1), power(1, 1), power(2, 0)
LOG = Noise("log", np.full(2, 0.03))
DICTIONARY = Dictionary([monomials(2, 2)] * 2)


def measured(structure: Structure, values: dict, seed: int = 0) -> list[Run]:
    rhs = right_hand_side(structure, np.array([values[t] for t in structure.terms]))
    return [Run(T, noisy(scipy_solution(rhs, (1.5, 0.3), T), 0.03, seed))]


TRUE: dict[Term, float] = {(0, X): 0.55, (0, XY): -0.42, (1, Y): -0.84, (1, XY): 0.52}
VALUES = np.array([TRUE[t] for t in LOTKA_STRUCTURE.terms])
WIDE = LOTKA_STRUCTURE.replace(0, [X, XY, XX])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strength", [-0.003, -0.006])
def test_adding_the_true_missing_term_scores_as_expected(strength, seed):
    judge = judge_of(measured(WIDE, {**TRUE, (0, XX): strength}, seed), LOG)
    (lacking,) = judge.judge([(LOTKA_STRUCTURE, VALUES)], iterations=60)
    proposal = next(p for p in propose(judge, lacking, DICTIONARY) if p.structure == WIDE)
    (refined,) = judge.judge([(WIDE, proposal.theta)], lacking.starts, iterations=60)
    gain = lacking.misfit - refined.misfit
    assert proposal.expected == pytest.approx(refined.score, abs=max(1.0, 0.35 * gain))
    named = dict(zip(WIDE.terms, proposal.theta, strict=True))
    settled = dict(zip(refined.structure.terms, refined.theta, strict=True))
    assert named[0, XX] == pytest.approx(settled[0, XX], abs=0.003)


def test_dropping_a_term_that_is_not_needed_scores_as_expected():
    judge = judge_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    values = np.array([TRUE.get(t, 0.0) for t in WIDE.terms])
    (wide,) = judge.judge([(WIDE, values)], iterations=60)
    proposal = next(p for p in propose(judge, wide, DICTIONARY) if p.structure == LOTKA_STRUCTURE)
    (refined,) = judge.judge([(LOTKA_STRUCTURE, proposal.theta)], wide.starts, iterations=60)
    assert proposal.expected == pytest.approx(refined.score, abs=0.5)
    assert refined.score < wide.score
    assert propose(judge, wide, DICTIONARY)[0].structure.n_terms == 4


def test_every_kind_of_neighbour_is_offered_best_first():
    judge = judge_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge.judge([(LOTKA_STRUCTURE, VALUES)])
    proposals = propose(judge, found, DICTIONARY)
    offered = {p.structure for p in proposals}
    assert LOTKA_STRUCTURE not in offered
    assert WIDE in offered  # a term more
    assert LOTKA_STRUCTURE.replace(0, [X]) in offered  # a term less
    assert LOTKA_STRUCTURE.replace(0, [X, XX]) in offered  # a term exchanged
    assert Structure(((X, XX), (Y, XX))) in offered  # a unit exchanged wherever it stands
    scores = [p.expected for p in proposals]
    assert scores == sorted(scores)
    for p in proposals:
        assert len(p.theta) == p.structure.n_fitted
        assert np.isfinite(p.theta).all()


def test_an_unneeded_neighbour_is_not_expected_to_score_better():
    judge = judge_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge.judge([(LOTKA_STRUCTURE, VALUES)], iterations=60)
    assert propose(judge, found, DICTIONARY)[0].expected > found.score - 6


def test_the_empty_structure_has_neighbours():
    judge = judge_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge.judge([(Structure(((), ())), np.zeros(0))])
    assert Structure(((X,), ())) in {p.structure for p in propose(judge, found, DICTIONARY)}


def test_a_dictionary_without_news_offers_only_less():
    judge = judge_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge.judge([(LOTKA_STRUCTURE, VALUES)])
    proposals = propose(judge, found, Dictionary([list(units) for units in LOTKA_STRUCTURE.equations]))
    assert {p.structure.n_terms for p in proposals if not p.structure.numbers} == {3}
    freed = [p.structure for p in proposals if p.structure.numbers]
    assert freed
    assert {(s.n_terms, len(s.numbers)) for s in freed} == {(4, 1)}
