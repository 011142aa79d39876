"""Units of measurement taken out of a problem: every state of size one, the longest run of length one.

Units keep their form under such a change, so an equation found in scaled numbers goes back exactly.
States of size 1e-12 and 1e12 then look alike to every tolerance behind this point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.errors import DataError
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit

_LARGEST = 400.0
"""Natural logarithm of the largest factor that a change of units may give a constant; double precision ends at 709, and
states and time have a share in it."""


@dataclass(frozen=True)
class Scaling:
    """Sizes of the variables and of time.

    Attributes:
        variable: root mean square of each state, then of each input, ``(variables,)``.
        time: length of the longest run.
        n_states: how many of the variables are states.
    """

    variable: np.ndarray
    time: float
    n_states: int

    @property
    def state(self) -> np.ndarray:
        """Sizes of the states."""
        return self.variable[: self.n_states]

    def runs(self, data: Trajectories) -> list[Run]:
        """The measurements in scaled numbers, each run starting at time zero."""
        inputs = self.variable[self.n_states :]
        return [
            Run((r.t - r.t[0]) / self.time, r.x / self.state, None if r.u is None else r.u / inputs) for r in data.runs
        ]

    def original(self, structure: Structure, theta: np.ndarray) -> np.ndarray:
        """The values of a candidate for the original numbers, given those for the scaled ones."""
        values = structure.values(theta)
        log_scale = np.log(self.variable)
        new = dict(values)
        for place, value in values.items():
            if isinstance(place, Number):
                if place.kind in ("rate", "frequency"):
                    new[place] = value / self.variable[place.index]
                elif place.kind == "coefficient" and isinstance(place.owner, Sum):
                    first, part = place.owner.parts[0][0], place.owner.parts[place.index][0]
                    change = _log_size(first, values, log_scale) - _log_size(part, values, log_scale)
                    new[place] = value * float(np.exp(change))
        for i, unit in structure.terms:
            change = np.log(self.state[i] / self.time) - _log_size(unit, values, log_scale)
            new[(i, unit)] = values[(i, unit)] * float(np.exp(change))
        return structure.theta(new)

    def scaled(self, structure: Structure, theta: np.ndarray) -> np.ndarray:
        """The values of a candidate for the scaled numbers, given those for the original ones."""
        kinds = [place.kind if isinstance(place, Number) else "" for place in (*structure.terms, *structure.numbers)]
        kept = np.array([kind in ("power", "sum power", "phase") for kind in kinds], dtype=bool)
        # For given exponents all others are multiplied by something.
        return np.where(kept, theta, theta / self.original(structure, np.where(kept, theta, 1.0)))

    def slopes(self, structure: Structure, theta: np.ndarray) -> np.ndarray:
        """How the values for the original numbers change with those for the scaled ones, ``(values, values)``."""
        slopes = np.zeros((len(theta), len(theta)))
        for k, value in enumerate(theta):
            step = 1e-6 * max(abs(value), 1e-3)
            there, back = theta.copy(), theta.copy()
            there[k] += step
            back[k] -= step
            slopes[:, k] = (self.original(structure, there) - self.original(structure, back)) / (2 * step)
        return slopes


def _log_size(unit: Unit, values: Mapping[Term | Number, float], log_scale: np.ndarray) -> float:
    """Logarithm of what the powers of a unit, and of its sums, in scaled numbers are multiplied by in original ones."""
    exponents = [values[Number("power", unit, v)] if e == FITTED else e for v, e in enumerate(unit.powers)]
    size = float(np.dot(exponents, log_scale))
    for k, (total, q) in enumerate(unit.sums):
        power = values[Number("sum power", unit, k)] if q == FITTED else q
        size += power * _log_size(total.parts[0][0], values, log_scale)
    return size


def can_be_written(structure: Structure, theta: np.ndarray, variable: np.ndarray) -> bool:
    """Whether the constants of a candidate are numbers of ordinary size in the original units, too.

    High powers of a state of size 1e8 have coefficients that no floating-point number holds.

    Args:
        structure: the candidate.
        theta: its values, for the scaled numbers.
        variable: sizes of the variables.
    """
    values, log_scale = structure.values(theta), np.log(variable)
    inner = (part for unit in structure.units for total, _ in unit.sums for part, _ in total.parts)
    return all(abs(_log_size(unit, values, log_scale)) < _LARGEST for unit in (*structure.units, *inner))


def fit_scaling(data: Trajectories) -> Scaling:
    """Sizes of the variables of ``data``; a variable that is always zero has size one.

    Raises:
        DataError: a variable is so large or small that its powers overflow.
    """
    x = np.concatenate([np.hstack([r.x, r.u]) if r.u is not None else r.x for r in data.runs])
    size = np.nanmax(np.abs(x), axis=0)
    size[size == 0] = 1.0
    rms = size * np.sqrt(np.nanmean((x / size) ** 2, axis=0))  # the division keeps 1e300 from overflowing
    rms[rms == 0] = 1.0
    names = (*data.names, *data.input_names)
    for name, value in zip(names, rms, strict=True):
        if not 1e-50 < value < 1e50:
            raise DataError(f"{name} is of size {value:.3g}; powers of such numbers overflow: give it in other units")
    return Scaling(rms, max(float(r.t[-1] - r.t[0]) for r in data.runs), data.n_states)
