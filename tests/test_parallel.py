"""Blocks of calls: in order, in parallel, in time, and found again on disk."""

from __future__ import annotations

import functools
import itertools
import operator
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.errors import OptionError
from neural_arith.parallel import Checkpoint, partition, run_blocks

BLOCKS = [(np.arange(float(k)),) for k in range(1, 13)]
SUMS = [3.0 * k * (k - 1) / 2 for k in range(1, 13)]


def total(numbers: np.ndarray, factor: float) -> float:
    return float(numbers.sum() * factor)


def stubborn(numbers: np.ndarray, factor: float) -> float:
    if len(numbers) == 9:
        raise ArithmeticError("nine")
    return total(numbers, factor)


def asked(times: int):
    """Yes so often, then no."""
    counter = itertools.count(1)
    return lambda: next(counter) <= times


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("output.pkl"))}


# ------------------------------------------------------------------------------------------------------- partition
@settings(deadline=None)
@given(st.lists(st.floats(0.1, 10)), st.floats(0.1, 30))
def test_ranges_follow_each_other_and_cost_no_more_than_allowed(costs, most):
    ranges = partition(costs, most)
    assert [k for first, stop in ranges for k in range(first, stop)] == list(range(len(costs)))
    for first, stop in ranges:
        spent = functools.reduce(operator.add, costs[first:stop])
        assert stop - first == 1 or spent <= most
    for (first, _), (_, stop) in itertools.pairwise(ranges):  # two neighbours do not fit into one
        assert sum(costs[first:stop]) > most * (1 - 1e-12)


# ------------------------------------------------------------------------------------------------------ run_blocks
@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_results_come_in_order(n_jobs):
    assert run_blocks(total, BLOCKS, 3.0, n_jobs=n_jobs) == SUMS
    assert run_blocks(total, [], 3.0, n_jobs=n_jobs) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("times", [0, 1, 5, 11, 12])
def test_no_block_is_begun_when_time_is_up(n_jobs, times):
    results = run_blocks(total, BLOCKS, 3.0, n_jobs=n_jobs, in_time=asked(times))
    assert results == SUMS[:times] + [None] * (12 - times)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_come_through_and_what_was_done_before_is_kept(n_jobs, tmp_path):
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="nine"):
            run_blocks(stubborn, BLOCKS, 3.0, n_jobs=n_jobs, checkpoint=Checkpoint(tmp_path))
    assert n_jobs > 1 or len(files(tmp_path)) == 8


# ------------------------------------------------------------------------------------------------------ checkpoint
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_run_goes_on_where_it_stopped(n_jobs, tmp_path):
    checkpoint = Checkpoint(tmp_path)
    run_blocks(total, BLOCKS, 3.0, n_jobs=n_jobs, checkpoint=checkpoint, in_time=asked(5))
    before = files(tmp_path)
    assert len(before) == 5
    again = asked(7)  # seven are left
    assert run_blocks(total, BLOCKS, 3.0, n_jobs=n_jobs, checkpoint=checkpoint, in_time=again) == SUMS
    assert before.items() <= files(tmp_path).items()
    assert run_blocks(total, BLOCKS, 3.0, checkpoint=Checkpoint(tmp_path), in_time=asked(0)) == SUMS


def test_other_functions_and_other_arguments_are_told_apart(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    run_blocks(total, BLOCKS, 3.0, checkpoint=checkpoint)
    assert run_blocks(total, BLOCKS, 1.0, checkpoint=checkpoint) == [s / 3 for s in SUMS]
    with pytest.raises(ArithmeticError, match="nine"):
        run_blocks(stubborn, BLOCKS, 3.0, checkpoint=checkpoint)


def test_recall_calls_once_for_the_same_inputs(tmp_path):
    calls: list[float] = []

    def double(x: np.ndarray, *, shift: float, say: list[float]) -> np.ndarray:
        say.append(shift)
        return 2 * x + shift

    for folder, expected in ((tmp_path, [1.0, 2.0]), (None, [1.0, 1.0, 2.0])):
        calls.clear()
        checkpoint = Checkpoint(folder)
        for shift in (1.0, 1.0, 2.0):
            found = checkpoint.recall(double, np.arange(3.0), shift=shift, ignored={"say": calls})
            assert found.tolist() == [shift, 2 + shift, 4 + shift]
        assert calls == expected


def test_equal_inputs_are_the_same_however_their_parts_are_shared(tmp_path):
    checkpoint, calls = Checkpoint(tmp_path), []

    def length(parts: list[tuple[float, ...]], *, say: list[object]) -> int:
        say.append(parts)
        return len(parts)

    one, two = (tuple(float(k) for k in range(3)) for _ in range(2))
    assert one is not two
    for parts in ([one, one], [one, two], [two, one]):
        assert checkpoint.recall(length, parts, ignored={"say": calls}) == 2
    assert calls == [[one, one]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:3]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a pickle"),
        lambda path: path.unlink(),
        lambda path: (path.parent / "metadata.json").write_text("{"),
        lambda path: shutil.rmtree(path.parent),
    ],
)
def test_damaged_files_are_made_again(damage, tmp_path):
    checkpoint = Checkpoint(tmp_path)
    run_blocks(total, BLOCKS, 3.0, checkpoint=checkpoint)
    whole = files(tmp_path)
    assert len(whole) == 12
    for path in list(whole)[::2]:
        damage(path)
    assert run_blocks(total, BLOCKS, 3.0, checkpoint=checkpoint) == SUMS
    assert run_blocks(total, BLOCKS, 3.0, checkpoint=checkpoint, in_time=asked(0)) == SUMS
    assert files(tmp_path).keys() == whole.keys()


def test_foreign_files_do_no_harm(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "joblib").write_text("mine")
    assert run_blocks(total, BLOCKS, 3.0, checkpoint=Checkpoint(tmp_path)) == SUMS
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OptionError, match="checkpoint must be a folder that can be written to"):
            Checkpoint(place)


def test_an_empty_name_is_no_checkpoint():
    with pytest.raises(OptionError, match="checkpoint is empty"):
        Checkpoint("")


FULL = """
import resource, signal, sys, warnings
from neural_arith.parallel import Checkpoint
checkpoint = Checkpoint(sys.argv[1])
checkpoint.keep("small", 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for key in "ab":
        checkpoint.keep(key, bytes(100_000))
print(checkpoint.find("small"), checkpoint.find("a"), [str(one.message) for one in said])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit of file sizes")
def test_a_full_disk_is_told_once_and_what_was_kept_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 None ['the checkpoint ")
    assert done.stdout.count("cannot be written to") == 1
    assert "too large" in done.stdout
    assert not done.stderr
