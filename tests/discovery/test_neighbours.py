"""Neighbours: what the quadratic model expects is what refining gives, and every kind of neighbour is offered."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, archive_of, noisy, right_hand_side, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.proposals.neighbours import fixed_choices, propose
from neural_arith.discovery.proposals.sums import other_sums, over_present_sums
from neural_arith.discovery.search.judging import judge
from neural_arith.fit.noise import Noise
from neural_arith.terms.dictionary import Dictionary, monomials
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit, numbers_of, one_plus, power

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
    archive = archive_of(measured(WIDE, {**TRUE, (0, XX): strength}, seed), LOG)
    (lacking,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)], iterations=60)
    proposal = next(p for p in propose(archive.likelihood, lacking, DICTIONARY) if p.structure == WIDE)
    (refined,) = judge(archive, [(WIDE, proposal.theta)], lacking.starts, iterations=60)
    gain = lacking.misfit - refined.misfit
    assert proposal.expected == pytest.approx(refined.score, abs=max(1.0, 0.35 * gain))
    named = dict(zip(WIDE.terms, proposal.theta, strict=True))
    settled = dict(zip(refined.structure.terms, refined.theta, strict=True))
    assert named[0, XX] == pytest.approx(settled[0, XX], abs=0.003)


def test_dropping_a_term_that_is_not_needed_scores_as_expected():
    archive = archive_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    values = np.array([TRUE.get(t, 0.0) for t in WIDE.terms])
    (wide,) = judge(archive, [(WIDE, values)], iterations=60)
    proposal = next(p for p in propose(archive.likelihood, wide, DICTIONARY) if p.structure == LOTKA_STRUCTURE)
    (refined,) = judge(archive, [(LOTKA_STRUCTURE, proposal.theta)], wide.starts, iterations=60)
    assert proposal.expected == pytest.approx(refined.score, abs=0.5)
    assert refined.score < wide.score
    assert propose(archive.likelihood, wide, DICTIONARY)[0].structure.n_terms == 4


def test_every_kind_of_neighbour_is_offered_best_first():
    archive = archive_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    proposals = propose(archive.likelihood, found, DICTIONARY)
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
    archive = archive_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)], iterations=60)
    assert propose(archive.likelihood, found, DICTIONARY)[0].expected > found.score - 6


def test_the_empty_structure_has_neighbours():
    archive = archive_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge(archive, [(Structure(((), ())), np.zeros(0))])
    assert Structure(((X,), ())) in {p.structure for p in propose(archive.likelihood, found, DICTIONARY)}


def test_a_dictionary_without_news_offers_only_less():
    archive = archive_of(measured(LOTKA_STRUCTURE, TRUE), LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    proposals = propose(archive.likelihood, found, Dictionary([list(units) for units in LOTKA_STRUCTURE.equations]))
    less = [p.structure for p in proposals if not p.structure.numbers]
    assert all(set(structure.terms) < set(LOTKA_STRUCTURE.terms) for structure in less)
    assert Counter(structure.n_terms for structure in less) == {3: 4, 2: 1, 1: 1}  # each term, then one by one
    two, one = sorted((s for s in less if s.n_terms < 3), key=lambda s: -s.n_terms)
    assert set(one.terms) < set(two.terms)
    freed = [p.structure for p in proposals if p.structure.numbers]
    assert freed
    assert {(s.n_terms, len(s.numbers)) for s in freed} == {(4, 1)}


# ------------------------------------------------------------------------------------------- numbers within units
def close_measured(structure: Structure, values: dict, seed: int = 0) -> list[Run]:
    """Measurements so exact that the likelihood is quadratic wherever a candidate is worth looking at."""
    rhs = right_hand_side(structure, np.array([values[t] for t in structure.terms]))
    return [Run(T, noisy(scipy_solution(rhs, (1.5, 0.3), T), 1e-4, seed))]


EXACT = Noise("log", np.full(2, 1e-4))
FREE = LOTKA_STRUCTURE.replace(0, [power(FITTED, 0), XY])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (LOTKA_STRUCTURE, WIDE),
        (WIDE, LOTKA_STRUCTURE),
        (LOTKA_STRUCTURE, FREE),
        (LOTKA_STRUCTURE, Structure(((X, power(1, FITTED)), (Y, power(1, FITTED))))),
        (FREE, LOTKA_STRUCTURE),
    ],
    ids=["adding", "dropping", "freeing one", "freeing one that two equations share", "fixing"],
)
@pytest.mark.parametrize("seed", range(2))
def test_with_exact_data_the_expected_score_is_the_refined_one(start, end, seed):
    archive = archive_of(close_measured(LOTKA_STRUCTURE, TRUE, seed), EXACT, rtol=1e-10)
    guess: dict[Term | Number, float] = {**TRUE, (0, power(FITTED, 0)): 0.55}
    (here,) = judge(archive, [(start, start.theta({**guess, **dict.fromkeys(start.numbers, 1.0)}))], iterations=60)
    proposal = next(p for p in propose(archive.likelihood, here, DICTIONARY) if p.structure == end)
    (there,) = judge(archive, [(end, proposal.theta)], here.starts, iterations=60)
    assert proposal.expected == pytest.approx(there.score, abs=0.3)
    np.testing.assert_allclose(proposal.theta, there.theta, atol=2e-4)


def test_a_phase_half_a_turn_away_is_fixed_with_the_sign_turned():
    t = np.linspace(0, 8, 60)
    x = scipy_solution(lambda _, s: [0.8 + 0.5 * np.sin(2.3 * s[0])], (0.1,), t)
    archive = archive_of([Run(t, noisy(x, 1e-3, 0))], Noise("additive", np.array([1e-3])))
    wave = Unit((0.0,), frequencies=(FITTED,), phase=FITTED)
    sine = Unit((0.0,), frequencies=(FITTED,), phase=-math.pi / 2)
    asked = Structure(((power(0), wave),))
    frequency, phase = Number("frequency", wave, 0), Number("phase", wave)
    for turn, sign in ((-math.pi / 2, 1.0), (math.pi / 2, -1.0)):
        guess = {(0, power(0)): 0.8, (0, wave): sign * 0.5, frequency: 2.3, phase: turn}
        (found,) = judge(archive, [(asked, asked.theta(guess))], again=True)
        proposals = propose(archive.likelihood, found, Dictionary([[]]))
        (fixed,) = [p for p in proposals if p.structure == Structure(((power(0), sine),))]
        assert fixed.structure.values(fixed.theta)[0, sine] == pytest.approx(0.5, rel=0.05)


def test_powers_within_sums_with_fixed_coefficients_are_not_freed():
    x_squared = Sum(((power(2), 1.0),))
    drag = power(1).over(x_squared, 0.5)
    t = np.linspace(0, 4, 40)
    x = scipy_solution(lambda _, s: [1.0 - 0.3 * s[0] * abs(s[0])], (-1.0,), t)
    archive = archive_of([Run(t, x / 2)], Noise("additive", np.zeros(1)), scale=np.array([2.0]))
    asked = Structure(((power(0), drag),))
    (found,) = judge(archive, [(asked, asked.theta({(0, power(0)): 0.5, (0, drag): -0.6}))])
    proposals = propose(archive.likelihood, found, Dictionary([[power(1)]]))
    assert proposals
    for proposal in proposals:
        for unit in proposal.structure.units:
            assert all(FITTED not in part.powers for total, _ in unit.sums for part, _ in total.parts)


@pytest.mark.parametrize(
    ("number", "value", "scale", "expected"),
    [
        (Number("power", power(FITTED)), 1.04, 3.0, [(1.0, 1.0)]),
        (Number("sum power", power(1).over(one_plus(power(1)), FITTED)), -1.45, 3.0, [(-1.5, -1.5)]),
        (Number("frequency", Unit((0.0,), frequencies=(FITTED,))), 2.9, 3.0, [(1.0, 3.0)]),
        (Number("rate", Unit((0.0,), rates=(FITTED,))), -6.0, 3.0, []),
        (Number("phase", Unit((0.0,), frequencies=(1.0,), phase=FITTED)), 0.2, 3.0, [(0.0, 0.0)]),
        (Number("coefficient", one_plus(power(2)), 1), 9.0, 3.0, []),
    ],
)
def test_plain_values_are_those_of_numbers_without_a_unit(number, value, scale, expected):
    found = fixed_choices(number, value, np.array([scale]))
    assert found[: len(expected)] == [pytest.approx(pair) for pair in expected]
    assert bool(found) == bool(expected)


def test_what_has_the_same_unit_may_be_added_up_as_it_is():
    circle = Number("coefficient", Sum(((power(2, 0), 1.0), (power(0, 2), FITTED))), 1)
    assert fixed_choices(circle, 3.9, np.array([3.0, 6.0]))[0] == pytest.approx((1.0, 4.0))
    assert fixed_choices(circle, 2.0, np.array([3.0, 6.0])) == []


def test_other_sums_keep_what_is_there():
    t = np.linspace(0, 6, 50)
    x = scipy_solution(lambda _, s: [0.5 - 1.2 * s[0] / (1 + 0.7 * s[0])], (4.0,), t)
    archive = archive_of([Run(t, x)], Noise("additive", np.zeros(1)))
    monod = power(1).over(one_plus(power(1)))
    (number,) = numbers_of(monod)
    asked = Structure(((power(0), monod),))
    (found,) = judge(archive, [(asked, asked.theta({(0, power(0)): 0.5, (0, monod): -1.2, number: 0.7}))])
    ((wider, theta),) = other_sums(found, 1)
    values = wider.values(theta)
    ((total, q),) = next(unit.sums for unit in wider.units if unit.sums)
    assert [part for part, _ in total.parts] == [power(0), power(1), power(2)]
    assert q == -1.0
    assert values[Number("coefficient", total, 1)] == found.structure.values(found.theta)[number]
    shared = over_present_sums(found, 1)
    assert {unit.powers for unit in shared} == {(0.0,), (1.0,), (2.0,)}
    assert all(unit.sums == monod.sums for unit in shared)
