"""The catalogue: known systems with their equations, starts, spans and sources, and a few measured series.

Examples:
    >>> from neural_arith import systems
    >>> systems.SUITES
    ('odebench', 'powerlaw', 'reactions', 'real')
    >>> len(systems.names("odebench"))
    63
"""

from neural_arith.systems.catalogue import SUITES, get, names
from neural_arith.systems.system import System

__all__ = ["SUITES", "System", "get", "names"]
