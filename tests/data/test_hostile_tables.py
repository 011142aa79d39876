"""Tables damaged at random, and tables in many dialects: refused by one clear line, or read to the very numbers."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hostile_tables import hostile_table, plausible
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.data import Trajectories
from neural_arith.errors import DataError

CASES = 400


def agree(data: Trajectories, values: dict[float, tuple[float, ...]]) -> bool:
    """Whether the rows read are rows of a table, and none but its repetitions are lost."""
    (run,) = data
    if not set(run.t.tolist()) <= set(values) or len(run.t) != len(values):
        return False
    expected = np.array([values[t] for t in run.t.tolist()])
    return run.x.shape == expected.shape and np.array_equal(run.x, expected, equal_nan=True)


@pytest.mark.parametrize("block", range(4))
def test_hostile_tables_are_never_misread(tmp_path, block):
    read = 0
    refusals: list[tuple[str, str]] = []
    for seed in range(block * CASES // 4, (block + 1) * CASES // 4):
        table = hostile_table(seed)
        path = tmp_path / "hostile.csv"
        path.write_bytes(table.content)
        about = f"seed {seed}: {table.damage}\n{table.content!r}"
        try:
            data = Trajectories.from_csv(path, time="time")
        except DataError as error:
            refusals.append((str(error), about))
            continue
        read += 1
        if table.values is not None:
            assert agree(data, table.values), f"{about}\n{data[0].t} {data[0].x}"
        elif not data.notes:  # nothing was said, so a strict reading must agree
            assert any(agree(data, other) for other in plausible(table.content, len(data.names))), about
    assert read > CASES // 10
    assert len(refusals) > CASES // 20
    for said, about in refusals:
        assert "\n" not in said, about
        assert len(said) < 600, about
        assert str(tmp_path) in said, about


def test_what_was_not_damaged_is_read(tmp_path):
    for seed in range(120):
        table = hostile_table(seed)
        if table.values is None or table.damage not in ("nothing", "encoding", "quotes", "units", "a comment"):
            continue
        path = tmp_path / "clean.csv"
        path.write_bytes(table.content)
        assert agree(Trajectories.from_csv(path, time="time"), table.values), f"{seed}: {table.damage}"


NUMBERS = st.lists(
    st.tuples(st.floats(-1e9, 1e9).map(lambda v: round(v, 3)), st.integers(-(10**6), 10**6)), min_size=5, max_size=12
).filter(lambda rows: np.ptp([a for a, _ in rows]) > 1 and not {"9"} >= set("".join(str(b) for _, b in rows)))


@settings(deadline=None, max_examples=150)
@given(
    NUMBERS,
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ","), ("|", "."), (" ", "."), (" ", ",")]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "%", " mg", "unit row"]),
    st.booleans(),
    st.integers(0, 2),
)
def test_every_dialect_reads_back(tmp_path_factory, rows, dialect, coding, end, unit, quoted, comments):
    separator, mark = dialect
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end,
                        quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)  # fmt: skip
    for _ in range(comments):
        text.write("# by hand" + end)
    writer.writerow(["time", "größe" if coding != "utf-16-le" else "size", "n"])
    if unit == "unit row":
        writer.writerow(["h", "mg", "pieces"])
    in_cell = "" if unit == "unit row" else unit.strip() if separator == " " else unit
    for i, (a, b) in enumerate(rows):
        writer.writerow([i, f"{a:.3f}1".replace(".", mark) + in_cell, b])
    path = tmp_path_factory.mktemp("dialect") / "table.csv"
    path.write_bytes(text.getvalue().encode(coding))
    (run,) = Trajectories.from_csv(path, missing=[])
    np.testing.assert_array_equal(run.t, np.arange(len(rows)))
    np.testing.assert_array_equal(run.x, [[float(f"{a:.3f}1"), b] for a, b in rows])
