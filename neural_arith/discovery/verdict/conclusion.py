"""The conclusion: what a search found in the user's names and numbers, with all there is to say of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data.trajectories import Trajectories
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.search.archive import Searched
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
from neural_arith.discovery.verdict.result import Candidate, Discovery
from neural_arith.discovery.verdict.rounded import round_values
from neural_arith.discovery.verdict.solutions import Curves, fitted_curves, horizon_words, horizons, solutions
from neural_arith.discovery.verdict.standard_errors import to_candidate, to_equations
from neural_arith.discovery.verdict.statements import COARSE, Circumstances, statements
from neural_arith.discovery.verdict.worth import Worth, worth_of_terms
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.text import places
from neural_arith.terms.candidate import Judged

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _InTime:
    """Makes what there is time for, and remembers what there was not."""

    clock: Clock
    left_out: list[str] = field(default_factory=list)

    def __call__(self, what: str, make: Callable[[], _Result]) -> _Result | None:
        with contextlib.suppress(OutOfTimeError):
            self.clock.check()
            return make()
        self.left_out.append(what)
        return None


def conclude(
    searched: Searched, data: Trajectories, options: Options, given: int, unused: list[str], progress: Progress
) -> Discovery:
    """What is said about the candidates, the most valuable first; what time does not suffice for is left out.

    Args:
        searched: the candidates.
        data: the measurements they were judged by.
        options: settings.
        given: samples there were before thinning.
        unused: inputs that never change.
        progress: told what is being done.
    """
    progress("choosing, rounding and measuring what is uncertain")
    archive, likelihood, scaling = searched.archive, searched.likelihood, searched.scaling
    in_time = _InTime(likelihood.clock)
    if searched.status != "done":  # else the search has tried them
        in_time("plain numbers within the equations", lambda: plain_numbers(archive))
    choice, solved = _choose_soluble(searched, data)
    selected = to_candidate(searched, data, choice.selected, choice)
    if selected.constants and not selected.measured:
        in_time.left_out.append("standard errors")
    equations, final = selected.equations, choice.selected
    if options.round_constants:
        rounder = in_time("round constants", lambda: _round(searched, data, choice.selected))
        if rounder is not None:
            equations, final, solved = rounder
    terms = in_time(
        "what each term is worth",
        lambda: worth_of_terms(likelihood, scaling, choice.selected, data.names, data.input_names),
    )
    candidates = _table(searched, data, choice, selected, in_time)
    fitted, residuals, ends = _fit(searched, data, final, solved)
    pieces = tuple(np.bincount(np.cumsum(~likelihood.problem.linked) - 1).tolist())
    broken, flatly = against_sums(likelihood.known, list(options.knowledge.conserved), data)
    if flatly:  # errors hold only where the law can be right
        candidates = tuple(replace(c, standard_errors=(np.nan,) * len(c.constants), measured=False) for c in candidates)
        broken.append("Standard errors are left out: they hold only where the equations can be right.")
    noise = searched.noise
    doubts, apart = _doubts(searched, data, options, choice, terms, in_time)
    about = Circumstances(
        status=searched.status,
        given=given,
        weak=[] if flatly or "standard errors" in in_time.left_out else _weak(selected),
        near_ties=len(choice.near_ties),
        telling=telling(choice, likelihood.problem),
        known=options.knowledge != Knowledge(),
        doubts=[*broken, *doubts],
        apart=apart,
        unused=unused,
    )
    messages = statements(data, searched.curves, noise, scaling.state, residuals, about)
    if in_time.left_out:
        messages = (*messages, f"The time budget left no time for: {', '.join(in_time.left_out)}.")
    if noise.kind == "additive":
        noise = replace(noise, level=noise.level * scaling.state)
    return Discovery(
        data=data,
        equations=equations,
        candidates=candidates,
        terms=terms or (),
        noise=noise,
        initial_states=final.starts[~likelihood.problem.linked] * scaling.state,
        fitted=fitted,
        pieces=pieces,
        horizons=ends,
        residuals=residuals,
        messages=(*messages, *searched.untried, *horizon_words(data, ends, pieces)),
        status=searched.status,
        options=options,
    )


def _table(
    searched: Searched, data: Trajectories, choice: Choice, selected: Candidate, in_time: _InTime
) -> tuple[Candidate, ...]:
    """The choice, its near-ties and the rest of the table, as far as time suffices."""
    told = {id(choice.selected): selected}
    for judged in (*choice.near_ties, *choice.table):
        if id(judged) not in told and in_time.clock.in_time():
            told[id(judged)] = to_candidate(searched, data, judged, choice)
    if missing := len(choice.table) - len(told):
        in_time.left_out.append(f"{missing} further candidates")
    return tuple(told[id(judged)] for judged in choice.table if id(judged) in told)


def _fit(
    searched: Searched, data: Trajectories, final: Judged, solved: Curves
) -> tuple[Curves, list[np.ndarray], tuple[float, ...]]:
    """The fit, what it leaves, and how long the equations' own solution follows it."""
    likelihood, size = searched.likelihood, searched.scaling.state
    solution = likelihood.solution(final) * size
    ends = np.cumsum([len(run) for run in data.runs])[:-1]
    residuals = [run.x - part for run, part in zip(data.runs, np.split(solution, ends), strict=True)]
    fitted = fitted_curves(data, likelihood, final, size, solved, solution)
    if not likelihood.clock.in_time():  # what could not be solved any more says nothing of chaos
        solved = [own if np.isfinite(own[1]).all() else fit for own, fit in zip(solved, fitted, strict=True)]
    return fitted, residuals, horizons(data, fitted, solved)


def _doubts(
    searched: Searched,
    data: Trajectories,
    options: Options,
    choice: Choice,
    terms: tuple[Worth, ...] | None,
    in_time: _InTime,
) -> tuple[list[str], str]:
    """What the measurements say against what was stated, and whether constants differ between runs."""
    likelihood, known, selected = searched.likelihood, searched.likelihood.known, choice.selected
    signs = apart = None
    if known.signs:
        signs = in_time(
            "whether stated signs hold", lambda: against_signs(likelihood, selected, options.knowledge, data)
        )
    if len(data) > 1 and not near_noise(searched.archive, searched.noise, COARSE):
        ranked, scaling, noise = searched.archive.ranked, searched.scaling, searched.noise
        apart = in_time(
            "whether runs differ in their constants",
            lambda: runs_apart(likelihood, ranked, scaling, noise, selected, data),
        )
    nothing = required_for_nothing(known, selected, terms) if terms else []
    return [*against_positive(known, data), *(signs or []), *nothing], apart or ""


def _round(searched: Searched, data: Trajectories, judged: Judged) -> tuple[EquationSystem, Judged, Curves] | None:
    """The choice with rounded constants, and its solution; None where that cannot be or has none."""
    rounded = round_values(searched.likelihood, searched.scaling, judged)
    if rounded is None:
        return None
    equations = rounded.tell(to_equations(searched, data, judged, rounded.theta))
    starts = rounded.judged.starts[~searched.likelihood.problem.linked]
    curves = solutions(data, equations, starts * searched.scaling.state, clock=searched.likelihood.clock)
    if all(np.isfinite(x).all() for _, x in curves):
        return equations, rounded.judged, curves
    searched.likelihood.clock.check()
    return None


def _choose_soluble(searched: Searched, data: Trajectories) -> tuple[Choice, Curves]:
    """The choice among candidates that a second solver, too, carries over every run, and its solution."""
    ranked, others = up_for_choice(searched.archive.ranked, searched.likelihood)
    first: tuple[Choice, Curves] | None = None
    while True:
        choice = choose(ranked, others)
        equations = to_equations(searched, data, choice.selected)
        starts = choice.selected.starts[~searched.likelihood.problem.linked]
        solved = solutions(data, equations, starts * searched.scaling.state, clock=searched.likelihood.clock)
        soluble = all(np.isfinite(x).all() for _, x in solved)
        if soluble or len(ranked) == 1:
            return choice, solved
        first = first or (choice, solved)
        if not searched.likelihood.clock.in_time():  # nobody knows what the second solver would have said
            return first
        ranked = [j for j in ranked if j is not choice.selected]


def _weak(candidate: Candidate) -> list[str]:
    """Constants whose standard error exceeds half their size, as text."""
    rows = zip(places(candidate.equations), candidate.constants, candidate.standard_errors, strict=True)
    return [f"{value:.4g} in {side}" for (side, _), value, error in rows if not error <= 0.5 * abs(value)]
