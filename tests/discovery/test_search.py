"""The search steps: unit values, shortlists, pairings, and the climb to the truth."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from types import MappingProxyType

import joblib
import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, archive_of, lotka, noisy, scipy_solution

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data import Run
from neural_arith.discovery.measurements.ranges import ranges_of
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.proposals.pairings import combinations, interleave, join, slim
from neural_arith.discovery.proposals.shortlists import Pick, around_each, shortlist
from neural_arith.discovery.search.climbing import climb
from neural_arith.discovery.search.judging import judge
from neural_arith.fit.integral_form import integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.regression import Regression
from neural_arith.parallel import Checkpoint
from neural_arith.solve.compiled.prediction import values_at
from neural_arith.terms.dictionary import Dictionary, monomials
from neural_arith.terms.library import lifted_units
from neural_arith.terms.prior import Prices, Prior
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Unit, numbers_of, one_plus, power

T = np.linspace(0, 14, 40)
X, Y, XY, XX, ONE = power(1, 0), power(0, 1), power(1, 1), power(2, 0), power(0, 0)
ONES = np.ones(2)
SCALED = lotka(T) / [20.0, 15.0]
LOG = Noise("log", np.full(2, 0.02))


def pick(
    coefficients: dict[Unit, float], numbers: Mapping[Number, float] = MappingProxyType({}), score: float = 0.0
) -> Pick:
    """A right-hand side with its values."""
    structure = Structure((tuple(coefficients),))
    values: dict[Term | Number, float] = {(0, unit): c for unit, c in coefficients.items()}
    return Pick(structure, structure.theta({**values, **numbers}), score)


def test_unit_values_in_plain_python():
    nodes = np.array([[2.0, -3.0], [0.5, 4.0], [1.0, 0.0]])
    values = values_at([power(1, 2), power(-1, 1), power(0.5, 0), ONE], {}, nodes, ONES)
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
        regressions = [Regression(form, i, ONES) for form in forms]
        found = shortlist(regressions, Dictionary([monomials(2, 3)] * 2), Prices(Prior(), float(np.log(150))))
        structures = [pick.structure for pick in found]
        place = structures.index(Structure((units,)))
        assert place < 5
        named = found[place].structure.values(found[place].theta)
        np.testing.assert_allclose([named[0, u] for u in units], values, rtol=0.05)
        assert len(structures) == len(set(structures))


def test_pairings_start_with_the_best_and_keep_their_coefficients():
    one = [pick({X: 1.0}), pick({XY: 2.0, XX: 3.0}), pick({Y: 4.0})]
    two = [pick({Y: 5.0}), pick({XY: 6.0})]
    pairs = combinations([one, two], 4)
    assert pairs[0][0] == Structure(((X,), (Y,)))
    structures = [s for s, _ in pairs]
    assert len(structures) == len(set(structures)) == 4  # 2 x 2 pairings
    assert Structure(((Y,), (Y,))) not in structures
    assert Structure(((Y,), (Y,))) in [s for s, _ in combinations([one, two], 9)]
    for s, c in pairs:
        named = dict(zip(s.terms, c, strict=True))
        if (0, XX) in named:
            assert (named[0, XX], named[0, XY]) == (3.0, 2.0)


def test_what_is_simple_in_all_equations_is_paired():
    x, y, one = power(1, 0), power(0, 1), power(0, 0)

    def pick(score, *units):
        return Pick(Structure((units,)), np.zeros(len(units)), score)

    lists = [[pick(-9.0, x, y, one), pick(-5.0, x), pick(-6.0, y)], [pick(-8.0, x, y), pick(-7.0, x, y, one)]]
    found = [structure.equations for structure, _ in slim(lists)]
    assert found[0] == Structure(((y,), (x, y))).equations
    assert found[1] == Structure(((x, y, one), (x, y))).equations


def test_coefficients_follow_the_canonical_order_of_terms():
    ((s, c),) = combinations([[pick({XY: -0.42, X: 0.55})], [pick({Y: -0.84})]], 1)
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
    archive = archive_of([Run(T, noisy(SCALED, 0.02, 0))], LOG)
    judge(archive, [(start, np.array([begin[t] for t in start.terms]))])
    assert archive.ranked
    lines: list[str] = []
    found = climb(archive, Dictionary([monomials(2, 2)] * 2), report=lines.append)
    best = min(found, key=lambda j: j.score)
    assert set(LOTKA_STRUCTURE.terms) <= set(best.structure.terms)
    assert archive.seen[LOTKA_STRUCTURE] is not None
    assert [j.score for j in found] == sorted(j.score for j in found)
    assert lines


def test_nothing_to_climb_from_is_no_error():
    archive = archive_of([Run(T, SCALED)], LOG)
    assert climb(archive, Dictionary([monomials(2, 2)] * 2)) == []


# ------------------------------------------------------------------------------ numbers within units, several lists
def test_a_shortlist_fits_the_numbers_within_units():
    t = np.linspace(0, 6, 120)
    x = scipy_solution(lambda _, s: [0.5 - 1.2 * s[0] / (1 + 0.7 * s[0])], (4.0,), t)
    noise = Noise("additive", np.zeros(1))
    curves = smooth([Run(t, x)], noise)
    regressions = [Regression(integral_form(curves, noise, length), 0, np.ones(1)) for length in (None, 6)]
    monod = power(1).over(one_plus(power(1), copy=1004))
    (number,) = numbers_of(monod)
    dictionary = Dictionary([[power(0), power(1), power(2), monod]], {number: 2.5})
    best = shortlist(regressions, dictionary, Prices(Prior(), float(np.log(120))))[0]
    neat = power(1).over(one_plus(power(1)))
    assert best.structure == Structure(((power(0), neat),))  # copies are numbered from zero
    values = best.structure.values(best.theta)
    assert values[numbers_of(neat)[0]] == pytest.approx(0.7, rel=0.01)
    assert values[0, neat] == pytest.approx(-1.2, rel=0.01)


def monod_regression(points: int = 60) -> tuple[Regression, Dictionary]:
    """One equation with a fraction, and what lies beyond products of powers to explain it."""
    t = np.linspace(0, 6, points)
    x = scipy_solution(lambda _, s: [0.5 - 1.2 * s[0] / (1 + 0.7 * s[0])], (4.0,), t)
    noise = Noise("additive", np.zeros(1))
    curves = smooth([Run(t, x)], noise)
    lifted = lifted_units(ranges_of(curves, np.array([True]), np.ones(1)), 1, ("fractions", "exponentials"))
    return Regression(integral_form(curves, noise, 6), 0, np.ones(1)), lifted


def told(picks: list[Pick]) -> list[object]:
    return [(p.structure, p.theta.tolist(), p.score) for p in picks]


def test_a_fraction_is_found_in_its_company():
    regression, lifted = monod_regression()
    best, *_ = around_each(regression, monomials(1, 2), lifted, Prices(Prior(), float(np.log(60))))
    monod = power(1).over(one_plus(power(1)))
    assert {u for u in best.structure.units if u.sums} <= {monod, power(0).over(one_plus(power(1)))}
    (number,) = best.structure.numbers
    assert best.structure.values(best.theta)[number] == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize("simple", [[], [power(2)], [power(2), power(0)]])
def test_any_simple_units_will_do_as_company(simple):
    regression, lifted = monod_regression()
    found = around_each(regression, simple, lifted, Prices(Prior(), float(np.log(60))))
    assert found
    for one in found:
        assert len([u for u in one.structure.units if u not in simple]) == 1


def test_lifted_units_are_tried_by_anyone_in_blocks_that_are_kept(tmp_path):
    regression, lifted = monod_regression()
    simple, price = monomials(1, 2), Prices(Prior(), float(np.log(60)))
    alone = told(around_each(regression, simple, lifted, price))
    assert told(around_each(regression, simple, lifted, price, n_jobs=2)) == alone
    with joblib.parallel_config(backend="loky"):
        assert told(around_each(regression, simple, lifted, price, n_jobs=2)) == alone
    asked: list[float] = []

    def now(most: float = np.inf) -> float:
        asked.append(0.0)
        return float(len(asked) > most)

    around_each(regression, simple, lifted, price, clock=Clock(end=0.5, now=now))
    most = len(asked) - 5
    asked.clear()
    with pytest.raises(OutOfTimeError):
        around_each(
            regression, simple, lifted, price, checkpoint=Checkpoint(tmp_path),
            clock=Clock(end=0.5, now=lambda: now(most)),
        )  # fmt: skip
    first = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("output.pkl")}
    assert len(first) >= 3
    again, _ = monod_regression()  # one that has kept nothing yet
    assert told(around_each(again, simple, lifted, price, checkpoint=Checkpoint(tmp_path))) == alone
    assert {p: p.stat().st_mtime_ns for p in first} == first
    whole = len(list(tmp_path.rglob("output.pkl")))
    around_each(regression, simple, lifted, price, checkpoint=Checkpoint(tmp_path))
    assert len(list(tmp_path.rglob("output.pkl"))) == whole > len(first)


def test_what_a_regression_has_kept_does_not_travel():
    regression, _ = monod_regression()
    fresh, name = pickle.dumps(regression), joblib.hash(regression)
    structure = Structure(((power(0), power(1).over(one_plus(power(1)))),))
    theta = np.array([0.4, -1.0, 1.0])
    expected = regression.fit(structure, theta)
    assert joblib.hash(regression) == name
    found = pickle.loads(fresh).fit(structure, theta)
    assert found[0].tolist() == expected[0].tolist()
    assert found[1] == expected[1]


def test_joining_keeps_numbers_of_equations_apart():
    free = power(FITTED, 0)
    fraction = X.over(one_plus(X))
    exponent, (slope,) = Number("power", free, 0), numbers_of(fraction)
    one = pick({free: 1.0, fraction: 2.0, Y: 3.0}, {exponent: 0.38, slope: 0.7})
    two = pick({free: 4.0, fraction: 5.0, Y: 6.0}, {exponent: 1.6, slope: 9.0})
    structure, theta = join([one, two])
    values = structure.values(theta)
    assert len(structure.numbers) == 4
    told = []
    for i in range(2):
        units = {unit.powers: unit for unit in structure.equations[i] if not unit.sums}
        (over,) = (unit for unit in structure.equations[i] if unit.sums)
        (within,) = numbers_of(over)
        power_ = Number("power", units[(FITTED, 0.0)], 0)
        mine = [values[i, units[(FITTED, 0.0)]], values[i, over], values[i, units[(0.0, 1.0)]]]
        told.append([*mine, values[power_], values[within]])
    assert told == [[1.0, 2.0, 3.0, 0.38, 0.7], [4.0, 5.0, 6.0, 1.6, 9.0]]


def test_joining_shares_units_without_numbers():
    structure, _ = join([pick({X: 1.0, XY: 2.0}), pick({Y: 3.0, XY: 4.0})])
    assert structure.units == tuple(sorted((X, Y, XY)))


def test_lists_are_interleaved_by_rank_then_score_each_structure_once():
    a, b, c = pick({X: 1.0}, score=5.0), pick({Y: 1.0}, score=7.0), pick({XX: 1.0}, score=9.0)
    d, e = pick({XY: 1.0}, score=4.0), pick({Y: 2.0}, score=6.0)
    found = interleave([a, b, c], [d, e])
    assert [id(p) for p in found] == [id(p) for p in (d, a, e, c)]
    assert interleave([a, b]) == [a, b]
    assert interleave([], []) == []
