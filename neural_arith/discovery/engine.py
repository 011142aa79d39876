"""From trajectories to judged candidates: the steps of the discovery route in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data import Run, Trajectories
from neural_arith.discovery.measurements.advice import input_values
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.problem import SMALLEST, make_problem
from neural_arith.discovery.measurements.scaling import Scaling, fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.proposals.material import positive_variables
from neural_arith.discovery.proposals.screening import untried
from neural_arith.discovery.search.judge import Judge
from neural_arith.discovery.search.stages import Stages, near_noise
from neural_arith.discovery.verdict.choice import choose, up_for_choice
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import Noise, NoiseKind, all_positive
from neural_arith.parallel import Checkpoint
from neural_arith.terms.candidate import Judged

PREPARING = 0.3
"""Share of a time budget after which measurements are smoothed no more, half of it for estimating the noise."""

PIECE = 10
"""Samples of a piece of multiple shooting."""

_UNDERSHOOT = 2.0
"""Noise levels by which a fitted state may fall below zero, as one that starts there must be free to."""

DECISIVE = 10.0
"""Units of 2 log likelihood by which another noise model must explain the choice better to replace the one that the
local differences suggest, which no structure has bent yet (Kass & Raftery, 1995: very strong)."""


USUAL = 10.0
"""Prior odds, in the same unit, that the noise of states which cannot be negative grows with their size."""


def other_kinds(runs: list[Run], kind: NoiseKind) -> list[NoiseKind]:
    """Noise models the measurements allow besides ``kind``."""
    relative: NoiseKind = "log" if all_positive(runs) else "proportional"
    return ["additive"] if kind != "additive" else [relative]


@dataclass(frozen=True)
class Searched:
    """What the search leaves: candidates in scaled numbers and what is needed to read them.

    Attributes:
        judge: the judge with its ranked candidates.
        scaling: takes scaled numbers back to the original ones.
        curves: smooth curves through the scaled measurements.
        noise: the noise model.
        positive: which variables never change sign.
        status: "done", "out of time" or "interrupted".
        untried: sentences about what was not tried because there are too many variables.
    """

    judge: Judge
    scaling: Scaling
    curves: list[Curve]
    noise: Noise
    positive: np.ndarray
    status: str
    untried: tuple[str, ...] = ()


def _set_up(
    runs: list[Run],
    noise: Noise,
    scale: np.ndarray,
    options: Options,
    clock: Clock,
    known: Constraints,
) -> tuple[Judge, list[Curve], np.ndarray]:
    """A judge for the measurements under one noise model, the curves it starts from, and which variables keep signs."""
    curves = smooth(runs, noise, clock.until(PREPARING))
    positive = positive_variables(runs, noise) | known.positive
    n_states = runs[0].x.shape[1]
    smooth_states = np.concatenate([c(r.t)[:, :n_states] for c, r in zip(curves, runs, strict=True)])
    smooth_states = np.where(positive[:n_states], np.maximum(smooth_states, 1e-9), smooth_states)
    whole, pieces = (make_problem(runs, curves, noise, scale, length) for length in (None, PIECE))
    rtol = float(np.clip(1e-3 * noise.level.min(), 1e-11, 1e-6))
    starts = [smooth_states[problem.start[:-1]] for problem in (whole, pieces)]
    judge = Judge(
        whole,
        starts[0],
        pieces,
        starts[1],
        rtol,
        n_jobs=options.n_jobs,
        positive=positive,
        undershoot=_UNDERSHOOT * noise.level * {"additive": 1.0, "proportional": SMALLEST, "log": 0.0}[noise.kind],
        clock=clock,
        checkpoint=Checkpoint(options.checkpoint),
        known=known,
    )
    return judge, curves, positive


def _log_likelihood2(judge: Judge, judged: Judged) -> float:
    """Twice the negative log likelihood of the measurements themselves, comparable between noise models."""
    if not judge.problem.log_residual:
        return judged.misfit
    seen = judge.problem.weight > 0
    return judged.misfit + 2 * float(np.log(judge.problem.x[seen]).sum())


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
    judge, curves, positive = _set_up(runs, noise, scaling.variable, options, clock, known)
    status, stages = "done", None
    judge.judge_nothing()
    try:
        stages = Stages(judge, curves, noise, positive, options, progress)
        stages.run()
        if near_noise(judge, noise, 0.01) and judge.best is not None:  # fast states look rough without any noise
            noise = replace(noise, level=judge.spread(judge.best))
        certain = options.noise != "auto" or noise.clean
        for kind in () if certain else other_kinds(runs, noise.kind):
            progress(f"checking {kind} noise")
            clock.check()
            other = estimate_noise(runs, kind, clock)
            rival, rival_curves, rival_positive = _set_up(runs, other, scaling.variable, options, clock, known)
            chosen = choose(*up_for_choice(judge)).selected
            if judge.in_pieces:
                rival.turn([])
            again = rival.judge([(chosen.structure, chosen.theta)], chosen.starts, iterations=60)
            needed = DECISIVE
            if positive.all():
                needed += USUAL if kind == "additive" else -USUAL
            if again and _log_likelihood2(rival, again[0]) < _log_likelihood2(judge, chosen) - needed:
                noise, judge, curves, positive = other, rival, rival_curves, rival_positive
                Stages(judge, curves, noise, positive, options, progress).run()
    except OutOfTimeError:
        status = "out of time"
        if stages is not None and (judge.best is None or not judge.best.structure.n_terms):
            stages.first_answer()
    except KeyboardInterrupt:
        if len(judge.ranked) < 2:
            raise
        status = "interrupted"
    return Searched(judge, scaling, curves, noise, positive, status, untried(len(positive)))
