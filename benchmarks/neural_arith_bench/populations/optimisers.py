"""Optimisers of whole populations: one matrix of parameters, one row and one learning rate per member.

They work element by element, so a member moves exactly as it would alone. ``torch.optim`` has the same formulas but
one learning rate and one count of steps for a whole tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

AVERAGE = "average"
"""The part of a state with the parameters by which members are judged, where those are not the present ones."""


class Optimiser(Protocol):
    """What a population needs."""

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """The state before the first step; each tensor has one row per member."""
        ...

    def step_(self, parameters: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: Tensor) -> None:
        """One step in place.

        Args:
            parameters: ``(members, numbers)``.
            gradient: the same shape.
            state: of :meth:`begin`, changed in place.
            rate: learning rates, ``(members, 1)``; with 0 a member does not move.
        """
        ...


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba, ICLR 2015, https://arxiv.org/abs/1412.6980, as ``torch.optim.Adam``.

    Attributes:
        betas: decay of the running means of gradients and of their squares.
        eps: added to the root of the latter.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """Means of zero, and a count of steps per member."""
        return {
            "mean": torch.zeros_like(parameters),
            "square": torch.zeros_like(parameters),
            "count": torch.zeros(len(parameters), 1, dtype=torch.float64, device=parameters.device),
        }

    def step_(self, parameters: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: Tensor) -> None:
        """One step in place."""
        first, second = self.betas
        mean, square, count = state["mean"], state["square"], state["count"].add_(1)
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = (rate / (1 - first**count)).to(parameters.dtype)
        root = (1 - second**count).sqrt_().to(parameters.dtype)
        scale = square.sqrt().div_(root).add_(self.eps)
        parameters.sub_(torch.div(mean, scale).mul_(size))


@dataclass(frozen=True)
class RMSProp:
    """Tieleman & Hinton 2012, as ``torch.optim.RMSprop`` without momentum.

    Attributes:
        decay: of the running mean of squared gradients; 0.99 is PyTorch's default, 0.9 that of Keras and Flux.
        eps: added to its root.
    """

    decay: float = 0.99
    eps: float = 1e-8

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """A mean of zero."""
        return {"square": torch.zeros_like(parameters)}

    def step_(self, parameters: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: Tensor) -> None:
        """One step in place."""
        square = state["square"].mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        parameters.sub_(torch.div(gradient, square.sqrt().add_(self.eps)).mul_(rate.to(parameters.dtype)))


@dataclass(frozen=True)
class Averaged:
    """Any rule, but members are judged by the running mean of their parameters (Polyak & Juditsky 1992).

    Training itself does not change; the mean has less of the noise of single steps.

    Attributes:
        rule: of a step.
        decay: of the mean; it looks back ``1 / (1 - decay)`` steps.
    """

    rule: Optimiser = Adam()
    decay: float = 0.998

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """The rule's, and the parameters."""
        return self.rule.begin(parameters) | {AVERAGE: parameters.detach().clone()}

    def step_(self, parameters: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: Tensor) -> None:
        """One step in place."""
        self.rule.step_(parameters, gradient, state, rate)
        state[AVERAGE].lerp_(parameters, 1 - self.decay)
