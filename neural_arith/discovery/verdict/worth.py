"""What each term of the choice buys: how much worse the measurements are explained without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.clock import OutOfTimeError
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.scaling import Scaling
from neural_arith.equations.terms import term_text
from neural_arith.terms.candidate import Judged

_ITERATIONS = 15


@dataclass(frozen=True)
class Worth:
    """One term of the chosen equations.

    Attributes:
        state: the equation it stands in.
        term: the term with its fitted coefficient, as text.
        buys: units of 2 log likelihood that are lost without it, everything else refitted; inf where nothing is left
            that can be followed.
        costs: what it adds to the description length, in the same unit. A term is there because it buys more.

    Examples:
        >>> from neural_arith.discovery import Worth
        >>> term = Worth(state="x", term="-0.501*x", buys=310.0, costs=9.0)
        >>> term.buys > term.costs
        True
    """

    state: str
    term: str
    buys: float
    costs: float


def worth_of_terms(
    likelihood: Likelihood, scaling: Scaling, judged: Judged, names: tuple[str, ...], inputs: tuple[str, ...]
) -> tuple[Worth, ...]:
    """Refit a candidate without each of its terms in turn.

    Args:
        likelihood: of the measurements.
        scaling: takes values back to the original numbers.
        judged: the candidate.
        names: of the states.
        inputs: names of the inputs.

    Raises:
        OutOfTimeError: the clock was over before the end.
    """
    likelihood.clock.check()
    structure = judged.structure
    if not structure.n_terms:
        return ()
    original = structure.values(scaling.original(structure, judged.theta))
    values = structure.values(judged.theta)
    shorter = [structure.replace(i, [u for u in structure.equations[i] if u != unit]) for i, unit in structure.terms]
    refined = likelihood.refine(shorter, [s.theta(values) for s in shorter], judged.starts, _ITERATIONS)
    if not refined.complete:
        raise OutOfTimeError
    found = []
    for (i, unit), without, misfit in zip(structure.terms, shorter, refined.misfit, strict=True):
        term = term_text((i, unit), original, names, inputs)
        lost = float(misfit - judged.misfit) if np.isfinite(misfit) else np.inf
        found.append(Worth(names[i], term, lost, float(judged.price - likelihood.price(without))))
    return tuple(found)
