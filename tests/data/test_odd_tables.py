"""Tables as people have them: each is read to the exact numbers, or refused with a line that says what to do."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neural_arith.data import Trajectories
from neural_arith.errors import DataError

N = 10
T = np.arange(N)
LEVEL = np.round(7 + 90 * np.exp(-0.3 * T), 2)  # from two digits before the point to three behind none
FLOW = np.round(1.5 + 0.25 * T, 2)
X = np.column_stack([LEVEL, FLOW])


def table(head: str = "second,level,flow", row: str = "{t},{a:.2f},{b:.2f}", **columns: Any) -> str:
    """The table as text, each row by a template."""
    return "\n".join([head, *rows(row, **columns)]) + "\n"


def rows(row: str = "{t},{a:.2f},{b:.2f}", a: Any = LEVEL, b: Any = FLOW, t: Any = T) -> list[str]:
    return [row.format(t=t[i], a=a[i], b=b[i]) for i in range(N)]


def comma(text: str) -> str:
    """The same table cut by semicolons, with decimal commas."""
    return text.replace(",", ";").replace(".", ",")


@dataclass
class Odd:
    """What a table must become: the numbers, and words of the notes; or words of the refusal."""

    content: str | bytes
    options: dict[str, Any] = field(default_factory=dict)
    t: Any = None
    x: Any = None
    says: tuple[str, ...] = ()


def read(content: str | bytes, *says: str, t: Any = T, x: Any = X, **options: Any) -> Odd:
    return Odd(content, options, np.asarray(t, dtype=float), np.asarray(x, dtype=float), says)


def refused(content: str | bytes, *says: str, **options: Any) -> Odd:
    return Odd(content, options, says=says)


def replaced(values: np.ndarray, changes: dict[int, float]) -> np.ndarray:
    out = values.copy()
    for row, value in changes.items():
        out[row] = value
    return out


def lines(text: str, change: dict[int, str]) -> str:
    """A table with some lines, counted from 1, replaced."""
    out = text.splitlines()
    for number, line in change.items():
        out[number - 1] = line
    return "\n".join(out) + "\n"


def workbook() -> bytes:
    sheet = io.BytesIO()
    pd.DataFrame({"second": T, "level": LEVEL, "flow": FLOW}).to_excel(sheet, index=False)
    return sheet.getvalue()


GAPS = X.copy()
GAPS[[1, 3, 5, 7], 1] = np.nan
BIG = np.round(1850 * 1.7**T)
SMALL = 2.5e-3 * np.exp(-0.4 * T)
THREE = [LEVEL - 0.3, LEVEL, LEVEL + 0.4]
PLAIN = table()
MISSING_B = [{1: "-", 3: "NA", 5: "", 7: "#N/A"}.get(i, f"{FLOW[i]:.2f}") for i in range(N)]
COPIED = [0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9]
SHUFFLED = [3, 0, 7, 1, 9, 2, 5, 4, 6, 8]

ODD = {
    "decimal commas": read(comma(PLAIN)),
    "decimal commas cut by commas": refused(
        comma(PLAIN).replace(";", ","), "line 2", "got 5", "decimal commas, as in 1,50", "semicolons"
    ),
    "comments above and between": read("# logger 7\n# mine\n" + lines(PLAIN, {4: rows()[2] + "\n# pause"}), "line 1"),
    "names in a comment": read(table("# second level flow", "{t} {a:.2f} {b:.2f}")),
    "units row over dates": read(
        table("day,level,flow\n,cm,1000/l", "{t} Mar 2020,{a},{b}", t=T + 20), "level in cm", "flow in 1000/l", t=T
    ),
    "units row of per cent over dates": read(table("day,level,flow\n-,%,%", "{t} Mar 2020,{a},{b}", t=T + 20), t=T),
    "units row": read(table("second,level,flow\ns,cm,l/s"), "level in cm"),
    "iso dates": read(table("day,level,flow", "2023-04-{t:02d},{a},{b}", t=T + 11), "days since 2023-04-11"),
    "iso dates with times": read(
        table("when,level,flow", "2023-04-11T{t:02d}:30:00,{a},{b}", t=T), "2023-04-11 00:30:00", t=T / 24
    ),
    "dates that begin with the day": read(
        table("day,level,flow", "{t:02d}/07/2021,{a},{b}", t=T + 9), "day stands first, as 13/07/2021", t=T
    ),
    "dates that begin with the month": read(
        table("day,level,flow", "07/{t:02d}/2021,{a},{b}", t=T + 9), "month stands first, as 07/13/2021", t=T
    ),
    "dates of points": read(table("day,level,flow", "{t}.7.2021,{a},{b}", t=T + 1), "read with the day first", t=T),
    "dates that nothing decides": refused(
        table("day,level,flow", "{t:02d}/07/2021,{a},{b}", t=T + 1), "line 2", "01/07/2021", "2021-07-01"
    ),
    "dates in words": read(table("day,level,flow", "{t} Mar 2020,{a},{b}", t=T + 20), "days since 2020-03-20", t=T),
    "dates without marks": read(table("day,level,flow", "{t},{a},{b}", t=20200220 + T), "days since 2020-02-20"),
    "no day of the calendar": refused(table("day,level,flow", "2023-02-{t},{a},{b}", t=T + 22), "line 9", "2023-02-29"),
    "clock": read(table("at,level,flow", "08:{t:02d},{a},{b}", t=5 * T), "hours since 08:00", t=T / 12),
    "clock past midnight": read(
        table("at,level,flow", "{t},{a},{b}", t=[f"{(22 + i) % 24:02d}:15:30" for i in T]), "midnight passed once"
    ),
    "minutes and seconds": read(table("at (mm:ss),level,flow", "{t:02d}:30,{a},{b}"), "minutes since 00:30"),
    "dates and times of day in two columns": read(
        "day,hour,level,flow\n" + "\n".join(rows("2021-03-01,{t}:30,{a},{b}", t=T + 10)),
        "'day' and 'hour' were read together", "days since 2021-03-01 10:30:00", t=T / 24),
    "true and false": read(
        table("second,level,open", "{t},{a},{b}", b=["True", "False"] * (N // 2)), "true was read as 1",
        x=np.column_stack([LEVEL, 1 - T % 2])),
    "no time of day": refused(table("at,level,flow", "{t}:20,{a},{b}", t=T + 20), "line 7", "'25:20'", "00:35:20"),
    "white space": read(table("  second   level    flow", "{t:8d}{a:8.2f}{b:8.2f}")),
    "white space in names": read(table("the second   the level    flow", "{t:8d}{a:8.2f}{b:8.2f}")),
    "tabs": read(PLAIN.replace(",", "\t")),
    "latin-1": read(table("Sekunde;Höhe;Fluß", "{t};{a:.2f};{b:.2f}").encode("latin-1"), "Latin-1"),
    "utf-16": read(PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16")),
    "utf-16 without a mark": read(PLAIN.encode("utf-16-le"), "UTF-16"),
    "byte-order mark": read(("\ufeff" + PLAIN.replace("\n", "\r\n")).encode()),
    "line ends of old": read(PLAIN.replace("\n", "\r").encode()),
    "workbook": read(workbook()),
    "other workbook": refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel workbook", "CSV"),
    "archive": refused(b"PK\x03\x04" + bytes(100), "zip archive"),
    "no header": refused("\n".join(rows()), "first line holds numbers", "t,x0,x1"),
    "no header but texts": refused("\n".join(rows("A,{t},{a}")), "first line holds numbers"),
    "tidy": read(
        table("second,variable,value", "{t},level,{a:.2f}\n{t},flow,{b:.2f}"), "One row per value", "level, flow"
    ),
    "tidy in blocks": read("\n".join(["second,name,value", *rows("{t},level,{a}"), *rows("{t},flow,{b}")])),
    "tidy taken for runs": refused(
        table("second,variable,value", "{t},level,{a}\n{t},flow,{b}"), "not the runs", group="variable"
    ),
    "tidy with a value twice": refused(
        table("second,variable,value", "{t},level,{a}\n{t},flow,{b}\n{t},flow,{b}"), "twice", "line 3 and line 4"
    ),
    "detection limit": read(
        table(b=[f"{v:.2f}" if v > 2 else "<2.00" for v in FLOW], row="{t},{a},{b}"),
        "2 values" if (FLOW <= 2).sum() == 2 else "3 values",
        "'<2.00'",
        x=np.column_stack([LEVEL, np.where(FLOW > 2, FLOW, np.nan)]),
    ),
    "words for missing": read(table(b=MISSING_B, row="{t},{a},{b}"), "'-', '#N/A'", x=GAPS),
    "a code": refused(
        table(b=replaced(FLOW, {3: 9999, 6: 9999})), "9999 twice (lines 5 and 8)", "--missing=9999", "missing=[]"
    ),
    "a code below": refused(table(b=replaced(FLOW, {3: -999})), "-999 once (line 5)", "code for missing?"),
    "a negative code": refused(table(b=replaced(FLOW, {3: -99})), "-99 once (line 5)", "code for missing?"),
    "a negative code of counts": refused(
        table(b=replaced(np.round(np.linspace(18, 1200, N)), {3: -999})), "-999 once (line 5)", "code for missing?"
    ),
    "a negative number that goes on": read(
        table(b=np.linspace(99 * (N - 2), -99, N)), x=np.column_stack([LEVEL, np.linspace(99 * (N - 2), -99, N)])
    ),
    "a code in words": read(
        table(b=replaced(FLOW, {1: 9999, 3: 9999, 5: -99, 7: 9999})), x=GAPS, missing=["9999", -99]
    ),
    "a code that was measured": read(
        table(b=replaced(FLOW, {3: 9999})), x=np.column_stack([LEVEL, replaced(FLOW, {3: 9999})]), missing=[]
    ),
    "thousands": read(
        table(row='{t},"{a:,.0f}",{b:.2f}', a=BIG), "1,850 is 1850", x=np.column_stack([BIG, FLOW])
    ),
    "thousands by points": read(
        table("s;n;flow", "{t};{a};{b}", a=[f"{v:,.0f}".replace(",", ".") for v in BIG],
              b=[f"{v:.2f}".replace(".", ",") for v in FLOW]), "1.850 is 1850", x=np.column_stack([BIG, FLOW])),
    "thousands by blanks": read(table("s;n;flow", "{t};{a};{b}", a=[f"{v:,.0f}".replace(",", " ") for v in BIG]),
                                x=np.column_stack([BIG, FLOW])),
    "thousands in doubt": refused(
        "s,n\n" + "\n".join(f'{i},"{v:,.0f}"' for i, v in enumerate(BIG[:6])), "line 2", "1850 or 1.85"),
    "commas between semicolons": read(table("s;n;m", "{t};{a:,.0f};{t}", a=BIG[:1].repeat(N) + T),
        "1,850 is 1.850", x=np.column_stack([1.85 + T / 1000, T])),
    "thousands without quotes": refused(table(row="{t},{a:,.0f},{b:.2f}", a=BIG), "line 2", "thousands, as in 1,850"),
    "duplicate names": refused(table("second,h,h"), "two columns named 'h'", "2 and 3"),
    "equal rows": read("\n".join(["second,level,flow", *(rows()[i] for i in COPIED)]), "Lines 5, 9 repeat"),
    "a time twice": refused(lines(PLAIN, {5: "2,5,6"}), "second = 2 stands twice, lines 4 and 5", "--group"),
    "no order": read("\n".join(["second,level,flow", *(rows()[i] for i in SHUFFLED)]), "sorted", time="second"),
    "backwards": read("\n".join(["second,level,flow", *rows()[::-1]]), "sorted", time="second"),
    "no order, time not named": refused(
        "\n".join(["second,level,flow", *(rows()[i] for i in SHUFFLED)]), "line 3", "--time"
    ),
    "two runs, one after the other": refused(
        "\n".join(["second,level,flow", *rows(), *rows(t=T + 0.5)]), "line 12", "--group", time="second"
    ),
    "forgotten group": refused(
        table("pot,t,level", "lid,{t},{a}\nopen,{t},{b}"), "line 2", "--group pot", "pivot", time="t"),
    "totals": read(PLAIN + f"Sum,{LEVEL.sum():.2f},{FLOW.sum():.2f}\n", "Line 12 ('Sum') is no measurement"),
    "quotes": read(table('"second","level, up","flow ""in"""', '"{t}","{a}","{b}"'), names=("level, up", 'flow "in"')),
    "one column": refused("level\n" + "\n".join(map(str, LEVEL)), "one column only"),
    "constant column": read(table(b=np.full(N, 4.0)), x=np.column_stack([LEVEL, np.full(N, 4.0)])),
    "units in cells": read(table(row="{t} s,{a:.2f} cm,{b}l/s"), "second in s, level in cm, flow in l/s"),
    "units that differ": refused(lines(table(row="{t},{a:.2f} cm,{b}"), {5: "3,0.5 m,2"}), "'0.5 m' (line 5)"),
    "percent": read(table(row="{t},{a:.2f}%,{b} %"), "level in %"),
    "scientific commas": read(
        comma(table(row="{t},{a:.3E},{b:.2f}", a=SMALL)),
        x=np.column_stack([[float(f"{v:.3E}") for v in SMALL], FLOW]),
    ),
    "pandas index": read(table("Unnamed: 0,second,level,flow", "2022-01-01 0{t}:00:00,{t},{a},{b}"), "passed over"),
    "pandas index without a name": read(table(",second,level,flow", "{t},{t},{a},{b}"), "passed over", time="second"),
    "pandas dates without a name": read(table(",level,flow", "2022-01-0{t},{a},{b}", t=np.arange(1, 11))
                                        .replace("2022-01-010", "2022-01-10"), "days since 2022-01-01"),
    "all at once": read(
        ("Prüfstand 3;;;\r\n\r\nUhrzeit;Höhe;Fluß;Notiz\r\nhh:mm;cm;l/s;\r\n"
         + "\r\n".join(rows("7:{t:02d};{a};{b};", t=6 * T)).replace(".", ",").replace(";\r\n7:06", ";Halt\r\n7:06")
         + "\r\n;;;\r\nEnde;;;\r\n").encode("latin-1"),
        "Latin-1", "Line 1 ('Prüfstand 3')", "'Notiz' holds no numbers", "Line 16 ('Ende')", t=T / 10),
    "NUL bytes": refused(PLAIN.encode() + b"10,\0\0\0,1\n", "line 12 holds NUL bytes"),
    "empty": refused("", "empty"),
    "a quotation mark too many": refused(lines(table("s,level,flow,note", "{t},{a},{b},ok"), {4: '2,5,6,"lid off'}),
                                         "quotation mark"),
    "rows within quotes": refused(
        lines(table("second,level,flow,note", "{t},{a},{b},"), {4: '2,5,6,"lid off', 7: '5,5,6,lid" on'}),
        "quotation mark"),
    "the last line is cut": refused(PLAIN[:-7], "line 11", "expected 3 cells"),
    "a word among numbers": refused(lines(PLAIN, {5: "3,wet,6"}), "line 5, column 'level'", "'wet'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # openpyxl
def test_odd_tables(tmp_path, kind):
    odd = ODD[kind]
    path = tmp_path / "measured, odd.csv"
    path.write_bytes(odd.content if isinstance(odd.content, bytes) else odd.content.encode())
    options = dict(odd.options)
    names = options.pop("names", None)
    if odd.x is None:
        with pytest.raises(DataError) as caught:
            Trajectories.from_csv(path, **options)
        said = str(caught.value)
        assert "\n" not in said
        assert str(path) in said
    else:
        data = Trajectories.from_csv(path, **options)
        assert len(data) == 1
        np.testing.assert_allclose(data[0].t, odd.t, rtol=1e-14, atol=1e-14)
        np.testing.assert_array_equal(data[0].x, odd.x)
        assert names is None or data.names == names
        said = "\n".join(data.notes)
    for part in odd.says:
        assert part in said


def test_what_needs_no_word_gets_none(tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text(PLAIN)
    assert Trajectories.from_csv(path).notes == ()


def test_times_that_repeat_evenly_are_runs(tmp_path):
    path = tmp_path / "three.csv"
    path.write_text("second,level\n" + "".join(f"{i},{x[i]:.2f}\n" for i in T for x in THREE))
    data = Trajectories.from_csv(path, time="second")
    assert [run.label for run in data] == ["1", "2", "3"]
    for run, x in zip(data, THREE, strict=True):
        np.testing.assert_array_equal(run.x[:, 0], np.round(x, 2))
    assert "stands 3 times" in data.notes[0]
    with pytest.raises(DataError, match=r"stands twice, lines 2 and 3.*--group"):
        Trajectories.from_csv(path)  # the first column may be the number of a run
    path.write_text("plate,second,level\n" + "".join(f"{k},{i},{x[i]:.2f}\n" for i in T for k, x in enumerate(THREE)))
    with pytest.raises(DataError, match=r"'plate' tells the rows apart.*group='plate'"):
        Trajectories.from_csv(path, time="second")


def test_tidy_table_of_several_runs(tmp_path):
    path = tmp_path / "tidy.csv"
    path.write_text(
        "pot,second,quantity,value\n"
        + "".join(f"{pot},{i},{name},{k * x[i]}\n" for k, pot in ((1, "A"), (2, "B")) for i in T
                  for name, x in (("level", LEVEL), ("flow", FLOW)) if (i, name) != (4, "flow"))
    )  # fmt: skip
    data = Trajectories.from_csv(path, time="second", group="pot")
    expected = X.copy()
    expected[4, 1] = np.nan
    assert [run.label for run in data] == ["A", "B"]
    np.testing.assert_array_equal(data[0].x, expected)
    np.testing.assert_array_equal(data[1].x, 2 * expected)


def test_white_space_around_the_names_of_runs_is_said(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("pot,t,x\n" + "".join(f"{' A' if i % 2 else 'A'},{i},{i * i}\n" for i in range(8)))
    data = Trajectories.from_csv(path, time="t", group="pot")
    assert len(data) == 1
    assert data.notes == ("White space in the names of runs was dropped: ' A' and 'A' are one run.",)
    frame = pd.DataFrame({"pot": [" A", "A"] * 4, "t": range(8), "x": np.arange(8) ** 2})
    assert Trajectories.from_frame(frame, time="t", group="pot").notes == data.notes


@pytest.mark.parametrize("options", [{"states": 5}, {"inputs": 5}, {"time": 5}, {"group": 5}, {"states": [["level"]]}])
def test_columns_that_cannot_be(tmp_path, options):
    path = tmp_path / "plain.csv"
    path.write_text(PLAIN)
    with pytest.raises(DataError, match=r"there is no .* column"):
        Trajectories.from_csv(path, **options)


@pytest.mark.parametrize("path", [5, None, "a\0b"])
def test_paths_that_cannot_be(path):
    with pytest.raises(DataError, match="the path of a file"):
        Trajectories.from_csv(path)


def test_a_pipe_will_do():
    end, start = os.pipe()
    with os.fdopen(start, "w") as pipe:
        pipe.write(PLAIN)
    try:
        np.testing.assert_array_equal(Trajectories.from_csv(f"/dev/fd/{end}")[0].x, X)
    finally:
        os.close(end)


def test_notes_go_with_the_data(tmp_path):
    path = tmp_path / "units.csv"
    path.write_text(table("second,level,flow\ns,cm,l/s"))
    data = Trajectories.from_csv(path)
    assert data.notes
    assert data.select("flow").notes == data.thin(5).notes == data.split(0.6)[0].notes == data.notes


def test_frames_are_read_like_files(tmp_path):
    frame = pd.DataFrame({"when": pd.date_range("2021-05-01", periods=N, freq="6h"), "level": LEVEL})
    data = Trajectories.from_frame(frame, time="when")
    np.testing.assert_allclose(data[0].t, T / 4, rtol=1e-15)
    assert "days since 2021-05-01" in data.notes[0]
    by_index = Trajectories.from_frame(frame.set_index("when"), time="when")
    np.testing.assert_array_equal(by_index[0].t, data[0].t)
    words = pd.DataFrame({"s": [f"{i},5 s" for i in T], "level": [f"{v} cm" for v in LEVEL]})
    np.testing.assert_array_equal(Trajectories.from_frame(words, time="s")[0].t, T + 0.5)
    long = pd.DataFrame({"s": T, "level": LEVEL, "flow": FLOW}).melt("s")
    np.testing.assert_array_equal(Trajectories.from_frame(long, time="s")[0].x, X)
    compact = pd.DataFrame({"day": 20200220 + T, "level": LEVEL})
    np.testing.assert_array_equal(Trajectories.from_frame(compact, time="day")[0].t, T)
    runs = pd.DataFrame({"s": np.tile(T, 2), "level": np.tile(LEVEL, 2), "pot": np.repeat([3, 7], N)})
    assert [run.label for run in Trajectories.from_frame(runs, time="s", group="pot")] == ["3", "7"]
    when = pd.Series(np.repeat(pd.to_datetime(["2020-01-01", "2020-01-02"]), N))
    dated = Trajectories.from_frame(runs.assign(pot=when), time="s", group="pot")
    assert [run.label[:10] for run in dated] == ["2020-01-01", "2020-01-02"]
    coded = pd.DataFrame({"s": T, "level": replaced(LEVEL, {2: 9999})})
    with pytest.raises(DataError, match=r"9999 once \(row 2\)"):
        Trajectories.from_frame(coded, time="s")
    assert np.isnan(Trajectories.from_frame(coded, time="s", missing=[9999])[0].x[2, 0])
