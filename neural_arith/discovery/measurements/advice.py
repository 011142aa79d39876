"""What the measurements themselves tell of why no equation may fit: steps, spikes, inputs, a rate as second state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats

from neural_arith.data import Run, Trajectories
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import SMALLEST, Noise

LONG = 30
"""Measured values of a state in a run from which on its steps may be told to be random."""

CERTAIN = 100
"""Steps of a state from which on noise on a curve would be told from random steps."""

CHANCE = 0.01
"""How often independent steps look less so than these."""

SPIKE, ALONE, ROBUST = 8.0, 3.0, 0.6745
"""Robust deviations that make a value stand out; times by which it must exceed all others; median of a deviation."""

ROUNDING = 1e-6
"""Share of a state's size below which nothing stands out."""

FOLLOWS = 0.9
"""Share of the variation of a second derivative that state and rate must explain."""

SWINGS = 3
"""Turns that make an oscillation; less may be a hump, which something hidden makes."""

HELD = 0.8
"""Share of the intervals over which an input that is held stays the same."""


@dataclass(frozen=True)
class Spike:
    """A measured value that does not go with its neighbours.

    Attributes:
        name: the state.
        index: of its run.
        t: when.
        times: how many times the scatter it lies away.
    """

    name: str
    index: int
    t: float
    times: float


def spikes(data: Trajectories, residuals: list[np.ndarray], relative: bool = False) -> list[Spike]:
    """Single values whose residual stands out from those of the samples around, far beyond what any other does.

    Args:
        data: the measurements.
        residuals: measurements minus a solution.
        relative: whether scatter is a share of the value.
    """
    found: list[Spike] = []
    for i, name in enumerate(data.names):
        largest = max(float(np.nanmax(np.abs(np.append(run.x[:, i], 0.0)))) for run in data.runs)
        places, parts = [], []
        for k, (run, left) in enumerate(zip(data.runs, residuals, strict=True)):
            seen = np.flatnonzero(np.isfinite(left[:, i]))
            size = np.maximum(np.abs(run.x[seen, i]) / largest, SMALLEST) if relative and largest else 1.0
            parts.append(_beside(left[seen, i] / size))
            places.extend((k, float(run.t[row])) for row in seen[2:-2])
        apart, alone = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not len(apart):
            continue
        scatter = max(float(np.median(apart)) / ROBUST, ROUNDING * largest)
        order = np.argsort(-apart, kind="stable")
        most = 0
        for m in range(1, len(apart) // 20 + 1):
            if not alone[order[m - 1]] or apart[order[m - 1]] <= SPIKE * scatter:
                break
            if apart[order[m - 1]] > ALONE * apart[order[m]]:
                most = m
        for place in order[:most]:
            k, t = places[place]
            found.append(Spike(name, k, t, float(apart[place]) / scatter))
    return found


def _beside(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much each value differs from the two before and the two after, and whether these agree.

    Those at the ends are left out: there, and after a sudden change, equations that are wrong leave most, which is no
    fault of the readings.
    """
    if len(x) < 5:
        return np.zeros(0), np.zeros(0, dtype=bool)
    around = np.stack([x[:-4], x[1:-3], x[3:-1], x[4:]])
    apart = np.abs(x[2:-2] - np.median(around, axis=0))
    return apart, np.ptp(around, axis=0) < apart / ALONE


def random_steps(data: Trajectories) -> dict[str, int]:
    """States whose steps from sample to sample do not depend on the steps before (Ljung & Box, 1978), and their number.

    On a curve steps are like those before, and noise makes the next one go back.
    """
    found = {}
    for i, name in enumerate(data.names):
        total, freedom, count, first = 0.0, 0, 0, 0.0
        for run in data.runs:
            seen = np.isfinite(run.x[:, i])
            t, x = run.t[seen], run.x[seen, i]
            if len(x) < LONG or not np.ptp(x) > 0:
                continue
            step = np.diff(x) / np.sqrt(np.diff(t))
            middle = np.median(step)
            far = 3 * np.median(np.abs(step - middle)) / ROBUST
            step = np.clip(step, middle - far, middle + far) if far > 0 else step  # one wrong reading is no noise
            step = step - step.mean()
            n, lags = len(step), min(10, len(step) // 5)
            if not (step**2).sum() > 0:
                continue
            alike = np.array([(step[k:] * step[:-k]).sum() for k in range(1, lags + 1)]) / (step**2).sum()
            total += n * (n + 2) * float((alike**2 / (n - np.arange(1, lags + 1))).sum())
            freedom, count, first = freedom + lags, count + n, first + n * float(alike[0])
        if count and scipy.stats.chi2.sf(total, freedom) > CHANCE and abs(first) < 3 * np.sqrt(count):
            found[name] = count
    return found


def rate_would_do(curve: Curve) -> bool:
    """Whether how the rate of a single state changes follows, along a smooth curve, from the state and its rate."""
    spline = curve.splines[0]
    t = np.linspace(curve.run.t[0], curve.run.t[-1], 400)[20:-20]  # a smooth curve is worst at its ends
    x, v, a = (np.asarray(spline(t, order), dtype=float) for order in (0, 1, 2))
    if curve.logarithmic:
        x = np.exp(np.clip(x, -700, 700))
        v, a = x * v, x * (a + v**2)
    if _swings(x) < SWINGS or not np.ptp(a) > 0:
        return False
    x, v = (x - x.mean()) / x.std(), v / v.std()
    terms = np.stack([x**p * v**q for p in range(4) for q in range(4 - p)], axis=1)
    left = a - terms @ np.linalg.lstsq(terms, a)[0]
    return bool((left**2).sum() < (1 - FOLLOWS) * ((a - a.mean()) ** 2).sum())


def _swings(x: np.ndarray) -> int:
    """How often a series turns after having gone a tenth of its range."""
    count, way, low, high = 0, 0, x[0], x[0]
    for value in x:
        low, high = min(low, value), max(high, value)
        for new, far in ((-1, high - value), (1, value - low)):
            if new != way and far > 0.1 * np.ptp(x):
                count, way, low, high = count + (way != 0), new, value, value
                break
    return count


def turns(curve: Curve, noise: Noise) -> bool:
    """Whether a single state clearly rises and clearly falls within one run, on the smooth curve through it."""
    x = curve(curve.run.t)[:, 0]
    margin = 4 * noise.level[0] * (1.0 if noise.kind == "additive" else float(np.abs(x).max()))
    margin = max(margin, 0.05 * float(np.ptp(x)))
    rise = float((x - np.minimum.accumulate(x)).max())
    fall = float((np.maximum.accumulate(x) - x).max())
    return rise > margin and fall > margin


# ------------------------------------------------------------------------------------------------------- inputs
def input_values(data: Trajectories) -> list[np.ndarray]:
    """The different values of each input, in order."""
    inputs = [run.u for run in data.runs if run.u is not None]
    return [np.unique(np.concatenate([u[:, m] for u in inputs])) for m in range(data.n_inputs)]


def constant_inputs(data: Trajectories) -> list[str]:
    """Inputs that have one value all the time in all runs."""
    return [name for name, values in zip(data.input_names, input_values(data), strict=True) if len(values) == 1]


def switches(data: Trajectories) -> list[str]:
    """Inputs that have two values, so that any function of them is a straight line through both."""
    return [name for name, values in zip(data.input_names, input_values(data), strict=True) if len(values) == 2]


def jumps(data: Trajectories) -> list[str]:
    """Inputs that are mostly held and then jump from one row to the next."""
    return [name for m, name in enumerate(data.input_names) if any(_jumps(run, m) for run in data.runs)]


def _jumps(run: Run, m: int) -> bool:
    """Whether an input of a run is held before and after it changes over an interval that is not especially short."""
    if run.u is None or len(run.t) < 4:
        return False
    change, pace = np.diff(run.u[:, m]) != 0, np.diff(run.t)
    still = ~change
    lone = change[1:-1] & still[:-2] & still[2:] & (pace[1:-1] > 0.1 * np.median(pace))
    return bool(lone.any() and still.mean() >= HELD)
