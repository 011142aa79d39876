"""The dictionary: what is in it, what it costs, and how exponents snap."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.discovery.dictionary import (
    SHARED_PRICE,
    exponent_price,
    monomials,
    roots_and_ratios,
    snap,
    structure_price,
    unit_price,
    units_of,
)
from neural_arith.discovery.population import Fitted
from neural_arith.integrate.structure import Structure, is_simple


def fitted_of(exponents: np.ndarray) -> Fitted:
    """Optima of plain units, the first the best."""
    none = np.zeros_like(exponents)
    return Fitted(exponents, none, none, none[..., 0], np.arange(float(len(exponents))))


EXPONENT = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 1 / 3, 0.38, 0.75])
UNIT = st.tuples(EXPONENT, EXPONENT)
EQUATION = st.lists(UNIT, max_size=4).map(tuple)


def test_usual_exponents_are_cheaper_than_unusual_ones():
    order = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0]
    prices = [exponent_price(e) for e in order]
    assert prices == sorted(prices)
    assert prices[0] == 0 < prices[1] < prices[2]
    assert exponent_price(0.5) < exponent_price(1.5) < exponent_price(1 / 3)
    assert exponent_price(0.38) >= exponent_price(1.5)


@given(EXPONENT, EXPONENT)
@settings(deadline=None)
def test_every_further_factor_costs(a, b):
    assert unit_price((a, b)) >= max(unit_price((a, 0.0)), unit_price((0.0, b))) - 1e-12
    if a and b:
        assert unit_price((a, b)) > unit_price((a, 0.0))


@given(EQUATION, EQUATION, UNIT, st.floats(1, 8))
@settings(deadline=None)
def test_every_further_term_costs(first, second, unit, per_coefficient):
    s = Structure((first, second))
    more = Structure(((*first, unit), second))
    price, wider = structure_price(s, per_coefficient), structure_price(more, per_coefficient)
    if more.n_terms > s.n_terms:
        assert wider >= price + per_coefficient
    else:
        assert wider == price


def test_a_unit_used_again_costs_little():
    xy, x, y = (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)
    shared, own = Structure(((x, xy), (y, xy))), Structure(((x, xy), (y, (2.0, 0.0))))
    assert structure_price(shared, 4.0) < structure_price(own, 4.0)
    assert structure_price(shared, 4.0) == pytest.approx(
        4 * 4.0 + unit_price(x) + unit_price(y) + unit_price(xy) + SHARED_PRICE
    )


def test_a_free_exponent_is_one_more_fitted_number():
    free, fixed = Structure((((0.38,),),)), Structure((((1 / 3,),),))
    difference = structure_price(free, 5.0) - structure_price(fixed, 5.0)
    assert difference >= 5.0


@pytest.mark.parametrize(("n", "degree"), [(1, 5), (2, 4), (3, 3), (5, 2)])
def test_monomials_are_all_there_once_lowest_first(n, degree):
    found = monomials(n, degree)
    assert len(found) == len(set(found)) == math.comb(n + degree, degree)
    sums = [sum(u) for u in found]
    assert sums == sorted(sums)
    assert max(sums) == degree


@pytest.mark.parametrize("positive", list(itertools.product([True, False], repeat=3)))
def test_roots_and_ratios_only_of_what_stays_positive(positive):
    found = roots_and_ratios(np.array(positive))
    assert len(found) == len(set(found))
    for unit in found:
        assert all(p or e in (0.0, 1.0) for p, e in zip(positive, unit, strict=True))
        assert any(e not in (0.0, 1.0) for e in unit)


def test_michaelis_and_holling_pieces_are_among_the_ratios():
    found = roots_and_ratios(np.array([True, True]))
    for unit in [(0.5, 0.5), (1.0, -1.0), (-1.0, 1.0), (0.5, 0.0), (-1.0, 0.0), (0.5, 1.0)]:
        assert unit in found


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
    found = units_of(fitted_of(np.array([[[0.385, 0.01], [1.02, 0.97]]])))
    assert (0.385, 0.0) in found
    assert (0.5, 0.0) in found
    assert (1.0, 1.0) in found
    assert all(max(map(abs, u)) <= 6 for u in found)


def test_only_the_best_optima_count():
    rows = np.array([[[float(k)]] for k in range(1, 6)])
    assert set(units_of(fitted_of(rows), best=2)) == {(1.0,), (2.0,)}
    assert units_of(fitted_of(np.zeros((0, 2, 1)))) == []


def test_units_with_an_exponential_or_a_cosine_are_no_plain_units():
    exponents, none = np.array([[[1.0], [2.0], [3.0]]]), np.zeros((1, 3, 1))
    rates, frequencies = none.copy(), none.copy()
    rates[0, 0], frequencies[0, 1] = 0.5, 2.3
    assert units_of(Fitted(exponents, rates, frequencies, none[..., 0], np.zeros(1))) == [(3.0,)]
