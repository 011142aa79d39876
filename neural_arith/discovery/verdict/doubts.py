"""Doubts about what was stated as known, and about one law for all runs: what the measurements say to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neural_arith.clock import OutOfTimeError
from neural_arith.data import Trajectories
from neural_arith.data.checks import run_name
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.measurements.noise import noise_level
from neural_arith.discovery.measurements.problem import telling_runs
from neural_arith.discovery.measurements.scaling import Scaling
from neural_arith.discovery.verdict.worth import Worth
from neural_arith.equations.terms import from_structure, term_text
from neural_arith.fit.noise import CLEAN, Noise
from neural_arith.solve.compiled.integrate import profile_misfit
from neural_arith.terms.candidate import Judged

BEYOND = 4.0
"""Times the scatter by which measurements must miss what was stated to contradict it."""

FLATLY = 0.1
"""Share of its size by which a sum stated as conserved must change for errors that rest on it to mean nothing."""

NOTHING = 4.0
"""Units of 2 log likelihood below which a term is within two standard errors of nothing."""

DECISIVE = 30.0
"""Units of score by which own constants for each run must win."""

MEETS = 2.0
"""Times the scatter within which runs alone must be met for their constants to be the reason."""

_TRIED, _RUNS, _ITERATIONS = 12, 12, 40


# ------------------------------------------------------------------------------------------------ what was stated
def against_sums(known: Constraints, texts: Sequence[str], data: Trajectories) -> tuple[list[str], bool]:
    """What the measurements say against sums stated as conserved, and whether one of them plainly changes."""
    said, flatly = [], False
    for coefficients, text in zip(known.conserved, texts, strict=True):
        weights = np.array(coefficients)
        members = np.flatnonzero(weights)
        series, names = [], []
        for k, run in enumerate(data.runs):
            parts = run.x[:, members] * weights[members]
            seen = np.isfinite(parts).all(axis=1)
            if seen.sum() >= 4:
                series.append((run.t[seen], parts[seen].sum(axis=1), float(np.abs(parts[seen]).sum(axis=1).max())))
                names.append(run_name(run, k))
        size = max((s for *_, s in series), default=0.0)
        if not size > 0:
            continue
        scatter = max(noise_level([(t, total / size) for t, total, _ in series], False), CLEAN) * size
        moved = [float(total.std()) for _, total, _ in series]
        worst = int(np.argmax(moved))
        if moved[worst] <= BEYOND * scatter:
            continue
        _, total, _ = series[worst]
        low, high = float(total.min()), float(total.max())
        flatly |= high - low > FLATLY * size
        where = f" in {names[worst]}" if len(data) > 1 else ""
        said.append(
            f"{text} was stated as conserved, but the measurements say otherwise: it goes from {low:.4g} to {high:.4g}"
            f"{where}, {moved[worst] / scatter:.0f} times its scatter. The equations obey what was stated, so they "
            "cannot be right where it does not hold."
        )
    return said, bool(flatly)


def against_positive(known: Constraints, data: Trajectories) -> list[str]:
    """What the measurements say against states stated as never negative."""
    said = []
    for i in np.flatnonzero(known.positive[: data.n_states]):
        series = [(run.t[seen], run.x[seen, i]) for run in data.runs if (seen := np.isfinite(run.x[:, i])).any()]
        size = max((float(np.abs(x).max()) for _, x in series), default=0.0)
        lowest = min((float(x.min()) for _, x in series), default=0.0)
        if lowest < 0:
            scatter = max(noise_level([(t, x / size) for t, x in series], False), CLEAN) * size
            if -lowest > BEYOND * scatter:
                said.append(
                    f"{data.names[i]} was stated as never negative, but was measured down to {lowest:.4g}, "
                    f"{-lowest / scatter:.0f} times its scatter below zero."
                )
    return said


def against_signs(likelihood: Likelihood, judged: Judged, knowledge: Knowledge, data: Trajectories) -> list[str]:
    """Terms that are absent from the choice because of their stated sign: the other one explains the data better."""
    said = []
    free = replace(likelihood.known, signs={})
    for (i, unit), sign in likelihood.known.signs.items():
        equation = judged.structure.equations[i]
        if unit in equation:
            continue
        # Beside the other terms, or instead of one of them.
        others = [equation, *([u for u in equation if u != gone] for gone in equation)]
        tried = [judged.structure.replace(i, [*other, unit]) for other in others]
        tried = [structure for structure in tried if free.allows(structure)]
        if not tried or free.conserved:
            continue
        values = judged.structure.values(judged.theta)
        thetas = [structure.theta(values) for structure in tried]
        again = likelihood.refine(tried, thetas, judged.starts, _ITERATIONS)
        if not again.complete:
            raise OutOfTimeError
        scores = again.misfit + [likelihood.price(structure) + judged.start_price for structure in tried]
        best = int(np.argmin(scores))
        gain = judged.score - float(scores[best])
        if gain > BEYOND**2 and tried[best].values(again.thetas[best])[(i, unit)] * sign < 0:
            said.append(
                f"{knowledge.sign_text(data, i, unit)} in the equation of {data.names[i]} was stated, but with the "
                f"other sign this term would explain the measurements better (by {gain:.0f} units of score)."
            )
    return said


def required_for_nothing(known: Constraints, judged: Judged, terms: Sequence[Worth]) -> list[str]:
    """Required terms without which the measurements are explained as well."""
    return [
        f"{worth.term} stands in the equation of {worth.state} only because it was required: the measurements are "
        f"explained as well without it (it buys {max(worth.buys, 0.0):.1f} units of 2 log likelihood; two standard "
        f"errors would be {NOTHING:g})."
        for (i, unit), worth in zip(judged.structure.terms, terms, strict=True)
        if known.required and unit in known.required[i] and worth.buys < NOTHING
    ]


# --------------------------------------------------------------------------------------------- one law for all runs
def runs_apart(
    likelihood: Likelihood, ranked: Sequence[Judged], scaling: Scaling, noise: Noise, chosen: Judged, data: Trajectories
) -> str:
    """The sentence that constants differ between runs, where each run alone follows one law; else nothing.

    Args:
        likelihood: of the measurements.
        ranked: the candidates, best score first.
        scaling: takes values back to the original numbers.
        noise: scaled.
        chosen: the choice.
        data: the measurements, for their names.

    Raises:
        OutOfTimeError: the clock was over before the end.
    """
    problem = likelihood.problem
    if problem.n_runs < 2 or likelihood.known.conserved:
        return ""
    tried = [chosen, *(j for j in ranked[: _TRIED + 1] if j is not chosen and j.structure.n_terms)][:_TRIED]
    runs = telling_runs(problem, _RUNS) if problem.n_runs > _RUNS else list(range(problem.n_runs))
    thetas: list[list[np.ndarray]] = []
    rss = np.zeros((len(tried), problem.x.shape[1]))
    used, _ = problem.of_runs(runs)
    for k in runs:
        alone, pieces = problem.of_runs([k])
        starts = np.stack([j.starts[pieces] for j in tried])
        found = likelihood.refine(
            [j.structure for j in tried], [j.theta for j in tried], starts, _ITERATIONS, problem=alone
        )
        if not found.complete:
            raise OutOfTimeError
        thetas.append(found.thetas)
        rss += found.rss
    counts = used.counts
    misfit = np.array([profile_misfit(r, 0.0, counts, problem.floor) for r in rss])
    own = [
        likelihood.price(j.structure) + (len(runs) - 1) * j.structure.n_fitted * likelihood.prices.per_number
        for j in tried
    ]
    best = int(np.argmin(np.where(np.isfinite(misfit), misfit, np.inf) + own))
    spread = np.sqrt(rss[best] / np.maximum(counts, 1))
    together = chosen.misfit * float(counts.sum()) / float(problem.counts.sum())
    met = bool(np.all(spread < MEETS * np.maximum(noise.level, CLEAN)))
    if not met or misfit[best] + own[best] > together + chosen.price - DECISIVE:
        return ""
    structure = tried[best].structure
    values = np.array([scaling.original(structure, theta[best]) for theta in thetas])
    middle = np.maximum(np.median(np.abs(values), axis=0), 1e-300)
    share = (np.ptp(values, axis=0) / middle)[: structure.n_terms]
    most = int(np.argmax(share >= 0.9 * share.max()))  # of those that differ about as much the plainest
    names = [run_name(data.runs[k], k) for k in runs]
    low, high = int(np.argmin(np.abs(values[:, most]))), int(np.argmax(np.abs(values[:, most])))
    law = from_structure(structure, structure.values(values[low]), data.names, data.input_names)
    i, unit = structure.terms[most]
    ones = {**structure.values(values[low]), (i, unit): values[high, most]}
    term = term_text((i, unit), ones, data.names, data.input_names)
    written = "; ".join(f"d {name}/dt = {text}" for name, text in law.to_text().items())
    return (
        f"Constants may differ between the runs: each alone follows one law, but with constants of its own. In "
        f"{names[low]} it is {written}; what differs most is {term} in {names[high]}, "
        f"{abs(values[high, most] / values[low, most]):.3g} times as much."
    )
