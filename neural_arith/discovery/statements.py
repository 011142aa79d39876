"""What a user should know before trusting the equations, in plain sentences."""

from __future__ import annotations

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.noise_level import CLEAN
from neural_arith.discovery.smoothing import Curve

STILL = 0.9
"""Share of a state's variation that is left where the equations let it rest."""

FEW = 12
"""Measured values of a state below which equations are hardly more than a guess."""

COARSE = 2.0
"""Residuals this many times the noise between neighbours are worth a word; the noise itself is known within half."""


def statements(
    data: Trajectories,
    curves: list[Curve],
    noise: Noise,
    scale: np.ndarray,
    residuals: list[np.ndarray],
    weak_constants: list[str],
    near_ties: int,
    status: str,
    given: int,
    known: bool = False,
) -> tuple[str, ...]:
    """Sentences about fit, identifiability and the run itself.

    Args:
        data: the measurements.
        curves: smooth curves through the scaled measurements.
        noise: the noise model, scaled.
        scale: sizes of the states.
        residuals: measurements minus solution of the chosen equations.
        weak_constants: terms whose constant has a standard error above half its size.
        near_ties: structures that strong evidence does not exclude.
        status: how the search ended.
        given: samples there were before thinning.
        known: whether something was stated as known.
    """
    said: list[str] = []
    if given > data.n_points:
        said.append(f"Of {given} samples {data.n_points} were used, evenly spread; max_points sets how many.")
    if status == "out of time":
        said.append("The time budget ended the search; a longer one may find better equations.")
    if status == "interrupted":
        said.append("The search was interrupted; these are the best equations found until then.")
    turns = data.n_states == 1 and any(_turns(curve, noise) for curve in curves)
    if turns and not data.input_names:
        said.append(
            f"One state is not enough: {data.names[0]} both rises and falls within a run, but the solution of a single "
            f"equation d {data.names[0]}/dt = f({data.names[0]}) can do only one of the two. Measure a second state, "
            f"or give the input that drives it."
        )
    coarse = _coarse(data, noise, scale, residuals)
    unexplained = _unexplained(data, residuals)
    poor = [(name, share) for name, share in unexplained if name in coarse or np.isnan(share)]
    for name, share in poor:
        if not turns and status == "done":
            much = "what happened to" if np.isnan(share) else f"{min(share, 1.0):.0%} of the variation of"
            said.append(
                f"The chosen equations leave {much} {name} unexplained: nothing that was tried of "
                f"{', '.join((*data.names, *data.input_names))} does better. A state or an input may be missing"
                + (", or what was stated as known may not hold." if known else ".")
            )
    still = [name for name, share in unexplained if share > STILL and name not in coarse]
    if still:
        said.append(f"No change beyond the scatter of the measurements is seen in {', '.join(still)}.")
    few = min(int(np.isfinite(np.concatenate([r.x[:, i] for r in data.runs])).sum()) for i in range(data.n_states))
    if few < FEW:
        said.append(f"There are only {few} measured values of a state: so few single out hardly any equation.")
    if not poor:
        said.extend(
            f"What the equations leave of {name} is {ratio:.1f} times the scatter between neighbouring samples: they "
            "miss part of what happened, or errors of neighbours are alike. Standard errors assume independent errors."
            for name, ratio in coarse.items()
        )
    if near_ties and not poor and status == "done":
        what = "one other structure explains" if near_ties == 1 else f"{near_ties} other structures explain"
        said.append(
            f"The data do not single out one structure: {what} them about as well (within 6 units of score, which is "
            "-2 log likelihood and description length together). The simplest is shown; the table of candidates in the "
            "report lists the others. Data from other starting states would tell them apart."
        )
    if weak_constants:
        said.append(f"Poorly determined (standard error above half the value): {', '.join(weak_constants)}.")
    constant = getattr(data, "constant_states", ())
    if constant:
        said.append(f"Constant in all runs, so nothing can be said about what changes it: {', '.join(constant)}.")
    return tuple(said)


def _turns(curve: Curve, noise: Noise) -> bool:
    """Whether a single state clearly rises and clearly falls within one run, on the smooth curve through it."""
    x = curve(curve.run.t)[:, 0]
    margin = 4 * noise.level[0] * (1.0 if noise.kind == "additive" else float(np.abs(x).max()))
    margin = max(margin, 0.05 * float(np.ptp(x)))
    rise = float((x - np.minimum.accumulate(x)).max())
    fall = float((np.maximum.accumulate(x) - x).max())
    return rise > margin and fall > margin


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
