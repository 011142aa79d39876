"""The published training: RMSProp, then L-BFGS, on the mean square plus beta times the sum of all magnitudes.

Where it differs from the published code: the gradient is that of the discretised loss, exactly (the code integrates the
continuous adjoint, which for Euler steps of 1 is another number), and the line search of L-BFGS is Moré and Thuente's
(the code's is Hager and Zhang's). It is SciPy's, each member its own search, all evaluations of a round in one batch.
The paper says ADAM, its code RMSProp; the code is followed unless ``adam`` is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from neural_arith_bench.fractional_sir.fields import Fields
from neural_arith_bench.fractional_sir.flow import Solver

RATE, STEPS, LBFGS_STEPS = 0.005, 3000, 1000
"""Of the published code; the last is the default of the library that it calls."""


@dataclass(frozen=True)
class Objective:
    """Mean square over states and times plus beta times the L1 norm of all parameters.

    Attributes:
        fields: the networks.
        solver: what turns them into trajectories.
        data: ``(times, states)``, the first row is the start.
        beta: strength of the penalty of each member, ``(members,)``.
    """

    fields: Fields
    solver: Solver
    data: Tensor
    beta: Tensor

    def __call__(self, p: Tensor, members: Sequence[int] | np.ndarray | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Values and gradients of some members.

        Args:
            p: their parameters, ``(n, numbers)``.
            members: which they are; all if not given.

        Returns:
            ``(n,)`` and ``(n, numbers)``; infinity and zeros where a member diverged or its gradient is not finite.
        """
        loss, gradient = self.solver.loss_and_gradient(self.fields, p, self.data)
        beta = self.beta[members]
        loss = loss + beta * p.abs().sum(1)
        gradient = torch.where(self.fields.live[members], gradient + beta[:, None] * p.sign(), 0.0)
        finite = loss.isfinite() & gradient.isfinite().all(1)
        return torch.where(finite, loss, torch.inf), torch.where(finite[:, None], gradient, 0.0)


def train(
    objective: Objective,
    p: Tensor,
    *,
    budget: float = 1.0,
    adam: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> tuple[Tensor, float]:
    """Train all members by the published protocol.

    Args:
        objective: what to minimise.
        p: initial parameters, ``(members, numbers)``.
        budget: share of the published steps.
        adam: ADAM as in the paper, not RMSProp as in its code.
        progress: told the stage and how many members are still at it, after each evaluation of all.

    Returns:
        The best parameters that each member had, ``(members, numbers)``, and the seconds that it took.
    """
    begun = time.perf_counter()
    p = _descend(objective, p, max(1, round(budget * STEPS)), adam, progress)

    def evaluate(points: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = objective(torch.from_numpy(points), members)
        return value.numpy(), gradient.numpy()

    steps = max(1, round(budget * LBFGS_STEPS))
    report = None if progress is None else lambda searching: progress("L-BFGS", searching)
    best, _ = minimise_each(evaluate, p.numpy(), steps=steps, on_round=report)
    return torch.from_numpy(best), time.perf_counter() - begun


def _descend(
    objective: Objective, start: Tensor, steps: int, adam: bool, progress: Callable[[str, int], None] | None
) -> Tensor:
    """Steps of RMSProp (decay 0.9) or ADAM; the best parameters on the way, as the library of the code keeps them."""
    p = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([p], RATE) if adam else torch.optim.RMSprop([p], RATE, alpha=0.9, eps=1e-8)
    best, lowest = start.clone(), torch.full((len(start),), torch.inf, dtype=start.dtype)
    for _ in range(steps):
        value, p.grad = objective(p.detach())
        better = value < lowest
        best[better], lowest[better] = p.detach()[better], value[better]
        optimiser.step()
        if progress is not None:
            progress("ADAM" if adam else "RMSProp", len(p))
    return best


Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Points ``(n, numbers)`` of the members ``(n,)`` to their values ``(n,)`` and gradients ``(n, numbers)``."""

_HUGE = 1e100
"""Stands for a value that is not finite: the line search then shortens its step, which it cannot do by infinity."""


def minimise_each(
    evaluate: Evaluate, start: np.ndarray, *, steps: int, on_round: Callable[[int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise each member's value by L-BFGS (memory 10, line search of Moré and Thuente, until the gradient is 1e-8).

    Each member runs in a thread of its own, which waits for its value while the others ask for theirs; so the points it
    visits are those that it would visit alone.

    Args:
        evaluate: values and gradients of some members.
        start: where they start, ``(members, numbers)``.
        steps: at most so many for each member.
        on_round: told after each round how many members are still searching.

    Returns:
        The best points ``(members, numbers)`` and their values ``(members,)``; a member whose start has no finite value
        stays there.
    """
    requests: SimpleQueue[tuple[int, np.ndarray | None]] = SimpleQueue()
    answers: list[SimpleQueue[tuple[float, np.ndarray] | None]] = [SimpleQueue() for _ in start]
    best, lowest = start.copy(), np.full(len(start), np.inf)

    def search(member: int) -> None:
        def value(point: np.ndarray) -> tuple[float, np.ndarray]:
            requests.put((member, point.copy()))
            answer = answers[member].get()
            if answer is None:
                raise _Interrupted
            if answer[0] < lowest[member]:
                best[member], lowest[member] = point, answer[0]
            if np.isfinite(lowest[member]):
                return answer if np.isfinite(answer[0]) else (_HUGE, np.zeros_like(point))
            raise _Interrupted

        options: dict[str, Any] = {"maxiter": steps, "maxfun": 25 * steps, "maxcor": 10, "ftol": 0.0, "gtol": 1e-8}
        try:
            minimize(value, start[member], jac=True, method="L-BFGS-B", options=options)
        except _Interrupted:
            pass
        finally:
            requests.put((member, None))

    with ThreadPoolExecutor(max(len(start), 1)) as pool:
        searches = [pool.submit(search, member) for member in range(len(start))]
        searching = len(start)
        try:
            while searching:
                asked: dict[int, np.ndarray] = {}
                while len(asked) < searching:
                    member, point = requests.get()
                    if point is None:
                        searching -= 1
                    else:
                        asked[member] = point
                if asked:
                    members = np.array(sorted(asked))
                    values, gradients = evaluate(np.stack([asked[member] for member in members]), members)
                    for member, value, gradient in zip(members, values, gradients, strict=True):
                        answers[member].put((float(value), gradient))
                if on_round is not None:
                    on_round(searching)
        finally:
            for answer in answers:
                answer.put(None)
    for done in searches:
        done.result()
    return best, lowest


class _Interrupted(Exception):
    """Raised inside a search to leave it."""
