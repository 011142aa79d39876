"""What a user should know before trusting the equations, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.data.checks import run_name
from neural_arith.discovery.measurements.advice import (
    CERTAIN,
    Spike,
    jumps,
    random_steps,
    rate_would_do,
    spikes,
    switches,
    turns,
)
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import CLEAN, Noise

STILL = 0.9
"""Share of a state's variation that is left where the equations let it rest."""

FEW = 12
"""Measured values of a state below which equations are hardly more than a guess."""

COARSE = 2.0
"""Residuals this many times the noise between neighbours are worth a word; the noise itself is known within half."""


@dataclass(frozen=True)
class Circumstances:
    """What else is known of a search when it is put into words.

    Attributes:
        status: how the search ended.
        given: samples there were before thinning; 0 for as many as there are.
        weak: terms whose constant has a standard error above half its size.
        near_ties: structures that strong evidence does not exclude.
        telling: which further data would tell these apart: "starts", "inputs" or, where none is known to, "".
        known: whether something was stated as known.
        doubts: sentences about what was stated as known, see :mod:`neural_arith.discovery.verdict.doubts`.
        apart: the sentence that constants differ between runs, or "".
        unused: inputs that never change.
    """

    status: str = "done"
    given: int = 0
    weak: Sequence[str] = ()
    near_ties: int = 0
    telling: str = ""
    known: bool = False
    doubts: Sequence[str] = ()
    apart: str = ""
    unused: Sequence[str] = ()


def statements(
    data: Trajectories,
    curves: list[Curve],
    noise: Noise,
    scale: np.ndarray,
    residuals: list[np.ndarray],
    circumstances: Circumstances | None = None,
) -> tuple[str, ...]:
    """Sentences about fit, identifiability and the run itself; what is true is said however the search ended.

    Args:
        data: the measurements.
        curves: smooth curves through the scaled measurements.
        noise: the noise model, scaled.
        scale: sizes of the states.
        residuals: measurements minus solution of the chosen equations.
        circumstances: what else is known of the search.
    """
    about = circumstances or Circumstances()
    said = [*about.doubts, *data.notes, *_about_the_run(data, about), *_about_inputs(data, about)]
    lone = spikes(data, residuals, relative=noise.kind != "additive")
    single = data.n_states == 1 and not data.input_names
    if single and lone:  # a wrong reading is no turn
        curves = smooth([_blanked(c.run, data[k], k, lone) for k, c in enumerate(curves)], noise)
    turning = single and any(turns(curve, noise) for curve in curves)
    coarse = _coarse(data, noise, scale, residuals)
    unexplained = _unexplained(data, residuals)
    poor = {name: share for name, share in unexplained if name in coarse or np.isnan(share)}
    random = [
        name
        for name, steps in random_steps(data).items()
        if steps >= CERTAIN or turning or name in poor or name in coarse
    ]
    if random:
        said.append(_random(random))
    elif turning:
        # Noise that is a share of what goes through zero is a poor guide to slopes.
        runs = [curve.run for curve in curves]
        even = curves if noise.kind == "additive" else smooth(runs, estimate_noise(runs, "additive"))
        said.append(_not_enough(data.names[0], any(rate_would_do(curve) for curve in even)))
    said.extend(_wrong_readings(data, lone))
    if about.apart:
        said.append(about.apart)
    for name, share in poor.items():
        much = "what happened to" if np.isnan(share) else f"{min(share, 1.0):.0%} of the variation of"
        times = f", {coarse[name]:.1f} times the scatter between neighbouring samples" if name in coarse else ""
        said.append(
            f"The chosen equations leave {much} {name} unexplained{times}: nothing that was tried of "
            f"{', '.join((*data.names, *data.input_names))} does better."
            + _may_be(turning or bool(about.apart) or name in random, about.known)
        )
    still = [name for name, share in unexplained if share > STILL and name not in coarse]
    if still:
        said.append(f"No change beyond the scatter of the measurements is seen in {', '.join(still)}.")
    few = min(int(np.isfinite(np.concatenate([r.x[:, i] for r in data.runs])).sum()) for i in range(data.n_states))
    if few < FEW:
        said.append(f"There are only {few} measured values of a state: so few single out hardly any equation.")
    said.extend(
        f"What the equations leave of {name} is {ratio:.1f} times the scatter between neighbouring samples: they "
        "miss part of what happened, or errors of neighbours are alike. Standard errors assume independent errors."
        for name, ratio in coarse.items()
        if name not in poor
    )
    if about.near_ties:
        said.append(_ties(about, data, wrong=bool(coarse) or bool(poor) or bool(about.apart)))
    if about.weak:
        said.append(f"Poorly determined (standard error above half the value): {', '.join(about.weak)}.")
    constant = data.constant_states
    if constant:
        said.append(f"Constant in all runs, so nothing can be said about what changes it: {', '.join(constant)}.")
    return tuple(said)


def measured_rows(data: Trajectories) -> int:
    """Rows at which any state was measured."""
    return sum(int(np.isfinite(run.x).any(axis=1).sum()) for run in data.runs)


def _about_the_run(data: Trajectories, about: Circumstances) -> list[str]:
    said = []
    used = measured_rows(data)
    if about.given > used:
        said.append(f"Of {about.given} samples {used} were used, evenly spread; max_points sets how many.")
    if about.status == "out of time":
        said.append("The time budget ended the search; a longer one may find better equations.")
    if about.status == "interrupted":
        said.append("The search was interrupted; these are the best equations found until then.")
    return said


def _about_inputs(data: Trajectories, about: Circumstances) -> list[str]:
    said = [f"{name} never changes, so nothing can be said about what it does." for name in about.unused]
    said.extend(
        f"{name} has only two values: its powers, and all other functions of it, cannot be told apart; what other "
        "values of it would do is not known."
        for name in switches(data)
    )
    jumping = jumps(data)
    if jumping:
        said.append(
            f"{', '.join(jumping)} jumps from one row to the next and is read as a straight line in between. If it "
            "was held and then switched, add a row just before each switch, with empty cells for the states."
        )
    return said


def _random(names: Sequence[str]) -> str:
    which, do = (f"{names[0]}", "does") if len(names) == 1 else (", ".join(names), "do")
    return (
        f"The steps of {which} look random: each is independent of those before, as in a random walk. Then no equation "
        f"says what {which} {do} next, and what is shown for it may be chance."
    )


def _not_enough(name: str, rate: bool) -> str:
    return (
        f"One state is not enough: {name} both rises and falls within a run, but the solution of a single equation "
        f"d {name}/dt = f({name}) can do only one of the two. "
    ) + (
        f"{name} and its rate together would do: give the rate of {name} as a second state, measured or as the slope "
        f"of a smooth curve through it."
        if rate
        else "What is missing is a second state, measured or hidden, or an input that drives it."
    )


def _blanked(scaled: Run, run: Run, k: int, lone: Sequence[Spike]) -> Run:
    """The only state of a run, in scaled numbers, without single values far off."""
    off = np.isin(run.t, [spike.t for spike in lone if spike.index == k])
    return Run(scaled.t, np.where(off[:, None], np.nan, scaled.x))


def _wrong_readings(data: Trajectories, found: Sequence[Spike]) -> list[str]:
    shown = []
    for spike in found[:5]:
        where = f" of {run_name(data[spike.index], spike.index)}" if len(data) > 1 else ""
        shown.append(f"{spike.name} at {data.time_name} = {spike.t:.6g}{where} ({spike.times:.0f} times)")
    if not shown:
        return []
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    what = "One value lies" if len(found) == 1 else f"{len(found)} values lie"
    return [f"{what} far off the values before and after, measured by the scatter: {', '.join(shown)}{more}. "
            f"{'A wrong reading' if len(found) == 1 else 'Wrong readings'}?"]  # fmt: skip


def _may_be(explained: bool, known: bool) -> str:
    """What may be the reason that a state is not explained."""
    if explained:
        return ""
    return " A state or an input may be missing" + (", or what was stated as known may not hold." if known else ".")


def _ties(about: Circumstances, data: Trajectories, *, wrong: bool) -> str:
    n = about.near_ties
    what = "one other structure explains" if n == 1 else f"{n} other structures explain"
    told = {
        "starts": " Data from other starting states would tell them apart.",
        "inputs": f" Data with another course of {', '.join(data.input_names)} would tell them apart.",
    }
    return (
        f"The data do not single out one structure{'' if about.status == 'done' else ' so far'}: {what} them about as "
        "well (within 6 units of score, which is -2 log likelihood and description length together). The simplest is "
        "shown; the table of candidates in the report lists the others."
        + ("" if wrong else told.get(about.telling, ""))
    )


def _coarse(data: Trajectories, noise: Noise, scale: np.ndarray, residuals: list[np.ndarray]) -> dict[str, float]:
    """States whose residuals are much larger than the noise between neighbours, with the ratio."""
    found: dict[str, float] = {}
    for i, name in enumerate(data.names):
        x, left = (np.concatenate([part[:, i] for part in parts]) for parts in ([r.x for r in data.runs], residuals))
        seen = np.isfinite(x) & np.isfinite(left) & (x != 0)
        if not seen.any():
            continue
        size = scale[i] if noise.kind == "additive" else np.abs(x[seen])
        ratio = float(np.median(np.abs(left[seen]) / size)) / 0.6745 / max(float(noise.level[i]), CLEAN)
        if ratio > COARSE:
            found[name] = ratio
    return found


def _unexplained(data: Trajectories, residuals: list[np.ndarray]) -> list[tuple[str, float]]:
    """States of which the solution explains less than nine tenths, with the share that is left; nan = no solution."""
    found = []
    for i, name in enumerate(data.names):
        seen = np.concatenate([r.x[np.isfinite(r.x[:, i]), i] for r in data.runs])
        left = np.concatenate([e[:, i] for e in residuals])
        left = left[np.isfinite(left)]
        total = float(((seen - seen.mean()) ** 2).sum())
        share = float((left**2).sum()) / total if total > 0 else 0.0
        if len(left) < len(seen) or share > 0.1:
            found.append((name, share if len(left) == len(seen) else np.nan))
    return found
