"""The discovery route as one function: trajectories in, equations with their rivals and doubts out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.discovery.advice import constant_inputs
from neural_arith.discovery.choice import Choice, choose, telling, up_for_choice
from neural_arith.discovery.doubts import (
    against_positive,
    against_signs,
    against_sums,
    required_for_nothing,
    runs_apart,
)
from neural_arith.discovery.engine import Searched, search
from neural_arith.discovery.judge import Judged
from neural_arith.discovery.knowledge import Knowledge
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.result import (
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
from neural_arith.discovery.rounded import round_values
from neural_arith.discovery.stages import near_noise
from neural_arith.discovery.statements import COARSE, Circumstances, measured_rows, statements
from neural_arith.discovery.worth import worth_of_terms
from neural_arith.equations import EquationSystem
from neural_arith.equations.places import places


def discover(data: Trajectories, options: Options | None = None, progress: Progress = lambda _: None) -> Discovery:
    """Find the differential equations behind measurements.

    Args:
        data: one run or many, irregular times and missing values allowed.
        options: settings; the defaults are the same for every system.
        progress: told what is being done, one line at a time.

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
    whole = data = data.thin(max(20, options.max_points // len(data)))
    unused = _unused_inputs(data, options.knowledge)
    data = _without(data, unused)
    searched = search(data, replace(options, knowledge=options.knowledge.without(unused)), progress)
    judge, scaling = searched.judge, searched.scaling
    choice, solved = _choose_soluble(searched, data)
    candidates = tuple(to_candidate(searched, data, judged, choice) for judged in choice.table)
    broken, flatly = against_sums(judge.known, list(options.knowledge.conserved), data)
    if flatly:  # errors hold only where the law can be right
        candidates = tuple(replace(c, standard_errors=(np.nan,) * len(c.constants)) for c in candidates)
    selected = next(c for c in candidates if c.selected)
    equations, final = selected.equations, choice.selected
    if options.round_constants and (rounder := _round(searched, data, choice.selected)) is not None:
        equations, final, solved = rounder
    starts = final.starts[~judge.problem.linked] * scaling.state
    solution = judge.predict(final).x * scaling.state
    bounds = np.cumsum([0, *(len(r.t) for r in data.runs)])
    residuals = [r.x - solution[a:b] for r, a, b in zip(data.runs, bounds[:-1], bounds[1:], strict=True)]
    fitted = fitted_curves(data, judge, final, scaling.state, solved, solution)
    ends = horizons(data, fitted, solved)
    pieces = tuple(np.bincount(np.cumsum(~judge.problem.linked) - 1).tolist())
    terms = worth_of_terms(judge, scaling, choice.selected, data.names, data.input_names)
    noise = searched.noise
    about = Circumstances(
        status=searched.status,
        given=given,
        weak=[] if flatly else _weak(selected),
        near_ties=len(choice.near_ties),
        telling=telling(choice, judge.problem),
        known=options.knowledge != Knowledge(),
        doubts=[
            *broken,
            *against_positive(judge.known, data),
            *against_signs(judge, choice.selected, options.knowledge, data),
            *required_for_nothing(judge.known, choice.selected, terms),
        ],
        apart="" if near_noise(judge, noise, COARSE) else runs_apart(judge, scaling, noise, choice.selected, data),
        unused=unused,
    )
    messages = statements(data, searched.curves, noise, scaling.state, residuals, about)
    if noise.kind == "additive":
        noise = replace(noise, level=noise.level * scaling.state)
    return Discovery(
        data=whole,
        equations=_with_inputs(equations, whole),
        candidates=tuple(replace(c, equations=_with_inputs(c.equations, whole)) for c in candidates),
        terms=terms,
        noise=noise,
        initial_states=starts,
        fitted=fitted,
        pieces=pieces,
        horizons=ends,
        residuals=residuals,
        messages=(*messages, *horizon_words(data, ends, pieces)),
        status=searched.status,
        options=options,
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


def _round(searched: Searched, data: Trajectories, judged: Judged) -> tuple[EquationSystem, Judged, Curves] | None:
    """The choice with rounded constants, and its solution; None where that cannot be or has none."""
    rounded = round_values(searched.judge, searched.scaling, judged)
    if rounded is None:
        return None
    equations = rounded.tell(to_equations(searched, data, judged, rounded.theta))
    starts = rounded.judged.starts[~searched.judge.problem.linked]
    curves = solutions(data, equations, starts * searched.scaling.state)
    return (equations, rounded.judged, curves) if all(np.isfinite(x).all() for _, x in curves) else None


def _choose_soluble(searched: Searched, data: Trajectories) -> tuple[Choice, Curves]:
    """The choice among candidates that a second solver, too, carries over every run, and its solution."""
    ranked, others = up_for_choice(searched.judge)
    while True:
        choice = choose(ranked, others)
        equations = to_equations(searched, data, choice.selected)
        starts = choice.selected.starts[~searched.judge.problem.linked]
        solved = solutions(data, equations, starts * searched.scaling.state)
        if len(ranked) == 1 or all(np.isfinite(x).all() for _, x in solved):
            return choice, solved
        ranked = [j for j in ranked if j is not choice.selected]


def _weak(candidate: Candidate) -> list[str]:
    """Constants whose standard error exceeds half their size, as text."""
    rows = zip(places(candidate.equations), candidate.constants, candidate.standard_errors, strict=True)
    return [f"{value:.4g} in {side}" for (side, _), value, error in rows if not error <= 0.5 * abs(value)]
