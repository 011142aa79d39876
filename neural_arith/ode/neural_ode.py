"""A field inside a solver: initial states in, trajectories out, gradients through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, NeuralArithError, OptionError
from neural_arith.ode.calls import call, check_function, fault, first_line, home, n_arguments
from neural_arith.solve.with_torch import check_solver, solve_torch

Inputs = Tensor | Callable[[Tensor], Tensor]


class NeuralODE(nn.Module):
    """x(t) of dx/dt = field(t, x, u) (Chen, Rubanova, Bettencourt, Duvenaud: Neural ODEs, NeurIPS 2018).

    Args:
        field: an :class:`ArithmeticField` or any other module or function called as ``field(t, x, u)``,
            ``field(t, x)`` or ``field(x)``, such as ``nn.Sequential(NPU(2, 4), NAU(4, 2))``; one of ``field(x)`` gets
            the inputs as further columns behind the states. Also an :class:`EquationSystem`.
        method: a method of torchdiffeq: adaptive ("dopri5", "dopri8", "bosh3", ...) or of fixed step ("rk4", "euler",
            "midpoint"), whose step size goes into ``options={"step_size": h}``.
        rtol: relative tolerance of adaptive methods.
        atol: absolute tolerance.
        adjoint: gradients by integrating the adjoint backwards: memory constant in time, slower for small fields.
        options: passed on to the method.

    Raises:
        OptionError: the field cannot be called so, is random or looks at the whole batch, or the solver's options are
            out of range.

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> field = na.ArithmeticField(na.NAU.from_weights([[-1.0]]), states=["x"])
        >>> x = na.NeuralODE(field)(torch.tensor([1.0]), torch.tensor([0.0, 1.0, 2.0]))
        >>> [round(value, 4) for value in x.flatten().tolist()]
        [1.0, 0.3679, 0.1353]
    """

    def __init__(
        self,
        field: nn.Module | Callable[..., Tensor] | EquationSystem,
        method: str = "dopri5",
        rtol: float = 1e-7,
        atol: float = 1e-9,
        adjoint: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.field: Any = field.to_torch() if isinstance(field, EquationSystem) else field
        self._arguments = n_arguments(self.field)
        self._inputs = field.inputs if isinstance(field, EquationSystem) else ()
        if not isinstance(adjoint, bool):
            raise OptionError(f"adjoint must be True or False, got {adjoint!r}")
        if isinstance(self.field, nn.Module):
            check_function(self.field)
        elif adjoint:
            raise OptionError("adjoint=True needs the field to be a torch.nn.Module, so that its parameters are found")
        check_solver(method, rtol, atol, options)
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.options = None if options is None else dict(options)

    def forward(self, x0: Tensor, t: Tensor, u: Inputs | None = None) -> Tensor:
        """Simulate.

        Args:
            x0: initial states, ``(*batch, states)``.
            t: times, ``(time,)``, increasing; the first is that of ``x0``.
            u: inputs: ``(*batch, time, inputs)`` at the times ``t``, interpolated linearly, or a function of time
                returning ``(*batch, inputs)``.

        Returns:
            ``(*batch, time, states)``.

        Raises:
            IntegrationError: the solver could not reach the end; it carries time, state and reason.
            DataError: ``x0``, ``t`` or ``u`` does not fit the field or each other in shape, type or device.
            OptionError: the field returns no real tensor, changes its states, or answers otherwise when asked again.
        """
        if u is None and self._inputs:
            raise DataError(f"the equations have inputs {', '.join(self._inputs)}; pass them as u")
        return solve_torch(
            _Driven(self.field, self._arguments, _as_function(t, u)),
            x0,
            t,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            adjoint=self.adjoint,
            options=self.options,
        )

    def extra_repr(self) -> str:
        """The solver."""
        return f"method={self.method!r}, rtol={self.rtol}, atol={self.atol}, adjoint={self.adjoint}"


class _Driven(nn.Module):
    """The field with its inputs filled in; a module, because the adjoint looks for parameters."""

    def __init__(self, field: Any, arguments: int, drive: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.field = field
        self._arguments = arguments
        self._drive = drive
        self._begun = False

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        if self._begun:
            return self._slope(t, x)
        # what does not fit shows at the first state; later failures are the field's own
        given, asked = x.detach().clone(), x.detach().clone()
        try:
            first = self._slope(t, asked)
            slope = self._slope(t, x)
        except NeuralArithError:
            raise
        except Exception as error:
            weights = " of {1} weights on {0}".format(*home(self.field)) if isinstance(self.field, nn.Module) else ""
            raise DataError(
                f"the field{weights} cannot be evaluated at x0, {x.dtype} of shape {tuple(x.shape)} on {x.device} "
                f"({first_line(error)})"
            ) from error
        wrong = fault(first, slope, given, asked)
        if wrong:
            raise OptionError(f"the field {wrong}")
        self._begun = True
        return slope

    def _slope(self, t: Tensor, x: Tensor) -> Tensor:
        return call(self.field, self._arguments, t, x, None if self._drive is None else self._drive(t))


def _as_function(t: Tensor, u: Inputs | None) -> Callable[[Tensor], Tensor] | None:
    if u is None or (callable(u) and not isinstance(u, Tensor)):
        return u
    times = torch.as_tensor(t)
    if not isinstance(u, Tensor) or u.dim() < 2 or u.shape[-2] != len(times):
        came = tuple(u.shape) if isinstance(u, Tensor) else f"a {type(u).__name__}"
        raise DataError(
            f"u must be a tensor (*batch, {len(times)}, inputs), one row per time, or a function, got {came}"
        )
    sign = -1.0 if len(times) > 1 and bool(times[1] < times[0]) else 1.0
    knots = sign * times.detach()

    def drive(now: Tensor) -> Tensor:
        if len(times) == 1:
            return u[..., 0, :]
        k = int(torch.searchsorted(knots, sign * now.detach().to(knots), right=True)) - 1
        k = min(max(k, 0), len(times) - 2)
        # Adaptive solvers look past the last time; a straight line goes on there, a constant would have a corner.
        share = (now - times[k]) / (times[k + 1] - times[k])
        return u[..., k, :] + share * (u[..., k + 1, :] - u[..., k, :])

    return drive
