"""The discovery route on one screen: what was measured, what is tried, what is concluded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data.trajectories import Run, Trajectories
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.loading import load_compiled
from neural_arith.discovery.measurements.advice import constant_inputs, input_values
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.ranges import positive_variables
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.options import Options, Progress, options_from
from neural_arith.discovery.proposals.screening import untried
from neural_arith.discovery.search.archive import Archive, Searched
from neural_arith.discovery.search.judging import judge, judge_nothing, turned
from neural_arith.discovery.search.stages import Stages, near_noise
from neural_arith.discovery.verdict.choice import choose, up_for_choice
from neural_arith.discovery.verdict.conclusion import conclude
from neural_arith.discovery.verdict.result import Discovery
from neural_arith.discovery.verdict.statements import measured_rows
from neural_arith.equations.system import EquationSystem
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import SMALLEST, Noise, NoiseKind, all_positive
from neural_arith.parallel import Checkpoint
from neural_arith.terms.candidate import Judged

PREPARING = 0.3
"""Share of a time budget after which measurements are smoothed no more, half of it for estimating the noise."""

_UNDERSHOOT = 2.0
"""Noise levels by which a fitted state may fall below zero, as one that starts there must be free to."""

DECISIVE = 10.0
"""Units of 2 log likelihood by which another noise model must explain the choice better to replace the one that the
local differences suggest, which no structure has bent yet (Kass & Raftery, 1995: very strong)."""


USUAL = 10.0
"""Prior odds, in the same unit, that the noise of states which cannot be negative grows with their size."""


def discover(
    data: Trajectories,
    *,
    progress: bool | Progress = False,
    now: Callable[[], float] = time.monotonic,
    **options: Any,
) -> Discovery:
    """Find the differential equations behind measurements.

    Args:
        data: one run or many, irregular times and missing values allowed.
        progress: True shows a line on stderr; a function is told what is being done, one line at a time.
        now: tells the time in seconds, for the budget.
        **options: those of :class:`Options`, by name: ``noise``, ``time_budget``, ``random_state``, ``knowledge`` and
            so on. The defaults are the same for every system.

    Returns:
        The chosen equations with candidates, noise, fitted curves and statements about what is uncertain. Ctrl-C and
        the end of a time budget return the best so far, and the ``status`` says so.

    Raises:
        OptionError: an option is unknown or out of range, or what is said to be known cannot hold for these data.
        KeyboardInterrupt: Ctrl-C came before there was anything to return.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 10, 60)
        >>> data = na.Trajectories.from_arrays(t, 5 / (1 + 9 * np.exp(-0.8 * t)), names=["yeast"])
        >>> found = na.discover(data, max_units=1, restarts=8)
        >>> print(found.equations)  # the logistic law with rate 0.8 and capacity 5
        d yeast/dt = 0.8*yeast - 0.16*yeast**2
    """
    checked = options_from(options)
    if callable(progress):
        return _discover(data, checked, progress, now)
    with tqdm(disable=not progress, bar_format="[{elapsed}] {desc}", leave=False) as bar:
        return _discover(data, checked, lambda line: bar.set_description_str(line), now)


def _discover(data: Trajectories, options: Options, progress: Progress, now: Callable[[], float]) -> Discovery:
    """The four rooms in order: what was measured, what may stand there, what is tried, what is concluded."""
    given = measured_rows(data)
    whole = data.thin(max(20, options.max_points // len(data)))
    unused = _unused_inputs(whole, options.knowledge)
    data = _without(whole, unused)
    known = replace(options, knowledge=options.knowledge.without(unused))
    load_compiled(progress)  # the budget is for searching, not for compiling
    clock = Clock.start(options.time_budget, now)
    with clock.searching.watched() as until:
        searched = search(data, known, progress, until)
    archive = searched.archive  # finishing is cheap, and not kept
    archive.likelihood = replace(archive.likelihood, clock=clock, checkpoint=Checkpoint())
    with clock.watched():
        found = conclude(searched, data, options, given, unused, progress)
    return replace(
        found,
        data=whole,
        equations=_with_inputs(found.equations, whole),
        candidates=tuple(replace(c, equations=_with_inputs(c.equations, whole)) for c in found.candidates),
    )


def _unused_inputs(data: Trajectories, knowledge: Knowledge) -> list[str]:
    """Inputs that never change: what they do cannot be told from what is constant, unless it is known."""
    named = knowledge.names_in_terms(data)
    return [name for name in constant_inputs(data) if name not in named]


def _without(data: Trajectories, unused: list[str]) -> Trajectories:
    """The data without some inputs."""
    kept = [m for m, name in enumerate(data.input_names) if name not in unused]
    runs = [Run(r.t, r.x, r.u[:, kept] if kept and r.u is not None else None, r.label) for r in data.runs]
    names = tuple(data.input_names[m] for m in kept)
    return replace(data, runs=tuple(runs), input_names=names) if unused else data


def _with_inputs(equations: EquationSystem, data: Trajectories) -> EquationSystem:
    """The same equations, of all inputs."""
    if equations.inputs == data.input_names:
        return equations
    return EquationSystem(equations.rhs, inputs=data.input_names)


def other_kinds(runs: list[Run], kind: NoiseKind) -> list[NoiseKind]:
    """Noise models the measurements allow besides ``kind``."""
    relative: NoiseKind = "log" if all_positive(runs) else "proportional"
    return ["additive"] if kind != "additive" else [relative]


def _set_up(
    runs: list[Run],
    noise: Noise,
    scale: np.ndarray,
    options: Options,
    clock: Clock,
    known: Constraints,
) -> tuple[Archive, list[Curve], np.ndarray]:
    """An empty archive under one noise model, the curves it starts from, and which variables keep their sign."""
    curves = smooth(runs, noise, clock.until(PREPARING))
    positive = positive_variables(runs, noise) | known.positive
    n_states = runs[0].x.shape[1]
    smooth_states = np.concatenate([c(r.t)[:, :n_states] for c, r in zip(curves, runs, strict=True)])
    smooth_states = np.where(positive[:n_states], np.maximum(smooth_states, 1e-9), smooth_states)
    whole, pieces = (make_problem(runs, curves, noise, scale, length) for length in (None, options.effort.piece))
    rtol = float(np.clip(1e-3 * noise.level.min(), 1e-11, 1e-6))
    one, other = (
        Likelihood(
            problem,
            smooth_states[problem.start[:-1]],
            rtol,
            n_jobs=options.n_jobs,
            positive=positive,
            undershoot=_UNDERSHOOT * noise.level * {"additive": 1.0, "proportional": SMALLEST, "log": 0.0}[noise.kind],
            prior=options.prior,
            known=known,
            clock=clock,
            checkpoint=Checkpoint(options.checkpoint),
        )
        for problem in (whole, pieces)
    )
    return Archive(one, other, options.effort), curves, positive


def _log_likelihood2(likelihood: Likelihood, judged: Judged) -> float:
    """Twice the negative log likelihood of the measurements themselves, comparable between noise models."""
    if not likelihood.problem.log_residual:
        return judged.misfit
    seen = likelihood.problem.weight > 0
    return judged.misfit + 2 * float(np.log(likelihood.problem.x[seen]).sum())


def _switches(data: Trajectories) -> frozenset[int]:
    """Inputs that are on or off, or one way or the other: every function of them is a straight line."""
    values = enumerate(input_values(data), data.n_states)
    return frozenset(v for v, two in values if len(two) == 2 and (0.0 in two or two[0] == -two[1]))


def search(
    data: Trajectories, options: Options, progress: Progress = lambda _: None, clock: Clock | None = None
) -> Searched:
    """Find and rank candidates.

    The noise model that local differences suggest is checked with the choice in hand; if the other one makes the
    measurements decisively more likely, the search is run under that.

    Args:
        data: the measurements.
        options: settings.
        progress: told what is being done, one line at a time.
        clock: when to stop; default no limit.

    Returns:
        Ranked candidates. After Ctrl-C or at the end of the time budget those found so far.

    Raises:
        KeyboardInterrupt: Ctrl-C came before there was any candidate.
    """
    clock = clock or Clock()
    scaling = fit_scaling(data)
    known = replace(options.knowledge.read(data, scaling.state), switches=_switches(data))
    runs = scaling.runs(data)
    progress("estimating the noise")
    noise = estimate_noise(runs, options.noise, clock.until(PREPARING / 2))
    archive, curves, positive = _set_up(runs, noise, scaling.variable, options, clock, known)
    judge_nothing(archive)
    stages, status = None, "done"
    try:
        stages = Stages(archive, curves, noise, positive, options, progress)
        stages.run()
        if (best := stages.archive.best) is not None and near_noise(stages.archive, noise, 0.01):
            noise = replace(noise, level=stages.archive.likelihood.spread(best))  # fast states look rough without any
        certain = options.noise != "auto" or noise.clean
        for kind in () if certain else other_kinds(runs, noise.kind):
            progress(f"checking {kind} noise")
            clock.check()
            other = estimate_noise(runs, kind, clock)
            rival, rival_curves, rival_positive = _set_up(runs, other, scaling.variable, options, clock, known)
            mine = stages.archive.likelihood
            chosen = choose(*up_for_choice(stages.archive.ranked, mine)).selected
            if stages.archive.in_pieces:
                rival = turned(rival)
            again = judge(rival, [(chosen.structure, chosen.theta)], chosen.starts, iterations=60)
            needed = DECISIVE
            if positive.all():
                needed += USUAL if kind == "additive" else -USUAL
            if again and _log_likelihood2(rival.likelihood, again[0]) < _log_likelihood2(mine, chosen) - needed:
                noise, curves, positive = other, rival_curves, rival_positive
                stages = Stages(rival, curves, noise, positive, options, progress)
                stages.run()
    except OutOfTimeError:
        status = "out of time"
        if stages is not None and ((best := stages.archive.best) is None or not best.structure.n_terms):
            stages.first_answer()
    except KeyboardInterrupt:
        if stages is None or len(stages.archive.ranked) < 2:
            raise
        status = "interrupted"
    archive = archive if stages is None else stages.archive
    return Searched(archive, scaling, curves, noise, positive, status, untried(len(positive)))
