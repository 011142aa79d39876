"""What each price and each width of the search buys: every entry of `Prior` and `Effort` halved and doubled.

The ten problems of known law (:mod:`neural_arith_bench.laws.scales`) are searched with one entry changed at a time. An
entry that changes neither what is found nor how long it takes is not needed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from neural_arith.discovery import discover
from neural_arith.discovery.effort import Effort
from neural_arith.terms.prior import Prior
from neural_arith_bench.laws.scales import PROBLEMS, SEED, UNITS
from neural_arith_bench.runner import Work, chosen, command_line, finish, make_missing, threads_for
from neural_arith_bench.store import Row, Store, in_folder

AS_IT_IS = "as it is"

TIMES = (0.5, 2.0)

ENTRIES: dict[str, Prior | Effort] = {
    f"{type(one).__name__}.{field.name}": one for one in (Prior(), Effort()) for field in fields(one)
}
"""Each entry by its name, with the object that it stands in."""


def changed(entry: str, times: float) -> dict[str, Any]:
    """The option of a search that has one entry multiplied, whole numbers at least one; none for `AS_IT_IS`."""
    if entry == AS_IT_IS:
        return {}
    one, name = ENTRIES[entry], entry.split(".")[1]
    old = getattr(one, name)
    new = old * times if isinstance(old, float) else max(1, round(old * times))
    return {type(one).__name__.lower(): replace(one, **{name: new})}


def row_of(problem: str, entry: str, times: float, jobs: int) -> Row:
    """One search with one entry changed."""
    data = PROBLEMS[problem].data(UNITS[0])
    begun, worked = time.perf_counter(), time.process_time()
    found = discover(data, n_jobs=jobs, **changed(entry, times))
    return {
        "problem": problem,
        "entry": entry,
        "times": times,
        "seed": SEED,
        "true_law": found.equations.same_structure(PROBLEMS[problem].truth),
        "score": round(found.chosen.score, 3),
        "near_ties": sum(candidate.near_tie for candidate in found.candidates),
        "seconds": round(time.perf_counter() - begun, 2),
        "cpu": round(time.process_time() - worked, 2),
        "equations": found.equations.to_text(),
    }


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each changed entry: true laws, laws that are others than before, processor seconds over those before."""
    before = {row["problem"]: row for row in rows if row["entry"] == AS_IT_IS}
    told: dict[str, Any] = {}
    for entry, times in _changes():
        mine = [r for r in rows if (r["entry"], r["times"]) == (entry, times) and r["problem"] in before]
        if mine:
            others = sum(r["true_law"] != before[r["problem"]]["true_law"] for r in mine)
            moved = sum(r["equations"] != before[r["problem"]]["equations"] for r in mine)
            cpu = sum(r["cpu"] for r in mine) / max(sum(before[r["problem"]]["cpu"] for r in mine), 1e-9)
            told[f"{entry} x {times:g}"] = {
                "problems": len(mine),
                "true_laws": sum(r["true_law"] for r in mine),
                "gained_or_lost": others,
                "other_answers": moved,
                "cpu_times": round(cpu, 2),
            }
    return {"true_laws_as_it_is": sum(row["true_law"] for row in before.values()), "changes": told}


def _changes() -> Iterator[tuple[str, float]]:
    return ((entry, times) for entry in ENTRIES for times in TIMES)


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, and print what they come to; see `Benchmark.run`."""
    problems, jobs = chosen("--problems", arguments.problems, PROBLEMS), arguments.jobs
    entries = chosen("--entries", arguments.entries, ENTRIES)
    store = Store(in_folder(arguments.out, name), ("entry", "times", "problem"), dict, summarise=summary_of)

    def work(problem: str, entry: str, times: float) -> Work[Row]:
        def make(worker: Any, _: Any) -> list[Row]:
            return [worker.run(row_of, problem, entry, times, threads_for(jobs))]

        return Work(store, [(entry, times, problem)], make, label=f"{entry} {problem}")

    asked = [(AS_IT_IS, 1.0), *((entry, times) for entry in entries for times in TIMES)]
    command = command_line(name, problems=arguments.problems, entries=arguments.entries, jobs=jobs)
    todo = [work(problem, entry, times) for entry, times in asked for problem in problems]
    code = make_missing(todo, command, quiet=arguments.quiet, unit="search", jobs=jobs)
    return finish(code, store)
