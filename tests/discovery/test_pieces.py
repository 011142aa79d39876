"""Judging by linked pieces, and differences that the solver itself cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import noisy, scipy_solution

from neural_arith.data import Run
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.search.archive import Archive
from neural_arith.discovery.search.judging import chaotic, judge, turned
from neural_arith.fit.noise import FLOOR, Noise
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import power

X, Y, Z, XY, XZ = power(1, 0, 0), power(0, 1, 0), power(0, 0, 1), power(1, 1, 0), power(1, 0, 1)
LORENZ = Structure(((X, Y), (X, Y, XZ), (Z, XY)))
TRUE = {(0, X): -10.0, (0, Y): 10.0, (1, X): 28.0, (1, Y): -1.0, (1, XZ): -1.0, (2, Z): -8 / 3, (2, XY): 1.0}
THETA = np.array([TRUE[term] for term in LORENZ.terms])


def archive_of_lorenz(end: float, level: float) -> Archive:
    t = np.linspace(0, end, 150)
    x = scipy_solution(
        lambda _, x: [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]], (2.0, 3.0, 14.0), t
    )
    noise = Noise("proportional", np.full(3, level))
    runs = [Run(t, noisy(x, level, 0) if level else x)]
    curves = smooth(runs, noise)
    scale = np.ones(3)
    whole, pieces = (make_problem(runs, curves, noise, scale, length) for length in (None, 10))
    states = curves[0](t)
    signs = np.zeros(3, dtype=bool)
    one, other = (Likelihood(p, states[p.start[:-1]], 1e-10, 1, signs) for p in (whole, pieces))
    return Archive(one, other)


def test_chaos_is_told_from_a_run_that_can_be_followed():
    guess = 0.9 * THETA
    assert chaotic(archive_of_lorenz(10.0, 0.05), [(LORENZ, guess)])
    assert not chaotic(archive_of_lorenz(0.5, 0.05), [(LORENZ, guess)])


def test_pieces_find_the_constants_of_a_chaotic_run():
    archive = archive_of_lorenz(10.0, 0.02)
    archive = turned(archive)
    assert archive.in_pieces
    (found,) = judge(archive, [(LORENZ, 0.8 * THETA)], iterations=40)
    np.testing.assert_allclose(found.theta, THETA, rtol=0.05, atol=0.05)


def test_turning_back_begins_with_the_pieces_of_the_runs():
    archive = archive_of_lorenz(1.0, 0.02)
    archive = turned(archive)
    (found,) = judge(archive, [(LORENZ, 0.9 * THETA)], iterations=40)
    archive = turned(archive, [found])
    assert not archive.in_pieces
    best = archive.ranked[0]
    assert best.structure == LORENZ
    assert best.starts.shape == (1, 3)
    np.testing.assert_allclose(best.theta, THETA, rtol=0.05, atol=0.05)


def test_the_price_does_not_depend_on_the_pieces():
    archive = archive_of_lorenz(1.0, 0.02)
    before = archive.likelihood.price(LORENZ)
    archive = turned(archive)
    assert archive.likelihood.price(LORENZ) == pytest.approx(before)


@pytest.mark.parametrize(("end", "raised"), [(0.5, False), (12.0, True)])
def test_the_floor_is_what_the_solver_can_tell(end, raised):
    """Errors of 1e-10 in each step grow a millionfold along a chaotic run, and not along a short one."""
    archive = archive_of_lorenz(end, 0.0)
    judge(archive, [(LORENZ, THETA)], archive.likelihood.starts, iterations=1)
    misfit = archive.ranked[0].misfit
    archive.raise_floor()
    assert bool((archive.likelihood.problem.floor > FLOOR).any()) == raised
    assert (archive.ranked[0].misfit > misfit) == raised
