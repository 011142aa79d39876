"""A candidate with its numbers and what the measurements say to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.terms.structure import Structure


@dataclass(frozen=True)
class Judged:
    """A candidate with its constants and starting states refitted through the solver, in scaled numbers.

    Attributes:
        structure: what stands in the equations.
        theta: its values: coefficients, then fitted numbers within units.
        starts: ``(pieces, states)``.
        misfit: twice the negative log likelihood up to a constant.
        price: description length, in units of 2 log likelihood.
        rss: weighted residual sum of squares of each state.
        start_price: what it costs to name starting states as precisely as the candidate needs them, in the same unit;
            only candidates up for choice have it, see :meth:`Judge.price_starts`.
    """

    structure: Structure
    theta: np.ndarray
    starts: np.ndarray
    misfit: float
    price: float
    rss: np.ndarray
    start_price: float = 0.0

    @property
    def score(self) -> float:
        """Misfit plus prices; lower is better."""
        return self.misfit + self.whole_price

    @property
    def whole_price(self) -> float:
        """What equations, constants and starting states cost together."""
        return self.price + self.start_price
