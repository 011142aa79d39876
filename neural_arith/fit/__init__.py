"""Everything that moves numbers: least squares, variable projection, the integral form, refinement, rounding."""

from neural_arith.fit.refit import RefitResult, fit_constants, fit_rates, refit_constants
from neural_arith.fit.rounding import round_coefficients

__all__ = [
    "RefitResult",
    "fit_constants",
    "fit_rates",
    "refit_constants",
    "round_coefficients",
]
