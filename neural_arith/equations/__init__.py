"""Equations as objects: written, compared, simulated, exported, saved, and refitted to data."""

from neural_arith.equations.io import load, save
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import from_terms, power_terms

__all__ = ["EquationSystem", "from_terms", "load", "power_terms", "save"]
