"""Looking again: what the best candidate's own trajectory shows that curves through the samples hide."""

from __future__ import annotations

import numpy as np
from simulated import archive_of, right_hand_side, scipy_solution

from neural_arith.data import Run, Trajectories
from neural_arith.discovery import discover
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.search.judging import judge
from neural_arith.discovery.search.stages import along_candidate
from neural_arith.equations import EquationSystem
from neural_arith.fit.integral_form import integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.regression import Regression
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import Number, power

CLEAN = Noise("additive", np.zeros(2))
X, Y, XXY = power(1, 0), power(0, 1), power(2, 1)
VAN_DER_POL = Structure(((Y,), (X, Y, XXY)))
TRUE: dict[Term | Number, float] = {(0, Y): 1.0, (1, X): -1.0, (1, Y): 3.0, (1, XXY): -3.0}


def test_integrals_along_a_candidate_are_exact_where_samples_are_sparse():
    """Relaxation oscillations with jumps between neighbouring samples, which no curve follows."""
    theta = VAN_DER_POL.theta(TRUE)
    t = np.linspace(0, 12, 40)
    runs = [Run(t, scipy_solution(right_hand_side(VAN_DER_POL, theta), (2.0, 0.0), t))]
    curves = smooth(runs, CLEAN)
    archive = archive_of(runs, CLEAN)
    (found,) = judge(archive, [(VAN_DER_POL, theta)], iterations=3)
    along = along_candidate(archive.likelihood, found, curves)
    assert along is not None
    second = Structure((VAN_DER_POL.equations[1],))
    errors = []
    for these in (curves, along):
        regression = Regression(integral_form(these, CLEAN), 1, np.ones(2))
        fitted, _ = regression.fit(second, np.zeros(3))
        errors.append(np.abs(fitted - [TRUE[(1, unit)] for _, unit in second.terms]).max())
    assert errors[0] > 0.1
    assert errors[1] < 1e-3


def test_what_cannot_be_followed_has_no_curves():
    t = np.linspace(0, 3, 20)
    runs = [Run(t, np.column_stack([np.ones(20), np.ones(20)]))]
    archive = archive_of(runs, CLEAN)
    (found,) = judge(archive, [(Structure(((X,), (Y,))), np.zeros(2))], iterations=1)
    explosive = Structure(((power(3, 0),), (Y,)))
    lost = type(found)(explosive, np.array([50.0, 1.0]), found.starts, 0.0, 0.0, found.rss)
    assert along_candidate(archive.likelihood, lost, smooth(runs, CLEAN)) is None


def test_a_denominator_of_three_terms():
    """Haldane's law: substrate inhibits its own consumption."""
    t = np.linspace(0, 12, 80)
    x = scipy_solution(lambda _, x: 0.35 - 6 * x / (1 + 0.5 * x + 0.8 * x**2), (6.0,), t)
    found = discover(Trajectories.from_arrays(t, x, names=("s",)), n_jobs=1)
    assert found.equations.same_as(EquationSystem({"s": "0.35 - 6*s/(1 + 0.5*s + 0.8*s**2)"}), rtol=1e-3)


def test_a_power_of_what_is_above_a_threshold():
    t = np.linspace(0, 10, 80)
    x = scipy_solution(lambda _, x: 0.02 - 0.3 * (x - 1.2) ** 1.4, (5.0,), t)
    found = discover(Trajectories.from_arrays(t, x, names=("s",)), n_jobs=1)
    assert found.equations.same_as(EquationSystem({"s": "0.02 - 0.3*(s - 1.2)**1.4"}), rtol=1e-3)
