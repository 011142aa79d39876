"""Where the restarts of a population begin: random products of powers, and of powers, exponentials and cosines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STARTS = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0])
_WHOLE = np.array([0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0])

# What a lifted factor does over the range of its variable at the start: the exponent of e, the radians of the cosine.
_RATE_STARTS = (0.5, 6.0)
_FREQUENCY_STARTS = (1.5, 25.0)


@dataclass(frozen=True)
class Starts:
    """Where restarts begin, over the columns ``[log|x|, x, 1]`` or those of a :class:`Grid`.

    Attributes:
        real: exponents and rates, ``(restarts, units, columns)``.
        imaginary: frequencies and phases, the same shape.
        free: which of them are searched, ``(restarts, units, 2, columns)``: real, then imaginary.
    """

    real: np.ndarray
    imaginary: np.ndarray
    free: np.ndarray


def draw_plain(n: int, units: int, positive: np.ndarray, rng: np.random.Generator) -> Starts:
    """Products of powers: one or two variables for each unit.

    A variable that changes sign gets a whole exponent that stays: its real powers are not real.
    """
    n_variables = len(positive)
    shape = (n, units, 2 * n_variables + 1)
    real, free = np.zeros(shape), np.zeros((n, units, 2, shape[2]), dtype=bool)
    for _ in range(2):
        which = rng.integers(n_variables, size=(n, units, 1))
        powers = rng.choice(_STARTS, which.shape) + 0.2 * rng.standard_normal(which.shape)
        whole = rng.choice(_WHOLE, which.shape)
        np.put_along_axis(real, which, np.where(positive[which], powers, whole), axis=2)
        np.put_along_axis(free[:, :, 0], which, positive[which], axis=2)
    return Starts(real, np.zeros(shape), free)


def draw_lifted(n: int, units: int, positive: np.ndarray, extent: np.ndarray, rng: np.random.Generator) -> Starts:
    """At least one unit with an exponential or a cosine, of one or two variables, sometimes times a power.

    Args:
        n: restarts.
        units: number of units.
        positive: which variables never change sign, ``(variables,)``.
        extent: range of each variable, ``(variables,)``; one that never moves gets no lifted factor.
        rng: source of randomness.
    """
    starts = draw_plain(n, units, positive, rng)
    moving = np.flatnonzero(extent > 0)
    lifts = rng.random((n, units)) < 1 / 3
    lifts[:, 0] = True
    turns = rng.random((n, units)) < 0.5
    bare = rng.random((n, units)) < 2 / 3
    bounds = np.where(turns[..., None], np.log(_FREQUENCY_STARTS), np.log(_RATE_STARTS))
    size = np.exp(rng.uniform(bounds[..., 0], bounds[..., 1]))
    # Beside such a factor stands, as a rule, a constant or a single state: units without a number to search.
    n_variables = len(positive)
    simple = ~lifts & (rng.random((n, units)) < 2 / 3)
    starts.real[simple], starts.free[simple] = 0.0, False
    which = rng.permuted(np.tile(np.arange(n_variables + 1), (n, -(-units // (n_variables + 1)))), axis=1)[:, :units]
    starts.real[:, :, :n_variables][simple] = np.eye(n_variables + 1)[which[simple], :n_variables]
    both = rng.random((n, units)) < 1 / 3
    pick = rng.choice(moving, (n, units, 2))
    signs = rng.choice([-1.0, 1.0], (n, units, 2))
    quarter = rng.random((n, units)) < 0.5
    for r, h in zip(*np.nonzero(lifts), strict=True):
        real, free = starts.real[r, h], starts.free[r, h]
        if bare[r, h]:
            real[:], free[0] = 0.0, False
        else:  # one power is enough beside the other factor
            extra = np.flatnonzero(real)[1:]
            real[extra], free[0, extra] = 0.0, False
        kind = int(turns[r, h])
        weights = starts.imaginary[r, h] if turns[r, h] else real
        least = (_FREQUENCY_STARTS if turns[r, h] else _RATE_STARTS)[0]
        used = 2 if both[r, h] else 1
        wide = extent[pick[r, h, :used]].max()
        for v, sign in zip(pick[r, h, :used], signs[r, h], strict=False):
            # Two variables start with equal rates, as in sin(x - y), where their ranges allow it.
            rate = max(size[r, h] / wide, least / extent[v])
            weights[n_variables + v], free[kind, n_variables + v] = sign * rate, True
        if turns[r, h]:
            weights[-1], free[1, -1] = -np.pi / 2 if quarter[r, h] else 0.0, True
    return starts
