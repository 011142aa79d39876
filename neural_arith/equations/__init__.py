"""Equations as objects: written, compared, simulated, exported, saved, and refitted to data."""

from neural_arith.equations.fit import RefitResult, fit_constants, refit_constants
from neural_arith.equations.io import load, save
from neural_arith.equations.rates import RateFit, fit_rates
from neural_arith.equations.reactions import Reaction, Reactions, read_reactions
from neural_arith.equations.rounding import round_coefficients
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import from_terms, power_terms

__all__ = [
    "EquationSystem",
    "RateFit",
    "Reaction",
    "Reactions",
    "RefitResult",
    "fit_constants",
    "fit_rates",
    "from_terms",
    "load",
    "power_terms",
    "read_reactions",
    "refit_constants",
    "round_coefficients",
    "save",
]
