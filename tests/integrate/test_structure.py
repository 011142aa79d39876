"""Structures as data: canonical form, free exponents, and what the packed arrays say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.integrate.structure import (
    Structure,
    free_exponents,
    is_simple,
    pack,
    with_exponents,
)

X, Y, XY, ONE = (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)
EXPONENT = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 0.38, 1.27])
UNIT = st.tuples(EXPONENT, EXPONENT)
STRUCTURE = st.builds(
    lambda a, b: Structure((tuple(a), tuple(b))), st.lists(UNIT, max_size=4), st.lists(UNIT, max_size=4)
)


def test_order_and_repetition_do_not_matter():
    one, other = Structure(((X, XY), (Y,))), Structure(((XY, X, XY), (Y, Y)))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Structure(((Y,), (X, XY)))


def test_terms_and_units_count_what_is_there():
    s = Structure(((X, XY), (Y, XY), ()))
    assert s.n_terms == 4
    assert s.units == tuple(sorted({X, Y, XY}))
    assert set(s.terms) == {(0, X), (0, XY), (1, Y), (1, XY)}
    assert [i for i, _ in s.terms] == [0, 0, 1, 1]


def test_replace_and_substitute_leave_the_original_alone():
    s = Structure(((X, XY), (Y, XY)))
    assert s.replace(1, [ONE, X]) == Structure(((X, XY), (ONE, X)))
    assert s.substitute(XY, ONE) == Structure(((X, ONE), (Y, ONE)))
    assert s.substitute(X, XY) == Structure(((XY,), (Y, XY)))
    assert s == Structure(((X, XY), (Y, XY)))


@pytest.mark.parametrize("exponent", [0, 1, -3, 0.5, -1.5, 1 / 3, -2 / 3, 0.25, 1.75, 2.0, 7.0])
def test_halves_thirds_and_quarters_are_simple(exponent):
    assert is_simple(exponent)


@pytest.mark.parametrize("exponent", [0.38, 0.2, 1.001, 0.3333, -0.49, 1 / 7])
def test_everything_else_is_a_constant_to_fit(exponent):
    assert not is_simple(exponent)


@given(STRUCTURE)
@settings(deadline=None, max_examples=60)
def test_packed_arrays_hold_exactly_the_terms(s):
    packed = pack([Structure(((), ())), s], 2)
    assert packed.n_terms.tolist() == [0, s.n_terms]
    assert packed.n_units.tolist() == [0, len(s.units)]
    read = [
        (int(packed.equation[1, k]), tuple(packed.exponents[1, packed.unit[1, k]].tolist())) for k in range(s.n_terms)
    ]
    assert read == s.terms


@given(STRUCTURE)
@settings(deadline=None, max_examples=60)
def test_free_exponents_are_the_unusual_ones(s):
    pairs = free_exponents(s)
    assert {(h, v) for h, u in enumerate(s.units) for v, e in enumerate(u) if e in (0.38, 1.27)} == set(pairs)
    same, coefficients = with_exponents(s, [s.units[h][v] for h, v in pairs], range(s.n_terms))
    assert same == s
    assert coefficients.tolist() == list(range(s.n_terms))


def test_refined_exponents_keep_each_term_with_its_coefficient():
    # After refining, 2.9 sorts behind 2; the first two terms change places.
    s = Structure((((0.38,), (2.0,)), ((1.27,),)))
    new, coefficients = with_exponents(s, [2.9, 0.41], [10.0, 20.0, 30.0])
    assert new == Structure((((2.0,), (2.9,)), ((0.41,),)))
    assert dict(zip(new.terms, coefficients, strict=True)) == {
        (0, (2.0,)): 20.0,
        (0, (2.9,)): 10.0,
        (1, (0.41,)): 30.0,
    }


def test_a_shared_unit_is_refined_once():
    s = Structure((((0.38, 1.0),), ((0.38, 1.0), (1.0, 0.0))))
    assert len(free_exponents(s)) == 1
    new, _ = with_exponents(s, [0.5], [1.0, 2.0, 3.0])
    assert new == Structure((((0.5, 1.0),), ((0.5, 1.0), (1.0, 0.0))))


def test_terms_that_become_equal_are_added_up():
    new, coefficients = with_exponents(Structure((((0.38,), (0.41,)),)), [0.4, 0.4], [1.0, 2.5])
    assert new == Structure((((0.4,),),))
    assert coefficients.tolist() == [3.5]


def test_the_wrong_number_of_exponents_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        with_exponents(Structure((((0.38,),),)), [0.3, 0.4], [1.0])


def test_packing_nothing_gives_empty_arrays():
    packed = pack([], 3)
    assert len(packed.n_terms) == len(packed.n_units) == 0


def test_free_pairs_are_laid_out_per_candidate():
    a, b = Structure((((0.38, 1.27),), ())), Structure(((X,), (Y,)))
    packed = pack([b, a], 2, [free_exponents(b), free_exponents(a)])
    assert packed.n_free.tolist() == [0, 2]
    assert packed.free[1].tolist() == [[0, 0], [0, 1]]
