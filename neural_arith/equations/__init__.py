"""Equations as objects: written, compared, simulated, exported, saved, and refitted to data."""

from neural_arith.equations.fit import RefitResult, fit_constants, refit_constants
from neural_arith.equations.io import load, save
from neural_arith.equations.rounding import round_coefficients
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import from_terms, power_terms

__all__ = [
    "EquationSystem",
    "RefitResult",
    "fit_constants",
    "from_terms",
    "load",
    "power_terms",
    "refit_constants",
    "round_coefficients",
    "save",
]
