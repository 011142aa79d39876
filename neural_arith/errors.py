"""The exceptions of this package: one family, so that one ``except`` catches them all."""

from __future__ import annotations

import numpy as np


class NeuralArithError(Exception):
    """Base of every error this package raises on purpose.

    Examples:
        >>> import neural_arith as na
        >>> try:
        ...     na.EquationSystem({"x": "x +* 2"})
        ... except na.NeuralArithError as error:
        ...     print(type(error).__name__)
        EquationError
    """


class DataError(NeuralArithError, ValueError):
    """The measurements are not what was expected; the message says what came and what to do.

    Examples:
        >>> import neural_arith as na
        >>> try:
        ...     na.Trajectories.from_arrays([0, 1, 1, 2], [[1], [2], [3], [4]])
        ... except na.DataError as error:
        ...     print(str(error).partition(";")[0])
        run 0: duplicate time 1 at index 2
    """


class OptionError(NeuralArithError, ValueError):
    """An option has a value that is not allowed; the message lists what is.

    Examples:
        >>> import neural_arith as na
        >>> try:
        ...     na.Dense(2, 1, activation="tanh")
        ... except na.OptionError as error:
        ...     print(error)
        activation must be one of 'linear', 'relu', 'relu6', 'sigmoid', not 'tanh'
    """


class EquationError(NeuralArithError, ValueError):
    """An expression, a file or a field cannot be read as a system of equations.

    Examples:
        >>> import neural_arith as na
        >>> try:
        ...     na.EquationSystem({"x": "-k*x"})
        ... except na.EquationError as error:
        ...     print(str(error).partition(";")[0])
        the right-hand side of x: unknown k in '-k*x'
    """


class DomainError(NeuralArithError, ValueError):
    """A power was asked for outside its domain (fractional power of a negative base, 0 to a negative power).

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> root = na.RealNPU.from_weights([[0.5]], negative="error")
        >>> try:
        ...     root(torch.tensor([-4.0]))
        ... except na.DomainError as error:
        ...     print(str(error).partition(";")[0])
        inputs [0] have negative values and powers that are not integers (or half-open gates)
    """


class IntegrationError(NeuralArithError, RuntimeError):
    """A solver could not reach the end of the time span.

    Attributes:
        time: the last time that was reached.
        state: the state there, shape ``(states,)`` or ``(*batch, states)``.
        reason: one short sentence.

    Examples:
        >>> import neural_arith as na
        >>> law = na.EquationSystem({"x": "x**2"})  # infinite at t = 1
        >>> try:
        ...     law.simulate([1.0], [0.0, 2.0])
        ... except na.IntegrationError as error:
        ...     print(round(error.time, 3), error.reason)
        1.0 blow-up: a state passed the bound 2e+12
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
