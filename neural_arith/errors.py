"""The exceptions of this package: one family, so that one ``except`` catches them all."""

from __future__ import annotations

import numpy as np


class NeuralArithError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(NeuralArithError, ValueError):
    """The measurements are not what was expected; the message says what came and what to do."""


class OptionError(NeuralArithError, ValueError):
    """An option has a value that is not allowed; the message lists what is."""


class EquationError(NeuralArithError, ValueError):
    """An expression, a file or a field cannot be read as a system of equations."""


class DomainError(NeuralArithError, ValueError):
    """A power was asked for outside its domain (fractional power of a negative base, 0 to a negative power)."""


class IntegrationError(NeuralArithError, RuntimeError):
    """A solver could not reach the end of the time span.

    Attributes:
        time: the last time that was reached.
        state: the state there, shape ``(states,)`` or ``(*batch, states)``.
        reason: one short sentence.
    """

    def __init__(self, reason: str, time: float = float("nan"), state: object = None) -> None:
        self.reason = reason
        self.time = float(time)
        self.state = None if state is None else np.asarray(state)
        where = "" if np.isnan(self.time) else f" at t = {self.time:.6g}"
        at = "" if self.state is None else f", state {np.array2string(self.state, precision=4, threshold=8)}"
        super().__init__(f"integration stopped{where}{at}: {reason}")

    def __reduce__(self) -> tuple:
        """Keep the three fields through pickling, which joblib needs."""
        return (type(self), (self.reason, self.time, self.state))
