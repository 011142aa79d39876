"""Structures as data: canonical form, values, what the arrays say, and rewriting without a change of meaning."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import right_hand_side

from neural_arith.solve.compiled.tables import KINDS, Tables, pack
from neural_arith.terms.structure import Structure, Term, rewrite, tidy
from neural_arith.terms.units import FITTED, Number, Sum, Unit, is_simple, numbers_of, one_plus, power, rebuild

X, Y, XY, ONE = power(1, 0), power(0, 1), power(1, 1), power(0, 0)
POINTS = np.random.default_rng(0).uniform(0.3, 1.6, (4, 2))
EXPONENT = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, FITTED])
RATES = st.sampled_from([(), (FITTED, 0.0), (1.0, FITTED)])
SIMPLE = st.one_of(
    st.builds(Unit, st.tuples(EXPONENT, EXPONENT), copy=st.integers(0, 3)),
    st.builds(
        Unit,
        st.sampled_from([(0.0, 0.0), (1.0, 0.0)]),
        RATES,
        st.sampled_from([(), (0.0, FITTED)]),
        logs=st.sampled_from([(), (1, 0)]),
        copy=st.integers(0, 3),
    ),
    st.builds(
        lambda phase, copy: Unit((0.0, 0.0), frequencies=(FITTED, 1.0), phase=phase, copy=copy),
        st.sampled_from([0.5, FITTED]),
        st.integers(0, 3),
    ),
)
SUM = st.one_of(
    st.builds(
        lambda parts, copy: one_plus(*parts, copy=copy), st.lists(SIMPLE, min_size=1, max_size=2), st.integers(0, 3)
    ),
    st.builds(lambda copy: Sum(((X.times(X), 1.0), (Y.times(Y), 1.0)), copy), st.integers(0, 3)),
)
COMPOUND = st.builds(
    lambda top, sums, copy: Unit(top.powers, top.rates, sums=tuple(sorted(sums)), copy=copy),
    SIMPLE,
    # A sum with two powers would be one power.
    st.lists(
        st.tuples(SUM, st.sampled_from([-1.0, -2.0, 0.5, FITTED])),
        min_size=1,
        max_size=2,
        unique_by=lambda factor: factor[0].parts,
    ),
    st.integers(0, 3),
)
UNIT = st.one_of(SIMPLE, COMPOUND)
STRUCTURE = st.builds(
    lambda a, b: Structure((tuple(a), tuple(b))), st.lists(UNIT, max_size=4), st.lists(UNIT, max_size=4)
)


def random_theta(s: Structure, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 1.5, s.n_fitted)


def rates(s: Structure, theta: np.ndarray) -> np.ndarray:
    """The right-hand side at a few points, by plain Python."""
    f = right_hand_side(s, theta, scale=np.array([1.5, 0.7]))
    return np.array([f(0.0, x) for x in POINTS])


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


def test_replace_leaves_the_original_alone():
    s = Structure(((X, XY), (Y, XY)))
    assert s.replace(1, [ONE, X]) == Structure(((X, XY), (ONE, X)))
    assert s == Structure(((X, XY), (Y, XY)))


def test_a_structure_travels_to_another_process():
    s = Structure(((X.over(one_plus(Y)), power(FITTED, 1)), (Y,)))
    there = pickle.loads(pickle.dumps(s))
    assert there == s
    assert there.numbers == s.numbers
    assert {s: 1}[there] == 1


@given(STRUCTURE)
@settings(deadline=None, max_examples=60)
def test_values_and_theta_are_inverse(s):
    theta = random_theta(s)
    assert s.theta(s.values(theta)).tolist() == theta.tolist()
    assert len(s.values(theta)) == s.n_fitted


def test_the_wrong_number_of_values_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Structure(((power(FITTED, 0),),)).values([0.3])


def test_terms_not_mentioned_get_zero():
    assert Structure(((X, Y),)).theta({(0, X): 2.0}).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("exponent", [0, 1, -3, 0.5, -1.5, 1 / 3, -2 / 3, 0.25, 1.75, 2.0, 7.0])
def test_halves_thirds_and_quarters_are_simple(exponent):
    assert is_simple(exponent)


@pytest.mark.parametrize("exponent", [0.38, 0.2, 1.001, 0.3333, -0.49, 1 / 7])
def test_everything_else_is_a_constant_to_fit(exponent):
    assert not is_simple(exponent)


# --------------------------------------------------------------------------------------------- fitted numbers
def test_numbers_are_found_in_units_sums_and_parts():
    total = one_plus(Unit((0.0, 0.0), rates=(0.0, FITTED)))
    unit = Unit((FITTED, 1.0), frequencies=(FITTED, 2.0), phase=FITTED).over(total, FITTED)
    assert [number.kind for number in numbers_of(unit)] == [
        "power", "frequency", "phase", "rate", "coefficient", "sum power",
    ]  # fmt: skip
    assert unit.n_fitted == 4
    assert unit.variables == {0, 1}
    assert not unit.plain


def test_equal_units_and_equal_sums_share_their_numbers():
    a, total = power(FITTED, 1), one_plus(X)
    s = Structure(((a, X.over(total)), (a, Y.over(total))))
    assert s.numbers == [Number("coefficient", total, 1), Number("power", a, 0)]
    assert s.n_fitted == 6


# --------------------------------------------------------------------------------------------- arrays
@given(STRUCTURE)
@settings(deadline=None, max_examples=60)
def test_packed_arrays_hold_exactly_the_terms_and_numbers(s):
    theta = random_theta(s)
    both = pack([Structure(((), ())), s], [np.zeros(0), theta], np.array([1.5, 0.7]))
    assert both.live[0].tolist() == [0, 0, 0, 0, 0]
    tables = Tables(*(array[1] for array in both))
    assert tables.live[3:].tolist() == [s.n_terms, len(s.numbers)]
    assert tables.equation[: s.n_terms].tolist() == [i for i, _ in s.terms]
    values = s.values(theta)
    for k, (_, unit) in enumerate(s.terms):
        row = tables.unit[k]
        own = [values[Number("power", unit, v)] if e == FITTED else e for v, e in enumerate(unit.powers)]
        assert tables.powers[row].tolist() == own
        assert tables.factor_first[row + 1] - tables.factor_first[row] == len(unit.sums)
    arrays = {0: tables.powers, 1: tables.rates, 2: tables.frequencies}
    flat = {3: tables.phases, 4: tables.part_coefficient, 5: tables.factor_power}
    for q, number in enumerate(s.numbers):
        a, b = tables.place[q]
        kind = KINDS.index(number.kind)
        there = arrays[kind][a, b] if kind in arrays else flat[kind][a]
        assert tables.kind[q] == kind
        assert there == values[number]


def test_packing_nothing_gives_empty_arrays():
    assert len(pack([], [], np.ones(3)).live) == 0


def test_fixed_numbers_are_meant_in_the_units_of_measurement():
    circle = Sum(((power(2, 0), 1.0), (power(0, 2), 1.0)))
    s = Structure(((Unit((0.0, 0.0), rates=(-2.0, 0.0)), X.over(circle, -1.5)),))
    tables = pack([s], [np.ones(2)], np.array([3.0, 0.5]))
    assert -6.0 in tables.rates[0]
    np.testing.assert_allclose(tables.part_coefficient[0], [1.0, 0.25 / 9.0])


def test_a_fitted_power_within_a_sum_leaves_fixed_coefficients_finite():
    total = Sum(((power(FITTED, 0), 1.0), (power(0, 2), 1.0)))
    s = Structure(((X.over(total, -1.5),),))
    tables = pack([s], [np.array([1.0, 2.0])], np.array([3.0, 0.5]))
    np.testing.assert_allclose(tables.part_coefficient[0], [1.0, 0.25 / 9.0])


# --------------------------------------------------------------------------------------------- rewriting
@given(UNIT)
@settings(deadline=None, max_examples=100)
def test_rebuilding_without_a_change_gives_the_unit_back(unit):
    new, moved = rebuild(unit, lambda _, value: value, lambda owner: owner.copy)
    assert new == unit
    assert all(here == there for here, there in moved.items())
    assert set(numbers_of(unit)) <= set(moved)


@given(STRUCTURE)
@settings(deadline=None, max_examples=100)
def test_fixing_and_freeing_every_number_keeps_the_right_hand_side(s):
    theta = random_theta(s)
    values = s.values(theta)
    fixed, rest = rewrite(s, values, lambda number, value: values.get(number, value))
    assert fixed.numbers == []
    np.testing.assert_allclose(
        right_hand_side_in_ones(fixed, fixed.theta(rest)), right_hand_side_in_ones(s, theta), rtol=1e-9
    )


def right_hand_side_in_ones(s: Structure, theta: np.ndarray) -> np.ndarray:
    """Where all sizes are one, fixed and fitted numbers mean the same."""
    f = right_hand_side(s, theta)
    return np.array([f(0.0, x) for x in POINTS])


def test_rewritten_exponents_keep_each_term_with_its_coefficient():
    # Once fixed at 0.41, the fitted power sorts before 2; the first two terms change places.
    a, b = Unit((FITTED,)), Unit((2.0,))
    s = Structure(((a, b), (a,)))
    values: dict[Term | Number, float] = {(0, a): 10.0, (0, b): 20.0, (1, a): 30.0, Number("power", a, 0): 0.41}
    new, found = rewrite(s, values, lambda number, value: values.get(number, value))
    assert new == Structure(((power(0.41), power(2)), (power(0.41),)))
    assert new.theta(found).tolist() == [10.0, 20.0, 30.0]


def test_terms_that_become_equal_are_added_up():
    s = Structure(((Unit((FITTED,), copy=0), Unit((FITTED,), copy=1)),))
    new, values = rewrite(s, s.values([1.0, 2.5, 0.3, 0.5]), lambda _, __: 0.4, lambda _: 0)
    assert new == Structure(((power(0.4),),))
    assert new.theta(values).tolist() == [3.5]


def test_a_sum_whose_power_moves_keeps_its_number():
    low, high = one_plus(X, copy=1), one_plus(Y, copy=2)
    unit = ONE.over(low, FITTED).over(high, FITTED)
    new, moved = rebuild(unit, lambda _, v: v, lambda owner: 3 - owner.copy if isinstance(owner, Sum) else owner.copy)
    for k, (total, _) in enumerate(unit.sums):
        there = moved[Number("sum power", unit, k)]
        assert there.owner == new
        assert new.sums[there.index][0].parts == total.parts


# --------------------------------------------------------------------------------------------- tidying
@given(STRUCTURE, st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_tidying_keeps_the_right_hand_side_and_does_nothing_twice(s, seed):
    theta = random_theta(s, seed)
    neat, values = tidy(s, theta)
    np.testing.assert_allclose(rates(neat, values), rates(s, theta), rtol=1e-9)
    again, same = tidy(neat, values)
    assert again == neat
    assert same.tolist() == values.tolist()


@given(STRUCTURE, st.permutations(range(4)), st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_copies_that_were_numbered_otherwise_are_spelt_alike(s, order, seed):
    theta = random_theta(s, seed)
    other, values = rewrite(s, s.values(theta), lambda _, value: value, lambda owner: 5 + order[owner.copy])
    neat, one = tidy(s, theta)
    also, two = tidy(other, other.theta(values))
    assert also == neat
    assert two.tolist() == pytest.approx(one.tolist(), rel=1e-12)


def test_copies_are_numbered_by_their_values():
    s = Structure(((Unit((FITTED,), copy=7), Unit((FITTED,), copy=3)),))
    neat, theta = tidy(s, np.array([1.0, 2.0, 0.9, 0.4]))
    assert neat == Structure(((Unit((FITTED,), copy=0), Unit((FITTED,), copy=1)),))
    assert theta.tolist() == [2.0, 1.0, 0.4, 0.9]


def test_a_unit_and_a_part_that_share_a_rate_go_on_sharing_it():
    slow, fast = Unit((0.0,), rates=(FITTED,), copy=1), Unit((0.0,), rates=(FITTED,), copy=2)
    s = Structure(((fast, power(1).over(one_plus(slow, fast))),))
    values: dict[Term | Number, float] = dict.fromkeys(s.numbers, 0.5)
    values.update({Number("rate", slow, 0): -0.1, Number("rate", fast, 0): -2.0})
    neat, found = tidy(s, s.theta({**values, **dict.fromkeys(s.terms, 1.0)}))
    assert len(neat.numbers) == len(s.numbers)
    f, g = right_hand_side(neat, found), right_hand_side(s, s.theta({**values, **dict.fromkeys(s.terms, 1.0)}))
    np.testing.assert_allclose(f(0.0, np.array([0.7])), g(0.0, np.array([0.7])), rtol=1e-14)


def test_a_copy_whose_numbers_are_all_fixed_is_no_copy():
    neat, theta = tidy(Structure(((Unit((2.0,), copy=1), power(2)),)), np.array([1.0, 2.5]))
    assert neat == Structure(((power(2),),))
    assert theta.tolist() == [3.5]
