"""The three right-hand sides of the published grid, for members of different size in one batch.

All hidden layers are padded to the widest one. What is padded is zero and stays zero: its gradient is masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

STATES = 3
EPSILON = 2.220446049250313e-16
"""What the published units add to magnitudes: the rounding error of float64."""

Kind = Literal["npu", "real_npu", "dense"]
KINDS: tuple[Kind, ...] = ("npu", "real_npu", "dense")
_INITIAL_SHARE = {"npu": 0.2, "real_npu": 0.2, "dense": 1.0}


@dataclass(frozen=True)
class Fields:
    """Networks of one kind, one for each hidden size.

    (Real)NPU(3, h) and NAU(h, 3), or three dense layers 3-h-h-3 with tanh and biases.

    Attributes:
        kind: what they are made of.
        hidden: the hidden size of each member.
        width: the hidden size to which all are padded.
    """

    kind: Kind
    hidden: tuple[int, ...]
    width: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of one padded member's parameters, in the order in which they are laid out."""
        h = self.width
        if self.kind == "dense":
            return {"w1": (h, STATES), "b1": (h,), "w2": (h, h), "b2": (h,), "w3": (STATES, h), "b3": (STATES,)}
        complex_ = {"wi": (h, STATES)} if self.kind == "npu" else {}
        return {"wr": (h, STATES), **complex_, "gate": (STATES,), "nau": (STATES, h)}

    def unpack(self, p: Tensor) -> dict[str, Tensor]:
        """Views of the parameters by their names, each ``(members, *shape)``, of ``(members, numbers)``."""
        parts = p.split([torch.Size(shape).numel() for shape in self.shapes.values()], -1)
        return {name: part.unflatten(-1, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def pack(self, parts: Sequence[dict[str, Tensor]]) -> Tensor:
        """Parameters ``(members, numbers)`` of members given with their own sizes."""
        rows = []
        for own in parts:
            row = []
            for name, shape in self.shapes.items():
                padded = torch.zeros(shape, dtype=torch.float64)
                padded[tuple(slice(size) for size in own[name].shape)] = own[name]
                row.append(padded.flatten())
            rows.append(torch.cat(row))
        return torch.stack(rows)

    def own_shapes(self, member: int) -> dict[str, tuple[int, ...]]:
        """The shapes of one member's parameters without padding."""
        return Fields(self.kind, self.hidden[member : member + 1], self.hidden[member]).shapes

    @cached_property
    def live(self) -> Tensor:
        """True where a parameter is none of padding, ``(members, numbers)``."""
        ones = [
            {k: torch.ones(s, dtype=torch.float64) for k, s in self.own_shapes(i).items()}
            for i in range(len(self.hidden))
        ]
        return self.pack(ones).bool()

    def initial(self, seeds: Sequence[Sequence[int]]) -> Tensor:
        """The published initial parameters, ``(members, numbers)``.

        Glorot's uniform distribution, its width times 0.2 but for the dense layers; gates of 0.5; no imaginary part and
        no bias.

        Args:
            seeds: one for each member, each a list of whole numbers.
        """
        parts = []
        for i, seed in enumerate(seeds):
            generator = np.random.default_rng(seed)
            own = {}
            for name, shape in self.own_shapes(i).items():
                value = torch.full(shape, 0.5 if name == "gate" else 0.0, dtype=torch.float64)
                if name not in ("gate", "wi", "b1", "b2", "b3"):
                    bound = _INITIAL_SHARE[self.kind] * (6 / sum(shape)) ** 0.5
                    value = torch.from_numpy(generator.uniform(-bound, bound, shape))
                own[name] = value
            parts.append(own)
        return self.pack(parts)

    def __call__(self, p: Tensor) -> Callable[[Tensor], Tensor]:
        """The right-hand sides at some parameters ``(members, numbers)``.

        Returns:
            States to derivatives, both ``(members, points, 3)``.
        """
        w = self.unpack(p)
        if self.kind == "dense":
            return partial(_dense, **w)
        # gates are clipped hard, as in the experiments: outside of [0, 1] they have no gradient
        gate = w["gate"].clamp(0, 1)[:, None]
        real, out = w["wr"].mT, w["nau"].mT
        if self.kind == "real_npu":
            return lambda x: torch.bmm(_real_products(x, gate, real), out)
        imaginary = w["wi"].mT
        both = torch.cat([torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1)
        return lambda x: torch.bmm(_complex_products(x, gate, both), out)


def _polar(x: Tensor, gate: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logarithm of the gated magnitude, and the gated phase, None if no state is negative."""
    below = x < 0
    magnitude = torch.addcmul(1 - gate, gate, x.abs() + EPSILON)
    return torch.log(magnitude), below * (gate * math.pi) if bool(below.any()) else None


def _real_products(x: Tensor, gate: Tensor, real: Tensor) -> Tensor:
    logarithm, phase = _polar(x, gate)
    size = torch.exp(torch.bmm(logarithm, real))
    return size if phase is None else size * torch.cos(torch.bmm(phase, real))


def _complex_products(x: Tensor, gate: Tensor, both: Tensor) -> Tensor:
    logarithm, phase = _polar(x, gate)
    if phase is None:
        logarithm, angle = torch.bmm(logarithm, both[:, :STATES]).chunk(2, -1)
    else:
        logarithm, angle = torch.bmm(torch.cat([logarithm, phase], -1), both).chunk(2, -1)
    return torch.exp(logarithm) * torch.cos(angle)


def _dense(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor) -> Tensor:
    hidden = torch.tanh(torch.baddbmm(b1[:, None], x, w1.mT))
    hidden = torch.tanh(torch.baddbmm(b2[:, None], hidden, w2.mT))
    return torch.baddbmm(b3[:, None], hidden, w3.mT)
