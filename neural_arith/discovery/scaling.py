"""Units of measurement taken out of a problem: every state of size one, the longest run of length one.

Units keep their form under such a change, so an equation found in scaled numbers goes back exactly.
States of size 1e-12 and 1e12 then look alike to every tolerance behind this point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.errors import DataError
from neural_arith.integrate.structure import Structure
from neural_arith.integrate.units import FITTED, Number, Sum, Unit


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
        log_size = np.log(self.variable)

        def size(unit: Unit) -> float:
            """What the powers of a unit in scaled numbers are multiplied by to be those in original ones."""
            exponents = [values[Number("power", unit, v)] if e == FITTED else e for v, e in enumerate(unit.powers)]
            return float(np.exp(np.dot(exponents, log_size)))

        new = dict(values)
        for place, value in values.items():
            if isinstance(place, Number):
                if place.kind in ("rate", "frequency"):
                    new[place] = value / self.variable[place.index]
                elif place.kind == "coefficient" and isinstance(place.owner, Sum):
                    parts = place.owner.parts
                    new[place] = value * size(parts[0][0]) / size(parts[place.index][0])
        for i, unit in structure.terms:
            shrunk = size(unit)
            for k, (total, q) in enumerate(unit.sums):
                shrunk *= size(total.parts[0][0]) ** (values[Number("sum power", unit, k)] if q == FITTED else q)
            new[(i, unit)] = values[(i, unit)] * self.state[i] / self.time / shrunk
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
