"""Rows of results: written and read back, refused where a file holds something else."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neural_arith_bench.arithmetic.rows import Row, RowFile

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


@given(st.lists(rows, max_size=5, unique_by=lambda row: row.key))
def test_rows_read_back_as_they_were(found):
    with TemporaryDirectory() as folder:
        file = RowFile(Path(folder) / "deep" / "table.csv")
        file.add(found, "neural-arith bench simple")
        again = RowFile(file.path)
        assert list(again.rows.values()) == found


def row(**other):
    return Row(**{"model": "NMU", "op": "mul", "range": "[1,2]", "seed": 0, "success": None, "solved_at": None,
                  "sparsity_error": None, "extrapolation_error": math.nan, "seconds": 1.5, "steps": 3, "commit": "x"}
               | other)  # fmt: skip


def test_a_row_takes_the_place_of_its_like_and_commands_are_kept(tmp_path):
    path = tmp_path / "table.csv"
    RowFile(path).add([row(), row(seed=1, extrapolation_error=math.inf)], "first")
    file = RowFile(path)
    assert math.isnan(file.rows["NMU", "mul", "[1,2]", 0].extrapolation_error)
    file.add([row(extrapolation_error=0.5)], "second")
    file.add([row(seed=2)], "second")
    again = RowFile(path)
    assert [r.extrapolation_error for r in again.rows.values()][:2] == [0.5, math.inf]
    assert [made["command"] for made in json.loads((tmp_path / "table.json").read_text())["made_by"]] == [
        "first",
        "second",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.csv", "table.json"]


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RowFile(None).add([row()], "command")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "\x00", '"'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="does not hold rows"):
        RowFile(path)


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder"):
        RowFile(tmp_path / "file" / "table.csv")
