"""Derivative and integral matching: fit the right-hand side along interpolated measurements, without a solver.

Integral form: x(t_k+1) - x(t_k) = integral of f(x(s)) ds, with the states between samples from a spline; derivative
form: the spline's derivative at the samples. Both are linear in the last layer's weights when that is a NAU or a linear
layer, so those are projected out (:mod:`neural_arith.fit.variable_projection`) and only the inner weights are searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.fit.curves import inputs_at, interpolated
from neural_arith.fit.integral_form import quadrature
from neural_arith.fit.variable_projection import span
from neural_arith.layers import NAU
from neural_arith.layers.functional import gated_polar, log_polar
from neural_arith.layers.power import PowerLayer
from neural_arith.ode.calls import joined
from neural_arith.ode.flat import FlatField
from neural_arith.ode.shooting import state_scale

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField

_RIDGE = 1e-6


@dataclass(frozen=True)
class Targets:
    """Where to evaluate the right-hand side and what its weighted sums should be.

    Attributes:
        t: nodes, ``(nodes,)``.
        x: states at the nodes, ``(nodes, states)``.
        u: inputs at the nodes, ``(nodes, inputs)``.
        weights: quadrature weights, ``(rows, nodes per row)``; row r sums nodes ``r*n .. r*n + n - 1``.
        y: targets, ``(rows, states)``, each state divided by ``scale``; 0 where not measured.
        seen: ``(rows, states)``, 1 where the target was measured, else 0.
        scale: ``(states,)``.
    """

    t: Tensor
    x: Tensor
    u: Tensor
    weights: Tensor
    y: Tensor
    seen: Tensor
    scale: Tensor

    def gather(self, values: Tensor) -> Tensor:
        """Weighted sums of values at the nodes, ``(nodes, ...) -> (rows, ...)``."""
        rows, n = self.weights.shape
        return torch.einsum("rn,rnk->rk", self.weights, values.reshape(rows, n, -1)).reshape(rows, *values.shape[1:])


def integral_targets(data: Trajectories) -> Targets:
    """Increments between samples as integrals."""
    parts = []
    for run in data:
        at, weights = quadrature(run.t, np.arange(1, len(run.t)))
        x, _ = interpolated(run, at.ravel())
        parts.append((at.ravel(), x, inputs_at(run, at.ravel()), weights, np.diff(run.x, axis=0)))
    return _collect(parts, state_scale(data))


def derivative_targets(data: Trajectories) -> Targets:
    """Slopes of the curve at the samples."""
    parts = []
    for run in data:
        x, slope = interpolated(run, run.t)
        slope = np.where(np.isnan(run.x), np.nan, slope)
        parts.append((run.t, x, inputs_at(run, run.t), np.ones((len(run.t), 1)), slope))
    scale = np.nanstd(np.concatenate([p[4] for p in parts]), axis=0)
    return _collect(parts, np.where(np.isfinite(scale) & (scale > 0), scale, 1.0))


def _collect(parts: list[tuple[np.ndarray, ...]], scale: np.ndarray) -> Targets:
    t, x, u, weights, y = (np.concatenate([p[i] for p in parts]) for i in range(5))
    seen = ~np.isnan(y)
    y = np.where(seen, y, 0.0) / scale
    return Targets(*(torch.as_tensor(a, dtype=torch.float64) for a in (t, x, u, weights, y, seen * 1.0, scale)))


def linear_readout(field: ArithmeticField) -> str | None:
    """Name of the last layer's weight if the field is linear in it, else None."""
    last = field.layers[-1]
    if (isinstance(last, NAU) and not last.clip) or isinstance(last, nn.Linear):
        return f"layers.{len(field.layers) - 1}.weight"
    return None


class _Hidden(nn.Module):
    """All that is not linear in the readout, under the same parameter names.

    The columns are those that the readout weighs, a one for its bias behind the features, and then the known part.
    """

    def __init__(self, field: ArithmeticField, bias: bool) -> None:
        super().__init__()
        self.layers = field.layers[:-1]
        self._known = field._known
        self._bias = bias

    def forward(self, t: Tensor, x: Tensor, u: Tensor) -> Tensor:
        y = joined(x, u)
        for layer in self.layers:
            y = layer(y)
        parts = [y, torch.ones_like(y[..., :1])] if self._bias else [y]
        if self._known is not None:
            parts.append(self._known(t, x, u))
        return torch.cat(parts, -1)


class MatchingResidual:
    """Matching residual of the inner weights, the readout solved by least squares for each of them.

    Without a linear readout (see :func:`linear_readout`) all numbers are inner.

    Args:
        field: the field.
        flat: its flat view.
        targets: from :func:`integral_targets` or :func:`derivative_targets`.
        held: names of parameters that keep their value, as in ``flat``.

    Attributes:
        inner: positions in the flat vector that are searched.
    """

    def __init__(self, field: ArithmeticField, flat: FlatField, targets: Targets, held: frozenset[str]) -> None:
        self._targets = targets
        self._p = flat.read()
        name = linear_readout(field)
        if name is not None and name not in flat.names:
            name = None
        own = (name, None if name is None else name.replace("weight", "bias"))
        self.inner = torch.tensor([i for i, n in enumerate(flat.names) if n not in own], dtype=torch.long)
        self._readout = name is not None
        if name is None:
            self._view = flat
            return
        weight = field.get_parameter(name).detach()
        outer = [i for i, n in enumerate(flat.names) if n in own]
        # The bias is one more column of the readout, fitted when it is free.
        bias = getattr(field.layers[-1], "bias", None)
        table = weight.clone() if bias is None else torch.cat([weight, bias.detach()[:, None]], 1)
        places = torch.arange(table.numel()).reshape(table.shape)
        where = {name: places[:, : weight.shape[1]].reshape(-1), own[1]: places[:, -1]}
        self._outer = torch.tensor(outer, dtype=torch.long)
        self._places = torch.stack([where[flat.names[i]][flat.index[i]] for i in outer])
        self._live = torch.zeros(table.numel(), dtype=torch.bool).index_fill(0, self._places, True).reshape(table.shape)
        self._shift = None if bias is None or own[1] in flat.names else bias.detach()
        self._view = FlatField(_Hidden(field, bias is not None), held=held)

    def complete(self, inner: Tensor) -> Tensor:
        """The full flat vector, the readout by least squares."""
        p = self._p.clone()
        p[self.inner] = inner
        if self._readout:
            weight, _ = self._solve(*self._columns(inner))
            p[self._outer] = (weight * self._targets.scale[:, None]).reshape(-1)[self._places]
        return p

    def value(self, inner: Tensor) -> Tensor | None:
        """Residual ``(rows * states,)``."""
        if not self._readout:
            return self._plain(inner)
        features, goal = self._columns(inner)
        weight, _ = self._solve(features, goal)
        return self._residual(features, goal, weight)

    def linearise(self, inner: Tensor) -> tuple[Tensor, Tensor] | None:
        """Residual and Kaufman's Jacobian ``(rows * states, inner)``."""
        t = self._targets
        jac = t.gather(self._inner_jacobian(inner))
        if not self._readout:
            r = self._plain(inner)
            jac = (jac / t.scale[:, None] * t.seen[:, :, None]).reshape(-1, len(inner))
        else:
            features, goal = self._columns(inner)
            weight, bases = self._solve(features, goal)
            r = self._residual(features, goal, weight)
            n = features.shape[1]
            moved = torch.einsum("rhp,oh->rop", jac[:, :n], weight)
            if jac.shape[1] > n:
                moved = moved + jac[:, n:] / t.scale[:, None]
            moved = moved * t.seen[:, :, None]
            for o, basis in enumerate(bases):
                moved[:, o] = moved[:, o] - basis.mT @ (basis @ moved[:, o])
            jac = moved.reshape(-1, len(inner))
        return (r, jac) if bool(torch.isfinite(jac).all()) else None

    def _inner_jacobian(self, inner: Tensor) -> Tensor:
        """Derivative of the hidden features, ``(nodes, features, inner)``; in closed form for one power layer."""
        t = self._targets
        layer = self._view.field.layers[0] if self._readout else None  # pyright: ignore
        if layer is not None and len(self._view.field.layers) == 1 and isinstance(layer, PowerLayer):  # pyright: ignore
            values = torch.cat([t.x, t.u], -1)
            closed = bool((values != 0).all()) and not layer.lifted
            if closed and set(self._view.names) <= {"layers.0.wr", "layers.0.wi"}:
                return self._power_jacobian(self._view.holding(inner).layers[0], values)  # pyright: ignore
        return self._view.jacobians(inner, t.t, t.x, t.u)[1]

    def _power_jacobian(self, layer: PowerLayer, values: Tensor) -> Tensor:
        """Derivative of Re exp(W log x): the unit times ``log x`` (real part for Wr, turned by i for Wi)."""
        gate = layer.effective_gate()
        log_abs, phase, _ = log_polar(values) if gate is None else gated_polar(values, gate)
        wr, wi = layer.effective_weight(), layer.effective_imaginary()
        k = torch.zeros_like(log_abs) if phase is None else phase
        wi = torch.zeros_like(wr) if wi is None else wi
        unit = torch.exp(torch.complex(log_abs @ wr.mT - k @ wi.mT, log_abs @ wi.mT + k @ wr.mT))
        turned = unit[:, :, None] * torch.complex(log_abs, k)[:, None, :]
        width = wr.shape[1]
        out = torch.zeros(len(values), self._live.shape[1], len(self._view.names), dtype=values.dtype)
        for i, (name, at) in enumerate(zip(self._view.names, self._view.index, strict=True)):
            h, j = divmod(at, width)
            out[:, h, i] = turned[:, h, j].real if name.endswith("wr") else -turned[:, h, j].imag
        return out

    def _plain(self, p: Tensor) -> Tensor:
        t = self._targets
        with torch.no_grad():
            sums = t.gather(self._view.at(p)(t.t, t.x, t.u)) / t.scale
        return ((sums - t.y) * t.seen).reshape(-1)

    def _columns(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """What the readout weighs, ``(rows, features)``, and what is left for it, ``(rows, states)``."""
        t = self._targets
        with torch.no_grad():
            sums = t.gather(self._view.at(inner)(t.t, t.x, t.u))
        n = self._live.shape[1]
        goal = t.y
        if self._shift is not None:
            goal = goal - sums[:, n - 1 : n] * self._shift / t.scale
        if sums.shape[1] > n:
            goal = goal - sums[:, n:] / t.scale
        return sums[:, :n], goal * t.seen

    def _solve(self, features: Tensor, goal: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Readout ``(states, features)`` in scaled units, and per state the basis its columns span."""
        weight, bases = torch.zeros(self._live.shape, dtype=features.dtype), []
        finite = torch.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)
        for o, live in enumerate(self._live):
            found = span((finite[:, live] * self._targets.seen[:, o, None]).T.numpy(), _RIDGE)
            if found is None:  # units beyond all bounds get no weight
                bases.append(features.new_zeros(0, len(features)))
                continue
            basis, triangle = torch.from_numpy(found[0]), found[1]
            weight[o, live] = torch.from_numpy(np.linalg.solve(triangle, (basis @ goal[:, o]).numpy()))
            bases.append(basis)
        return weight, bases

    def _residual(self, features: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
        return ((features @ weight.mT) * self._targets.seen - goal).reshape(-1)
