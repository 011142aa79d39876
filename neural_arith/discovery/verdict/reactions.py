"""What was found, read as chemical reactions where the standard errors allow it."""

from __future__ import annotations

from neural_arith.discovery.verdict.result import Discovery
from neural_arith.equations import Reactions, read_reactions

WHOLE = 0.02
"""Share by which coefficients may miss whole ratios, or three standard errors if that is more."""


def reactions_of(discovery: Discovery) -> Reactions | None:
    """The chosen equations as reactions; None where no reaction changes several states at once.

    Args:
        discovery: its standard errors say how far coefficients may be from whole ratios.
    """
    chosen = discovery.chosen
    found = read_reactions(chosen.equations, WHOLE, chosen.standard_errors)
    return found if found.linked else None
