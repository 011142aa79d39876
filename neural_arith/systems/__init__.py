"""The catalogue: known systems with their equations, starts, spans and sources, and a few measured series."""

from neural_arith.systems.catalogue import SUITES, get, names
from neural_arith.systems.system import System

__all__ = ["SUITES", "System", "get", "names"]
