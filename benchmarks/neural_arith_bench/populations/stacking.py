"""Many networks of one shape as one: their parameters are the rows of one matrix, their outputs one batch.

Units that take a leading axis of members (``Layer.takes_population``) are called with it directly; networks with other
parts go through ``torch.vmap``, which costs up to twice as much: it cannot look at the data to skip idle work.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from neural_arith.errors import OptionError
from neural_arith.layers import Layer


class Stack:
    """Networks of one shape side by side.

    Args:
        networks: one per member, with the same modules, shapes and types; they are copied.

    Attributes:
        parameters: ``(members, numbers)``, each row one member's parameters in the order of ``named_parameters``.
        leaves: views of it by name, ``(members, *shape)``, that collect gradients.
        noisy: whether outputs in training have random parts.

    Raises:
        OptionError: there is no network, or their parameters or buffers differ in name, shape or type.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        _check_alike(networks)
        self.members = len(networks)
        self._single = copy.deepcopy(networks[0])
        own = [dict(network.named_parameters()) for network in networks]
        self.parameters = torch.stack([nn.utils.parameters_to_vector(p.values()).detach() for p in own])
        self.leaves: dict[str, nn.Parameter] = {}
        start = 0
        for name, parameter in own[0].items():
            part = self.parameters[:, start : start + parameter.numel()]
            values = part.unflatten(1, parameter.shape or (1,)).view(self.members, *parameter.shape)
            self.leaves[name] = nn.Parameter(values, requires_grad=parameter.requires_grad)
            start += parameter.numel()
        buffers = [dict(network.named_buffers()) for network in networks]
        self._buffers = {name: torch.stack([b[name] for b in buffers]) for name in buffers[0]}
        self._wide = _widened(self._single, self.leaves, self._buffers) if _takes_population(networks[0]) else None
        self.noisy = any(isinstance(part, Layer) and part.noisy for part in networks[0].modules())
        self._measuring = _Measuring(self._single)
        self._ranges = [
            (self.leaves[f"{prefix}.{name}" if prefix else name], low, high)
            for prefix, layer in self._single.named_modules()
            if isinstance(layer, Layer)
            for name, (low, high) in layer.ranges.items()
        ]

    def __call__(self, x: Tensor, *, training: bool = True) -> Tensor:
        """The outputs of all members, ``(members, *batch, O)``.

        Args:
            x: ``(members, *batch, I)``.
            training: whether units behave as in training, where that makes a difference.
        """
        if self._wide is not None:
            return self._wide.train(training)(x)
        network = self._single.train(training)
        call = torch.vmap(lambda p, b, each: functional_call(network, (p, b), (each,)), randomness="different")
        return call(self.leaves, self._buffers, x)

    def measure(self, function: Callable[[nn.Module], Tensor]) -> Tensor:
        """A scalar of each network, ``(members,)``, with gradients; see ``Penalty`` for ``together``."""
        together = getattr(function, "together", None)
        if together is not None and self._wide is not None:
            return together(self._wide, self.members)

        def one(p: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
            weights = {f"network.{name}": value for name, value in (*p.items(), *b.items())}
            return functional_call(self._measuring, weights, (function,))

        return torch.vmap(one)(self.leaves, self._buffers)

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient of a scalar by all parameters, ``(members, numbers)``; zero where they do not matter."""
        leaves = list(self.leaves.values())
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        found = iter(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
        rows = [next(found) if leaf.requires_grad else torch.zeros_like(leaf) for leaf in leaves]
        return torch.cat([row.reshape(self.members, -1) for row in rows], 1)

    @torch.no_grad()
    def project_(self) -> None:
        """Clamp the parameters of all members to their ranges in place, as ``Layer.project_``."""
        for leaf, low, high in self._ranges:
            leaf.clamp_(low, high)

    def network(self, member: int) -> nn.Module:
        """A copy of one member as a network of its own."""
        found = copy.deepcopy(self._single)
        with torch.no_grad():
            nn.utils.vector_to_parameters(self.parameters[member].clone(), found.parameters())
            for name, buffer in found.named_buffers():
                buffer.copy_(self._buffers[name][member])
        return found

    @torch.no_grad()
    def replace(self, member: int, network: nn.Module) -> None:
        """Give one member the parameters of a network; buffers stay."""
        self.parameters[member] = nn.utils.parameters_to_vector(network.parameters())


class _Measuring(nn.Module):
    """Calls a function of a network where ``functional_call`` asks for a forward pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Callable[[nn.Module], Any]) -> Any:
        return function(self.network)


def _check_alike(networks: Sequence[nn.Module]) -> None:
    if not networks:
        raise OptionError("a population needs at least one network")
    kinds = [[(name, v.shape, v.dtype, v.device) for name, v in n.state_dict().items()] for n in networks]
    for member, kind in enumerate(kinds):
        if kind != kinds[0]:
            odd = next((b for a, b in zip(kinds[0], kind, strict=False) if a != b), "another number of parameters")
            raise OptionError(f"the networks of a population must be of one shape; network {member} has {odd}")


def _takes_population(network: nn.Module) -> bool:
    return all(
        isinstance(part, nn.Sequential) or (isinstance(part, Layer) and part.takes_population)
        for part in network.modules()
    )


def _widened(network: nn.Module, leaves: dict[str, nn.Parameter], buffers: dict[str, Tensor]) -> nn.Module:
    """A copy of the network whose parameters and buffers carry the axis of members; it shares their memory."""
    wide = copy.deepcopy(network)
    for name, leaf in leaves.items():
        owner, _, own = name.rpartition(".")
        wide.get_submodule(owner)._parameters[own] = leaf
    for name, values in buffers.items():
        owner, _, own = name.rpartition(".")
        wide.get_submodule(owner)._buffers[own] = values
    return wide
