"""SciPy's L-BFGS-B for many members at once: every member its own search, all evaluations of a round in one batch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
from scipy.optimize import minimize

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
