"""The discovery route as one function: trajectories in, equations with their rivals and doubts out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.discovery.choice import Choice, choose, up_for_choice
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
from neural_arith.discovery.statements import statements
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
    given = data.n_points
    data = data.thin(max(20, options.max_points // len(data)))
    searched = search(data, options, progress)
    judge, scaling = searched.judge, searched.scaling
    choice, solved = _choose_soluble(searched, data)
    candidates = tuple(to_candidate(searched, data, judged, choice) for judged in choice.table)
    selected = next(c for c in candidates if c.selected)
    equations, final = selected.equations, choice.selected
    if options.round_constants and (rounder := _round(searched, data, choice.selected)) is not None:
        equations, final, solved = rounder
    starts = final.starts[~judge.problem.linked] * scaling.state
    solution = judge.predict(final).x * scaling.state
    bounds = np.cumsum([0, *(len(r.t) for r in data.runs)])
    residuals = [r.x - solution[a:b] for r, a, b in zip(data.runs, bounds[:-1], bounds[1:], strict=True)]
    fitted = fitted_curves(data, judge, final, scaling.state, solved)
    ends = horizons(data, fitted, solved)
    pieces = tuple(np.bincount(np.cumsum(~judge.problem.linked) - 1).tolist())
    noise = searched.noise
    if noise.kind == "additive":
        noise = replace(noise, level=noise.level * scaling.state)
    return Discovery(
        data=data,
        equations=equations,
        candidates=candidates,
        terms=worth_of_terms(judge, scaling, choice.selected, data.names, data.input_names),
        noise=noise,
        initial_states=starts,
        fitted=fitted,
        pieces=pieces,
        horizons=ends,
        residuals=residuals,
        messages=(
            *data.notes,
            *statements(
                data,
                searched.curves,
                searched.noise,
                scaling.state,
                residuals,
                _weak(selected),
                len(choice.near_ties),
                searched.status,
                given,
                options.knowledge != Knowledge(),
            ),
            *horizon_words(data, ends, pieces),
        ),
        status=searched.status,
        options=options,
    )


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
