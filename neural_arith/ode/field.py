"""Layers as the right-hand side of a system of differential equations, with names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, EquationError, OptionError

if TYPE_CHECKING:
    from neural_arith.data import Trajectories

Known = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class ArithmeticField(nn.Module):
    """dx/dt = layers(x, u) + known(t, x, u): a stack of layers with named states and inputs.

    Any ``torch.nn.Module`` may stand in the stack (a universal differential equation, Rackauckas et al. 2020); the
    field simulates and trains all the same, and only :meth:`to_equations` asks for arithmetic layers.

    Args:
        *layers: applied one after the other to the concatenation of states and inputs, the last one returns one
            value per state.
        states: names of the states, in order.
        inputs: names of the inputs u(t), in order.
        known: known physics added to the output: an :class:`EquationSystem` over the same states and inputs, or a
            callable ``known(t, x, u) -> (*batch, states)``. Its constants are not trained.

    Attributes:
        positive: ``(states + inputs,)`` bool buffer, True where the training data were never negative. ``train``
            sets it; ``to_equations`` then writes ``x**0.5`` instead of the real part of a power of ``|x|``.

    Raises:
        OptionError: no layer, no state, a name twice, or sizes that do not fit the names.
        EquationError: ``known`` has other states or inputs.
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
        self.states = (states,) if isinstance(states, str) else tuple(states)
        self.inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        names = self.states + self.inputs
        if not layers:
            raise OptionError("a field needs at least one layer, got none: ArithmeticField(NPU(2, 4), NAU(4, 2), ...)")
        if not self.states or len(set(names)) != len(names):
            raise OptionError(f"states and inputs need distinct names and at least one state, got {names}")
        self._check_size(layers[0], "in_features", len(names), "states and inputs")
        self._check_size(layers[-1], "out_features", len(self.states), "states")
        self.layers = nn.ModuleList(layers)
        self.register_buffer("positive", torch.zeros(len(names), dtype=torch.bool))
        self.known = known
        self._known_module: nn.Module | None = None
        if isinstance(known, EquationSystem):
            if known.states != self.states or any(name not in self.inputs for name in known.inputs):
                raise EquationError(
                    f"known has states {known.states} and inputs {known.inputs}; this field has {self.states} "
                    f"and {self.inputs}: write the known part over the same names, 0 where nothing is known"
                )
            if not known.inputs:
                self._known_module = known.to_torch().requires_grad_(False)

    @staticmethod
    def _check_size(layer: nn.Module, attribute: str, expected: int, what: str) -> None:
        size = getattr(layer, attribute, expected)
        if size != expected:
            raise OptionError(
                f"{type(layer).__name__} has {attribute}={size}, but there are {expected} {what}; "
                f"make it {attribute}={expected} or name {size}"
            )

    def forward(self, t: Tensor | float, x: Tensor, u: Tensor | None = None) -> Tensor:
        """The right-hand side.

        Args:
            t: time, a scalar or ``(*batch,)``; only ``known`` sees it.
            x: states, ``(*batch, states)``.
            u: inputs, ``(*batch, inputs)``; None or no columns without inputs.

        Returns:
            dx/dt, ``(*batch, states)``.

        Raises:
            DataError: inputs are missing or of the wrong number.
        """
        given = 0 if u is None else u.shape[-1]
        if given != len(self.inputs):
            raise DataError(
                f"this field has inputs {self.inputs}, got {given} columns; "
                f"pass u of shape (*batch, {len(self.inputs)})"
            )
        y = x if u is None or not given else torch.cat([x, u.expand(*x.shape[:-1], given)], -1)
        for layer in self.layers:
            y = layer(y)
        if self.known is None:
            return y
        return y + self._known(t, x, u)

    def _known(self, t: Tensor | float, x: Tensor, u: Tensor | None) -> Tensor:
        if self._known_module is not None:
            return self._known_module(x)
        if isinstance(self.known, EquationSystem):
            columns = {name: x[..., i] for i, name in enumerate(self.states)}
            if u is not None:
                columns |= {name: u[..., i] for i, name in enumerate(self.inputs)}
            return _evaluate(self.known, columns, x)
        if self.known is None:
            return torch.zeros_like(x)
        time = t if isinstance(t, Tensor) else torch.as_tensor(t, dtype=x.dtype)
        return self.known(time, x, u)

    def to_equations(self) -> EquationSystem:
        """Read the weights as a formula.

        Raises:
            EquationError: a layer has no formula (named in the message), ``known`` is a function that has none,
                or a weight is not finite.
        """
        wordless = [type(layer).__name__ for layer in self.layers if not hasattr(layer, "to_sympy")]
        if wordless:
            raise EquationError(
                f"layers {wordless} have no to_sympy, so this field has no formula; every layer must be arithmetic "
                "(NPU, NAU, NMU, ...). Fit an arithmetic field to the trained network's derivatives to read it"
            )
        if self.known is not None and not isinstance(self.known, EquationSystem):
            raise EquationError(
                "known is a plain function, which has no formula; pass it as an EquationSystem to read the whole field"
            )
        names = self.states + self.inputs
        # Positivity is declared on the symbols only to simplify powers; EquationSystem keeps plain symbols.
        symbols = [
            sp.Symbol(name, positive=True) if flag else sp.Symbol(name)
            for name, flag in zip(names, self.positive.tolist(), strict=True)
        ]
        expressions: list[sp.Expr] = list(symbols)
        for layer in self.layers:
            expressions = layer.to_sympy(expressions)  # pyright: ignore[reportCallIssue]
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


def _evaluate(system: EquationSystem, columns: dict[str, Tensor], like: Tensor) -> Tensor:
    out = []
    for expr in system.rhs.values():
        symbols = sorted(expr.free_symbols, key=lambda s: str(s))
        f = sp.lambdify(symbols, expr, modules=[_TORCH, "math"])
        value = f(*(columns[str(s)] for s in symbols))
        out.append(torch.as_tensor(value, dtype=like.dtype).expand(like.shape[:-1]))
    return torch.stack(out, -1)


_TORCH = {
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "tanh": torch.tanh,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "sqrt": torch.sqrt,
    "Abs": torch.abs,
    "sign": torch.sign,
    "atan": torch.atan,
}
