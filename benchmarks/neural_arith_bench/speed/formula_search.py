"""How long the search for units takes, and how its time grows with points, states and restarts.

The search is 4 sizes of 64 restarts of at most 40 iterations for an equation of the fractional epidemic of Heim et al.
(NeurIPS 2020): 3 states, 40 samples, 4 quadrature points in each interval, from one run (as published) and from four.
Time for an iteration is time over restarts times 40: restarts that have converged stop, which is part of the method;
time for an evaluation counts only what was carried out. Everything is timed in several passes: the machine may be busy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from neural_arith import systems
from neural_arith.data import Run
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.proposals.population import climb_all, draw_plain, fit_population
from neural_arith.fit.integral_form import IntegralForm, integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.projection import make_grid
from neural_arith_bench.laws.recovery import starts_for
from neural_arith_bench.runner import Work, command_line, finish, make_missing
from neural_arith_bench.store import Row, Store, in_folder

SIZES, RESTARTS, ITERATIONS = (1, 2, 3, 4), 64, 40


def clean_form(runs: list[Run]) -> IntegralForm:
    """The integral form of measurements without noise."""
    noise = Noise("additive", np.zeros(runs[0].x.shape[1]))
    return integral_form(smooth(runs, noise), noise)


def epidemic(runs: int) -> IntegralForm:
    """The fractional epidemic in scaled numbers."""
    system = systems.get("fractional_sir")
    data = system.sample(initial=starts_for(system, runs))
    return clean_form(fit_scaling(data).runs(data))


def waves(samples: int, states: int) -> IntegralForm:
    """Positive curves of any number of samples and states; only the time of searching them matters."""
    t = np.linspace(0, 1, samples)
    x = np.stack([2 + np.sin((2 + i) * t + i) + 0.3 * t * i for i in range(states)], axis=1)
    return clean_form([Run(t, x)])


def median_seconds(work: Callable[[], Any], passes: int) -> dict[str, float]:
    """Median and best wall time of several passes."""
    seconds = []
    for _ in range(passes):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return {"median_seconds": round(float(np.median(seconds)), 5), "best_seconds": round(min(seconds), 5)}


def search_row(form: IntegralForm, equations: int, jobs: int, passes: int, lifted: bool) -> dict[str, Any]:
    """Time of the whole search for the first so many equations."""
    states = form.nodes.shape[1]
    positive = np.ones(states, dtype=bool)

    def work() -> None:
        for state in range(equations):
            for units in SIZES:
                fit_population(
                    form, state, units, positive, restarts=RESTARTS, iterations=ITERATIONS, lifted=lifted, n_jobs=jobs
                )

    shape = {"states": states, "points": len(form.nodes), "equations": equations, "jobs": jobs, "lifted": lifted}
    return {"what": "search", **shape, **median_seconds(work, passes)}


def iteration_row(form: IntegralForm, restarts: int, passes: int, units: int = 3) -> dict[str, Any]:
    """Time of one iteration of one restart on one thread."""
    states = form.nodes.shape[1]
    grid = make_grid(form, 0, np.ones(states, dtype=bool))
    spent = 0

    def work() -> None:
        nonlocal spent
        starts = draw_plain(restarts, units, grid.positive, np.random.default_rng(0))
        spent = int(climb_all(grid, starts, ITERATIONS)[1].sum())

    timed = median_seconds(work, passes)
    return {
        "what": "iteration",
        "states": states,
        "points": len(form.nodes),
        "units": units,
        "restarts": restarts,
        **timed,
        "microseconds_per_iteration": round(1e6 * timed["median_seconds"] / restarts / ITERATIONS, 3),
        "microseconds_per_evaluation": round(1e6 * timed["median_seconds"] / spent, 3),
    }


def exponent(rows: list[dict[str, Any]], over: str, time: str) -> float:
    """Slope of log time over the logarithm of a size."""
    sizes, times = ([row[key] for row in rows] for key in (over, time))
    return round(float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), 2)


def rows_of(passes: int, jobs: int) -> list[Row]:
    """All rows: whole searches, then single iterations by units, points, states and restarts."""
    published, wide = epidemic(1), epidemic(4)
    search_row(published, 1, 1, 1, lifted=True)  # loads the compiled search
    searches = [
        search_row(form, equations, n, passes, lifted)
        for form in (published, wide)
        for equations, n, lifted in ((1, 1, False), (1, jobs, False), (3, jobs, False), (3, jobs, True))
    ]
    iterations = [iteration_row(form, 400, passes, units) for form in (published, wide) for units in SIZES]
    points = [iteration_row(waves(n, 3), 200, passes) for n in (21, 41, 81, 161, 321)]
    states = [iteration_row(waves(81, n), 200, passes) for n in (1, 2, 3, 4, 6, 8)]
    restarts = [iteration_row(waves(81, 3), n, passes) for n in (25, 50, 100, 200, 400, 800)]
    return [{"row": number} | row for number, row in enumerate([*searches, *iterations, *points, *states, *restarts])]


def summarise(rows: list[Row]) -> dict[str, Any]:
    """The numbers of the page; rows come in the order of `rows_of`."""
    searches, iterations, points, states, restarts = rows[:8], rows[8:16], rows[16:21], rows[21:27], rows[27:]
    return {
        "search_one_equation_seconds": searches[1]["median_seconds"],
        "search_all_equations_seconds": searches[2]["median_seconds"],
        "search_all_equations_lifted_seconds": searches[3]["median_seconds"],
        "search_all_equations_four_runs_seconds": searches[6]["median_seconds"],
        "microseconds_per_iteration_3_units": iterations[2]["microseconds_per_iteration"],
        "microseconds_per_iteration_3_units_four_runs": iterations[6]["microseconds_per_iteration"],
        "time_grows_with_points_to_the": exponent(points, "points", "microseconds_per_evaluation"),
        "time_grows_with_states_to_the": exponent(states, "states", "microseconds_per_evaluation"),
        "time_grows_with_restarts_to_the": exponent(restarts, "restarts", "median_seconds"),
    }


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows unless they are there, and print what they come to; see `Benchmark.run`."""
    passes, jobs = arguments.passes, arguments.jobs
    store = Store(in_folder(arguments.out, name), ["row"], dict, summarise=summarise)
    work = Work(store, [(number,) for number in range(33)], lambda worker, _: rows_of(passes, jobs))
    command = command_line(name, passes=passes, jobs=jobs)
    return finish(make_missing([work], command, quiet=arguments.quiet), store)
