"""Equations as objects: written, compared, simulated, exported, saved, and refitted to data."""

from neural_arith.equations.system import EquationSystem

__all__ = ["EquationSystem"]
