"""The archive: its problem, its memory, its prices, and what it makes of good and bad candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, archive_of, lotka, noisy, scipy_solution

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data import Run
from neural_arith.discovery.effort import DEFAULT
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.search.judging import judge, judge_nothing, turned
from neural_arith.fit.noise import FLOOR, Noise
from neural_arith.terms.candidate import Judged
from neural_arith.terms.prior import Prior
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Unit, numbers_of, one_plus, power

T = np.linspace(0, 14, 40)
SIZE = np.array([20.0, 15.0])
# In units of SIZE the coefficients are 0.55, -0.028 * 15, -0.84, 0.026 * 20.
TRUE: dict[Term, float] = {
    (0, power(1, 0)): 0.55,
    (0, power(1, 1)): -0.42,
    (1, power(0, 1)): -0.84,
    (1, power(1, 1)): 0.52,
}
ONES = np.ones(2)
VALUES = np.array([TRUE[term] for term in LOTKA_STRUCTURE.terms])
LOG = Noise("log", np.full(2, 0.03))
RUNS = [Run(T, noisy(lotka(T) / SIZE, 0.03, 0))]
BLOW_UP = Structure(((power(3, 0),), (power(0, 1),)))


def test_the_truth_is_refined_and_remembered():
    archive = archive_of(RUNS, LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES * 1.1)])
    np.testing.assert_allclose(found.theta, VALUES, rtol=0.05)
    assert found.misfit / (2 * 40) == pytest.approx(np.log(0.03**2), abs=0.4)
    assert found.score == found.misfit + found.price
    assert archive.ranked == [found]
    assert judge(archive, [(LOTKA_STRUCTURE, VALUES)]) == []
    assert archive.attempts[LOTKA_STRUCTURE] == 1


def test_another_attempt_keeps_the_better_result():
    archive = archive_of(RUNS, LOG)
    judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    before = archive.ranked[0]
    judge(archive, [(LOTKA_STRUCTURE, np.array([0.1, 0.1, -0.1, 0.1]))], again=True, iterations=1)
    assert archive.ranked[0] is before
    assert archive.attempts[LOTKA_STRUCTURE] == 2


def test_failures_are_remembered_and_not_ranked():
    archive = archive_of(RUNS, LOG)
    assert judge(archive, [(BLOW_UP, np.array([50.0, 1.0]))]) == []
    assert archive.seen[BLOW_UP] is None
    assert archive.ranked == []
    assert archive.worth_trying(BLOW_UP, 0.0)
    for _ in range(3):
        judge(archive, [(BLOW_UP, np.array([50.0, 1.0]))], again=True)
    assert not archive.worth_trying(BLOW_UP, 0.0)


def test_worth_trying_asks_for_news_or_clear_gain():
    archive = archive_of(RUNS, LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    assert archive.worth_trying(BLOW_UP, 1e9)
    assert archive.worth_trying(LOTKA_STRUCTURE, found.score - 10)
    assert not archive.worth_trying(LOTKA_STRUCTURE, found.score)


def test_a_failing_neighbour_does_not_change_the_answer():
    alone, beside = archive_of(RUNS, LOG), archive_of(RUNS, LOG)
    (one,) = judge(alone, [(LOTKA_STRUCTURE, VALUES * 0.95)])
    (other,) = judge(beside, [(BLOW_UP, np.array([50.0, 1.0])), (LOTKA_STRUCTURE, VALUES * 0.95)])
    assert np.array_equal(one.theta, other.theta)
    assert one.score == other.score


@pytest.mark.parametrize("off", [(1.6, 0.6, 3.0, 1.6), (0.3, 3.0, 0.6, 3.0), (1.6, 0.3, 0.3, 3.0)])
def test_short_pieces_rescue_a_poor_guess(off):
    poor = VALUES * off
    hasty, patient = archive_of(RUNS, LOG), archive_of(RUNS, LOG)
    hasty.patience = 0  # pieces are not tried any more
    judge(hasty, [(LOTKA_STRUCTURE, poor)], iterations=12)
    (found,) = judge(patient, [(LOTKA_STRUCTURE, poor)], iterations=12)
    np.testing.assert_allclose(found.theta, VALUES, rtol=0.05)
    assert found.starts.shape == (1, 2)
    assert not hasty.ranked or found.misfit < hasty.ranked[0].misfit - 100
    assert patient.patience == DEFAULT.patience


def test_pieces_are_given_up_where_they_do_not_help():
    archive = archive_of(RUNS, LOG)
    proposals = [(LOTKA_STRUCTURE, VALUES * (1 + 0.01 * k)) for k in range(4)]
    for k, proposal in enumerate(proposals):
        judge(archive, [proposal], again=True)
        assert archive.patience == DEFAULT.patience - 1 - k
    judge(
        archive, [proposals[0]], archive.likelihood.starts, again=True
    )  # starting states that were refined before need no pieces
    assert archive.patience == DEFAULT.patience - len(proposals)


def test_fitted_exponents_are_refined_and_the_structure_is_remembered():
    x = ((1 + 0.62 * 0.4 * T / 4) ** (1 / 0.62))[:, None]
    archive = archive_of([Run(T / 4, x)], Noise("additive", np.zeros(1)))
    asked = Structure(((power(FITTED),),))
    (found,) = judge(archive, [(asked, np.array([0.4, 0.45]))], iterations=50)
    assert found.structure == asked
    np.testing.assert_allclose(found.theta, [0.4, 0.38], atol=1e-4)
    assert archive.seen[asked] is found
    assert archive.ranked == [found]
    assert judge(archive, [(asked, np.array([0.4, 0.3]))]) == []


def test_copies_of_units_are_one_structure_however_they_are_numbered():
    archive = archive_of([Run(T / 14, 1 + T[:, None] / 14)], Noise("additive", np.zeros(1)))
    far = Structure(((Unit((FITTED,), copy=31),),))
    (found,) = judge(archive, [(far, np.array([1.0, 0.2]))])
    assert found.structure == Structure(((power(FITTED),),))
    assert archive.seen[found.structure] is found
    assert far not in archive.seen


def test_a_fraction_is_refined_from_several_starts_and_the_better_kept():
    t = np.linspace(0, 6, 50)
    x = scipy_solution(lambda _, s: [0.5 - 1.2 * s[0] / (1 + 0.7 * s[0])], (4.0,), t)
    archive = archive_of([Run(t, x)], Noise("additive", np.zeros(1)))
    monod = power(1).over(one_plus(power(1)))
    asked = Structure(((power(0), monod),))
    (number,) = numbers_of(monod)

    def guess(b: float) -> np.ndarray:
        return asked.theta({(0, power(0)): 0.4, (0, monod): -1.0, number: b})

    judge(archive, [(asked, guess(b)) for b in (0.1, 1.0, 4.0, 9.0)], iterations=40)
    assert archive.attempts[asked] == 3
    (found,) = archive.ranked
    values = found.structure.values(found.theta)
    assert values[number] == pytest.approx(0.7, rel=1e-4)
    assert values[0, monod] == pytest.approx(-1.2, rel=1e-4)


def test_powers_are_freed_only_for_variables_that_keep_their_sign():
    archive = archive_of(RUNS, LOG)
    first, second = (Number("power", power(1, 1), v) for v in range(2))
    assert archive.likelihood.may_free(first)
    archive.likelihood = replace(archive.likelihood, positive=np.array([True, False]))
    assert archive.likelihood.may_free(first)
    assert not archive.likelihood.may_free(second)
    assert archive.likelihood.may_free(Number("phase", power(1, 1)))


def test_prediction_of_a_candidate_and_in_a_wider_structure_agree():
    archive = archive_of(RUNS, LOG)
    (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    plain = archive.likelihood.predict(found)
    wide = LOTKA_STRUCTURE.replace(0, [power(1, 0), power(1, 1), power(2, 0)])
    values = np.array([dict(zip(found.structure.terms, found.theta, strict=True)).get(t, 0) for t in wide.terms])
    other = archive.likelihood.predict(found, wide, values)
    np.testing.assert_allclose(plain.x, other.x, rtol=1e-5)
    assert plain.misfit == pytest.approx(found.misfit, abs=0.01)
    # at the optimum the slope in what is there vanishes, the slope in what is not there does not
    there = [k for k, t in enumerate(wide.terms) if t in found.structure.terms]
    new = next(k for k, t in enumerate(wide.terms) if t not in found.structure.terms)
    size = np.sqrt(np.diag(other.normal))
    assert np.abs(other.gradient[there] / size[there]).max() < 0.1
    assert abs(other.gradient[new] / size[new]) > 1e-3


def test_states_between_the_samples_of_every_run_and_piece():
    first, second = np.linspace(0, 6, 30), np.linspace(2, 5, 11)
    runs = [Run(t, lotka(t, start) / SIZE) for t, start in ((first, (30.0, 4.0)), (second, (12.0, 9.0)))]
    archive = archive_of(runs, Noise("additive", np.zeros(2)))
    for in_pieces in (False, True):
        if in_pieces:
            archive = turned(archive)
        (found,) = judge(archive, [(LOTKA_STRUCTURE, VALUES)], iterations=5)
        t, x = archive.likelihood.along(found, 4)
        there = [np.linspace(0, 6, 117), np.linspace(2, 5, 41)]
        np.testing.assert_allclose(t, np.concatenate(there), rtol=1e-12)
        true = [lotka(s, start) / SIZE for s, start in zip(there, ((30.0, 4.0), (12.0, 9.0)), strict=True)]
        np.testing.assert_allclose(x, np.concatenate(true), rtol=1e-6)


def test_inputs_between_the_samples_are_straight_lines():
    t = np.linspace(0, 5, 26)
    u = np.sin(t)[:, None]
    x = scipy_solution(lambda s, x: -0.7 * x + 1.3 * np.interp(s, t, u[:, 0]), (0.5,), t)
    archive = archive_of([Run(t, x, u)], Noise("additive", np.zeros(1)))
    (found,) = judge(archive, [(Structure(((power(1, 0), power(0, 1)),)), np.array([1.3, -0.7]))], iterations=10)
    times, states = archive.likelihood.along(found, 3)
    fine = scipy_solution(lambda s, x: -0.7 * x + 1.3 * np.interp(s, t, u[:, 0]), (0.5,), times)
    np.testing.assert_allclose(states, fine, atol=1e-7)


def test_every_run_has_its_own_inputs_between_the_samples():
    t = np.linspace(0, 1, 21)
    runs = [Run(t, np.ones((21, 1)), np.full((21, 1), level)) for level in (1.0, 3.0)]
    archive = archive_of(runs, Noise("additive", np.full(1, 1e-2)))
    structure = Structure(((power(1, 0), power(0, 1)),))  # x' = u - x, from 1 towards its input
    theta = structure.theta({(0, power(1, 0)): -1.0, (0, power(0, 1)): 1.0})
    judged = Judged(structure, theta, np.ones((2, 1)), 0.0, 0.0, np.zeros(1))
    t, x = archive.likelihood.along(judged, 4)
    exact = np.concatenate([np.ones(81), 3 - 2 * np.exp(-t[81:])])
    np.testing.assert_allclose(x[:, 0], exact, atol=1e-6)


def test_what_is_positive_may_begin_below_zero_by_no_more_than_noise():
    """The first sample of a state that begins at zero is below it as often as above."""
    x = np.linspace(0.0, 1.0, 21)[:, None] - 0.01  # x' = 1 fits exactly, from -0.01
    archive = archive_of([Run(np.linspace(0, 1, 21), x)], Noise("additive", np.full(1, 0.02)))
    archive.likelihood = replace(archive.likelihood, known=Constraints(positive=np.array([True])))
    line = Structure(((power(0),),))
    assert judge(archive, [(line, np.ones(1))]) == []
    archive.likelihood = replace(archive.likelihood, undershoot=np.array([0.04]))
    (found,) = judge(archive, [(line, np.ones(1))], again=True)
    assert found.starts[0, 0] == pytest.approx(-0.01, abs=1e-6)
    archive.likelihood = replace(archive.likelihood, undershoot=np.array([0.005]))
    assert judge(archive, [(line, np.ones(1))], again=True) == []


def test_only_what_is_simple_enough_can_win():
    archive = archive_of(RUNS, LOG)
    wide = LOTKA_STRUCTURE.replace(0, [power(1, 0), power(1, 1), power(2, 0), power(2, 1), power(3, 0)])
    assert archive.can_win(wide)
    clean = archive_of([Run(T, lotka(T) / SIZE)], Noise("log", np.full(2, 1e-9)), rtol=1e-10)
    judge(clean, [(LOTKA_STRUCTURE, VALUES)], iterations=10)
    assert clean.at_floor
    assert not clean.can_win(wide)
    assert clean.can_win(Structure(((power(1, 0),), (power(0, 1),))))


def test_a_start_that_was_left_below_zero_finds_back():
    """dx/dt = 0.5 sqrt(x) has x = (sqrt(x0) + t / 4)^2; below zero the root stands still, with no slope that tells."""
    t = np.linspace(0, 6, 60)
    x = (0.02 + t / 4) ** 2 + 0.01 * np.random.default_rng(1).standard_normal(60)
    archive = archive_of([Run(t, x[:, None])], Noise("additive", np.array([0.01])))
    archive.likelihood = replace(archive.likelihood, positive=np.array([True]))
    (found,) = judge(archive, [(Structure(((power(0.5),),)), np.array([0.4]))], np.full((1, 1), -0.005))
    np.testing.assert_allclose(found.theta, [0.5], rtol=0.02)
    assert found.starts[0, 0] > 0


def test_prices_grow_with_terms_and_when_values_are_few():
    archive = archive_of(RUNS, LOG)
    wide = LOTKA_STRUCTURE.replace(0, [power(1, 0), power(1, 1), power(2, 0)])
    assert archive.likelihood.prices.per_number == pytest.approx(np.log(40))
    assert archive.likelihood.price(wide) > archive.likelihood.price(LOTKA_STRUCTURE)
    assert archive.likelihood.price(LOTKA_STRUCTURE) == pytest.approx(
        Prior().structure(LOTKA_STRUCTURE, np.log(40)) * 80 / (80 - 6 - 1)
    )
    few = archive_of([Run(T[:6], RUNS[0].x[:6])], LOG)
    assert few.likelihood.price(LOTKA_STRUCTURE) / Prior().structure(LOTKA_STRUCTURE, np.log(6)) > 80 / 73


def test_the_deadline_is_heard():
    archive = archive_of(RUNS, LOG)
    archive.likelihood = replace(archive.likelihood, clock=Clock(end=1.0, now=lambda: 2.0))
    with pytest.raises(OutOfTimeError):
        judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    assert archive.best is None
    judge_nothing(archive)  # there must be an answer
    assert archive.best is not None
    assert archive.best.structure.n_terms == 0
    assert np.isfinite(archive.best.score)
    assert np.isfinite(archive.likelihood.solution(archive.best)).all()


def test_what_was_judged_when_time_ran_out_is_kept():
    t = np.linspace(0, 14, 400)
    run = Run(t, noisy(lotka(t) / SIZE, 0.03, 0))
    units = [power(i, j) for i in range(4) for j in range(4) if 0 < i + j < 4]
    proposals = [(LOTKA_STRUCTURE, VALUES)]
    for k in range(2, len(units)):
        wide = Structure((tuple({*LOTKA_STRUCTURE.equations[0], units[k]}), LOTKA_STRUCTURE.equations[1]))
        proposals.append((wide, wide.theta({**TRUE})))
    whole = archive_of([run], LOG)
    judge(whole, proposals[:1])
    judge(whole, proposals[1:], whole.likelihood.starts)
    counts = []
    for allowed in (1, 2, 3):
        archive = archive_of([run], LOG)
        judge(archive, proposals[:1])
        left = iter(range(allowed))

        def over(left=left) -> float:
            return 1.0 if next(left, None) is None else 0.0

        archive.likelihood = replace(archive.likelihood, clock=Clock(end=0.5, now=over))
        with pytest.raises(OutOfTimeError):
            judge(archive, proposals[1:], archive.likelihood.starts)
        counts.append(len(archive.ranked))
        for judged in archive.ranked:
            known = whole.seen[judged.structure]
            assert known is not None
            assert judged.misfit == known.misfit
            assert np.array_equal(judged.theta, known.theta)
    assert counts[0] == 1
    assert 1 < counts[1] < counts[2] < len(whole.ranked)


def epidemics(n: int) -> list[Run]:
    """As many noisy runs from different starts."""
    starts = np.random.default_rng(3).uniform([10, 2], [40, 12], (n, 2))
    return [Run(T, noisy(lotka(T, (hare, lynx)) / SIZE, 0.03, k)) for k, (hare, lynx) in enumerate(starts)]


def test_of_many_runs_a_few_show_what_is_hopeless():
    """Apart, hares grow and lynxes die, which no run shows: all runs need not be refined to know it."""
    apart = Structure(((power(1, 0),), (power(0, 1),)))
    proposals = [(LOTKA_STRUCTURE, VALUES * 1.1), (apart, np.array([0.1, -0.1]))]
    few, many = archive_of(epidemics(DEFAULT.many_runs - 1), LOG), archive_of(epidemics(DEFAULT.many_runs), LOG)
    for archive, expected in ((few, {LOTKA_STRUCTURE, apart}), (many, {LOTKA_STRUCTURE})):
        judge(archive, proposals[:1], roughly=True)
        found = judge(archive, proposals, roughly=True, again=True)
        assert {j.structure for j in found} == expected
    found = next(j for j in many.ranked if j.structure == LOTKA_STRUCTURE)
    np.testing.assert_allclose(found.theta, VALUES, rtol=0.02)
    assert found.starts.shape == (DEFAULT.many_runs, 2)
    assert many.seen[apart] is None
    assert many.attempts[apart] == 1
    assert judge(many, proposals[1:], again=True)  # asked for thoroughly it is refined on all


def test_a_few_runs_decide_nothing_about_what_only_others_show():
    """In four of eight runs there are no lynxes; alone they know what lynxes do, and nothing fits the others better."""
    starts = [(15.0 + 4 * k, 0.0 if k in (0, 2, 5, 7) else 3.0 + k) for k in range(8)]
    t = np.linspace(0, 2, 21)
    clean = [lotka(t, start) / SIZE for start in starts]
    noise = 0.02 * np.random.default_rng(0).standard_normal((8, 21, 2))
    archive = archive_of(
        [Run(t, x + e) for x, e in zip(clean, noise, strict=True)], Noise("additive", np.full(2, 0.02))
    )
    alone = Structure(((power(1, 0),), (power(0, 1),)))
    judge(archive, [(alone, np.array([0.5, 0.1]))], iterations=20)
    judge(archive, [(LOTKA_STRUCTURE, VALUES * 0.7)], roughly=True)
    assert archive.ranked[0].structure == LOTKA_STRUCTURE


# ------------------------------------------------------------------------------------------- the problem it sets up
def test_pieces_cover_the_runs_and_link_within_them():
    runs = [Run(T, RUNS[0].x), Run(T[:9], RUNS[0].x[:9]), Run(T[:4], RUNS[0].x[:4])]
    problem = make_problem(runs, smooth(runs, LOG), LOG, ONES, 7)
    assert problem.start[0] == 0
    assert problem.start[-1] == 53
    assert {0, 40, 49} <= set(problem.start.tolist())
    assert problem.linked.tolist() == [False, True, True, True, True, False, False]
    assert np.diff(problem.start)[:5].min() >= 7
    whole = make_problem(runs, smooth(runs, LOG), LOG, ONES)
    assert whole.start.tolist() == [0, 40, 49, 53]
    assert not whole.linked.any()


@pytest.mark.parametrize("kind", ["additive", "proportional", "log"])
def test_missing_values_have_no_weight(kind):
    x = RUNS[0].x.copy()
    x[[3, 7], 0] = np.nan
    runs = [Run(T, x)]
    noise = Noise(kind, np.full(2, 0.03))
    problem = make_problem(runs, smooth(runs, noise), noise, ONES)
    assert (problem.weight[[3, 7], 0] == 0).all()
    assert (problem.weight > 0).sum() == 78
    assert np.isfinite(problem.x).all()
    assert problem.log_residual == (kind == "log")
    assert (problem.floor == FLOOR).all()


def test_proportional_weights_have_geometric_mean_one():
    noise = Noise("proportional", np.full(2, 0.03))
    problem = make_problem(RUNS, smooth(RUNS, noise), noise, ONES)
    np.testing.assert_allclose(np.exp(np.log(problem.weight).mean(axis=0)), 1.0)
    big = smooth(RUNS, noise)[0](T)[:, 0].argmax()
    assert problem.weight[big, 0] == problem.weight[:, 0].min()


@pytest.mark.parametrize("rate", [-0.3, 0.3])
def test_starting_states_cost_what_integrating_the_likelihood_over_them_gives(rate):
    t = np.linspace(0, 5, 40)
    x = 0.7 * np.exp(rate * t) + 0.02 * np.random.default_rng(0).standard_normal(40)
    archive = archive_of([Run(t, x[:, None])], Noise("additive", np.array([0.02])))
    judge(archive, [(Structure(((power(1),),)), np.array([rate]))], iterations=60)
    (priced,) = [j for j in archive.likelihood.with_start_prices(archive.ranked, 1e9, 30) if j.structure.n_terms]
    variance = priced.rss[0] / 40
    slopes = np.exp(priced.theta[0] * t)  # of the solution in its starting state
    assert priced.start_price == pytest.approx(np.log(1 + (slopes**2).sum() / variance), rel=1e-4)
    assert priced.score == pytest.approx(priced.misfit + priced.price + priced.start_price)


def test_only_the_first_candidates_have_their_starting_states_priced():
    archive = archive_of(RUNS, LOG)
    judge_nothing(archive)
    judge(archive, [(LOTKA_STRUCTURE, VALUES)])
    assert [j.structure for j in archive.likelihood.with_start_prices(archive.ranked, 1.0, 30)] == [LOTKA_STRUCTURE]
    assert len(archive.likelihood.with_start_prices(archive.ranked, np.inf, 30)) == 2
    assert len(archive.likelihood.with_start_prices(archive.ranked, np.inf, 1)) == 1
