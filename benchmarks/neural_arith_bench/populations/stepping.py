"""One step of many networks at once, by a recipe.

Losses are summed over members, so no gradient reaches another member; the optimiser works element by element; a member
whose loss or gradient is no longer finite stays where it was and the others do not notice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neural_arith.errors import DataError
from neural_arith_bench.populations.optimisers import Adam, Optimiser
from neural_arith_bench.populations.schedules import Constant, Penalty, Restart, Schedule
from neural_arith_bench.populations.stacking import Stack


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


@dataclass
class State:
    """What changes from step to step, beside the parameters.

    Attributes:
        optimiser: its state.
        frozen_at: the step at which a member's loss or gradient was not finite, ``(members,)``; -1 for the others.
        restarts: how often each member started again, ``(members,)``.
        step: steps taken.
        losses: of all members by step, as far back as the rule of restarts looks.
        started: the step of each member's last start.
    """

    optimiser: dict[str, Tensor]
    frozen_at: Tensor
    restarts: Tensor
    step: int = 0
    losses: list[Tensor] = field(default_factory=list)
    started: list[int] = field(default_factory=list)


class Stepper:
    """Moves the networks of a stack.

    Args:
        stack: the networks.
        recipe: how to train.
        seeds: of the draws of restarts, one per member.
    """

    def __init__(self, stack: Stack, recipe: Recipe, seeds: tuple[int, ...]) -> None:
        self.stack, self.recipe, self.seeds = stack, recipe, seeds
        members = stack.members
        self.state = State(
            optimiser=recipe.optimiser.begin(stack.parameters),
            frozen_at=torch.full((members,), -1, device=stack.parameters.device),
            restarts=torch.zeros(members, dtype=torch.int64),
            started=[0] * members,
        )

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of all members that are not frozen, on ``(members, samples, ...)``; their errors before it."""
        recipe, state = self.recipe, self.state
        out, own = self._outputs(x)
        if out.shape != y.shape:
            raise DataError(f"the networks give outputs of shape {tuple(out.shape)}, the batch has {tuple(y.shape)}")
        errors = (out - y).square().mean((1, 2))
        loss, seen = errors if own is None else errors + own, errors.detach()
        for penalty in recipe.penalties:
            weight = self._numbers(penalty.weight)
            if state.step >= penalty.after and bool(weight.any()):
                weight = weight.expand(self.stack.members) * (seen < penalty.below)
                loss = loss + weight.to(loss.dtype) * self.stack.measure(penalty.measure)
        gradient = self.stack.gradient(loss.sum())
        rate = self._numbers(recipe.rate).expand(self.stack.members)
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

    def _outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of all members, and what they add to the loss themselves, ``(members,)``, if they do.

        Noise follows from seeds and step alone, so a resumed run draws the same again.
        """
        with torch.random.fork_rng(devices=(), enabled=self.stack.noisy):
            if self.stack.noisy:
                torch.manual_seed(_word(*self.seeds, self.state.step))
            out = self.stack(x)
        return out if isinstance(out, tuple) else (out, None)

    def _numbers(self, schedule: Schedule) -> Tensor:
        return torch.from_numpy(np.asarray(schedule(self.state.step))).to(self.stack.parameters.device)

    def _restart_stalled(self, rule: Restart) -> None:
        state = self.state
        first = state.step - len(state.losses)
        losses = torch.stack(state.losses, 1)
        for member in range(self.stack.members):
            if state.frozen_at[member] >= 0 or not rule.stalled(losses[member, state.started[member] - first :]):
                continue
            state.restarts[member] += 1
            state.started[member] = state.step
            # Seeded by what is kept anyway, so no generator needs saving, and by nothing that others decide.
            generator = torch.Generator().manual_seed(_word(self.seeds[member], int(state.restarts[member])))
            network = self.stack.network(member)
            rule.redraw(network, generator)
            self.stack.replace(member, network)
            fresh = self.recipe.optimiser.begin(self.stack.parameters[member : member + 1])
            for name, values in fresh.items():
                state.optimiser[name][member] = values[0]
        running = (state.frozen_at < 0).tolist()
        oldest = min((s for s, runs in zip(state.started, running, strict=True) if runs), default=state.step)
        del state.losses[: oldest - first]


def _word(*numbers: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
