"""Find the differential equations behind trajectories with networks whose weights are the equation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_arith import plotting as plotting
    from neural_arith import systems as systems
    from neural_arith.data import Run as Run
    from neural_arith.data import Trajectories as Trajectories
    from neural_arith.discovery import Discovery as Discovery
    from neural_arith.discovery import Effort as Effort
    from neural_arith.discovery import Knowledge as Knowledge
    from neural_arith.discovery import Options as Options
    from neural_arith.discovery import Prior as Prior
    from neural_arith.discovery import discover as discover
    from neural_arith.discovery import estimate_noise as estimate_noise
    from neural_arith.discovery import reactions_of as reactions_of
    from neural_arith.equations import EquationSystem as EquationSystem
    from neural_arith.equations import load as load
    from neural_arith.equations import read_reactions as read_reactions
    from neural_arith.errors import DataError as DataError
    from neural_arith.errors import DomainError as DomainError
    from neural_arith.errors import EquationError as EquationError
    from neural_arith.errors import IntegrationError as IntegrationError
    from neural_arith.errors import NeuralArithError as NeuralArithError
    from neural_arith.errors import OptionError as OptionError
    from neural_arith.fit import fit_rates as fit_rates
    from neural_arith.fit import refit_constants as refit_constants
    from neural_arith.fit import round_coefficients as round_coefficients
    from neural_arith.layers import GNALU as GNALU
    from neural_arith.layers import INALU as INALU
    from neural_arith.layers import NAC as NAC
    from neural_arith.layers import NACNMU as NACNMU
    from neural_arith.layers import NALU as NALU
    from neural_arith.layers import NAU as NAU
    from neural_arith.layers import NMRU as NMRU
    from neural_arith.layers import NMU as NMU
    from neural_arith.layers import NPU as NPU
    from neural_arith.layers import NRU as NRU
    from neural_arith.layers import Dense as Dense
    from neural_arith.layers import FastChain as FastChain
    from neural_arith.layers import FastNAU as FastNAU
    from neural_arith.layers import FastNPU as FastNPU
    from neural_arith.layers import FastRealNPU as FastRealNPU
    from neural_arith.layers import GatedNAUNMU as GatedNAUNMU
    from neural_arith.layers import LiftedNPU as LiftedNPU
    from neural_arith.layers import ModifiedRealNPU as ModifiedRealNPU
    from neural_arith.layers import NACMul as NACMul
    from neural_arith.layers import NACSigma as NACSigma
    from neural_arith.layers import NaiveNPU as NaiveNPU
    from neural_arith.layers import RealNaiveNPU as RealNaiveNPU
    from neural_arith.layers import RealNPU as RealNPU
    from neural_arith.layers import StochasticNMU as StochasticNMU
    from neural_arith.layers import fit_closed_form as fit_closed_form
    from neural_arith.ode import ArithmeticField as ArithmeticField
    from neural_arith.ode import NeuralODE as NeuralODE
    from neural_arith.ode import prune as prune
    from neural_arith.ode import train as train
    from neural_arith.regressor import ODERegressor as ODERegressor
    from neural_arith.report import write_report as write_report

__version__ = "0.1.0"

# Each public name and the room it lives in. Rooms load on first use: torch and scikit-learn take seconds to import,
# which `neural-arith --help` need not wait for.
_ROOMS = {
    "data": ("Run", "Trajectories"),
    "layers": (
        "Dense",
        "FastChain",
        "FastNAU",
        "FastNPU",
        "FastRealNPU",
        "GNALU",
        "GatedNAUNMU",
        "INALU",
        "LiftedNPU",
        "ModifiedRealNPU",
        "NAC",
        "NACMul",
        "NACNMU",
        "NACSigma",
        "NALU",
        "NAU",
        "NMRU",
        "NMU",
        "NPU",
        "NRU",
        "NaiveNPU",
        "RealNPU",
        "RealNaiveNPU",
        "StochasticNMU",
        "fit_closed_form",
    ),
    "equations": ("EquationSystem", "load", "read_reactions"),
    "fit": ("fit_rates", "refit_constants", "round_coefficients"),
    "errors": ("DataError", "DomainError", "EquationError", "IntegrationError", "NeuralArithError", "OptionError"),
    "ode": ("ArithmeticField", "NeuralODE", "prune", "train"),
    "discovery": ("Discovery", "Effort", "Knowledge", "Options", "Prior", "discover", "estimate_noise", "reactions_of"),
    "report": ("write_report",),
    "regressor": ("ODERegressor",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [*sorted(_HOME), "plotting", "systems"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in ("plotting", "systems"):
        return import_module(f"neural_arith.{name}")
    if name in _HOME:
        return getattr(import_module(f"neural_arith.{_HOME[name]}"), name)
    raise AttributeError(f"module 'neural_arith' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
