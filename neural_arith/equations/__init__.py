"""Equations as objects: written, compared, simulated, exported and saved."""

from neural_arith.equations.io import save
from neural_arith.equations.reactions import Reaction, Reactions, read_reactions
from neural_arith.equations.system import EquationSystem, load
from neural_arith.equations.terms import from_terms, power_terms

__all__ = [
    "EquationSystem",
    "Reaction",
    "Reactions",
    "from_terms",
    "load",
    "power_terms",
    "read_reactions",
    "save",
]
