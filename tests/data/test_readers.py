"""CSV files and data frames, the tidy and the untidy ones."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.data import Trajectories
from neural_arith.errors import DataError

PLAIN = "year,hare,lynx\n1900,30,4\n1901,47.2,6.1\n1902,70.2,9.8\n1903,77.4,35.2\n"


@pytest.fixture
def write(tmp_path):
    def _write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


# ------------------------------------------------------------------------------------------------- good files
@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", ", "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.rstrip("\n"),
        PLAIN + "\n\n  \n,,\n",
        "\n" + PLAIN,
        PLAIN.replace("1901", "\n1901"),
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("hare", '"hare"').replace("30", '"30"'),
        "\ufeff" + PLAIN,
        "\ufeff" + PLAIN.replace("year", '"year"').replace(",", ";"),
    ],
    ids=["comma", "semicolon", "tab", "bar", "blanks", "crlf", "no last newline", "blank lines at the end",
         "blank line first", "blank line inside", "comma at line ends", "quotes", "byte-order mark", "all"],
)  # fmt: skip
def test_the_same_table_in_many_dresses(write, text):
    data = Trajectories.from_csv(write(text))
    assert (data.time_name, data.names, len(data)) == ("year", ("hare", "lynx"), 1)
    np.testing.assert_array_equal(data[0].t, [1900, 1901, 1902, 1903])
    np.testing.assert_array_equal(data[0].x, [[30, 4], [47.2, 6.1], [70.2, 9.8], [77.4, 35.2]])


def test_columns_by_role(write):
    path = write("note,s,force,t,r\n'a',1,0,0,5\nb,2,1,1,4\n,4,0,2,3\nd,8,1,3,2\n")
    data = Trajectories.from_csv(str(path), time="t", states=["r", "s"], inputs=["force"])
    assert data.names == ("r", "s")
    assert data.input_names == ("force",)
    np.testing.assert_array_equal(data[0].x, [[5, 1], [4, 2], [3, 4], [2, 8]])
    assert data[0].u is not None
    assert data[0].u.ravel().tolist() == [0, 1, 0, 1]
    assert Trajectories.from_csv(path, time="t", states="r").names == ("r",)


def test_missing_cells(write):
    data = Trajectories.from_csv(write("t,a,b\n0,,1\n1,NA,2\n2,nan, \n3,3,None\n4,4,null\n5,5,N/A\n"))
    a, b = data[0].x.T
    np.testing.assert_array_equal(a, [np.nan, np.nan, np.nan, 3, 4, 5])
    np.testing.assert_array_equal(b, [1, 2, np.nan, np.nan, np.nan, np.nan])


def test_runs_by_group_column_may_be_mixed_and_differ_in_length(write):
    rows = [f"{t},{g},{t * k}" for t in range(6) for g, k in (("warm", 2), ("cold", 3)) if t < 5 or g == "cold"]
    data = Trajectories.from_csv(write("t,batch,x\n" + "\n".join(rows)), group="batch")
    assert [run.label for run in data] == ["warm", "cold"]
    assert [len(run) for run in data] == [5, 6]
    np.testing.assert_array_equal(data[1].x[:, 0], 3 * np.arange(6))


def test_labels_are_kept(write):
    path = write('t [h],"a\n(g/L)",class\n0,1,2\n1,2,2\n2,3,5\n3,4,5\n')
    data = Trajectories.from_csv(path)
    assert (data.time_name, data.names) == ("t [h]", ("a (g/L)", "class"))


def test_a_million_rows(write):
    rows = np.column_stack([np.arange(1e6), np.tile([1.5, 2.25], 500_000)])
    path = write("t,x\n" + "\n".join(f"{t:.0f},{x}" for t, x in rows.tolist()))
    data = Trajectories.from_csv(path)
    np.testing.assert_array_equal(data[0].t, rows[:, 0])
    np.testing.assert_array_equal(data[0].x[:, 0], rows[:, 1])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12), st.floats(-1e-12, 1e-12)), min_size=4, max_size=30).filter(
        lambda v: len({x for x in v if x is not None}) > 1 and np.ptp([x for x in v if x is not None]) > 1e-3
    ),
    st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, values, delimiter):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerow(["t", "x"])
        writer.writerows(enumerate(values))
    expected = [np.nan if v is None else v for v in values]
    np.testing.assert_array_equal(Trajectories.from_csv(path)[0].x[:, 0], expected)


# -------------------------------------------------------------------------------------------------- bad files
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n \n", "the file is empty"),
        ("t,x\n", "column names but no rows"),
        ("t\n1\n2\n", "found one column only.*comma, semicolon, tab, bar or blanks"),
        ("0,30\n1,31\n2,32\n3,33\n", r"first line holds numbers \(0, 30\).*a line such as t,x0"),
        ("t,x,x\n0,1,2\n", "two columns named 'x'"),
        (",x\n0,1\n1,2\n2,3\n3,4\n", "column has no name and counts rows; name it if it is the time, or say which"),
        (",x\na,1\nb,2\nc,3\nd,4\n", "the first column has no name; name it"),
        ("t,x,\n0,1,5\n1,2,5\n2,3,5\n3,4,5\n", r"column 3 has values but no name.*states="),
        ("t,x\n0,1\n1,2,3\n", r"line 3: expected 2 cells as in the header, got 3"),
        ("t,x\n0,1\n\n1\n", r"line 4: expected 2 cells as in the header, got 1"),
        ("t,x\n0,1\n1,many\n2,3\n3,4\n", r"line 3, column 'x': expected a number, got 'many'"),
        ("t,x\n0,1\n\n1,\n2,1_000\n3,4\n", r"line 5, column 'x': expected a number, got '1_000'"),
        ("t,x\n0,1\n1,2\n2,3\n", "has 3 points; each run needs at least 4"),
        ("t,x\n0,1\n2,2\n1,3\n3,4\n", r"t = 1 \(line 4\) follows 2; sort the rows.*group"),
        ("t,x\n0,1\n1,2\n1,3\n3,4\n", "t = 1 stands twice, lines 3 and 4, with different values.*group"),
        ("t,x\n0,1\n,2\n2,3\n3,4\n", r"line 3 has no time \(column 't'\)"),
        ("t,x\n0,1\n1,inf\n2,3\n3,4\n", "'x' is infinite at line 3"),
        ("t,x,y\n0,1,\n1,2,\n2,3,\n3,4,\n", "state 'y' has no value at all"),
        ("t,x\n0,1\n1,1\n2,1\n3,1\n", "nothing changes"),
        ("t,x`y\n0,1\n1,2\n2,3\n3,4\n", "'x`y' cannot be used"),
        ("t,x\n0,1\0\n1,2\n", "line 2 holds NUL bytes"),
        (b"t,x\n0,\xff\xfe\n", "expected a number, got 'ÿþ'"),
        ("t,x\n0,1\n".encode("utf-16")[:-1], "not readable as utf-16 text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(write, text, message):
    path = write(text)
    with pytest.raises(DataError, match=message) as caught:
        Trajectories.from_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_columns(write):
    path = write(PLAIN)
    with pytest.raises(DataError, match=r"no time column 'yaer'; did you mean 'year'.*\? The columns are 'year', 'h"):
        Trajectories.from_csv(path, time="yaer")
    with pytest.raises(DataError, match=r"no state column 'Hare'; did you mean 'hare'\?"):
        Trajectories.from_csv(path, states=["Hare"])
    with pytest.raises(DataError, match=r"no state column 'zebra'\. The columns are"):
        Trajectories.from_csv(path, states=["zebra"])
    with pytest.raises(DataError, match="no input column 'food'"):
        Trajectories.from_csv(path, inputs=["food"])
    with pytest.raises(DataError, match="no group column 'batch'"):
        Trajectories.from_csv(path, group="batch")
    with pytest.raises(DataError, match="column 'hare' has two roles"):
        Trajectories.from_csv(path, states=["hare", "lynx"], inputs=["hare"])
    with pytest.raises(DataError, match="column 'hare' is named twice"):
        Trajectories.from_csv(path, states=["hare", "hare"])
    with pytest.raises(DataError, match="no state column is left"):
        Trajectories.from_csv(path, inputs=["hare", "lynx"])


def test_group_must_be_known_everywhere(write):
    with pytest.raises(DataError, match="group column 'g' is empty at line 3"):
        Trajectories.from_csv(write("t,g,x\n0,a,1\n1,,2\n"), group="g")


def test_a_short_group_is_called_by_its_name(write):
    rows = "\n".join(f"{t},a,{t}" for t in range(4)) + "\n0,b,1\n"
    data = Trajectories.from_csv(write("t,g,x\n" + rows), group="g")
    assert [run.label for run in data] == ["a"]
    assert data.notes == ("Left out, for a run needs at least 4 points: run 'b' (1 point).",)
    with pytest.raises(DataError, match="run 'a' has 3 points; each run needs at least 4"):
        Trajectories.from_csv(write("t,g,x\n" + rows.replace("3,a,3\n", "")), group="g")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        Trajectories.from_csv(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="cannot be opened"):
        Trajectories.from_csv(tmp_path)


# ------------------------------------------------------------------------------------------------ data frames
def test_pandas_frame_agrees_with_the_file(write):
    path = write(PLAIN)
    from_file = Trajectories.from_csv(path)
    from_frame = Trajectories.from_frame(pd.read_csv(path), time="year")
    assert from_file.names == from_frame.names
    np.testing.assert_array_equal(from_file[0].x, from_frame[0].x)


def test_pandas_kinds_of_columns():
    frame = pd.DataFrame(
        {
            "t": pd.array([0, 1, 2, 3], dtype="Int64"),
            "a": pd.array([1, None, 3, 4], dtype="Int64"),
            "b": ["1", "2.5", None, "4"],
            "c": [True, False, True, True],
            0: [1.0, 2.0, 3.0, np.nan],
        }
    )
    data = Trajectories.from_frame(frame, time="t", states=["a", "b", 0], inputs=["c"])
    assert data.names == ("a", "b", "0")
    np.testing.assert_array_equal(data[0].x, [[1, 1, 1], [np.nan, 2.5, 2], [3, np.nan, 3], [4, 4, np.nan]])


def test_pandas_groups():
    frame = pd.DataFrame({"t": [0, 1, 2, 3] * 2, "x": np.arange(8.0), "g": pd.Categorical(["a"] * 4 + ["b"] * 4)})
    data = Trajectories.from_frame(frame, time="t", group="g")
    assert [run.label for run in data] == ["a", "b"]
    frame["g"] = [1.0] * 7 + [None]
    with pytest.raises(DataError, match="empty at row 7"):
        Trajectories.from_frame(frame, time="t", group="g")


def test_frames_that_are_refused():
    frame = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=4), "x": [1.0, 2, 3, 4]})
    with pytest.raises(DataError, match="did you mean 'x'"):
        Trajectories.from_frame(frame, time="t", states=["X"])
    words = pd.DataFrame({"t": range(4), "x": ["1", "2", "many", "4"]})
    with pytest.raises(DataError, match="row 2, column 'x': expected a number, got 'many'"):
        Trajectories.from_frame(words, time="t")
    with pytest.raises(DataError, match="two columns named 'x'"):
        Trajectories.from_frame(pd.DataFrame(np.ones((4, 3)), columns=["t", "x", "x"]), time="t")
    with pytest.raises(DataError, match="expected a data frame, got ndarray"):
        Trajectories.from_frame(np.ones((4, 2)), time="t")


def test_anything_with_columns_will_do():
    class Columns:
        columns = ("t", "x")

        def __getitem__(self, name):
            return {"t": [0, 1, 2, 3], "x": [1, 4, None, 16]}[name]

    np.testing.assert_array_equal(Trajectories.from_frame(Columns(), time="t")[0].x[:, 0], [1, 4, np.nan, 16])
