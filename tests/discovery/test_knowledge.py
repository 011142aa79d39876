"""What is known beforehand: reading it, keeping structures and values to it, and searches that obey."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from simulated import LOGISTIC, archive_of, logistic, noisy, predator_prey
from sklearn.base import clone

from neural_arith.data import Run, Trajectories
from neural_arith.discovery import Discovery, discover
from neural_arith.discovery.measurements.constraints import ROOTS, Constraints, closed, closures, kinds_of
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.measurements.scaling import Scaling
from neural_arith.discovery.search.judging import judge
from neural_arith.equations.terms import from_structure
from neural_arith.errors import OptionError
from neural_arith.fit.noise import Noise
from neural_arith.fit.refine import refine_tied
from neural_arith.regressor import ODERegressor
from neural_arith.terms.library import KINDS, Ranges, lifted_units
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, Unit, one_plus, power

HARES = predator_prey(12)
T = np.linspace(0, 10, 30)
ILL, WELL, CATCH = power(0, 1, 0), power(0, 0, 1), power(1, 1, 0)  # I, R and S*I
SIR = Constraints(conserved=((1.0, 1.0, 1.0),), size=np.array([900.0, 70.0, 400.0]))


def read(**stated) -> Constraints:
    return Knowledge(**stated).read(HARES)


# ------------------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1", power(0, 0)),
        ("hare*lynx**2", power(1, 2)),
        ("sqrt(hare)/lynx", power(0.5, -1)),
        ("hare*exp(-2*lynx)", Unit((1.0, 0.0), rates=(0.0, -2.0))),
        ("cos(lynx - hare)", Unit((0.0, 0.0), frequencies=(1.0, -1.0))),
        ("hare*sin(3*hare)", Unit((1.0, 0.0), frequencies=(3.0, 0.0), phase=-math.pi / 2)),
        ("log(lynx)", Unit((0.0, 0.0), logs=(0, 1))),
    ],
)
def test_terms_are_read(text, unit):
    assert read(require={"lynx": [text]}).required == ((), (unit,))
    assert read(forbid={"lynx": [text]}).forbidden == (frozenset(), frozenset([unit]))


def test_a_sine_that_is_turned_round_turns_its_sign():
    unit = Unit((0.0, 0.0), frequencies=(1.0, -1.0), phase=-math.pi / 2)
    assert read(signs={"hare": ["+sin(hare - lynx)"]}).signs == {(0, unit): 1}
    assert read(signs={"hare": ["+sin(lynx - hare)"]}).signs == {(0, unit): -1}


def test_sums_are_read():
    assert read(conserved=["2*hare + lynx"]).conserved == ((2.0, 1.0),)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"require": {"hares": ["hare"]}}, "'hares' is not a state; the states are hare, lynx"),
        ({"require": {"hare": ["fox"]}}, "unknown fox"),
        ({"forbid": {"hare": ["hare + lynx"]}}, "not a term"),
        ({"forbid": {"hare": ["hare/(1 + hare)"]}}, "not a term"),
        ({"forbid": {"hare": ["log(hare)*log(lynx)"]}}, "not a term"),
        ({"forbid": {"hare": ["sin(hare)*cos(lynx)"]}}, "not a term"),
        ({"forbid": {"hare": ["exp(hare**2)"]}}, "not a term"),
        ({"require": {"hare": ["2*hare"]}}, "without its coefficient"),
        ({"require": {"hare": ["-hare"]}}, "without its sign"),
        ({"require": {"hare": "hare"}}, "list of texts"),
        ({"require": ["hare"]}, "must map states"),
        ({"signs": {"hare": ["hare"]}}, "write +hare or -hare"),
        ({"signs": {"hare": ["+hare", "-hare"]}}, "both signs"),
        ({"require": {"hare": ["hare*lynx"]}, "forbid": {"hare": ["lynx*hare"]}}, "required and forbidden at once"),
        ({"positive": ["fox"]}, "'fox' is not among hare, lynx"),
        ({"kinds": ["polynomials"]}, "'polynomials'"),
        ({"max_terms": 0}, "max_terms"),
        ({"max_numbers": True}, "max_numbers"),
        ({"conserved": ["hare*lynx"]}, "not a sum of states"),
        ({"conserved": ["hare + 1"]}, "not a sum of states"),
        ({"conserved": ["hare + fox"]}, "unknown fox"),
        ({"require": {"hare": ["1", "hare"]}, "max_terms": 1}, "cannot stand"),
        ({"require": {"hare": ["1", "hare"]}, "max_numbers": 1}, "cannot stand"),
        ({"require": {"hare": ["exp(hare)"]}, "kinds": ["waves"]}, "cannot stand"),
        ({"require": {"hare": ["1"]}, "forbid": {"lynx": ["1"]}, "conserved": ["hare + lynx"]}, "cannot stand"),
    ],
)
def test_what_cannot_be_is_refused(stated, says):
    with pytest.raises(OptionError) as error:
        read(**stated)
    assert says in str(error.value)


def test_what_is_measured_negative_is_not_positive():
    data = Trajectories.from_arrays(T, -1 - T[:, None], names=("x",))
    with pytest.raises(OptionError, match="most measured values of x are negative"):
        Knowledge(positive=["x"]).read(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_unit_of_the_search_is_of_its_family(kind):
    yes, no, one = np.ones(2, dtype=bool), np.zeros(2, dtype=bool), np.ones(2)
    above, around = (Ranges(low, one, 0.1 * one, positive, one, no) for low, positive in ((0.1 * one, yes), (-one, no)))
    units = lifted_units(above, 1, (kind,)).units[0] + lifted_units(around, 1, (kind,)).units[0]
    assert units
    assert all(kind in kinds_of(unit) for unit in units)
    assert all(kinds_of(unit) <= {kind, ROOTS} for unit in units)  # cos(x) / y is a ratio, too


def test_a_variable_that_hardly_changes_has_no_logistic_curve():
    """An incubator at 37 +- 0.05 degrees: the middle of so steep a curve is the exponential of thousands."""
    yes, no, one = np.ones(2, dtype=bool), np.zeros(2, dtype=bool), np.ones(2)
    low = np.array([0.999, 0.1])
    for high in (one, np.array([1.0, 0.1002])):
        ranges = Ranges(low, high, 0.1 * (high - low), yes, one, no)
        found = lifted_units(ranges, 1)
        assert all(np.isfinite(value) and value for value in found.values.values())


def test_there_is_no_logarithm_of_what_was_measured_as_nothing():
    yes, no, one = np.ones(2, dtype=bool), np.zeros(2, dtype=bool), np.ones(2)
    found = [
        lifted_units(Ranges(0.1 * one, one, 0.1 * one, yes, one, nothing), 1, ("exponentials",)).units[0]
        for nothing in (no, np.array([True, False]))
    ]
    logs = [{v for unit in units for v, used in enumerate(unit.logs) if used} for units in found]
    assert logs == [{0, 1}, {1}]


# ---------------------------------------------------------------------------------------------------- structures
def test_required_terms_are_added_and_forbidden_ones_rejected():
    known = read(require={"hare": ["hare"]}, forbid={"lynx": ["lynx**2"]})
    bare = Structure(((power(1, 1),), (power(0, 1),)))
    ((whole, theta),) = known.complete(bare, np.array([-2.0, 3.0]))
    assert whole == bare.replace(0, [power(1, 0), power(1, 1)])
    assert whole.values(theta) == {(0, power(1, 0)): 0.0, (0, power(1, 1)): -2.0, (1, power(0, 1)): 3.0}
    assert known.variants(bare.replace(1, [power(0, 2)])) == []


def test_limits_of_size():
    two = Structure(((power(1, 0), power(0, 1)), (power(0, 1),)))
    assert read(max_terms=2).allows(two)
    assert not read(max_terms=1).allows(two)
    assert read(max_numbers=3).allows(two)
    assert not read(max_numbers=2).allows(two)
    assert not read(require={"lynx": ["1"]}, max_terms=2).variants(Structure((two.equations[0], two.equations[0])))


def test_tied_coefficients_count_once():
    structure = Structure(((CATCH,), (ILL, CATCH), (ILL,)))
    assert SIR.n_tied(structure) == 2
    archive = archive_of([Run(T, np.ones((30, 3)))], Noise("additive", np.full(3, 0.1)))
    free = archive.likelihood.price(structure)
    archive.likelihood = replace(archive.likelihood, known=SIR)
    assert archive.likelihood.price(structure) < free - 2 * archive.likelihood.prices.per_number


def test_a_unit_in_one_equation_is_completed_or_taken_out():
    whole = [Structure(eqs) for eqs in [((CATCH,), (CATCH,), ()), ((CATCH,), (), (CATCH,)), ((), (), ())]]
    assert set(SIR.variants(Structure(((CATCH,), (), ())))) == set(whole)
    for variant, theta in SIR.complete(Structure(((CATCH,), (), ())), np.array([-2.0])):
        assert sum(SIR.size[i] * c for (i, _), c in zip(variant.terms, theta, strict=True)) == pytest.approx(0)


def test_sums_that_share_a_state():
    # E + C and S + C + P: E*S takes E and S into C
    enzyme = Constraints(conserved=((1.0, 0.0, 1.0, 0.0), (0.0, 1.0, 1.0, 1.0)), size=np.ones(4))
    bound = power(1, 1, 0, 0)
    assert enzyme.allows(Structure(((bound,), (bound,), (bound,), ())))
    assert not enzyme.allows(Structure(((bound,), (), (bound,), ())))
    places = {
        tuple(i for i, eq in enumerate(v.equations) if eq) for v in enzyme.variants(Structure(((bound,), (), (), ())))
    }
    assert places == {(0, 1, 2), (0, 2, 3), ()}


def coefficient() -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 1.0, 1.0, 2.0, -1.0])


@given(
    st.lists(st.tuples(*[coefficient()] * 4), min_size=1, max_size=3),
    st.frozensets(st.integers(0, 3), min_size=1),
)
def test_closures_can_cancel(rows, where):
    sums = tuple(rows)
    for option in closures(sums, where):
        null = scipy.linalg.null_space(np.array(sums)[:, sorted(option)])
        mixed = null @ np.random.default_rng(0).standard_normal(null.shape[1])  # generic, so zero only where it must
        assert (np.abs(mixed) > 1e-9).all()
    assert closed(sums, where) == (closures(sums, where) == (where,))


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_values_in_the_basis_conserve_the_sum_in_original_units(weights):
    structure = Structure(((CATCH,), (ILL, CATCH), (ILL, WELL)))
    structure = structure.replace(0, (CATCH, WELL))
    basis = SIR.basis(structure)
    assert basis is not None
    assert basis.shape == (6, 3)
    theta = Scaling(SIR.size, 3.0, 3).original(structure, basis @ weights)
    equations = from_structure(structure, structure.values(theta), ("S", "I", "R"))
    total = sp.expand(sum(equations.rhs.values()))
    left = [abs(float(c)) for c in sp.Poly(total, *sp.symbols("S I R")).coeffs()]
    assert max(left) <= 1e-12 * max(1e-9, *np.abs(theta))


# -------------------------------------------------------------------------------------------------------- values
def test_signs_of_values():
    known = read(signs={"hare": ["-hare*lynx"]})
    structure = Structure(((power(1, 0), power(1, 1)), ()))
    theta = structure.theta({(0, power(1, 0)): -1.0, (0, power(1, 1)): -2.0})
    assert known.allows_values(structure, theta)
    assert not known.allows_values(structure, -theta)
    assert known.allows_values(Structure(((power(1, 0),), (power(1, 1),))), np.array([1.0, 1.0]))


@pytest.mark.parametrize(("number", "allowed"), [(0.02, False), (2.0, True)])
def test_a_forbidden_term_does_not_come_in_disguise(number, allowed):
    hare = power(1, 0)
    total = one_plus(hare)
    rate = Unit((1.0, 0.0), rates=(0.0, FITTED))
    power_ = power(FITTED, 0)
    for unit, place, value in (
        (hare.over(total), Number("coefficient", total, 1), number),
        (rate, Number("rate", rate, 1), number),
        (power_, Number("power", power_, 0), 1 + number),
    ):
        structure = Structure(((unit,), ()))
        theta = structure.theta({(0, unit): 1.0, place: value})
        assert read(forbid={"hare": ["hare"]}).allows_values(structure, theta) is allowed
        assert read(forbid={"lynx": ["hare"]}).allows_values(structure, theta)
        assert read(signs={"hare": ["-hare"]}).allows_values(structure, theta) is allowed
        assert read(signs={"hare": ["+hare"]}).allows_values(structure, theta)


def test_a_candidate_that_leaves_the_positive_numbers_has_failed():
    line = Structure(((power(0),),))
    x = (0.5 - T / 10)[:, None]
    archive = archive_of([Run(T, x)], Noise("additive", np.full(1, 0.01)))
    assert judge(archive, [(line, np.array([-0.1]))])
    archive = archive_of([Run(T, x)], Noise("additive", np.full(1, 0.01)))
    archive.likelihood = replace(archive.likelihood, known=Constraints(positive=np.array([True])))
    assert judge(archive, [(line, np.array([-0.1]))]) == []
    assert archive.seen == {line: None}


def test_a_tied_fit_is_the_most_likely_one():
    """Against SciPy on the closed form of A -> B, where both states have an unknown noise level."""
    rng = np.random.default_rng(2)
    fall = np.exp(-0.4 * T)
    x = np.column_stack([fall, 1 - fall]) + np.array([0.02, 0.1]) * rng.standard_normal((30, 2))
    archive = archive_of([Run(T, x)], Noise("additive", np.array([0.02, 0.1])))

    def misfit(free: np.ndarray) -> float:
        k, a, b = free
        solution = np.column_stack([a * np.exp(-k * T), b + a * (1 - np.exp(-k * T))])
        return float((30 * np.log(((x - solution) ** 2).mean(0))).sum())

    best = scipy.optimize.minimize(
        misfit, [0.4, 1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8}
    )
    known = Constraints(conserved=((1.0, 1.0),), size=np.ones(2))
    structure = Structure(((power(1, 0),), (power(1, 0),)))
    basis = known.basis(structure)
    assert basis is not None
    theta, starts, found = refine_tied(
        structure,
        np.array([-0.3, 0.6]),
        archive.likelihood.starts,
        archive.likelihood.problem,
        basis,
        tolerance=1e-7,
        rtol=1e-9,
    )
    np.testing.assert_allclose(theta, [-best.x[0], best.x[0]], rtol=1e-4)
    np.testing.assert_allclose(starts, [best.x[1:]], atol=1e-4)
    assert found.misfit == pytest.approx(best.fun, abs=1e-3)


# ------------------------------------------------------------------------------------------------------ searches
def find(data: Trajectories, **stated) -> Discovery:
    return discover(data, restarts=8, max_units=1, n_jobs=1, knowledge=Knowledge(**stated))


def growth(noise: float = 0.0) -> Trajectories:
    return Trajectories.from_arrays(T, noisy(logistic(T), noise, 1), names=("y",))


Y = sp.Symbol("y")


def test_a_required_term_stands_in_every_candidate():
    found = find(growth(0.03), require={"y": ["y**3"]}, kinds=[])
    for candidate in found.candidates:
        assert sp.Poly(candidate.equations.rhs["y"], Y).coeff_monomial(Y**3) != 0


def test_a_forbidden_term_stands_in_none():
    found = find(growth(), forbid={"y": ["y**2"]}, kinds=[], max_terms=3)
    for candidate in found.candidates:
        terms = sp.Poly(candidate.equations.rhs["y"], Y)
        assert float(terms.coeff_monomial(Y**2)) == 0
        assert len(terms.terms()) <= 3


def test_signs_hold_for_every_candidate():
    found = find(growth(0.05), signs={"y": ["+y", "-y**3", "+1"]}, kinds=[])
    for candidate in found.candidates:
        terms = sp.Poly(candidate.equations.rhs["y"], Y)
        assert terms.coeff_monomial(Y) >= 0
        assert terms.coeff_monomial(Y**3) <= 0
        assert terms.coeff_monomial(1) >= 0


def test_true_knowledge_leaves_the_truth():
    found = find(
        growth(),
        require={"y": ["y"]},
        signs={"y": ["+y", "-y**2"]},
        positive=["y"],
        kinds=[],
        max_terms=2,
        max_numbers=2,
    )
    assert found.equations.same_as(LOGISTIC, rtol=1e-5)


def test_knowledge_that_cannot_hold_is_said():
    with pytest.raises(OptionError, match="no equations that agree"):
        # all that is allowed is growth, and it may not grow
        find(growth(), require={"y": ["y"]}, signs={"y": ["-y"]}, kinds=[], max_terms=1)


def test_a_conserved_sum_is_conserved_by_every_candidate():
    rng = np.random.default_rng(4)
    fall = 500 * np.exp(-0.4 * T[::2])
    x = np.column_stack([fall, 250 - fall / 2]) + rng.normal(0, 5, (15, 2))
    data = Trajectories.from_arrays(T[::2], x, names=("A", "A2"))
    found = find(data, conserved=["A + 2*A2"], kinds=[], max_numbers=2)
    for candidate in found.candidates:
        rhs = candidate.equations.rhs
        total = sp.expand(rhs["A"] + 2 * rhs["A2"])
        assert all(
            abs(c) <= 1e-12 * max(map(abs, candidate.constants)) for c in total.as_coefficients_dict().values() if c
        )
    one, two = found.equations.constants
    assert one == pytest.approx(-0.4, rel=0.05)
    assert two == pytest.approx(0.2, rel=0.05)
    chosen = next(c for c in found.candidates if c.selected)
    assert chosen.standard_errors[0] == pytest.approx(2 * chosen.standard_errors[1], rel=1e-6)


# --------------------------------------------------------------------------------------------------- the estimator
def test_the_estimator_passes_it_on_and_can_be_cloned():
    known = Knowledge(forbid={"x0": ["x0**2"]}, kinds=[], max_terms=1)
    model = ODERegressor(knowledge=known, restarts=4, max_units=1, n_jobs=1)
    copy = clone(model)
    assert isinstance(copy, ODERegressor)
    assert copy.get_params()["knowledge"] == known
    assert "forbid" in repr(known)
    assert "max_numbers" not in repr(known)
    model.fit(logistic(T), T)
    assert len(sp.Add.make_args(model.equations_.rhs["x0"])) <= 1
    with pytest.raises(OptionError, match="must be a Knowledge"):
        ODERegressor(knowledge={"forbid": {}}).fit(logistic(T), T)  # pyright: ignore[reportArgumentType]
