"""Results in the user's numbers: equations, and standard errors that mean what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated import LOGISTIC_STRUCTURE, LOTKA_STRUCTURE, archive_of, logistic, lotka, noisy, scipy_solution

from neural_arith.data import Trajectories
from neural_arith.discovery.measurements.scaling import Scaling, fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.search.archive import Searched
from neural_arith.discovery.search.judging import judge, turned
from neural_arith.discovery.verdict.choice import choose
from neural_arith.discovery.verdict.solutions import fitted_curves, horizon_words, horizons, solutions
from neural_arith.discovery.verdict.standard_errors import to_candidate, to_equations, uncertainty
from neural_arith.equations import EquationSystem
from neural_arith.fit.noise import Noise
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, numbers_of, one_plus, power


def factors(scaling: Scaling, structure: Structure, theta: np.ndarray) -> np.ndarray:
    """What values in scaled numbers are multiplied by, with the exponents of ``theta``."""
    trial = np.append(np.ones(structure.n_terms), theta[structure.n_terms :])
    return scaling.original(structure, trial) / trial


def searched(data: Trajectories, noise: Noise, structure: Structure, guess: np.ndarray) -> tuple[Searched, Judged]:
    """What a search for one structure alone would leave."""
    scaling = fit_scaling(data)
    runs = scaling.runs(data)
    archive = archive_of(runs, noise, scale=scaling.variable)
    (judged,) = judge(archive, [(structure, guess / factors(scaling, structure, guess))], iterations=60)
    positive = np.ones(len(scaling.variable), dtype=bool)
    return Searched(archive, scaling, smooth(runs, noise), noise, positive, "done"), judged


T = np.linspace(0, 10, 40)
LOTKA_VALUES: dict[Term, float] = {
    (0, power(1, 0)): 0.55,
    (0, power(1, 1)): -0.028,
    (1, power(0, 1)): -0.84,
    (1, power(1, 1)): 0.026,
}
GUESS = np.array([LOTKA_VALUES[t] for t in LOTKA_STRUCTURE.terms])
LOG = Noise("log", np.full(2, 0.05))
X, Y, Z, XY, XZ = power(1, 0, 0), power(0, 1, 0), power(0, 0, 1), power(1, 1, 0), power(1, 0, 1)
LORENZ = Structure(((X, Y), (X, Y, XZ), (Z, XY)))
LORENZ_VALUES = {(0, X): -10.0, (0, Y): 10.0, (1, X): 28.0, (1, Y): -1.0, (1, XZ): -1.0, (2, Z): -8 / 3, (2, XY): 1.0}
LORENZ_THETA = np.array([LORENZ_VALUES[term] for term in LORENZ.terms])


def test_equations_are_in_the_users_names_and_numbers():
    data = Trajectories.from_arrays(T * 2, lotka(T * 2) * [1e-12, 1e12], names=("prey", "hunter"))
    true = EquationSystem(
        {"prey": "0.55*prey - 0.028e-12*prey*hunter", "hunter": "-0.84*hunter + 0.026e12*prey*hunter"}
    )
    sizes = np.array([1e-12 ** u.powers[0] * 1e12 ** u.powers[1] for _, u in LOTKA_STRUCTURE.terms])
    own = np.array([(1e-12, 1e12)[i] for i, _ in LOTKA_STRUCTURE.terms])
    result, judged = searched(data, LOG, LOTKA_STRUCTURE, GUESS / sizes * own)
    assert to_equations(result, data, judged).same_as(true, rtol=1e-4)


def test_candidates_say_which_error_belongs_to_which_constant():
    data = Trajectories.from_arrays(T, noisy(lotka(T), 0.05, 0), names=("hare", "lynx"))
    result, judged = searched(data, LOG, LOTKA_STRUCTURE, GUESS)
    candidate = to_candidate(result, data, judged, choose([judged]))
    assert candidate.constants == tuple(candidate.equations.constants)
    assert len(candidate.standard_errors) == 4
    assert candidate.selected
    assert not candidate.near_tie
    assert candidate.score == pytest.approx(judged.score)
    assert candidate.complexity == candidate.equations.complexity
    errors = uncertainty(result, judged)
    fitted = result.scaling.original(judged.structure, judged.theta)
    expected = dict(zip(np.round(np.abs(fitted), 12), errors, strict=True))
    for constant, error in zip(candidate.constants, candidate.standard_errors, strict=True):
        assert error == pytest.approx(expected[np.round(abs(constant), 12)])


def test_standard_errors_are_the_spread_over_seeds():
    fits, errors = [], []
    for seed in range(60):
        data = Trajectories.from_arrays(T, noisy(logistic(T), 0.05, seed), names=("y",))
        noise = Noise("log", np.array([0.05]))
        result, judged = searched(data, noise, LOGISTIC_STRUCTURE, np.array([0.8, -0.16]))
        fits.append(result.scaling.original(judged.structure, judged.theta))
        errors.append(uncertainty(result, judged))
    fits, errors = np.array(fits), np.array(errors)
    np.testing.assert_allclose(np.mean(fits, axis=0), [0.8, -0.16], rtol=0.02)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(fits, axis=0), rtol=0.3)
    inside = np.abs(fits - [0.8, -0.16]) < 2 * errors
    assert (inside.mean(axis=0) >= 0.85).all()


def test_the_error_of_a_constant_speed_is_that_of_a_straight_line():
    """Few samples: the noise level is what two fitted numbers left, as in linear regression."""
    t = np.linspace(0, 3, 7)
    x = 2 + 0.5 * t + 0.1 * np.random.default_rng(0).standard_normal(7)
    data = Trajectories.from_arrays(t, x[:, None], names=("x",))
    result, judged = searched(data, Noise("additive", np.array([0.1])), Structure(((power(0),),)), np.array([0.4]))
    _, covariance = np.polyfit(t, x, 1, cov=True)
    assert uncertainty(result, judged)[0] == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-6)


def test_the_error_of_a_free_exponent_is_its_spread_over_seeds():
    x = ((1 + 0.62 * 0.4 * T) ** (1 / 0.62))[:, None]
    fits, errors = [], []
    for seed in range(40):
        data = Trajectories.from_arrays(T, noisy(x, 0.01, seed), names=("x",))
        s = Structure(((power(FITTED),),))
        result, judged = searched(data, Noise("log", np.array([0.01])), s, np.array([0.4, 0.41]))
        fits.append(judged.theta[1])
        errors.append(uncertainty(result, judged)[1])
    assert np.mean(fits) == pytest.approx(0.38, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(fits), rel=0.3)


def test_a_free_exponent_has_an_error_and_a_simple_one_none():
    x = ((1 + 0.62 * 0.4 * T) ** (1 / 0.62))[:, None]
    data = Trajectories.from_arrays(T, np.column_stack([noisy(x, 0.01, 0), noisy(x, 0.01, 1)]), names=("x", "y"))
    s = Structure(((power(FITTED, 0),), (power(0, 1 / 3),)))
    result, judged = searched(data, Noise("log", np.full(2, 0.01)), s, np.array([0.4, 0.4, 0.41]))
    candidate = to_candidate(result, data, judged, choose([judged]))
    for constant, error in zip(candidate.constants, candidate.standard_errors, strict=True):
        assert (error == 0.0) == (constant == 1 / 3)
        assert np.isfinite(error)


def test_a_constant_the_data_do_not_fix_has_no_finite_error():
    # x stays at one: only the sum of the two coefficients matters
    x = np.ones((40, 1)) + 1e-3 * np.random.default_rng(0).standard_normal((40, 1))
    data = Trajectories.from_arrays(T, x, names=("x",))
    result, judged = searched(
        data,
        Noise("additive", np.array([1e-3])),
        Structure(((power(1), power(2), power(3)),)),
        np.array([1.0, -1.0, 0.0]),
    )
    errors = uncertainty(result, judged)
    assert (np.isnan(errors) | (errors > 0.1 * np.abs(judged.theta))).all()


def test_solutions_run_over_every_run():
    ts = [np.linspace(0, 5, 12), np.linspace(2, 9, 33)]
    data = Trajectories.from_arrays(ts, [logistic(t) for t in ts], names=("y",))
    curves = solutions(data, EquationSystem({"y": "0.8*y - 0.16*y**2"}), np.array([[0.5], [0.5]]))
    for (t, x), run in zip(curves, data.runs, strict=True):
        assert set(run.t) <= set(t)
        np.testing.assert_allclose(x, logistic(t), rtol=1e-6)


def test_solutions_end_where_they_end():
    data = Trajectories.from_arrays(T, logistic(T), names=("y",))
    ((_, x),) = solutions(data, EquationSystem({"y": "y**2"}), np.array([[1.0]]))
    assert np.isnan(x[-1, 0])


def test_numbers_within_a_fraction_go_back_with_their_errors():
    t = np.linspace(0, 6, 60)
    x = scipy_solution(lambda _, s: [-4.0 * s[0] / (1 + 0.05 * s[0])], (400.0,), t)
    monod = power(1).over(one_plus(power(1)))
    (slope,) = numbers_of(monod)
    s = Structure(((monod,),))
    fits, errors, guess = [], [], s.theta({(0, monod): -4.0, slope: 0.05})
    for seed in range(40):
        data = Trajectories.from_arrays(t, noisy(x, 0.01, seed), names=("s",))
        result, judged = searched(data, Noise("log", np.array([0.01])), s, guess)
        assert to_equations(result, data, judged).same_as(EquationSystem({"s": "-4*s/(1 + 0.05*s)"}), rtol=0.2)
        fits.append(result.scaling.original(s, judged.theta))
        errors.append(uncertainty(result, judged))
    np.testing.assert_allclose(np.mean(fits, axis=0), guess, rtol=0.02)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(fits, axis=0), rtol=0.35)


def test_the_table_says_which_error_belongs_to_which_number_of_a_fraction():
    t = np.linspace(0, 6, 60)
    x = scipy_solution(lambda _, s: [30.0 - 0.4 * s[0] / (1 + 0.007 * s[0])], (400.0,), t)
    monod = power(1).over(one_plus(power(1)))
    (slope,) = numbers_of(monod)
    s = Structure(((power(0), monod),))
    data = Trajectories.from_arrays(t, noisy(x, 1e-3, 0), names=("s",))
    guess = s.theta({(0, power(0)): 30.0, (0, monod): -0.4, slope: 0.007})
    result, judged = searched(data, Noise("log", np.array([1e-3])), s, guess)
    candidate = to_candidate(result, data, judged, choose([judged]))
    assert len(candidate.constants) == len(candidate.standard_errors) == 3
    values, errors = result.scaling.original(s, judged.theta), uncertainty(result, judged)
    for constant, error in zip(candidate.constants, candidate.standard_errors, strict=True):
        place = int(np.argmin(np.abs(np.abs(values) - abs(constant))))
        assert error == pytest.approx(errors[place], rel=1e-2)


def lorenz(t: np.ndarray) -> np.ndarray:
    return scipy_solution(
        lambda _, x: [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]], (2.0, 3.0, 14.0), t
    )


def test_chaos_is_shown_in_the_pieces_that_were_judged_and_its_horizon_is_said():
    """Fitted curves and residuals are one thing; the solution from one start goes astray where SciPy's truth does."""
    t = np.linspace(0, 20, 400)
    data = Trajectories.from_arrays(t, noisy(lorenz(t), 0.01, 0), names=("x", "y", "z"))
    found, judged = searched(data, Noise("proportional", np.full(3, 0.01)), LORENZ, LORENZ_THETA)
    found = replace(found, archive=turned(found.archive, [judged]))
    (judged,) = (j for j in found.archive.ranked if j.structure == LORENZ)
    equations = to_equations(found, data, judged)
    size = found.scaling.state
    solved = solutions(data, equations, judged.starts[:1] * size)
    judged_at = found.likelihood.predict(judged).x * size
    ((dense, fit),) = fitted_curves(data, found.likelihood, judged, size, solved, judged_at)
    assert np.isin(t, dense).all()
    at = np.searchsorted(dense, t)
    np.testing.assert_allclose(fit[at], judged_at, rtol=1e-4, atol=1e-3)
    assert np.abs(fit[at] - lorenz(t)).max() < 1.0  # of values up to 45
    (horizon,) = horizons(data, [(dense, fit)], solved)
    own = equations.simulate(judged.starts[0] * size, t)
    apart = np.sqrt((((own - fit[at]) / data[0].x.std(axis=0)) ** 2).mean(axis=1))
    assert apart[t <= horizon - 0.1].max() < 0.4
    assert apart[t > horizon].max() > 1.0
    assert 1.0 < horizon < 15.0
    (said,) = horizon_words(data, (horizon,), (57,))
    assert f"follow the measurements for {horizon:.2g} of 20 (t)" in said
    assert "in 57 linked pieces" in said


def test_a_run_that_is_followed_to_its_end_needs_no_word():
    data = Trajectories.from_arrays(T, noisy(lotka(T), 0.05, 0), names=("hare", "lynx"))
    found, judged = searched(data, LOG, LOTKA_STRUCTURE, GUESS)
    size = found.scaling.state
    solved = solutions(data, to_equations(found, data, judged), judged.starts * size)
    fitted = fitted_curves(data, found.likelihood, judged, size, solved, found.likelihood.predict(judged).x * size)
    np.testing.assert_allclose(fitted[0][1], solved[0][1], rtol=1e-4)
    assert len(fitted[0][0]) >= 300
    assert horizons(data, fitted, solved) == (10.0,)
    assert horizon_words(data, (10.0,), (1,)) == ()


def test_a_state_that_never_changes_is_not_lost():
    data = Trajectories.from_arrays(T, np.column_stack([logistic(T), np.full(len(T), 20.0)]), names=("y", "room"))
    ((_, x),) = curves = solutions(data, EquationSystem({"y": "0.8*y - 0.16*y**2", "room": "0"}), data[0].x[:1])
    assert horizons(data, [(curves[0][0], x + np.array([0.0, 1e-14]))], curves) == (10.0,)
