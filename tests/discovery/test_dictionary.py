"""The dictionary: what is in it, what it costs, and how exponents snap."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.discovery.proposals.dictionary import further_products
from neural_arith.discovery.proposals.population import Fitted, units_of
from neural_arith.terms.dictionary import monomials, roots_and_ratios, snap
from neural_arith.terms.prior import Prior
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, is_simple, numbers_of, one_plus, power


def fitted_of(exponents: np.ndarray) -> Fitted:
    """Optima of plain units, the first the best."""
    none = np.zeros_like(exponents)
    return Fitted(exponents, none, none, none[..., 0], np.arange(float(len(exponents))))


PRIOR = Prior()
EXPONENT = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 1 / 3, FITTED, 0.75])
UNIT = st.builds(power, EXPONENT, EXPONENT)
EQUATION = st.lists(UNIT, max_size=4).map(tuple)


def test_usual_exponents_are_cheaper_than_unusual_ones():
    order = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0]
    prices = [PRIOR.exponent(e) for e in order]
    assert prices == sorted(prices)
    assert prices[0] == 0 < prices[1] < prices[2]
    assert PRIOR.exponent(0.5) < PRIOR.exponent(1.5) < PRIOR.exponent(1 / 3)
    assert PRIOR.exponent(FITTED) >= PRIOR.exponent(1.5)


@given(EXPONENT, EXPONENT)
@settings(deadline=None)
def test_every_further_factor_costs(a, b):
    both, first, second = (PRIOR.unit(power(*e)) for e in ((a, b), (a, 0), (0, b)))
    assert both >= max(first, second) - 1e-12
    if a and b:
        assert both > first


@given(EQUATION, EQUATION, UNIT, st.floats(1, 8))
@settings(deadline=None)
def test_every_further_term_costs(first, second, unit, per_coefficient):
    s = Structure((first, second))
    more = Structure(((*first, unit), second))
    price, wider = PRIOR.structure(s, per_coefficient), PRIOR.structure(more, per_coefficient)
    if more.n_terms > s.n_terms:
        assert wider >= price + per_coefficient
    else:
        assert wider == price


def test_a_unit_used_again_costs_little():
    xy, x, y = power(1, 1), power(1, 0), power(0, 1)
    shared, own = Structure(((x, xy), (y, xy))), Structure(((x, xy), (y, power(2, 0))))
    assert PRIOR.structure(shared, 4.0) < PRIOR.structure(own, 4.0)
    assert PRIOR.structure(shared, 4.0) == pytest.approx(
        4 * 4.0 + PRIOR.unit(x) + PRIOR.unit(y) + PRIOR.unit(xy) + PRIOR.shared
    )


def test_a_free_exponent_is_one_more_fitted_number():
    free, fixed = Structure(((power(FITTED),),)), Structure(((power(1 / 3),),))
    difference = PRIOR.structure(free, 5.0) - PRIOR.structure(fixed, 5.0)
    assert difference >= 5.0


@pytest.mark.parametrize(("n", "degree"), [(1, 5), (2, 4), (3, 3), (5, 2)])
def test_monomials_are_all_there_once_lowest_first(n, degree):
    found = monomials(n, degree)
    assert len(found) == len(set(found)) == math.comb(n + degree, degree)
    sums = [sum(u.powers) for u in found]
    assert sums == sorted(sums)
    assert max(sums) == degree


@pytest.mark.parametrize("positive", list(itertools.product([True, False], repeat=3)))
def test_roots_and_ratios_only_of_what_stays_positive(positive):
    found = roots_and_ratios(np.array(positive))
    assert len(found) == len(set(found))
    for unit in found:
        assert all(p or e in (0.0, 1.0, 2.0) for p, e in zip(positive, unit.powers, strict=True))
        assert any(e not in (0.0, 1.0, 2.0) for e in unit.powers)


def test_michaelis_and_holling_pieces_are_among_the_ratios():
    found = roots_and_ratios(np.array([True, True]))
    for powers in [(0.5, 0.5), (1.0, -1.0), (-1.0, 1.0), (0.5, 0.0), (-1.0, 0.0), (0.5, 1.0)]:
        assert power(*powers) in found


@pytest.mark.parametrize(
    ("exponent", "nearest"), [(0.98, 1.0), (0.52, 0.5), (0.34, 1 / 3), (0.74, 0.75), (-0.9, -1.0), (2.3, 7 / 3)]
)
def test_snap_offers_the_nearest_simple_fraction_first(exponent, nearest):
    assert snap(exponent)[0] == pytest.approx(nearest)


@given(st.floats(-6, 6))
@settings(deadline=None)
def test_snap_offers_only_simple_fractions_near_by(exponent):
    for e in snap(exponent):
        assert is_simple(e)
        assert abs(e - exponent) <= 0.3


def test_units_of_a_population_come_snapped_and_as_found():
    found, values = units_of(fitted_of(np.array([[[0.385, 0.01], [1.02, 0.97]]])))
    assert power(0.5, 0.0) in found
    assert power(1.0, 1.0) in found
    free = [unit for unit in found if unit.powers == (FITTED, 0.0)]
    assert [values[Number("power", unit, 0)] for unit in free] == [0.385]
    assert {n for unit in found for n in numbers_of(unit)} == set(values)
    assert all(abs(e) <= 6 for u in found for e in u.powers if e != FITTED)


def test_units_with_fitted_exponents_keep_them_apart():
    rows = np.array([[[0.385, 1.0], [0.41, 1.0]]])
    found, values = units_of(fitted_of(rows), first_copy=7)
    free = [unit for unit in found if unit.n_fitted]
    assert len(set(free)) == len(free)
    assert min(unit.copy for unit in free) >= 7
    assert {0.385, 0.41} <= set(values.values())
    _, further = units_of(fitted_of(rows), first_copy=7 + len(found))
    assert not set(values) & set(further)


@pytest.mark.parametrize(
    "wider",
    [
        replace(power(1, 0), rates=(0.0, FITTED)),
        replace(power(1, 0), frequencies=(1.0, 0.0)),
        replace(power(1, 0), logs=(1, 0)),
        power(1, 0).over(one_plus(power(1, 0))),
        power(1, 0).over(one_plus(power(0, 1)), FITTED),
    ],
)
def test_every_further_kind_of_factor_costs(wider):
    assert PRIOR.unit(wider) > PRIOR.unit(power(1, 0))


def test_a_wave_of_two_variables_costs_more_than_of_one():
    one, both, twice = (replace(power(0, 0), frequencies=w) for w in ((1.0, 0.0), (1.0, -1.0), (2.0, 0.0)))
    assert PRIOR.unit(one) < min(PRIOR.unit(both), PRIOR.unit(twice))


def test_a_sum_used_again_costs_little():
    total, x, y = one_plus(power(1, 0)), power(1, 0), power(0, 1)
    shared = Structure(((x.over(total),), (y.over(total),)))
    own = Structure(((x.over(total),), (y.over(one_plus(power(1, 0), copy=1)),)))
    assert PRIOR.structure(own, 4.0) - PRIOR.structure(shared, 4.0) == pytest.approx(
        4.0 + PRIOR.of_sum(total) - PRIOR.shared  # one more number to fit, and the sum named twice
    )


def test_only_the_best_optima_count():
    rows = np.array([[[float(k)]] for k in range(1, 6)])
    assert set(units_of(fitted_of(rows), best=2)[0]) == {power(1), power(2)}
    assert units_of(fitted_of(np.zeros((0, 2, 1)))) == ([], {})


def test_units_with_an_exponential_or_a_cosine_are_no_plain_units():
    exponents, none = np.array([[[1.0], [2.0], [3.0]]]), np.zeros((1, 3, 1))
    rates, frequencies = none.copy(), none.copy()
    rates[0, 0], frequencies[0, 1] = 0.5, 2.3
    assert units_of(Fitted(exponents, rates, frequencies, none[..., 0], np.zeros(1)))[0] == [power(3)]


@pytest.mark.parametrize(("n", "degree", "count"), [(1, 0, 0), (2, 0, 0), (3, 4, 35), (4, 3, 35), (5, 0, 0)])
def test_a_last_climb_takes_one_degree_more_up_to_the_fourth_where_that_is_not_too_many(n, degree, count):
    """As many products up to a degree as ways to hand it out: (n + degree) over n."""
    found = further_products(n)
    assert len(found) == count
    assert max((sum(unit.powers) for unit in found), default=0) == degree
