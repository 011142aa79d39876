"""Layers as the right-hand side of a system of differential equations, with names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.equations import EquationSystem
from neural_arith.equations.names import checked_names
from neural_arith.errors import DataError, EquationError, OptionError
from neural_arith.layers.symbolic import number, weighted_sum
from neural_arith.ode.calls import call, check_function, check_weights, home, joined, n_arguments, tried

if TYPE_CHECKING:
    from neural_arith.data import Trajectories

Known = Callable[..., Tensor]


class ArithmeticField(nn.Module):
    """dx/dt = layers(x, u) + known(t, x, u): a stack of layers with named states and inputs.

    Any ``torch.nn.Module`` may stand in the stack (a universal differential equation, Rackauckas et al. 2020); the
    field simulates and trains all the same, and only :meth:`to_equations` asks for layers that have a formula: those
    of this package, ``nn.Linear`` (a bias is a constant term) and ``nn.Identity``. A right-hand side must be a
    function: what is random (``Dropout``) or looks at the whole batch (``BatchNorm``) is refused, and so is a layer
    that stands in two places.

    Args:
        *layers: applied one after the other to the concatenation of states and inputs, the last one returns one
            value per state. An ``nn.Sequential`` counts as the layers in it.
        states: names of the states, in order.
        inputs: names of the inputs u(t), in order.
        known: known physics added to the output: an :class:`EquationSystem` over the same states and inputs, whose
            constants are not trained, or a module or function ``known(t, x, u)``, ``known(t, x)`` or ``known(x)`` that
            returns ``(*batch, states)``; the parameters of a module are trained with the rest, unless it is frozen
            (``known.requires_grad_(False)``).

    Attributes:
        positive: ``(states + inputs,)`` bool buffer, True where the training data were never negative. ``train``
            sets it; ``to_equations`` then writes ``x**0.5`` instead of the real part of a power of ``|x|``.

    Raises:
        OptionError: no layer, no state, a name twice, sizes that do not fit, or a layer that cannot stand here.
        EquationError: ``known`` has other states or inputs.

    Examples:
        >>> import neural_arith as na
        >>> field = na.ArithmeticField(na.NPU.from_weights([[2.0]]), na.NAU.from_weights([[-0.5]]), states=["x"])
        >>> print(field.to_equations())
        d x/dt = -0.5*x**2
    """

    positive: Tensor

    def __init__(
        self,
        *layers: nn.Module,
        states: Sequence[str],
        inputs: Sequence[str] = (),
        known: EquationSystem | Known | None = None,
    ) -> None:
        super().__init__()
        self.states = _names(states, "state")
        self.inputs = _names(inputs, "input")
        names = self.states + self.inputs
        if not self.states or len(set(names)) != len(names):
            raise OptionError(f"states and inputs need distinct names and at least one state, got {names}")
        stack = list(_flat(layers))
        if not stack:
            raise OptionError("a field needs at least one layer, got none: ArithmeticField(NPU(2, 4), NAU(4, 2), ...)")
        self._check_size(stack[0], "in_features", len(names), "states and inputs")
        self._check_size(stack[-1], "out_features", len(self.states), "states")
        self.layers = nn.ModuleList(stack)
        self.register_buffer("positive", torch.zeros(len(names), dtype=torch.bool))
        self._known = None if known is None else _KnownPart(known, self.states, self.inputs)
        check_function(self)
        check_weights(self)
        self._try()

    @property
    def known(self) -> EquationSystem | Known | None:
        """The known part as it was given."""
        return None if self._known is None else self._known.source

    @staticmethod
    def _check_size(layer: nn.Module, attribute: str, expected: int, what: str) -> None:
        size = getattr(layer, attribute, expected)
        if size != expected:
            raise OptionError(
                f"{type(layer).__name__} has {attribute}={size}, but there are {expected} {what}; "
                f"make it {attribute}={expected} or name {size}"
            )

    def _try(self) -> None:
        """Evaluate every part once, so that what does not fit is known here and not in the middle of training."""
        device, dtype = home(self.layers)
        rows, names = len(self.states) + 1, len(self.states) + len(self.inputs)
        y = torch.linspace(0.5, 1.5, rows * names, dtype=dtype, device=device).reshape(rows, names)
        x, u = y[:, : len(self.states)], y[:, len(self.states) :]
        for i, layer in enumerate(self.layers):
            shape = (rows, len(self.states)) if i == len(self.layers) - 1 else None
            # what a later layer changes in place is another layer's output, as by ReLU(inplace=True)
            keeps = 0 if i == 0 else None
            y = tried(layer, f"layer {i} ({type(layer).__name__})", y, shape=shape, keeps=keeps)
        if self._known is not None:
            self._known.check(x, u)

    def forward(self, t: Tensor | float, x: Tensor, u: Tensor | None = None) -> Tensor:
        """The right-hand side.

        Args:
            t: time, a scalar or ``(*batch,)``; only ``known`` sees it.
            x: states, ``(*batch, states)``.
            u: inputs, ``(*batch, inputs)``; None or no columns without inputs.

        Returns:
            dx/dt, ``(*batch, states)``.

        Raises:
            DataError: states or inputs are missing, of the wrong number, type or device.
        """
        if not isinstance(x, Tensor) or not x.dim() or x.shape[-1] != len(self.states) or not x.is_floating_point():
            came = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise DataError(f"x must be a floating point tensor (*batch, {len(self.states)}), but is {came}")
        given = 0 if u is None else u.shape[-1]
        if given != len(self.inputs):
            raise DataError(
                f"this field has inputs {self.inputs}, got {given} columns; "
                f"pass u of shape (*batch, {len(self.inputs)})"
            )
        y = joined(x, u)
        try:
            for layer in self.layers:
                y = layer(y)
        except RuntimeError as error:
            device, dtype = home(self.layers)
            if (x.device, x.dtype) != (device, dtype):
                raise DataError(
                    f"the states are {x.dtype} on {x.device}, the field's weights {dtype} on {device}; bring them "
                    "together: field.to(x.device, x.dtype)"
                ) from error
            raise
        return y if self._known is None else y + self._known(t, x, u)

    def to_equations(self) -> EquationSystem:
        """Read the weights as a formula.

        Raises:
            EquationError: a layer has no formula (named in the message), ``known`` is a function that has none,
                or a weight is not finite.
        """
        wordless = [type(layer).__name__ for layer in self.layers if not _has_formula(layer)]
        if wordless:
            raise EquationError(
                f"layers {wordless} have no to_sympy, so this field has no formula; every layer must be arithmetic "
                "(NPU, NAU, NMU, ...) or linear. Fit an arithmetic field to the trained network's derivatives to "
                "read it"
            )
        if self.known is not None and not isinstance(self.known, EquationSystem):
            raise EquationError(
                "known is a plain function or module, which has no formula; pass it as an EquationSystem to read the "
                "whole field"
            )
        if any(not bool(torch.isfinite(p).all()) for p in _with_numbers(self)):
            raise EquationError("a weight of this field is not finite, so it has no formula; train it again")
        names = self.states + self.inputs
        # Positivity is declared on the symbols only to simplify powers; EquationSystem keeps plain symbols.
        symbols = [
            sp.Symbol(name, positive=True) if flag else sp.Symbol(name)
            for name, flag in zip(names, self.positive.tolist(), strict=True)
        ]
        expressions: list[sp.Expr] = list(symbols)
        for layer in self.layers:
            expressions = _formula(layer, expressions)
        plain = {s: sp.Symbol(s.name) for s in symbols}
        rhs: dict[str, sp.Expr] = {}
        for name, expression in zip(self.states, expressions, strict=True):
            rhs[name] = cast(sp.Expr, expression.xreplace(plain))
        if isinstance(self.known, EquationSystem):
            rhs = {name: expr + self.known.rhs[name] for name, expr in rhs.items()}
        return EquationSystem(rhs, inputs=self.inputs)

    @torch.no_grad()
    def note_signs_(self, data: Trajectories) -> None:
        """Remember which states and inputs are never negative in the data."""
        low = np.nanmin(np.concatenate([run.x for run in data]), axis=0)
        if self.inputs:
            inputs = [run.u for run in data if run.u is not None]
            low = np.concatenate([low, np.concatenate(inputs).min(0)])
        self.positive.copy_(torch.as_tensor(low >= 0))

    def extra_repr(self) -> str:
        """The names."""
        parts = [f"states={self.states}"]
        parts += [f"inputs={self.inputs}"] if self.inputs else []
        parts += ["known=..."] if self.known is not None else []
        return ", ".join(parts)


class _KnownPart(nn.Module):
    """The known part as a module ``(t, x, u) -> (*batch, states)``, so that its parameters are found."""

    def __init__(self, source: EquationSystem | Known, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.source = source
        self._n_states = len(states)
        if not isinstance(source, EquationSystem):
            self._arguments = n_arguments(source)
            return
        if source.states != states or any(name not in inputs for name in source.inputs):
            raise EquationError(
                f"known has states {source.states} and inputs {source.inputs}; this field has {states} "
                f"and {inputs}: write the known part over the same names, 0 where nothing is known"
            )
        self._module = source.to_torch().requires_grad_(False)
        self._columns = [inputs.index(name) for name in source.inputs]

    def forward(self, t: Tensor | float, x: Tensor, u: Tensor | None) -> Tensor:
        if isinstance(self.source, EquationSystem):
            values = joined(x, None if u is None else u[..., self._columns])
            weights = next(self._module.parameters())
            return self._module(values.to(weights.dtype)).to(x.dtype)
        time = t if isinstance(t, Tensor) else torch.as_tensor(t, dtype=x.dtype, device=x.device)
        return call(self.source, self._arguments, time, x, u)

    def check(self, x: Tensor, u: Tensor) -> None:
        """Try it with one time for each state, or with one for all."""
        given = u if u.shape[-1] else None
        try:
            tried(self, "known", x[:, 0], x, given, shape=tuple(x.shape), keeps=1)
        except OptionError:
            tried(self, "known", x[0, 0], x, given, shape=tuple(x.shape), keeps=1)


def _names(names: Sequence[str], what: str) -> tuple[str, ...]:
    try:
        return checked_names([names] if isinstance(names, str) else names, what)
    except (EquationError, TypeError) as error:
        raise OptionError(f"{what} names must be texts, as in ('S', 'I'), not {names!r:.80}: {error}") from None


def _flat(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """The layers, those inside an ``nn.Sequential`` one by one."""
    found: list[nn.Module] = []
    for layer in layers:
        if not isinstance(layer, nn.Module):
            what = f"the class {layer.__name__}" if isinstance(layer, type) else f"a {type(layer).__name__}"
            raise OptionError(f"every layer must be a torch.nn.Module, such as NPU(2, 4), but one is {what}")
        found += _flat(list(layer)) if type(layer) is nn.Sequential else [layer]
    return found


def _has_formula(layer: nn.Module) -> bool:
    return hasattr(layer, "to_sympy") or isinstance(layer, nn.Linear | nn.Identity)


def _formula(layer: nn.Module, inputs: list[sp.Expr]) -> list[sp.Expr]:
    if isinstance(layer, nn.Identity):
        return inputs
    if isinstance(layer, nn.Linear):
        bias = [0.0] * layer.out_features if layer.bias is None else layer.bias.tolist()
        rows = zip(layer.weight.tolist(), bias, strict=True)
        return [weighted_sum(inputs, row) + number(shift) for row, shift in rows]
    return layer.to_sympy(inputs)  # pyright: ignore[reportCallIssue]


def _with_numbers(field: ArithmeticField) -> list[nn.Parameter]:
    values = list(field.parameters())
    if any(value.is_meta for value in values):
        raise EquationError("the field's weights are on the meta device, which holds no numbers")
    return values
