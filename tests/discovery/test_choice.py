"""The choice rule on lists made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from simulated import make

from neural_arith.discovery.verdict.choice import ALIKE, choose, extends, pareto_front, without_twins
from neural_arith.fit.evidence import STRONG
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Sum, Unit, power

X, XX, XXX, ONE = power(1), power(2), power(3), power(0)


def judged(units: list[Unit], misfit: float, price: float) -> Judged:
    nothing = np.zeros(0)
    return Judged(Structure((tuple(units),)), nothing, nothing, misfit, price, nothing)


def ranked(*items: Judged) -> list[Judged]:
    return sorted(items, key=lambda j: j.score)


def test_the_simplest_within_strong_evidence_wins():
    simple, better, best = judged([X], 100, 10), judged([XX, ONE], 90, 16), judged([XXX, XX, ONE], 80, 25)
    choice = choose(ranked(simple, better, best))  # scores 110, 106, 105
    assert choice.selected is simple
    assert set(map(id, choice.near_ties)) == {id(better), id(best)}


def test_strong_evidence_beats_simplicity():
    simple, best = judged([X], 100, 10), judged([XX], 80, 20)
    choice = choose(ranked(simple, best))  # scores 110, 100
    assert choice.selected is best
    assert choice.near_ties == ()


def test_the_border_of_strong_evidence_belongs_to_the_simpler():
    simple, best = judged([X], 100 + STRONG, 10), judged([XX, ONE], 90, 20)
    assert choose(ranked(simple, best)).selected is simple
    just_beyond = judged([X], 100 + STRONG + 0.01, 10)
    assert choose(ranked(just_beyond, best)).selected is best


def test_as_many_fitted_numbers_are_settled_by_the_score():
    a, b = judged([X], 100, 10), judged([XX], 97, 12 - ALIKE / 2)  # scores 110, 108.5
    assert choose(ranked(a, b)).selected is b


def test_what_the_data_do_not_tell_apart_is_settled_by_the_shorter_description():
    a, b = judged([X], 100, 10), judged([XX], 97.5, 12)  # scores 110, 109.5
    assert choose(ranked(a, b)).selected is a


def test_a_wider_structure_that_is_no_better_is_no_tie():
    simple, wider, other = judged([X], 100, 10), judged([X, XX], 98, 14), judged([XX], 102, 10)
    choice = choose(ranked(simple, wider, other))
    assert choice.selected is simple
    assert choice.near_ties == (other,)


def test_a_tie_with_more_terms_that_is_no_better_is_no_further_tie():
    simple, other, wider = judged([X], 100, 10), judged([XX], 102, 10), judged([XX, XXX], 101, 13)
    choice = choose(ranked(simple, other, wider))
    assert choice.selected is simple
    assert choice.near_ties == (other,)


PROBLEM = make(np.linspace(0, 1, 9), np.linspace(0.5, 2, 9)[:, None])


def with_values(coefficients: dict[Unit, float], misfit: float, price: float) -> Judged:
    found = judged([*coefficients], misfit, price)
    return replace(found, theta=found.structure.theta({(0, unit): c for unit, c in coefficients.items()}))


def test_another_spelling_of_a_function_is_no_other_answer():
    """x/(1 + x) = 1 - 1/(1 + x); x^2 is close to neither."""
    below = Sum(((ONE, 1.0), (X, 1.0)))
    short, other = with_values({X.over(below): 1.0}, 100, 10), with_values({XX: 0.3}, 101, 9)
    long = with_values({ONE: 1.0, ONE.over(below): -1.0}, 100, 14)
    assert without_twins([short, other, long], PROBLEM) == ([short, other], [long])
    # The one that costs more is never what is left.
    assert without_twins([long, short], PROBLEM) == ([long, short], [])


def test_a_wider_structure_that_scores_better_is_a_tie():
    simple, wider = judged([X], 100, 10), judged([X, XX], 92, 14)
    choice = choose(ranked(simple, wider))
    assert choice.selected is simple
    assert choice.near_ties == (wider,)


def test_the_table_holds_choice_ties_front_and_the_best_of_the_rest_once():
    front = [judged([X], 300, 5), judged([XX], 200, 10), judged([X, XX], 100, 20), judged([X, XXX], 98, 24)]
    poor = [judged([ONE, X], 400 + k, 30 + k) for k in range(60)]
    choice = choose(ranked(*front, *poor), rows=10)
    assert all(any(f is t for t in choice.table) for f in front)
    assert any(choice.selected is t for t in choice.table)
    assert len(choice.table) == 10
    assert len({id(t) for t in choice.table}) == len(choice.table)
    prices = [t.price for t in choice.table]
    assert prices == sorted(prices)


def test_the_front_has_nothing_on_it_that_a_simpler_one_explains_as_well():
    a, b, c, d = judged([X], 100, 10), judged([XX], 100, 12), judged([XXX], 50, 14), judged([ONE], 101, 9)
    assert pareto_front([b, c, a, d]) == [d, a, c]


def test_a_free_exponent_is_a_fitted_number():
    fixed, free = judged([X], 104, 10), judged([power(FITTED)], 90, 20)
    assert choose(ranked(fixed, free)).selected is fixed


def test_one_candidate_is_the_choice():
    only = judged([X], 5, 5)
    choice = choose([only])
    assert choice.selected is only
    assert choice.table == (only,)
    assert choice.near_ties == ()


def test_others_are_shown_and_not_chosen():
    chosen, other, poor = judged([X], 100, 10), judged([ONE], 90, 5), judged([XX], 120, 30)
    choice = choose([chosen], [other, poor])
    assert choice.selected is chosen
    assert choice.near_ties == ()
    assert choice.table == (other, chosen, poor)


def test_extends_asks_every_equation():
    narrow = Structure(((X,), (XX,)))
    assert extends(Structure(((X, XX), (XX,))), narrow)
    assert extends(narrow, narrow)
    assert not extends(Structure(((X, XX), (X,))), narrow)
    assert not extends(narrow, Structure(((X, XX), (XX,))))
