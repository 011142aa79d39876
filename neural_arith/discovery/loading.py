"""All compiled code of a search loaded at once, on a problem of a few samples, before any clock runs."""

from __future__ import annotations

from functools import cache

import numpy as np

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.options import Progress
from neural_arith.discovery.proposals.population import fit_population
from neural_arith.fit.integral_form import integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.refine import refine, refine_range
from neural_arith.fit.regression import Regression
from neural_arith.solve.compiled.integrate import profile_misfit
from neural_arith.solve.compiled.prediction import predict, slopes_at
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Number, Unit


def load_compiled(progress: Progress = lambda _: None) -> None:
    """Load the compiled functions of a search, or compile them, unless this process has them already.

    Args:
        progress: told when this takes its time.
    """
    if not refine_range.signatures or not _loaded.cache_info().currsize:
        progress("loading the compiled solver (compiled on first use, in half a minute)")
        _loaded()


@cache
def _loaded() -> bool:
    t = np.linspace(0.0, 1.0, 8)
    runs, noise = [Run(t, np.exp(-t)[:, None])], Noise("additive", np.array([0.0]))
    curves, scale = smooth(runs, noise), np.ones(1)
    problem = make_problem(runs, curves, noise, scale)
    decay = Unit((FITTED,))
    structure = Structure(((decay,),))
    theta = structure.theta({(0, decay): -1.0, Number("power", decay, 0): 0.9})
    refine([structure], [theta], problem.x[:1], problem, iterations=1, halt=Clock().halt)
    found = predict(structure, theta, problem.x[:1], problem)
    predict(structure, theta, problem.x[:1], problem, slopes=False)
    profile_misfit(found.rss, 0.0, problem.counts, problem.floor)
    form = integral_form(curves, noise)
    fit_population(form, 0, 1, np.array([True]), restarts=1, iterations=1)
    Regression(form, 0, scale).fit(structure, theta, iterations=1)
    slopes_at(structure, theta, problem.x, scale)
    slopes_at(structure, theta, problem.x, scale, slopes=False)
    return True
