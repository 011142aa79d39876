"""Rows of results: written and read back in both forms, refused where a file holds something else, made once only."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neural_arith_bench.arithmetic.rows import Row, rows_in
from neural_arith_bench.runner import DONE, INTERRUPTED, Work, command_line, make_missing
from neural_arith_bench.store import Store, made_by

from neural_arith.errors import DataError

names = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1)
numbers = st.floats(allow_nan=False)
rows = st.builds(
    Row,
    names,
    names,
    names,
    st.integers(0, 10**6),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 10**7),
    st.none() | numbers,
    numbers,
    numbers,
    st.integers(0, 10**7),
    st.just("abc1234"),
)


def key(row):
    return row.model, row.op, row.range, row.seed


@given(st.lists(rows, max_size=5, unique_by=key))
def test_rows_of_a_table_read_back_as_they_were_in_order(found):
    with TemporaryDirectory() as folder:
        file = rows_in(Path(folder) / "deep" / "table.csv")
        file.add(found, "neural-arith bench simple")
        again = rows_in(file.path)
        assert list(again.rows.values()) == sorted(found, key=key)


@given(st.dictionaries(st.tuples(st.none() | st.integers(), names), numbers, max_size=5))
def test_rows_of_json_read_back_as_they_were_with_summary_and_commit(found):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        store = Store(path, ("a", "b"), dict, summarise=lambda all: {"n": len(all)})
        store.add([{"a": a, "b": b, "value": value} for (a, b), value in found.items()], "neural-arith bench x")
        again = Store(path, ("a", "b"), dict)
        assert {own: row["value"] for own, row in again.rows.items()} == found
        assert all(row["commit"] for row in again.rows.values())
        assert json.loads(path.read_text())["summary"] == {"n": len(found)}


def row(**other):
    return Row(**{"model": "NMU", "op": "mul", "range": "[1,2]", "seed": 0, "success": None, "solved_at": None,
                  "sparsity_error": None, "extrapolation_error": math.nan, "seconds": 1.5, "steps": 3, "commit": "x"}
               | other)  # fmt: skip


def test_a_row_takes_the_place_of_its_like_and_commands_are_kept(tmp_path):
    path = tmp_path / "table.csv"
    rows_in(path).add([row(), row(seed=1, extrapolation_error=math.inf)], "first")
    file = rows_in(path)
    assert math.isnan(file.rows["NMU", "mul", "[1,2]", 0].extrapolation_error)
    file.add([row(extrapolation_error=0.5)], "second")
    file.add([row(seed=2)], "second")
    again = rows_in(path)
    assert [r.extrapolation_error for r in again.rows.values()][:2] == [0.5, math.inf]
    assert [made["command"] for made in made_by(path)] == ["first", "second"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.csv", "table.json"]


def test_a_file_that_tells_its_last_command_only_is_continued(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"made_by": {"command": "old"}, "summary": {}, "rows": [{"seed": 1}]}))
    Store(path, ["seed"], dict).add([{"seed": 0}], "new")
    assert [made["command"] for made in made_by(path)] == ["old", "new"]
    assert [one["seed"] for one in json.loads(path.read_text())["rows"]] == [0, 1]


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows_in(None).add([row()], "command")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["table.csv", "table.json"])
@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "\x00", '"', '{"rows": [{"other": 1}]}'])
def test_other_files_are_refused(tmp_path, text, name):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match="does not hold rows"):
        rows_in(path)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder"):
        rows_in(tmp_path / "file" / "table.csv")


# --- the loop --------------------------------------------------------------------------------------------


def squares(store: Store, ask: list[int], end: int | None = None) -> list[Work]:
    def make(worker, number):
        if number == end:
            raise KeyboardInterrupt
        return [{"n": number, "square": worker.run(pow, number, 2)}]

    return [Work(store, [(number,)], lambda worker, _, n=number: make(worker, n)) for number in ask]


@pytest.mark.parametrize("jobs", [1, 2])
def test_only_rows_that_are_missing_are_made_and_ctrl_c_keeps_what_is_there(tmp_path, capsys, jobs):
    def store():
        return Store(tmp_path / "rows.json", ["n"], dict)

    assert make_missing(squares(store(), [1, 3]), "neural-arith bench x", quiet=True, jobs=jobs) == DONE
    # 3 is there already; would it be made again, the loop would end
    assert make_missing(squares(store(), [1, 2, 3], end=3), "neural-arith bench x", quiet=True, jobs=jobs) == DONE
    assert make_missing(squares(store(), [4, 5], end=5), "neural-arith bench x", quiet=True) == INTERRUPTED
    assert "interrupted after 1 of 2 rows, kept; the same command goes on" in capsys.readouterr().err
    assert {own: one["square"] for (own,), one in store().rows.items()} == {1: 1, 2: 4, 3: 9, 4: 16}


def test_work_side_by_side_is_done_in_other_processes():
    store = Store(None, ["n"], dict)
    work = [Work(store, [(n,)], lambda worker, _, n=n: [{"n": n, "at": worker.run(os.getpid)}]) for n in range(4)]
    assert make_missing(work, "neural-arith bench x", quiet=True, jobs=2) == DONE
    places = {one["at"] for one in store.rows.values()}
    assert os.getpid() not in places
    assert len(places) <= 2
    for place in places:
        with pytest.raises(ProcessLookupError):
            os.kill(place, signal.SIGTERM)


def test_a_command_line_says_what_was_asked():
    line = command_line("x", model=["closed form", "NMU"], seeds=[3], budget=None, cpu=True, noise=[0.0, 0.01], jobs=2)
    assert line == "neural-arith bench x --model 'closed form,NMU' --seeds 3, --cpu --noise 0,0.01 --jobs 2"
