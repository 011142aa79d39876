"""The compiled solver: values, sensitivities, refinement, failures, and independence of company and threads."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simulated import (
    LOGISTIC_STRUCTURE,
    LOTKA_STRUCTURE,
    logistic,
    lotka,
    make,
    right_hand_side,
    scipy_solution,
)

from neural_arith.fit.refine import refine, solve_positive
from neural_arith.layers import functional
from neural_arith.solve.compiled.prediction import Problem, predict
from neural_arith.solve.compiled.values import power_product
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, Sum, Unit, one_plus, power

LOTKA_TRUE = dict(zip(LOTKA_STRUCTURE.terms, (0.55, -0.028, -0.84, 0.026), strict=True))
LOTKA_VALUES = np.array([LOTKA_TRUE[term] for term in LOTKA_STRUCTURE.terms])
T = np.linspace(0, 10, 41)


def unit(x: np.ndarray, e: np.ndarray) -> float:
    """The same product by the formula of the layers."""
    log_abs, phase, zero = functional.log_polar(torch.tensor(x))
    return float(functional.power_unit(log_abs, phase, torch.tensor(e)[None], None, zero)[0])


# --------------------------------------------------------------------------------------------- one formula, held equal
@pytest.mark.parametrize("e", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.5, 1 / 3, 0.25, 0.38, 2.71])
@pytest.mark.parametrize("x", [-3.7, -1.0, -0.02, 0.0, 0.3, 1.0, 12.5])
def test_one_factor_equals_the_layers(x, e):
    mine, layers = power_product(np.array([x]), np.array([e])), unit(np.array([x]), np.array([e]))
    assert mine == pytest.approx(layers, rel=1e-13, abs=1e-13, nan_ok=True)


VALUE = st.one_of(st.floats(0.01, 20), st.floats(-20, -0.01), st.just(0.0))
POWER = st.one_of(st.integers(-3, 5).map(float), st.sampled_from([0.5, -0.5, 1.5, 0.25, 1 / 3]), st.floats(-2, 3))


@given(st.lists(st.tuples(VALUE, POWER), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_products_equal_the_layers(pairs):
    x, e = (np.array(column) for column in zip(*pairs, strict=True))
    # Infinity times the cosine of a quarter turn, which is zero but for rounding, has no value.
    assume(not (((x == 0) & (e < 0)).any() and ((x < 0) & (e != np.rint(e))).any()))
    size = float(np.prod([abs(v) ** p if v else 1.0 for v, p in pairs]))
    mine, layers = power_product(x, e), unit(x, e)
    assert mine == pytest.approx(layers, rel=1e-13, abs=1e-13 * max(size, 1.0), nan_ok=True)


# ------------------------------------------------------------------------------------------------ prediction
@pytest.mark.parametrize("rtol", [1e-6, 1e-10])
def test_lotka_volterra_as_scipy_integrates_it(rtol):
    x = lotka(T)
    found = predict(LOTKA_STRUCTURE, LOTKA_VALUES, x[:1], make(T, x), rtol=rtol)
    np.testing.assert_allclose(found.x, x, rtol=200 * rtol)
    assert np.isfinite(found.misfit)


@pytest.mark.parametrize("rtol", [1e-5, 1e-8])
def test_samples_within_a_step_are_as_exact_as_its_end(rtol):
    """Eighty samples in each unit of time are far more than there are steps."""
    t = np.linspace(0, 10, 801)
    x = lotka(t)
    found, exact = (predict(LOTKA_STRUCTURE, LOTKA_VALUES, x[:1], make(t, x, floor=1.0), rtol=r) for r in (rtol, 1e-12))
    np.testing.assert_allclose(found.x, x, rtol=100 * rtol)
    np.testing.assert_allclose(found.normal, exact.normal, rtol=3000 * rtol)


def test_roots_ratios_and_unusual_exponents_as_scipy_integrates_them():
    s = Structure(((power(0.5, 1.0), power(1.0, 0.0)), (power(-1.0, 0.38), power(0.0, 1.75), power(0.0, 0.0))))
    values = np.array([0.7, -0.6, 0.3, -0.2, 0.1])
    x = scipy_solution(right_hand_side(s, values), (0.8, 1.3), T / 3)
    np.testing.assert_allclose(predict(s, values, x[:1], make(T / 3, x), rtol=1e-10).x, x, rtol=1e-8)


def test_states_that_change_sign():
    s = Structure(((power(0.0, 1.0),), (power(0.0, 1.0), power(1.0, 0.0), power(2.0, 1.0))))
    values = np.array([1.0, 0.9, -1.0, -0.9])
    x = scipy_solution(right_hand_side(s, values), (1.0, 0.3), T)
    assert x.min() < 0
    np.testing.assert_allclose(predict(s, values, x[:1], make(T, x), rtol=1e-10).x, x, atol=1e-7)


def test_inputs_are_straight_lines_between_samples():
    t = np.array([0.0, 0.3, 1.0, 1.2, 2.5, 3.0, 4.0])
    u = np.column_stack([[0.0, 2.0, -1.0, 3.0, 3.0, 0.5, 1.0], [1.0, 1.5, 0.2, 0.7, 2.0, 1.0, 0.4]])
    s = Structure(((power(0.0, 1.0, 0.0), power(1.0, 0.0, 0.5)),))  # u1 and x * sqrt(u2)
    values = np.array([1.3, -0.7])

    def drive(s: float) -> np.ndarray:
        return np.array([np.interp(s, t, u[:, m]) for m in range(2)])

    x = scipy_solution(right_hand_side(s, values, drive), (0.5,), t)
    found = predict(s, values, x[:1], make(t, x, inputs=u), rtol=1e-11)
    np.testing.assert_allclose(found.x, x, rtol=1e-8)


def test_each_run_starts_from_its_own_state():
    t = np.concatenate([np.linspace(0, 6, 25), np.linspace(0, 2, 9), np.linspace(1, 9, 30)])
    x = np.concatenate([logistic(t[:25], 0.5), logistic(t[25:34], 8.0), logistic(t[34:], 2.0)])
    problem = make(t, x, start=(25, 34), linked=(False, False, False))
    found = predict(LOGISTIC_STRUCTURE, np.array([0.8, -0.16]), np.array([[0.5], [8.0], [2.0]]), problem, rtol=1e-10)
    np.testing.assert_allclose(found.x, x, rtol=1e-8)


def test_some_of_the_runs_alone_are_what_they_are_among_the_others():
    """Three runs of 20, 15 and 6 samples, the first in two linked pieces, the last in three."""
    t = np.concatenate([T[:20], T[5:20], T[:6]])
    starts = np.random.default_rng(0).uniform(5, 30, (6, 2))
    linked = (False, True, False, False, True, True)
    problem = make(t, np.ones((41, 2)), inputs=t[:, None], start=(9, 20, 35, 37, 39), linked=linked)
    whole = predict(LOTKA_STRUCTURE, LOTKA_VALUES, starts, problem)
    part, pieces = problem.of_runs([0, 2])
    assert (problem.n_runs, part.n_runs) == (3, 2)
    assert pieces.tolist() == [0, 1, 3, 4, 5]
    alone = predict(LOTKA_STRUCTURE, LOTKA_VALUES, starts[pieces], part)
    np.testing.assert_array_equal(alone.x, np.delete(whole.x, np.s_[20:35], axis=0))
    np.testing.assert_array_equal(part.inputs[:, 0], np.delete(t, np.s_[20:35]))


@pytest.mark.parametrize("rate", [5.0, 50.0, 500.0])
def test_sensitivities_of_a_state_at_rest(rate):
    """c' = -rate a c stays at zero, a' = -a/10 hardly moves; a small c would fall by exp(-rate (a(0) - a) / 0.1)."""
    t = np.linspace(0, 1, 41)
    structure = Structure(((power(1, 0),), (power(1, 1),)))
    problem = make(t, np.column_stack([np.exp(-0.1 * t), 0 * t]), floor=1e-3)
    found = predict(structure, np.array([-0.1, -rate]), np.array([[1.0, 0.0]]), problem, rtol=1e-6)
    slope = np.exp(-rate * (1 - np.exp(-0.1 * t)) / 0.1)
    assert found.normal[3, 3] == pytest.approx((slope**2).sum() / 1e-6, rel=1e-3)


def test_a_term_that_is_only_looked_at_does_not_stop_the_solver():
    """x'' = -x, with 1/(1 - 2 x) beside it at coefficient zero: x passes its pole."""
    pole = power(0, 0).over(Sum(((power(0, 0), 1.0), (power(1, 0), -2.0))))
    structure = Structure(((power(0, 1),), (power(1, 0), pole)))
    theta = structure.theta({(0, power(0, 1)): 1.0, (1, power(1, 0)): -1.0})
    exact = np.column_stack([np.cos(T), -np.sin(T)])
    found = predict(structure, theta, np.array([[1.0, 0.0]]), make(T, exact), rtol=1e-8)
    np.testing.assert_allclose(found.x, exact, atol=1e-6)


def test_misfit_is_the_profile_likelihood():
    x = logistic(T)
    off = x + 0.1 * np.cos(np.arange(len(T)))[:, None]
    weight = np.where(np.arange(len(T)) % 5 == 0, 0.0, 2.0)[:, None]
    found = predict(LOGISTIC_STRUCTURE, np.array([0.8, -0.16]), x[:1], make(T, off, weight=weight, floor=0.01))
    r = (2.0 * (x - off))[weight > 0]
    assert found.rss[0] == pytest.approx((r**2).sum(), rel=1e-5)
    assert found.misfit == pytest.approx(len(r) * np.log((r**2).mean() + 0.01**2), rel=1e-5)


def test_a_state_that_was_never_measured_counts_nothing():
    x = lotka(T)
    weight = np.column_stack([np.ones(len(T)), np.zeros(len(T))])
    found = predict(LOTKA_STRUCTURE, LOTKA_VALUES, x[:1], make(T, x * 1.01, weight=weight))
    r = x[:, 0] * 0.01
    assert found.misfit == pytest.approx(len(T) * np.log((r**2).mean()), rel=1e-4)


# --------------------------------------------------------------------------------------- sensitivities
def hard_problem(log: bool) -> tuple[Structure, np.ndarray, np.ndarray, Problem]:
    """Two runs, one of them cut into linked pieces, with input, weights, gaps in the data and a free exponent."""
    rng = np.random.default_rng(4)
    t = np.concatenate([np.linspace(0, 4, 13), np.linspace(0, 2, 7)])
    u = 1.5 + np.sin(2 * t)[:, None]
    x = np.column_stack([1 + 0.3 * np.sin(t), 1.2 + 0.4 * np.cos(t)]) * np.exp(0.1 * rng.standard_normal((20, 2)))
    weight = rng.uniform(0.5, 2.0, x.shape) * (rng.uniform(size=x.shape) > 0.2)
    s = Structure(((power(FITTED, 1.0, 0.0), power(1.0, 0.0, 0.0)), (power(0.0, 1.0, 0.5), power(1.0, 0.0, 0.0))))
    values = np.array([-0.5, 0.4, -0.3, 0.45, 0.38])
    starts = np.array([[1.0, 1.5], [1.3, 0.9], [1.1, 1.4], [0.9, 1.6]])
    problem = make(
        t, x, weight=weight, inputs=u, start=(4, 9, 13), linked=(False, True, True, False), link_weight=7.0,
        floor=0.05, log=log,
    )  # fmt: skip
    return s, values, starts, problem


def plain_residuals(s: Structure, p: np.ndarray, problem: Problem) -> list[np.ndarray]:
    """Weighted residuals of each state, then those of the gaps; by SciPy and NumPy alone."""
    d, n = problem.x.shape[1], s.n_fitted
    theta, starts = p[:n], p[n:].reshape(-1, d)
    states: list[list[float]] = [[] for _ in range(d)]
    gaps: list[float] = []
    for piece in range(problem.n_pieces):
        a, b = problem.start[piece], problem.start[piece + 1]
        goes_on = piece + 1 < problem.n_pieces and problem.linked[piece + 1]
        t = problem.t[a : b + goes_on]
        u = problem.inputs[a : b + goes_on]

        def drive(s: float, t: np.ndarray = t, u: np.ndarray = u) -> np.ndarray:
            return np.array([np.interp(s, t, u[:, m]) for m in range(u.shape[1])])

        z = scipy_solution(right_hand_side(s, theta, drive, problem.scale), starts[piece], t)
        for k, i in itertools.product(range(b - a), range(d)):
            w, x = problem.weight[a + k, i], problem.x[a + k, i]
            if w > 0:
                states[i].append(w * (np.log(z[k, i] / x) if problem.log_residual else z[k, i] - x))
        if goes_on:
            gaps.extend(np.sqrt(problem.link_weight) * (z[-1] - starts[piece + 1]))
    return [np.array(r) for r in (*states, gaps)]


@pytest.mark.parametrize("log", [False, True])
def test_misfit_gradient_and_matrix_against_differences(log):
    s, values, starts, problem = hard_problem(log)
    p = np.concatenate([values, starts.ravel()])

    def misfit(p: np.ndarray) -> float:
        *states, gaps = plain_residuals(s, p, problem)
        floors = zip(states, problem.floor, strict=True)
        return sum(len(r) * np.log((r**2).mean() + f**2) for r, f in floors) + (gaps**2).sum()

    found = predict(s, values, starts, problem, rtol=1e-11)
    assert found.misfit == pytest.approx(misfit(p), rel=1e-8)
    h = 1e-5
    steps = h * np.eye(len(p))
    slope = np.array([misfit(p + e) - misfit(p - e) for e in steps]) / (2 * h)
    np.testing.assert_allclose(2 * found.gradient, slope, rtol=1e-5, atol=1e-5 * np.abs(slope).max())
    base = plain_residuals(s, p, problem)
    weights = [1 / ((r**2).mean() + f**2) for r, f in zip(base[:-1], problem.floor, strict=True)] + [1.0]
    sides = [(plain_residuals(s, p + e, problem), plain_residuals(s, p - e, problem)) for e in steps]
    normal = np.zeros((len(p), len(p)))
    for block, w in enumerate(weights):
        jac = np.array([plus[block] - minus[block] for plus, minus in sides]) / (2 * h)
        normal += w * jac @ jac.T
    np.testing.assert_allclose(found.normal, normal, rtol=1e-5, atol=1e-6 * np.abs(normal).max())


@given(st.integers(1, 12), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_equations_are_solved_whatever_stands_before_the_first_column_of_a_row(size, random):
    first = np.array([random.randint(0, i) for i in range(size)])
    lower = np.tril(np.array([[random.uniform(-1, 1) for _ in range(size)] for _ in range(size)]))
    outside = np.arange(size)[None, :] < first[:, None]
    lower[outside] = 0.0
    matrix = lower @ lower.T + np.eye(size)  # has the envelope of its factor
    right = np.array([random.uniform(-1, 1) for _ in range(size)])
    found = right.copy()
    assert solve_positive(np.where(outside, np.nan, matrix), found, size, np.zeros((size, size)), first)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-9, atol=1e-9)


def test_equations_without_a_positive_matrix_are_refused():
    assert not solve_positive(np.diag([1.0, -1.0]), np.ones(2), 2, np.zeros((2, 2)), np.zeros(2, dtype=np.int64))


def test_sensitivities_where_a_state_passes_through_zero():
    s = Structure(((power(0.0, 1.0),), (power(1.0, 0.0), power(2.0, 1.0))))
    values, start = np.array([1.0, -1.0, -0.5]), np.array([[0.0, 1.0]])  # starts exactly at zero
    problem = make(T / 2, scipy_solution(right_hand_side(s, values), (0.1, 0.9), T / 2), floor=0.01)
    found = predict(s, values, start, problem, rtol=1e-11)
    p, h = np.concatenate([values, start.ravel()]), 1e-5

    def misfit(p: np.ndarray) -> float:
        return predict(s, p[:3], p[3:].reshape(1, 2), problem, rtol=1e-11).misfit

    slope = [(misfit(p + e) - misfit(p - e)) / (2 * h) for e in h * np.eye(5)]
    np.testing.assert_allclose(2 * found.gradient, slope, rtol=1e-5)


# ----------------------------------------------------------------------------------------- refinement
def close(found, values, starts, rel=1e-6):
    np.testing.assert_allclose(found.thetas[0], values, rtol=rel)
    np.testing.assert_allclose(found.starts[0], starts, rtol=rel)


FINE: dict[str, Any] = {"iterations": 100, "tolerance": 1e-9, "rtol": 1e-10}


@pytest.mark.parametrize("log", [False, True])
def test_lotka_volterra_is_refined_to_the_truth(log):
    x = lotka(T)
    guess = LOTKA_VALUES * np.array([1.1, 0.92, 1.07, 0.9])
    close(refine([LOTKA_STRUCTURE], [guess], x[:1] * 1.1, make(T, x, log=log), **FINE), LOTKA_VALUES, x[:1])


def test_logistic_is_refined_to_the_truth():
    x = logistic(T)
    close(refine([LOGISTIC_STRUCTURE], [np.array([0.6, -0.1])], x[:1] * 0.8, make(T, x), **FINE), [0.8, -0.16], x[:1])


@pytest.mark.parametrize("true", [0.38, 0.71, -0.43])
def test_an_unusual_exponent_is_refined_to_the_truth(true):
    # dx/dt = 0.5 x^a has the solution (x0^(1 - a) + 0.5 (1 - a) t)^(1 / (1 - a))
    x = ((2.0 ** (1 - true) + 0.5 * (1 - true) * T) ** (1 / (1 - true)))[:, None]
    s = Structure(((power(FITTED),),))
    found = refine([s], [np.array([0.4, true + 0.11])], x[:1] * 1.05, make(T, x), **FINE)
    close(found, [0.5, true], x[:1])


def test_one_exponent_shared_by_two_equations():
    shared = power(FITTED, 1.0)
    s = Structure(((shared,), (power(0.0, 1.0), shared)))
    assert s.numbers == [Number("power", shared, 0)]
    values = np.array([-0.2, -0.4, 0.2, 0.38])
    x = scipy_solution(right_hand_side(s, values), (3.0, 0.5), T)
    found = refine([s], [np.array([*values[:3] * 1.1, 0.42])], x[:1], make(T, x), **FINE)
    close(found, values, x[:1], 1e-5)


def test_linked_pieces_find_the_truth_from_a_poor_guess():
    x = lotka(T)
    cuts = tuple(range(8, 40, 8))
    problem = make(T, x, start=cuts, linked=(False, *[True] * len(cuts)), link_weight=10.0, floor=0.3)
    starts = x[problem.start[:-1]]
    found = refine([LOTKA_STRUCTURE], [LOTKA_VALUES * [1.5, 0.5, 0.6, 1.5]], starts * 1.1, problem, **FINE)
    close(found, LOTKA_VALUES, starts)


def test_refinement_never_makes_it_worse():
    rng = np.random.default_rng(0)
    x = lotka(T) * np.exp(0.1 * rng.standard_normal((len(T), 2)))
    problem = make(T, x, log=True)
    guesses = [LOTKA_VALUES * rng.uniform(0.7, 1.3, 4) for _ in range(20)]
    found = refine([LOTKA_STRUCTURE] * 20, guesses, x[:1], problem)
    before = [predict(LOTKA_STRUCTURE, g, x[:1], problem, rtol=1e-6).misfit for g in guesses]
    assert (found.misfit <= np.array(before) + 1e-9).all()
    after = [
        predict(LOTKA_STRUCTURE, c, s, problem, rtol=1e-6).misfit
        for c, s in zip(found.thetas, found.starts, strict=True)
    ]
    np.testing.assert_allclose(found.misfit, after, rtol=1e-6, atol=1e-4)


def test_missing_values_have_no_influence():
    x = lotka(T)
    lost = np.random.default_rng(2).uniform(size=x.shape) < 0.3
    weight = 1.0 - lost
    results = []
    for filler in (0.0, 1.0, 777.0):
        problem = make(T, np.where(lost, filler, x * 1.01), weight=weight)
        results.append(refine([LOTKA_STRUCTURE], [LOTKA_VALUES * 1.05], x[:1], problem))
    for other in results[1:]:
        assert np.array_equal(results[0].thetas[0], other.thetas[0])
        assert np.array_equal(results[0].misfit, other.misfit)


# ------------------------------------------------------------------------------------------- failures
def fails(s: Structure, values: list[float], start: list[float], t: np.ndarray = T, log: bool = False) -> bool:
    x = np.ones((len(t), len(start)))
    found = refine([s], [np.array(values)], np.array([start]), make(t, x, log=log, bound=1e3))
    single = predict(s, np.array(values), np.array([start]), make(t, x, log=log, bound=1e3), rtol=1e-6)
    assert found.thetas[0].tolist() == values
    assert not np.isnan(found.misfit).any()
    return bool(found.misfit[0] == np.inf and single.misfit == np.inf)


def test_blow_up_is_an_infinite_misfit():
    assert fails(Structure(((power(2.0),),)), [1.0], [1.0])


def test_exponential_growth_past_the_bound_is_an_infinite_misfit():
    assert fails(Structure(((power(1.0),),)), [1.0], [1.0])


def test_stiffness_is_an_infinite_misfit():
    assert fails(Structure(((power(0.0), power(1.0)),)), [1e9, -1e9], [0.5])


def test_a_singularity_is_an_infinite_misfit():
    for start in np.linspace(0.5, 3.0, 26):  # x = sqrt(x0^2 - 2 t) ends at t = x0^2 / 2
        assert fails(Structure(((power(-1.0),),)), [-1.0], [float(start)])


def test_an_inverse_of_zero_is_an_infinite_misfit():
    assert fails(Structure(((power(-1.0),),)), [1.0], [0.0])


def test_leaving_the_domain_of_the_logarithm_is_an_infinite_misfit():
    assert fails(Structure(((power(0.0),),)), [-1.0], [1.0], log=True)


def test_numbers_that_are_not_finite_are_an_infinite_misfit():
    assert fails(LOGISTIC_STRUCTURE, [np.inf, 1.0], [1.0])
    assert refine([LOGISTIC_STRUCTURE], [np.array([np.nan, 1.0])], np.ones((1, 1)), make(T, logistic(T))).misfit[0] == (
        np.inf
    )


def test_too_few_steps_are_an_infinite_misfit():
    problem = make(T, lotka(T))
    found = refine([LOTKA_STRUCTURE], [LOTKA_VALUES], problem.x[:1], problem, max_steps=20)
    assert found.misfit[0] == np.inf


def test_no_terms_at_all_is_a_constant_state():
    x = np.full((5, 1), 2.0) + np.array([[0.1], [-0.1], [0.1], [-0.1], [0.0]])
    found = refine([Structure(((),))], [np.zeros(0)], np.array([[1.0]]), make(np.arange(5.0), x))
    assert found.starts[0, 0, 0] == pytest.approx(2.0, abs=1e-9)
    assert found.misfit[0] == pytest.approx(5 * np.log(0.04 / 5), rel=1e-9)


def test_no_candidates_give_no_answers():
    found = refine([], [], np.ones((1, 1)), make(T, logistic(T)))
    assert found.thetas == []
    assert found.misfit.shape == (0,)


# ------------------------------------------------------------------------ company and threads do not matter
def many() -> tuple[list[Structure], list[np.ndarray]]:
    """Good, poor and failing candidates of several sizes."""
    rng = np.random.default_rng(1)
    x, y = power(1, 0), power(0, 1)
    units = [x, y, power(1, 1), power(2, 0), power(FITTED, 1), power(0, 2), power(0, 0), power(-1, 1)]
    units += [Unit((1.0, 0.0), (0.0, FITTED)), Unit((0.0, 0.0), (), (FITTED, 1.0), FITTED), y.over(one_plus(x), -1.0)]
    structures = [LOTKA_STRUCTURE]
    for _ in range(40):
        pick = [rng.choice(len(units), rng.integers(0, 4), replace=False) for _ in range(2)]
        structures.append(Structure(tuple(tuple(units[k] for k in p) for p in pick)))
    values = [np.append(rng.normal(0, 0.2, s.n_terms), rng.uniform(0.1, 0.5, len(s.numbers))) for s in structures]
    structures.append(Structure(((power(3.0, 0.0),), ())))  # blows up
    values.append(np.array([10.0]))
    return structures, values


def test_threads_and_company_change_nothing():
    structures, values = many()
    x = lotka(T) / 20
    problem = make(T, x * np.exp(0.05 * np.random.default_rng(3).standard_normal(x.shape)), bound=1e3)
    one = refine(structures, values, x[:1], problem, n_jobs=1)
    two = refine(structures, values, x[:1], problem, n_jobs=2)
    assert np.isinf(one.misfit[-1])
    assert np.isfinite(one.misfit).sum() > 10
    for c, s in enumerate(structures):
        alone = refine([s], [values[c]], x[:1], problem)
        for other in (two.misfit[c], alone.misfit[0]):
            assert other == one.misfit[c]
        for other in (two.thetas[c], alone.thetas[0]):
            assert np.array_equal(other, one.thetas[c])
        for other in (two.starts[c], alone.starts[0]):
            assert np.array_equal(other, one.starts[c])
        for other in (two.rss[c], alone.rss[0]):
            assert np.array_equal(other, one.rss[c])


def test_arguments_are_not_changed():
    structures, values = many()
    x = lotka(T) / 20
    starts = np.repeat(x[:1][None], len(structures), axis=0)
    kept = [v.copy() for v in values], starts.copy()
    refine(structures, values, starts, make(T, x, bound=1e3))
    assert all(np.array_equal(a, b) for a, b in zip(kept[0], values, strict=True))
    assert np.array_equal(kept[1], starts)


def test_what_was_refined_in_time_is_whole_and_the_rest_is_left_out():
    t = np.linspace(0, 14, 600)
    x = lotka(t) / 20
    structures, values = many()
    problem = make(t, x, bound=1e3)
    whole = refine(structures, values, x[:1], problem)
    assert whole.complete
    for times in (0, 1, 2):
        counter = iter(range(100))
        part = refine(structures, values, x[:1], problem, in_time=lambda counter=counter, n=times: next(counter) < n)
        assert not part.complete
        done = int((part.iterations > 0).nonzero()[0].max(initial=-1)) + 1
        assert (done > 0) == (times > 0)
        assert np.array_equal(part.misfit[:done], whole.misfit[:done])
        assert np.array_equal(part.starts[:done], whole.starts[:done])
        assert np.isinf(part.misfit[done:]).all()
        assert all(np.array_equal(a, b) for a, b in zip(part.thetas[done:], values[done:], strict=True))


def test_blocks_do_not_depend_on_who_refines_them():
    t = np.linspace(0, 14, 600)
    x = lotka(t) / 20
    structures, values = many()
    problem = make(t, x, bound=1e3)
    counts = []
    for n_jobs in (1, 2, -1):
        counter: list[int] = []
        refine(structures, values, x[:1], problem, n_jobs=n_jobs, in_time=lambda c=counter: c.append(0) is None)
        counts.append(len(counter))
    assert counts[0] > 3
    assert len(set(counts)) == 1


@pytest.mark.parametrize("exponent", [1e19, -1e19, np.inf, -np.inf])
def test_an_exponent_beyond_all_bounds_is_a_number_and_no_error(exponent):
    """A descent may try it."""
    assert power_product(np.array([-2.0]), np.array([exponent])) == (np.inf if exponent > 0 else 0.0)
