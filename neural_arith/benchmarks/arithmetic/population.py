"""All seeds at once: networks of one shape trained as one batch, each exactly as it would be alone.

Losses are summed over members, so no gradient reaches another member; the optimiser works element by element; a member
whose loss or gradient is no longer finite stays where it was and the others do not notice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.benchmarks.arithmetic.optimisers import Adam, Optimiser
from neural_arith.benchmarks.arithmetic.schedules import Constant, Penalty, Restart, Schedule
from neural_arith.benchmarks.arithmetic.stacking import Stack
from neural_arith.errors import DataError, OptionError
from neural_arith.ode.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["History", "Population", "Recipe"]

Batch = tuple[Tensor, Tensor]
Draw = Callable[[int], Batch]
"""A step to a batch ``(x, y)``: ``(members, samples, I)`` and ``(members, samples, O)``, or without the first axis for
one batch that all members share. Best a function of the step alone: then a resumed run needs nothing else. A source
with ``state_dict`` and ``load_state_dict`` has its state saved with the population."""

_SAMPLES = 1_000


@dataclass(frozen=True)
class Recipe:
    """How to train. Schedules may hold one number per member.

    Attributes:
        rate: learning rate by step.
        optimiser: the rule of a step.
        penalties: added to the loss.
        restart: fresh starts of stalled members, or None.
        clip_value: largest size of each element of a gradient.
        clip_norm: largest length of a member's gradient.
        project: clamp parameters to their ranges after each step.
    """

    rate: Schedule = field(default_factory=lambda: Constant(1e-3))
    optimiser: Optimiser = field(default_factory=Adam)
    penalties: Sequence[Penalty] = ()
    restart: Restart | None = None
    clip_value: float = math.inf
    clip_norm: float = math.inf
    project: bool = True


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


@dataclass
class _State:
    """What changes from step to step, beside the parameters."""

    optimiser: dict[str, Tensor]
    frozen_at: Tensor
    restarts: Tensor
    step: int = 0
    records: list[dict[str, Tensor]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    started: list[int] = field(default_factory=list)


class Population:
    """Networks of one shape that train as one batch.

    Args:
        networks: one per member, all of one shape: one per seed and setting.
        recipe: how to train.
        seeds: of the draws of restarts, one per member; 0, 1, ... if None.

    Raises:
        OptionError: the networks are not of one shape, or seeds not one each.

    Example:
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
        members, device = self.stack.members, self.stack.parameters.device
        self.seeds = tuple(range(members) if seeds is None else seeds)
        if len(self.seeds) != members:
            raise OptionError(f"seeds must be one per network, {members}, not {len(self.seeds)}")
        self._state = _State(
            optimiser=self.recipe.optimiser.begin(self.stack.parameters),
            frozen_at=torch.full((members,), -1, device=device),
            restarts=torch.zeros(members, dtype=torch.int64),
            started=[0] * members,
        )

    @property
    def members(self) -> int:
        """How many networks."""
        return self.stack.members

    @property
    def step(self) -> int:
        """Steps taken."""
        return self._state.step

    @property
    def frozen_at(self) -> Tensor:
        """The step at which each member's loss or gradient was not finite, ``(members,)``; -1 for the others."""
        return self._state.frozen_at.clone()

    @property
    def restarts(self) -> Tensor:
        """How often each member started again, ``(members,)``."""
        return self._state.restarts.clone()

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
        state = self._state
        if not state.records:
            self._record(torch.full((self.members,), math.nan), tests, measures)
        while state.step < steps:
            errors = self._step_once(*self._batch(*draw(state.step)))
            if state.step % every == 0 or state.step == steps:
                self._record(errors, tests, measures)
                if save is not None:
                    self.save(save, draw)
                if progress is not None:
                    progress(state.step)
        names = [name for name in state.records[0] if name != "step"]
        return History(
            torch.stack([record["step"] for record in state.records]),
            {name: torch.stack([record[name] for record in state.records]) for name in names},
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
        state = self._state
        keep = getattr(draw, "state_dict", None)
        save_checkpoint(
            path,
            self._settings(),
            {
                "parameters": self.stack.parameters,
                "state": {k: v for k, v in vars(state).items() if k != "losses"},
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
        self._state = _State(**kept["state"], losses=losses)
        if kept["source"] is not None and draw is not None:
            draw.load_state_dict(kept["source"])  # pyright: ignore[reportFunctionMemberAccess]

    def _settings(self) -> dict[str, Any]:
        shapes = {name: str(tuple(leaf.shape)) for name, leaf in self.stack.leaves.items()}
        return {"seeds": list(self.seeds), "shapes": str(shapes), "optimiser": str(self.recipe.optimiser)}

    def _batch(self, x: Tensor, y: Tensor) -> Batch:
        x, y = (v.expand(self.members, *v.shape) if v.dim() == 2 else v for v in (x, y))
        if not (x.dim() == y.dim() == 3) or x.shape[:2] != y.shape[:2] or len(x) != self.members:
            raise DataError(
                f"a batch must be x (members, samples, inputs) and y (members, samples, outputs) with "
                f"{self.members} members, or both without the first axis; got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        return x, y

    def _step_once(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of all members that are not frozen; their errors before it, ``(members,)``."""
        recipe, state = self.recipe, self._state
        out = self.stack(x)
        if out.shape != y.shape:
            raise DataError(f"the networks give outputs of shape {tuple(out.shape)}, the batch has {tuple(y.shape)}")
        errors = (out - y).square().mean((1, 2))
        loss, seen = errors, errors.detach()
        for penalty in recipe.penalties:
            weight = self._numbers(penalty.weight)
            if state.step >= penalty.after and bool(weight.any()):
                weight = weight.expand(self.members) * (seen < penalty.below)
                loss = loss + weight.to(loss.dtype) * self.stack.measure(penalty.measure)
        gradient = self.stack.gradient(loss.sum())
        rate = self._numbers(recipe.rate).expand(self.members)
        # One sum tells whether all is finite; only if not, the guilty are looked for.
        if not math.isfinite(float(gradient.sum() + loss.detach().sum())) or bool((state.frozen_at >= 0).any()):
            bad = ~(torch.isfinite(gradient).all(1) & torch.isfinite(loss.detach()))
            state.frozen_at = torch.where((state.frozen_at < 0) & bad, state.step, state.frozen_at)
            still = state.frozen_at >= 0
            gradient = torch.where(still[:, None], 0.0, gradient)
            rate = torch.where(still, 0.0, rate)
        if recipe.clip_value < math.inf:
            gradient = gradient.clamp(-recipe.clip_value, recipe.clip_value)
        if recipe.clip_norm < math.inf:
            length = gradient.norm(dim=1, keepdim=True)
            gradient = gradient * (recipe.clip_norm / (length + 1e-6)).clamp(max=1.0)
        recipe.optimiser.step_(self.stack.parameters, gradient, state.optimiser, rate[:, None])
        if recipe.project:
            self.stack.project_()
        state.step += 1
        if recipe.restart is not None:
            state.losses.append(seen)
            if state.step % recipe.restart.every == 0:
                self._restart_stalled(recipe.restart)
        return seen

    def _numbers(self, schedule: Schedule) -> Tensor:
        return torch.from_numpy(np.asarray(schedule(self._state.step))).to(self.stack.parameters.device)

    def _restart_stalled(self, rule: Restart) -> None:
        state = self._state
        first = state.step - len(state.losses)
        losses = torch.stack(state.losses, 1)
        for member in range(self.members):
            if state.frozen_at[member] >= 0 or not rule.stalled(losses[member, state.started[member] - first :]):
                continue
            state.restarts[member] += 1
            state.started[member] = state.step
            # Seeded by what is kept anyway, so no generator needs saving, and by nothing that others decide.
            words = np.random.SeedSequence((self.seeds[member], int(state.restarts[member]))).generate_state(
                1, np.uint64
            )
            generator = torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))
            network = self.stack.network(member)
            rule.redraw(network, generator)
            self.stack.replace(member, network)
            fresh = self.recipe.optimiser.begin(self.stack.parameters[member : member + 1])
            for name, values in fresh.items():
                state.optimiser[name][member] = values[0]
        running = (state.frozen_at < 0).tolist()
        oldest = min((s for s, runs in zip(state.started, running, strict=True) if runs), default=state.step)
        del state.losses[: oldest - first]

    def _record(
        self, errors: Tensor, tests: Mapping[str, Batch], measures: Mapping[str, Callable[[nn.Module], Tensor]]
    ) -> None:
        record = {"step": torch.tensor(self._state.step), "train": errors.double()}
        record |= {name: self.errors(x, y) for name, (x, y) in tests.items()}
        with torch.no_grad():
            record |= {name: self.stack.measure(function).double() for name, function in measures.items()}
        self._state.records.append(record)
