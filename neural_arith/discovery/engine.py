"""From trajectories to judged candidates: the steps of the discovery route in order."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.discovery.choice import choose
from neural_arith.discovery.constraints import Constraints
from neural_arith.discovery.dictionary import Dictionary, monomials, roots_and_ratios, structure_price, units_of
from neural_arith.discovery.integral_form import IntegralForm, integral_form, some_windows
from neural_arith.discovery.judge import Judge, Judged, make_problem
from neural_arith.discovery.knowledge import Knowledge
from neural_arith.discovery.lifted import Ranges, lifted_units
from neural_arith.discovery.noise import Noise, NoiseKind, all_positive, estimate_noise
from neural_arith.discovery.population import fit_population
from neural_arith.discovery.regression import Regression
from neural_arith.discovery.scaling import Scaling, fit_scaling
from neural_arith.discovery.search import (
    Pick,
    abreast,
    around_each,
    climb,
    combinations,
    interleave,
    low_degree,
    one_by_one,
    shortlist,
    triage,
)
from neural_arith.discovery.smoothing import Curve, smooth
from neural_arith.errors import OptionError
from neural_arith.integrate.blocks import Checkpoint
from neural_arith.integrate.kernel import refine_range
from neural_arith.integrate.structure import Structure

Progress = Callable[[str], None]

WINDOW = 6
"""Samples of a window of the integral form; whole runs are used beside it."""

ENOUGH = 300
"""Samples that guide the search for units beyond powers; trajectories judge by all."""

PIECE = 10
"""Samples of a piece of multiple shooting."""

DECISIVE = 10.0
"""Units of 2 log likelihood by which another noise model must explain the choice better to replace the one that the
local differences suggest, which no structure has bent yet (Kass & Raftery, 1995: very strong)."""


USUAL = 10.0
"""Prior odds, in the same unit, that the noise of states which cannot be negative grows with their size."""


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True)
class Options:
    """Settings of a search; one default for every system.

    Attributes:
        noise: noise model, or "auto" to choose it from the data.
        max_units: most units the population fits in one equation.
        restarts: members of the population for each equation and number of units.
        max_points: samples used, of all runs together; longer series are thinned evenly.
        time_budget: seconds after which the best so far is returned; None for no limit.
        seed: of the random starts; the same seed gives the same answer.
        n_jobs: threads; -1 for all cores, None for what ``joblib.parallel_config`` says (one without it). A backend
            named there does the work instead of threads. The answer depends on none of this.
        checkpoint: folder that keeps the expensive steps; a search repeated with it goes on where it stopped.
        knowledge: what is known about the equations beforehand.
    """

    noise: NoiseKind | Literal["auto"] = "auto"
    max_units: int = 4
    restarts: int = 64
    max_points: int = 1000
    time_budget: float | None = None
    seed: int = 0
    n_jobs: int | None = -1
    checkpoint: str | os.PathLike[str] | None = None
    knowledge: Knowledge = field(default_factory=Knowledge)

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, least in (("max_units", 1), ("restarts", 1), ("max_points", 20)):
            value = getattr(self, name)
            if not _is_whole(value) or value < least:
                raise OptionError(f"{name} must be a whole number from {least}, got {value!r}")
        budget = self.time_budget
        if budget is not None and not (isinstance(budget, int | float | np.number) and budget > 0):
            raise OptionError(f"time_budget must be positive seconds or None, got {budget!r}")
        jobs = self.n_jobs
        if jobs is not None and (not _is_whole(jobs) or jobs == 0 or jobs < -1):
            raise OptionError(
                f"n_jobs must be a positive number of threads, -1 for all cores or None for joblib's own setting, "
                f"got {jobs!r}"
            )
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | os.PathLike):
            raise OptionError(f"checkpoint must be the path of a folder or None, got {self.checkpoint!r}")
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**63:
            raise OptionError(f"seed must be a whole number from 0 to 2**63 - 1, got {self.seed!r}")
        if not isinstance(self.knowledge, Knowledge):
            raise OptionError(f"knowledge must be a Knowledge, got {self.knowledge!r}")


class _OutOfTimeError(Exception):
    """The time budget is spent; caught in :func:`search`."""


def other_kinds(runs: list[Run], kind: NoiseKind) -> list[NoiseKind]:
    """Noise models the measurements allow besides ``kind``."""
    relative: NoiseKind = "log" if all_positive(runs) else "proportional"
    return ["additive"] if kind != "additive" else [relative]


def positive_variables(runs: list[Run], noise: Noise) -> np.ndarray:
    """Which variables never change sign beyond what the noise explains, ``(variables,)``."""
    n_states = runs[0].x.shape[1]
    level = noise.level if noise.kind == "additive" else np.zeros(n_states)
    lowest = np.nanmin(np.concatenate([r.x for r in runs]), axis=0)
    states = [lowest[i] >= -4 * level[i] for i in range(n_states)]
    if runs[0].u is None:
        return np.array(states)
    inputs = np.concatenate([r.u for r in runs if r.u is not None])
    return np.array([*states, *(inputs.min(axis=0) >= 0)])


def clip_nodes(form: IntegralForm, positive: np.ndarray, noise: Noise) -> IntegralForm:
    """The integral form with positive variables kept off zero, where a smoothed curve may undershoot."""
    low = np.full(len(positive), 1e-12)
    if noise.kind == "additive":
        low[: len(noise.level)] = np.maximum(0.1 * noise.level, 1e-12)
    nodes = np.where(positive, np.maximum(form.nodes, low), form.nodes)
    return IntegralForm(nodes, form.step, form.window, form.first, form.weight, form.target)


def build_dictionary(
    forms: list[IntegralForm], positive: np.ndarray, options: Options, report: Progress, in_time: Callable[[], bool]
) -> Dictionary:
    """Units each equation may be made of: monomials, roots and ratios and, while in time, those of the population."""
    n_variables, n_states = len(positive), len(forms[0].target)
    degree = {1: 5, 2: 4, 3: 3}.get(n_variables, 2)
    plain = monomials(n_variables, degree)
    if n_variables <= 4:
        plain = plain + roots_and_ratios(positive)
    dictionary = Dictionary([])
    checkpoint = Checkpoint(options.checkpoint)
    count = 1
    for i in range(n_states):
        units = list(plain)
        if positive.any():
            for size in range(1, options.max_units + 1):
                if not in_time():
                    break
                report(f"units of equation {i + 1}: population of size {size}")
                fitted = checkpoint.recall(
                    fit_population,
                    forms[0],
                    i,
                    size,
                    positive,
                    restarts=options.restarts,
                    seed=options.seed,
                    ignored={"n_jobs": options.n_jobs},
                )
                more, values = units_of(fitted, first_copy=count)
                units.extend(more)
                dictionary.values.update(values)
                count += len(more)
                if len(fitted.cost) and fitted.cost[0] < 1e-10:
                    break
        dictionary.units.append(list(dict.fromkeys(units)))
    return dictionary


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
    """

    judge: Judge
    scaling: Scaling
    curves: list[Curve]
    noise: Noise
    positive: np.ndarray
    status: str


def _set_up(
    runs: list[Run],
    noise: Noise,
    scale: np.ndarray,
    options: Options,
    deadline: Callable[[], None],
    known: Constraints,
) -> tuple[Judge, list[Curve]]:
    """A judge for the measurements under one noise model, and the curves it starts from."""
    curves = smooth(runs, noise)
    positive = positive_variables(runs, noise) | known.positive
    n_states = runs[0].x.shape[1]
    smooth_states = np.concatenate([c(r.t)[:, :n_states] for c, r in zip(curves, runs, strict=True)])
    smooth_states = np.where(positive[:n_states], np.maximum(smooth_states, 1e-9), smooth_states)
    whole, pieces = (make_problem(runs, curves, noise, scale, length) for length in (None, PIECE))
    rtol = float(np.clip(0.01 * noise.level.min(), 1e-11, 1e-6))
    starts = [smooth_states[problem.start[:-1]] for problem in (whole, pieces)]
    judge = Judge(
        whole,
        starts[0],
        pieces,
        starts[1],
        rtol,
        n_jobs=options.n_jobs,
        positive=positive,
        deadline=deadline,
        checkpoint=Checkpoint(options.checkpoint),
        known=known,
    )
    return judge, curves


def _fill(
    judge: Judge,
    curves: list[Curve],
    noise: Noise,
    positive: np.ndarray,
    options: Options,
    progress: Progress,
) -> None:
    """The whole search under one noise model; its candidates end up in the judge."""
    forms = [clip_nodes(integral_form(curves, noise, length), positive, noise) for length in (None, WINDOW)]

    def in_time() -> bool:
        try:
            judge.deadline()
        except _OutOfTimeError:
            return False
        return True

    known = judge.known
    dictionary = known.filter(build_dictionary(forms, positive, options, progress, in_time))
    scale, n_states = judge.problem.scale, len(dictionary.units)

    def sized(i: int, picks: list[Pick]) -> list[Pick]:
        return [p for p in picks if known.within_size(i, p.structure.equations[0])] or picks

    simple = monomials(len(scale), {1: 4, 2: 3}.get(len(scale), 2))
    regressions, lists, polynomials, recall = [], [], [], judge.checkpoint.recall
    few = known.filter(Dictionary([list(simple) for _ in range(n_states)]))
    for i in range(n_states):
        progress(f"regression for equation {i + 1}")
        regressions.append([Regression(form, i, scale) for form in forms])
        polynomials.append(sized(i, recall(shortlist, regressions[i], few, judge.per_number, keep=20)))
        lists.append(sized(i, recall(shortlist, regressions[i], dictionary, judge.per_number)))
    # Exponents a population left unusual are worth trying only where they were found.
    plain = Dictionary([[u for u in units if not u.n_fitted] for units in dictionary.units])
    # As many pairings as a second or so affords: with few points the integral form is a poor guide.
    most = int(np.clip(12_000 / len(judge.problem.t), 40, 3000))
    progress("judging the best pairings by trajectory")
    # Of many equations some are always wrong at first, but low degrees never leave their domain: neighbours mend them.
    triage(judge, abreast(polynomials, 6), judge.starts)
    pairings = combinations(lists, most)
    if near_noise(judge, noise):
        judge.patience = 0
    elif judge.pieces.n_pieces > judge.problem.n_pieces and judge.chaotic(pairings[:8]):
        progress("judging by linked pieces: whole runs cannot be followed")
        judge.turn([])
    triage(judge, pairings, until_floor=True)
    if judge.at_floor:
        climb(judge, plain, report=progress)
    open_ = [i for i in range(n_states) if not settled(judge, i)]
    if open_:
        lifted = known.filter(lifted_units(ranges_of(curves, positive, scale), n_states))
        rich = Dictionary(
            [list(dict.fromkeys(a + b)) for a, b in zip(dictionary.units, lifted.units, strict=True)],
            {**dictionary.values, **lifted.values},
        )
        for i in open_:
            progress(f"looking beyond products of powers in equation {i + 1}")
            judge.check()
            rich_picks = recall(shortlist, regressions[i], rich, judge.per_number, largest=4)
            around = []
            if lifted.units[i]:
                around = around_each(
                    Regression(some_windows(forms[1], ENOUGH), i, scale),
                    known.units(i, simple),
                    lifted,
                    judge.per_number,
                    n_jobs=judge.n_jobs,
                    checkpoint=judge.checkpoint,
                    in_time=judge.in_time,
                )
            judge.check()
            lists[i] = sized(i, interleave(lists[i], rich_picks, around))
        progress("judging the best pairings by trajectory")
        triage(judge, combinations(lists, most), until_floor=True)
        if not judge.at_floor:
            one_by_one(judge, lists, report=progress)
        climb(judge, plain, report=progress)
        allowed = [a + b if i in open_ else a for i, (a, b) in enumerate(zip(plain.units, lifted.units, strict=True))]
        climb(judge, Dictionary(allowed, lifted.values), report=progress)
        plain = Dictionary(allowed, lifted.values)
        if not judge.at_floor:
            progress("trying all equations of few terms")
            before = judge.best
            picks = [low_degree(regressions[i][1], units, judge.per_number) for i, units in enumerate(few.units)]
            one_by_one(judge, [sized(i, p) for i, p in enumerate(picks)], tried=200, report=progress)
            if judge.best is not before:
                climb(judge, plain, report=progress)
    progress("polishing the best candidates")
    judge.improve(judge.ranked[:20], 40)
    if judge.in_pieces:
        _try_whole_runs(judge, plain, progress)


def _try_whole_runs(judge: Judge, dictionary: Dictionary, progress: Progress) -> None:
    """Judge by whole runs after all, if the candidates found by pieces can follow them."""
    progress("trying whole runs")
    before, best = copy.copy(judge), judge.ranked[0]
    try:
        judge.turn(judge.ranked[:20])
    except BaseException:  # what was found by pieces is the answer, then
        vars(judge).update(vars(before))
        raise
    if judge.ranked[0].score < best.score + 5.0 * judge.piece_starts.size + 30.0:
        judge.raise_floor()
        climb(judge, dictionary, report=progress)
        judge.improve(judge.ranked[:20], 40)
    else:
        vars(judge).update(vars(before))


SHORT = 45.0
"""Price of a polynomial that is short enough to be believed when it meets the measurements as closely as can be told;
other equations have to be shorter by a third."""


def settled(judge: Judge, state: int) -> bool:
    """Whether the best candidate leaves nothing to look for in one equation: short and as good as can be told."""
    best = judge.best
    if best is None or not judge.at_floor:
        return False
    equation = best.structure.equations[state]
    polynomial = all(unit.plain and all(e >= 0 and float(e).is_integer() for e in unit.powers) for unit in equation)
    return structure_price(Structure((equation,)), judge.per_number) < (SHORT if polynomial else SHORT * 2 / 3)


def near_noise(judge: Judge, noise: Noise, times: float = 1.5) -> bool:
    """Whether the best candidate leaves no more than so many times the noise that was estimated."""
    if judge.best is None:
        return False
    counts = np.maximum((judge.problem.weight > 0).sum(0), 1)
    return bool(np.all(judge.best.rss / counts < (times * noise.level) ** 2))


def ranges_of(curves: list[Curve], positive: np.ndarray, scale: np.ndarray) -> Ranges:
    """What the smooth curves span."""
    values = [curve(curve.run.t) for curve in curves]
    together = np.concatenate(values)
    steps = np.concatenate([np.abs(np.diff(v, axis=0)) for v in values])
    step = np.quantile(steps, 0.9, axis=0) if len(steps) else np.zeros(together.shape[1])
    return Ranges(together.min(axis=0), together.max(axis=0), step, positive, scale)


def _log_likelihood2(judge: Judge, judged: Judged) -> float:
    """Twice the negative log likelihood of the measurements themselves, comparable between noise models."""
    if not judge.problem.log_residual:
        return judged.misfit
    seen = judge.problem.weight > 0
    return judged.misfit + 2 * float(np.log(judge.problem.x[seen]).sum())


def search(data: Trajectories, options: Options, progress: Progress = lambda _: None) -> Searched:
    """Find and rank candidates.

    The noise model that local differences suggest is checked with the choice in hand; if the other one makes the
    measurements decisively more likely, the search is run under that.

    Args:
        data: the measurements.
        options: settings.
        progress: told what is being done, one line at a time.

    Returns:
        Ranked candidates. After Ctrl-C or at the end of the time budget those found so far.

    Raises:
        KeyboardInterrupt: Ctrl-C came before there was any candidate.
    """
    begun = time.monotonic()

    def deadline() -> None:
        if options.time_budget is not None and time.monotonic() - begun > options.time_budget:
            raise _OutOfTimeError

    scaling = fit_scaling(data)
    known = options.knowledge.read(data, scaling.state)
    runs = scaling.runs(data)
    progress("estimating the noise")
    noise = estimate_noise(runs, options.noise)
    judge, curves = _set_up(runs, noise, scaling.variable, options, deadline, known)
    positive = positive_variables(runs, noise) | known.positive
    status = "done"
    if not refine_range.signatures:
        progress("loading the compiled solver (compiled on first use, in half a minute)")
    nothing = Structure(((),) * data.n_states)
    judge.judge([(nothing, np.zeros(0))])  # the baseline: no state ever changes
    begun = time.monotonic()  # the budget is for searching, not for compiling
    try:
        _fill(judge, curves, noise, positive, options, progress)
        if near_noise(judge, noise, 0.01) and judge.best is not None:  # fast states look rough without any noise
            counts = np.maximum((judge.problem.weight > 0).sum(0), 1)
            noise = Noise(noise.kind, np.sqrt(judge.best.rss / counts))
        certain = options.noise != "auto" or noise.clean
        for kind in () if certain else other_kinds(runs, noise.kind):
            progress(f"checking {kind} noise")
            other = estimate_noise(runs, kind)
            rival, rival_curves = _set_up(runs, other, scaling.variable, options, deadline, known)
            chosen = choose(judge.ranked).selected
            if judge.in_pieces:
                rival.turn([])
            again = rival.judge([(chosen.structure, chosen.theta)], chosen.starts, iterations=60)
            needed = DECISIVE
            if positive.all():
                needed += USUAL if kind == "additive" else -USUAL
            if again and _log_likelihood2(rival, again[0]) < _log_likelihood2(judge, chosen) - needed:
                noise, judge, curves = other, rival, rival_curves
                positive = positive_variables(runs, noise) | known.positive
                _fill(judge, curves, noise, positive, options, progress)
    except _OutOfTimeError:
        status = "out of time"
    except KeyboardInterrupt:
        if len(judge.ranked) < 2:
            raise
        status = "interrupted"
    return Searched(judge, scaling, curves, noise, positive, status)
