"""All seeds at once: networks of one shape trained as one batch, each exactly as it would be alone."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from neural_arith.errors import DataError, OptionError
from neural_arith.ode.checkpoint import load_checkpoint, save_checkpoint
from neural_arith_bench.populations.optimisers import AVERAGE
from neural_arith_bench.populations.stacking import Stack
from neural_arith_bench.populations.stepping import Recipe, State, Stepper

Batch = tuple[Tensor, Tensor]
Draw = Callable[[int], Batch]
"""A step to a batch ``(x, y)``: ``(members, samples, I)`` and ``(members, samples, O)``, or without the first axis for
one batch that all members share. Best a function of the step alone: then a resumed run needs nothing else. A source
with ``state_dict`` and ``load_state_dict`` has its state saved with the population."""

_SAMPLES = 1_000


@dataclass(frozen=True)
class History:
    """What was recorded on the way; rows are records, columns members.

    Attributes:
        steps: steps taken at each record, ``(records,)``.
        values: ``(records, members)`` by name: ``"train"``, the mean squared error of the last batch before the record
            (nan before the first step), the errors on each test set, and each measure.
    """

    steps: Tensor
    values: Mapping[str, Tensor]


class Population:
    """Networks of one shape that train as one batch.

    Args:
        networks: one per member, all of one shape: one per seed and setting.
        recipe: how to train.
        seeds: of the draws of restarts, one per member; 0, 1, ... if None.

    Raises:
        OptionError: the networks are not of one shape, or seeds not one each.

    Example:
        >>> from neural_arith_bench.populations.schedules import Constant
        >>> from neural_arith.layers import NAU
        >>> nets = [NAU(2, 1, generator=torch.Generator().manual_seed(s)) for s in range(3)]
        >>> population = Population(nets, Recipe(rate=Constant((0.1, 0.03, 0.01))))
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> history = population.train(lambda step: (x, x.sum(1, keepdim=True)), 500, every=100)
        >>> history.values["train"].shape
        torch.Size([6, 3])
        >>> population.network(0)(x).round(decimals=2).flatten().tolist()
        [1.0, 1.0, 2.0]
    """

    def __init__(
        self, networks: Sequence[nn.Module], recipe: Recipe | None = None, *, seeds: Sequence[int] | None = None
    ) -> None:
        self.recipe = Recipe() if recipe is None else recipe
        self.stack = Stack(networks)
        members = self.stack.members
        self.seeds = tuple(range(members) if seeds is None else seeds)
        if len(self.seeds) != members:
            raise OptionError(f"seeds must be one per network, {members}, not {len(self.seeds)}")
        self._stepper = Stepper(self.stack, self.recipe, self.seeds)
        self._records: list[dict[str, Tensor]] = []

    @property
    def members(self) -> int:
        """How many networks."""
        return self.stack.members

    @property
    def step(self) -> int:
        """Steps taken."""
        return self._stepper.state.step

    @property
    def frozen_at(self) -> Tensor:
        """The step at which each member's loss or gradient was not finite, ``(members,)``; -1 for the others."""
        return self._stepper.state.frozen_at.clone()

    @property
    def restarts(self) -> Tensor:
        """How often each member started again, ``(members,)``."""
        return self._stepper.state.restarts.clone()

    def network(self, member: int) -> nn.Module:
        """A copy of one member with its present parameters."""
        return self.stack.network(member)

    def train(
        self,
        draw: Draw,
        steps: int,
        *,
        tests: Mapping[str, Batch] = MappingProxyType({}),
        measures: Mapping[str, Callable[[nn.Module], Tensor]] = MappingProxyType({}),
        every: int = 1000,
        progress: Callable[[int], object] | None = None,
        save: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until ``steps`` steps are taken, counted from the very first.

        Records are made before the first step, at multiples of ``every`` and at the end.

        Args:
            draw: see ``Draw``.
            steps: in all; a population that was resumed takes those that are left.
            tests: sets ``(x, y)`` by name, as batches; their mean squared errors are recorded.
            measures: scalars of one network by name, recorded; they must work under ``torch.vmap``.
            every: steps between records.
            progress: called with the number of steps after each record.
            save: file for the whole state, written at each record.

        Returns:
            All records since the very first step.

        Raises:
            DataError: a batch has another shape than ``Draw`` says.
        """
        state = self._stepper.state
        if not self._records:
            self._record(torch.full((self.members,), math.nan), tests, measures)
        while state.step < steps:
            errors = self._stepper.step(*self._batch(*draw(state.step)))
            if state.step % every == 0 or state.step == steps:
                self._record(errors, tests, measures)
                if save is not None:
                    self.save(save, draw)
                if progress is not None:
                    progress(state.step)
        names = [name for name in self._records[0] if name != "step"]
        return History(
            torch.stack([record["step"] for record in self._records]),
            {name: torch.stack([record[name] for record in self._records]) for name in names},
        )

    @torch.no_grad()
    def errors(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean squared errors, ``(members,)`` in float64, on one set for all or one per member."""
        x, y = self._batch(x, y)
        total = torch.zeros(self.members, dtype=torch.float64, device=x.device)
        for some, wanted in zip(x.split(_SAMPLES, 1), y.split(_SAMPLES, 1), strict=True):
            total += (self.stack(some, training=False).double() - wanted).square().sum((1, 2))
        return total / y[0].numel()

    def save(self, path: str | os.PathLike[str], draw: Draw | None = None) -> None:
        """Write parameters, optimiser, records and, if it has one, the state of the source of batches."""
        state = self._stepper.state
        keep = getattr(draw, "state_dict", None)
        save_checkpoint(
            path,
            self._settings(),
            {
                "parameters": self.stack.parameters,
                "state": {k: v for k, v in vars(state).items() if k != "losses"},
                "records": self._records,
                "losses": torch.stack(state.losses) if state.losses else None,
                "source": None if keep is None else keep(),
            },
        )

    def load(self, path: str | os.PathLike[str], draw: Draw | None = None) -> None:
        """Go on from a file of :meth:`save`; what follows is the same to the last bit as without interruption.

        Args:
            path: the file.
            draw: the source of batches, if it has a state.

        Raises:
            DataError: the file cannot be read.
            OptionError: it belongs to a population of other shapes, seeds or optimiser.
        """
        kept: dict[str, Any] = load_checkpoint(path, self._settings())
        with torch.no_grad():
            self.stack.parameters.copy_(kept["parameters"])
        losses = [] if kept["losses"] is None else list(kept["losses"])
        self._stepper.state = State(**kept["state"], losses=losses)
        self._records = kept["records"]
        if kept["source"] is not None and draw is not None:
            draw.load_state_dict(kept["source"])  # pyright: ignore[reportFunctionMemberAccess]

    def _settings(self) -> dict[str, Any]:
        shapes = {name: str(tuple(leaf.shape)) for name, leaf in self.stack.leaves.items()}
        return {
            "seeds": list(self.seeds),
            "network": str(self.stack.network(0)),
            "type": str(self.stack.parameters.dtype),
            "shapes": str(shapes),
            "optimiser": str(self.recipe.optimiser),
        }

    def _batch(self, x: Tensor, y: Tensor) -> Batch:
        x, y = (v.expand(self.members, *v.shape) if v.dim() == 2 else v for v in (x, y))
        if not (x.dim() == y.dim() == 3) or x.shape[:2] != y.shape[:2] or len(x) != self.members:
            raise DataError(
                f"a batch must be x (members, samples, inputs) and y (members, samples, outputs) with "
                f"{self.members} members, or both without the first axis; got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        return x, y

    def _record(
        self, errors: Tensor, tests: Mapping[str, Batch], measures: Mapping[str, Callable[[nn.Module], Tensor]]
    ) -> None:
        record = {"step": torch.tensor(self._stepper.state.step), "train": errors.double()}
        with torch.no_grad(), self._judged():
            record |= {name: self.errors(x, y) for name, (x, y) in tests.items()}
            record |= {name: self.stack.measure(function).double() for name, function in measures.items()}
        self._records.append(record)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Inside, members have the parameters by which their optimiser wants them judged."""
        average = self._stepper.state.optimiser.get(AVERAGE)
        present = self.stack.parameters.clone()
        if average is not None:
            self.stack.parameters.copy_(average)
        try:
            yield
        finally:
            self.stack.parameters.copy_(present)
