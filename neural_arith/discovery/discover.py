"""The discovery route as one function: trajectories in, equations with their rivals and doubts out."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data import Run, Trajectories
from neural_arith.discovery.engine import Searched, search
from neural_arith.discovery.loading import load_compiled
from neural_arith.discovery.measurements.advice import constant_inputs
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.search.climbing import plain_numbers
from neural_arith.discovery.search.stages import near_noise
from neural_arith.discovery.verdict.choice import Choice, choose, telling, up_for_choice
from neural_arith.discovery.verdict.doubts import (
    against_positive,
    against_signs,
    against_sums,
    required_for_nothing,
    runs_apart,
)
from neural_arith.discovery.verdict.result import (
    Candidate,
    Curves,
    Discovery,
    fitted_curves,
    horizon_words,
    horizons,
    solutions,
    to_candidate,
    to_equations,
)
from neural_arith.discovery.verdict.rounded import round_values
from neural_arith.discovery.verdict.statements import COARSE, Circumstances, measured_rows, statements
from neural_arith.discovery.verdict.worth import worth_of_terms
from neural_arith.equations import EquationSystem
from neural_arith.equations.places import places
from neural_arith.parallel import Checkpoint
from neural_arith.terms.candidate import Judged


def discover(
    data: Trajectories,
    options: Options | None = None,
    progress: Progress = lambda _: None,
    *,
    now: Callable[[], float] = time.monotonic,
) -> Discovery:
    """Find the differential equations behind measurements.

    Args:
        data: one run or many, irregular times and missing values allowed.
        options: settings; the defaults are the same for every system.
        progress: told what is being done, one line at a time.
        now: tells the time in seconds, for the budget.

    Returns:
        The chosen equations with candidates, noise, fitted curves and statements about what is uncertain. Ctrl-C and
        the end of a time budget return the best so far, and the ``status`` says so.

    Raises:
        OptionError: an option is out of range, or what is said to be known cannot hold for these data.
        KeyboardInterrupt: Ctrl-C came before there was anything to return.

    Examples:
        >>> import numpy as np
        >>> from neural_arith.data import Trajectories
        >>> t = np.linspace(0, 10, 60)
        >>> data = Trajectories.from_arrays(t, 5 / (1 + 9 * np.exp(-0.8 * t)), names=["yeast"])
        >>> print(discover(data).equations)  # the logistic law with rate 0.8 and capacity 5
        d yeast/dt = 0.8*yeast - 0.16*yeast**2
    """
    options = options or Options()
    given = measured_rows(data)
    whole = data.thin(max(20, options.max_points // len(data)))
    unused = _unused_inputs(whole, options.knowledge)
    data = _without(whole, unused)
    known = replace(options, knowledge=options.knowledge.without(unused))
    load_compiled(progress)  # the budget is for searching, not for compiling
    clock = Clock.start(options.time_budget, now)
    with clock.searching.watched() as until:
        searched = search(data, known, progress, until)
    searched.judge.clock, searched.judge.checkpoint = clock, Checkpoint()  # finishing is cheap, and not kept
    with clock.watched():
        found = _finish(searched, data, options, given, unused, progress)
    return replace(
        found,
        data=whole,
        equations=_with_inputs(found.equations, whole),
        candidates=tuple(replace(c, equations=_with_inputs(c.equations, whole)) for c in found.candidates),
    )


def _finish(
    searched: Searched, data: Trajectories, options: Options, given: int, unused: list[str], progress: Progress
) -> Discovery:
    """What is said about the candidates, the most valuable first; what time does not suffice for is left out."""
    progress("choosing, rounding and measuring what is uncertain")
    judge, scaling = searched.judge, searched.scaling
    left_out: list[str] = []

    def in_time(what: str, make: Callable[[], _Result]) -> _Result | None:
        with contextlib.suppress(OutOfTimeError):
            judge.clock.check()
            return make()
        left_out.append(what)
        return None

    if searched.status != "done":  # else the search has tried them
        in_time("plain numbers within the equations", lambda: plain_numbers(judge))
    choice, solved = _choose_soluble(searched, data)
    selected = to_candidate(searched, data, choice.selected, choice)
    if selected.constants and not selected.measured:
        left_out.append("standard errors")
    equations, final = selected.equations, choice.selected
    if options.round_constants:
        rounder = in_time("round constants", lambda: _round(searched, data, choice.selected))
        if rounder is not None:
            equations, final, solved = rounder
    told = {id(choice.selected): selected}
    terms = in_time(
        "what each term is worth",
        lambda: worth_of_terms(judge, scaling, choice.selected, data.names, data.input_names),
    )
    for judged in (*choice.near_ties, *choice.table):
        if id(judged) not in told and judge.clock.in_time():
            told[id(judged)] = to_candidate(searched, data, judged, choice)
    if missing := len(choice.table) - len(told):
        left_out.append(f"{missing} further candidates")
    solution = judge.solution(final) * scaling.state
    bounds = np.cumsum([0, *(len(r.t) for r in data.runs)])
    parts = [solution[a:b] for a, b in itertools.pairwise(bounds)]
    residuals = [run.x - part for run, part in zip(data.runs, parts, strict=True)]
    fitted = fitted_curves(data, judge, final, scaling.state, solved, solution)
    if not judge.clock.in_time():  # what could not be solved any more says nothing of chaos
        solved = [own if np.isfinite(own[1]).all() else fit for own, fit in zip(solved, fitted, strict=True)]
    ends = horizons(data, fitted, solved)
    pieces = tuple(np.bincount(np.cumsum(~judge.problem.linked) - 1).tolist())
    broken, flatly = against_sums(judge.known, list(options.knowledge.conserved), data)
    candidates = tuple(told[id(judged)] for judged in choice.table if id(judged) in told)
    if flatly:  # errors hold only where the law can be right
        candidates = tuple(replace(c, standard_errors=(np.nan,) * len(c.constants), measured=False) for c in candidates)
        broken.append("Standard errors are left out: they hold only where the equations can be right.")
    noise = searched.noise
    signs = apart = None
    if judge.known.signs:
        signs = in_time(
            "whether stated signs hold", lambda: against_signs(judge, choice.selected, options.knowledge, data)
        )
    if len(data) > 1 and not near_noise(judge, noise, COARSE):
        apart = in_time(
            "whether runs differ in their constants", lambda: runs_apart(judge, scaling, noise, choice.selected, data)
        )
    about = Circumstances(
        status=searched.status,
        given=given,
        weak=[] if flatly or "standard errors" in left_out else _weak(selected),
        near_ties=len(choice.near_ties),
        telling=telling(choice, judge.problem),
        known=options.knowledge != Knowledge(),
        doubts=[
            *broken,
            *against_positive(judge.known, data),
            *(signs or []),
            *(required_for_nothing(judge.known, choice.selected, terms) if terms else []),
        ],
        apart=apart or "",
        unused=unused,
    )
    messages = statements(data, searched.curves, noise, scaling.state, residuals, about)
    if left_out:
        messages = (*messages, f"The time budget left no time for: {', '.join(left_out)}.")
    if noise.kind == "additive":
        noise = replace(noise, level=noise.level * scaling.state)
    return Discovery(
        data=data,
        equations=equations,
        candidates=candidates,
        terms=terms or (),
        noise=noise,
        initial_states=final.starts[~judge.problem.linked] * scaling.state,
        fitted=fitted,
        pieces=pieces,
        horizons=ends,
        residuals=residuals,
        messages=(*messages, *searched.untried, *horizon_words(data, ends, pieces)),
        status=searched.status,
        options=options,
    )


_Result = TypeVar("_Result")


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


def _round(searched: Searched, data: Trajectories, judged: Judged) -> tuple[EquationSystem, Judged, Curves] | None:
    """The choice with rounded constants, and its solution; None where that cannot be or has none."""
    rounded = round_values(searched.judge, searched.scaling, judged)
    if rounded is None:
        return None
    equations = rounded.tell(to_equations(searched, data, judged, rounded.theta))
    starts = rounded.judged.starts[~searched.judge.problem.linked]
    curves = solutions(data, equations, starts * searched.scaling.state, clock=searched.judge.clock)
    if all(np.isfinite(x).all() for _, x in curves):
        return equations, rounded.judged, curves
    searched.judge.clock.check()
    return None


def _choose_soluble(searched: Searched, data: Trajectories) -> tuple[Choice, Curves]:
    """The choice among candidates that a second solver, too, carries over every run, and its solution."""
    ranked, others = up_for_choice(searched.judge)
    first: tuple[Choice, Curves] | None = None
    while True:
        choice = choose(ranked, others)
        equations = to_equations(searched, data, choice.selected)
        starts = choice.selected.starts[~searched.judge.problem.linked]
        solved = solutions(data, equations, starts * searched.scaling.state, clock=searched.judge.clock)
        soluble = all(np.isfinite(x).all() for _, x in solved)
        if soluble or len(ranked) == 1:
            return choice, solved
        first = first or (choice, solved)
        if not searched.judge.clock.in_time():  # nobody knows what the second solver would have said
            return first
        ranked = [j for j in ranked if j is not choice.selected]


def _weak(candidate: Candidate) -> list[str]:
    """Constants whose standard error exceeds half their size, as text."""
    rows = zip(places(candidate.equations), candidate.constants, candidate.standard_errors, strict=True)
    return [f"{value:.4g} in {side}" for (side, _), value, error in rows if not error <= 0.5 * abs(value)]
