"""The equations' own solutions, the fit they belong to, and how long the one follows the other."""

from __future__ import annotations

import math

import numpy as np

from neural_arith.clock import Clock
from neural_arith.data.trajectories import Trajectories
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.equations.system import EquationSystem
from neural_arith.errors import IntegrationError
from neural_arith.terms.candidate import Judged

LOST = 0.4
"""Distance, in standard deviations of the measurements, at which a solution has lost them (Pathak et al., 2018)."""

_SAME = 1e-3
"""Distance, in the same measure, up to which the solution of another solver is the same curve."""

_EVALUATIONS, _PER_SECOND = 200_000, 1_000_000
"""Most evaluations of the right-hand side for one solution, and how many of a sum of one term a second affords."""

_CURVE = 300
"""Points of a curve, at least."""

Curves = list[tuple[np.ndarray, np.ndarray]]
"""For each run times ``(n,)`` and states ``(n, states)``."""


def _parts(data: Trajectories) -> int:
    """In how many parts a curve takes each interval between samples."""
    return max(1, math.ceil(_CURVE / max(1.0, np.median([len(run) for run in data.runs]) - 1)))


def solutions(data: Trajectories, equations: EquationSystem, starts: np.ndarray, clock: Clock | None = None) -> Curves:
    """The equations' own solution over each run from a starting state; NaN after it ended.

    Args:
        data: the runs, and their inputs.
        equations: what is solved.
        starts: ``(runs, states)``.
        clock: once it is over, what is left is not solved, and not finite; default no limit.
    """
    clock, curves, parts = clock or Clock(), [], _parts(data)
    for run, start in zip(data.runs, starts, strict=True):
        n = len(run)
        t = np.interp(np.arange((n - 1) * parts + 1) / parts, np.arange(n), run.t)
        if not clock.in_time():
            curves.append((t, np.full((len(t), data.n_states), np.nan)))
            continue
        u = None
        if run.u is not None:
            u = np.stack([np.interp(t, run.t, run.u[:, m]) for m in range(run.u.shape[1])], axis=1)
        try:
            x = equations.simulate(start, t, u=u, throw=False, max_evaluations=_affordable(equations, clock))
        except IntegrationError:
            x = np.full((len(t), data.n_states), np.nan)
        curves.append((t, x))
    return curves


def fitted_curves(
    data: Trajectories, likelihood: Likelihood, judged: Judged, size: np.ndarray, solved: Curves, at_samples: np.ndarray
) -> Curves:
    """What the likelihood compared with the measurements, at the times of ``solved``: pieces where it took pieces.

    Args:
        data: the runs.
        likelihood: knows in which form they were compared.
        judged: the candidate.
        size: sizes of the states, which the likelihood's numbers are multiplied by.
        solved: the solutions from the starting states; they are the fit where they pass through ``at_samples``, and
            stand in for it where the likelihood cannot follow the candidate between samples.
        at_samples: the candidate at all samples as it was judged, all runs in a row.
    """
    parts = _parts(data)
    own = np.concatenate([x[::parts] for _, x in solved])
    if (np.abs(own - at_samples) <= _SAME * _spread(data)).all():
        return solved
    _, x = likelihood.along(judged, parts)
    if not np.isfinite(x).all():
        return solved
    ends = np.cumsum([len(t) for t, _ in solved])[:-1]
    return [(t, part * size) for (t, _), part in zip(solved, np.split(x, ends), strict=True)]


def _spread(data: Trajectories) -> np.ndarray:
    """Standard deviation of each state over all runs; of one that does not change what rounding could be."""
    every = np.concatenate([run.x for run in data.runs])
    return np.maximum(np.nanstd(every, axis=0), 1e-6 * np.nanmax(np.abs(every), axis=0) + 1e-300)


def horizons(data: Trajectories, fitted: Curves, solved: Curves) -> tuple[float, ...]:
    """How long each run's own solution stays with the fit, which is free of noise."""
    found, spread = [], _spread(data)
    for (t, x), (_, own) in zip(fitted, solved, strict=True):
        apart = np.sqrt((((own - x) / spread) ** 2).mean(axis=1))
        lost = np.flatnonzero(~(apart <= LOST))
        found.append(float(t[lost[0] if len(lost) else -1] - t[0]))
    return tuple(found)


def horizon_words(data: Trajectories, found: tuple[float, ...], pieces: tuple[int, ...]) -> tuple[str, ...]:
    """What to say where a solution loses the measurements before they end."""
    lost = [k for k, (run, time) in enumerate(zip(data.runs, found, strict=True)) if time < run.t[-1] - run.t[0]]
    if not lost:
        return ()
    low, high = min(found[k] for k in lost), max(found[k] for k in lost)
    times = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    length = max(float(data.runs[k].t[-1] - data.runs[k].t[0]) for k in lost)
    runs = "the measurements" if len(data) == 1 else f"{len(lost)} of {len(data)} runs"
    cut = ""
    if (n := sum(pieces)) > len(pieces):
        cut = f" The fit was therefore made, and is drawn, in {n} linked pieces with starts of their own."
    return (
        f"Solved from the fitted start, the equations follow {runs} for {times} of {length:.3g} ({data.time_name}) and "
        f"then go another way: the smallest error grows, as in chaos.{cut} A forecast holds about so long.",
    )


def _affordable(equations: EquationSystem, clock: Clock) -> int:
    """Evaluations of the right-hand side that a solution may take."""
    if not clock.limited:
        return _EVALUATIONS
    rate = _PER_SECOND / (10 + len(equations.states) + len(equations.constants))
    return int(np.clip(rate * (clock.end - clock.now()), 1, _EVALUATIONS))
