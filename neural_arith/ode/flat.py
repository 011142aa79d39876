"""A field as a plain function: for its present weights, and of one flat vector of all that is live and trainable.

A solver evaluates one field thousands of times between two changes of its weights; :func:`snapshot` reads them once.
Gauss-Newton methods and checkpoints need the numbers in a row, and the derivatives in them: :class:`FlatField`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacfwd, jacrev, jvp, vmap

from neural_arith.errors import NeuralArithError
from neural_arith.layers import NAU
from neural_arith.layers.functional import linear, log_polar, power_unit
from neural_arith.layers.power import PowerLayer
from neural_arith.ode.calls import differentiated
from neural_arith.ode.field import ArithmeticField

Rhs = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def snapshot(field: nn.Module) -> Rhs:
    """The right-hand side ``f(t, x, u)`` for the present weights; later changes of the field do not reach it."""
    if not isinstance(field, ArithmeticField) or field.known is not None:
        return field
    steps = [_frozen(layer) for layer in field.layers]

    def rhs(t: Tensor, x: Tensor, u: Tensor) -> Tensor:
        y = torch.cat([x, u], -1) if u.shape[-1] else x
        for step in steps:
            y = step(y)
        return y

    return rhs


def _frozen(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    if type(layer) is NAU:
        weight = layer.effective_weight().clone()
        return lambda y: linear(y, weight)
    if isinstance(layer, PowerLayer) and not layer.lifted and layer.negative == "real" and layer.at_zero == "inf":
        gate, wi = layer.effective_gate(), layer.effective_imaginary()
        if gate is None or bool((gate == 1).all()):
            wr = layer.effective_weight().clone()
            wi = None if wi is None or not bool((wi != 0).any()) else wi.clone()

            def power(y: Tensor) -> Tensor:
                log_abs, phase, zero = log_polar(y)
                return power_unit(log_abs, phase, wr, wi, zero)

            return power
    return layer


_FORWARD_LIMIT = 80


def live_entries(module: nn.Module) -> dict[str, Tensor]:
    """Which entries of each trainable parameter are live: name -> bool tensor of the parameter's shape.

    A layer with ``masks`` (name of weight -> bool) says so itself; every entry of other modules is live.
    """
    live = {n: torch.ones_like(p, dtype=torch.bool) for n, p in module.named_parameters() if p.requires_grad}
    for path, layer in module.named_modules():
        masks = getattr(layer, "masks", None)
        if masks is None:
            continue
        for name, mask in masks.items():
            full = f"{path}.{name}" if path else name
            if full in live:
                live[full] = mask.detach().clone()
    return live


class FlatField:
    """The field as ``f(p, t, x, u)`` with ``p`` the live, trainable numbers in the order of the parameters.

    Args:
        field: a module called as ``field(t, x, u)``.
        held: names of parameters that keep their present value.

    Attributes:
        names: for each number of ``p``, the parameter it belongs to.
        index: for each number of ``p``, its flat position inside that parameter.
    """

    def __init__(self, field: nn.Module, *, held: frozenset[str] = frozenset()) -> None:
        self.field = field
        self._shapes: dict[str, torch.Size] = {}
        self._base: dict[str, Tensor] = {}
        self._where: dict[str, Tensor] = {}
        self._slices: dict[str, slice] = {}
        self.names: list[str] = []
        self.index: list[int] = []
        live = live_entries(field)
        at = 0
        for name, value in field.named_parameters():
            if name not in live or name in held:
                continue
            where = torch.nonzero(live[name].reshape(-1)).squeeze(-1)
            if len(where) == 0:
                continue
            self._shapes[name] = value.shape
            self._base[name] = value.detach().reshape(-1).clone()
            self._where[name] = where
            self._slices[name] = slice(at, at + len(where))
            self.names += [name] * len(where)
            self.index += where.tolist()
            at += len(where)
        self.n_params = at
        self._turned = False
        self._copy: nn.Module | None = None

    def read(self) -> Tensor:
        """The numbers as they stand in the field, ``(n_params,)``."""
        values = dict(self.field.named_parameters())
        parts = [values[n].detach().reshape(-1)[self._where[n]] for n in self._where]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    @torch.no_grad()
    def write(self, p: Tensor) -> None:
        """Put the numbers back into the field."""
        self._put(self.field, p)

    def holding(self, p: Tensor) -> nn.Module:
        """The private copy of the field with these numbers in it."""
        self.at(p)
        return self._copy if self._copy is not None else self.field

    @torch.no_grad()
    def _put(self, field: nn.Module, p: Tensor) -> None:
        values = dict(field.named_parameters())
        for name, where in self._where.items():
            values[name].reshape(-1)[where] = p[self._slices[name]].to(values[name].dtype)

    def _parameters(self, p: Tensor) -> dict[str, Tensor]:
        return {
            n: torch.index_put(self._base[n], (self._where[n],), p[self._slices[n]]).reshape(self._shapes[n])
            for n in self._where
        }

    def __call__(self, p: Tensor, t: Tensor, x: Tensor, u: Tensor) -> Tensor:
        """Right-hand side at ``n`` states, ``(n, states)``."""
        return functional_call(self.field, self._parameters(p), (t, x, u))

    def at(self, p: Tensor) -> Rhs:
        """The right-hand side for these numbers: the quick way to many forward evaluations."""
        if self._copy is None:
            self._copy = copy.deepcopy(self.field).requires_grad_(False)
        self._put(self._copy, p)
        return snapshot(self._copy)

    def jacobians(self, p: Tensor, t: Tensor, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of the right-hand side, ``(n, d, d)`` in the state and ``(n, d, n_params)`` in ``p``.

        Forward mode with all states in one batch is quickest for the few numbers of an arithmetic field; networks
        with more go by reverse mode per state.
        """
        ways = [self._forward, self._reverse] if self.n_params <= _FORWARD_LIMIT else [self._reverse, self._forward]
        # A module that asks for values (``if (x < 0).any()``) cannot be batched over states; some functions of torch,
        # as weight_norm, have no forward derivative.
        with differentiated('; optimizer="adam" asks for less than "lm" does'):
            if not self._turned:
                try:
                    return ways[0](p, t, x, u)
                except NeuralArithError:
                    raise
                except RuntimeError as error:
                    first = error
                try:
                    found = ways[1](p, t, x, u)
                except RuntimeError:
                    raise first from None
                self._turned = True
                return found
            return ways[1](p, t, x, u)

    @torch.no_grad()
    def _reverse(self, p: Tensor, t: Tensor, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # nothing quicker is at hand
            fp, fx = vmap(jacrev(self.__call__, argnums=(0, 2)), in_dims=(None, 0, 0, 0))(p, t, x, u)
        return fx.detach(), fp.detach()

    @torch.no_grad()
    def _forward(self, p: Tensor, t: Tensor, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        _load_forward_mode()
        fp = jacfwd(lambda q: self(q, t, x, u))(p)
        shift = torch.zeros(x.shape[-1], dtype=x.dtype)
        fx = jacfwd(lambda e: self(p, t, x + e, u))(shift)
        return fx, fp


@cache
def _load_forward_mode() -> None:
    """Let torch compile its forward-mode rules once; torch 2.13 does so by a call that it itself deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
