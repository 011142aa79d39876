"""The report: self-contained, well-formed, complete, and harmless to the session that writes it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from hand_made import CANDIDATES, LINEAR, PREY, candidate, discovery, measurements

from neural_arith.discovery import reactions_of
from neural_arith.equations import EquationSystem
from neural_arith.equations.text import places
from neural_arith.errors import DataError
from neural_arith.report import draw_pictures, write_report
from neural_arith.report.formulas import mathml

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Reads a page and complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page(tmp_path) -> tuple[str, Page]:
    data = measurements((30.0, 4.0), (12.0, 9.0))
    path = tmp_path / "report.html"
    write_report(path, discovery(data))
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_page_needs_nothing_but_itself(page):
    text, parsed = page
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "link", "iframe", "object"}
    for tag, attributes in parsed.tags:
        for key in ("src", "href", "xlink:href"):
            value = attributes.get(key) or "#"
            assert value.startswith(("#", "data:")), f"<{tag} {key}={value}>"
    assert "url(http" not in text
    assert "@import" not in text


def test_page_tells_the_whole_story(page):
    _, parsed = page
    words = " ".join(" ".join(parsed.words).split())
    for part in (
        "d hare/dt = 0.54*hare - 0.027*hare*lynx",
        "21 points <&> two structures tie",
        "hare 12 %, lynx 20 %",
        "near-tie",
        "0.054",  # standard error of 0.54
        "61.7",  # what a term buys
        "not fixed by the data",
        "option random_state 7",
    ):
        assert part in words, part
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 4


def test_page_shows_reactions_where_states_change_together(tmp_path, page):
    assert "-&gt; 2 lynx" not in page[0]  # -0.027 and 0.024 known to a tenth could be in any ratio
    rhs = {"hare": "0.1*hare - 0.3*hare*lynx", "lynx": "0.31*hare*lynx"}
    chosen = candidate(EquationSystem(rhs), 0.0, 1.0, selected=True)
    chosen = replace(chosen, standard_errors=(0.01, 0.01, 0.01))
    made = discovery(measurements(), chosen.equations, [chosen])
    write_report(tmp_path / "r.html", made)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    Page(text)
    assert "hare -&gt; 2 hare  (k = 0.1)\nhare + lynx -&gt; 2 lynx  (k = 0.3" in text
    apart = candidate(LINEAR, 0.0, 1.0, selected=True)
    assert reactions_of(discovery(measurements(), LINEAR, [apart])) is None


def test_pieces_are_named_below_their_picture(tmp_path):
    write_report(tmp_path / "r.html", discovery(measurements(), pieces=(5,)))
    assert "the fit (lines), made in 5 linked pieces" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_table_of_candidates_says_what_its_words_mean(page):
    """No blank cell, no infinity, and what the choice and its near-ties agree on."""
    text, parsed = page
    assert not re.search(r"<td[^>]*></td>", text)
    assert not re.search(r">(inf|nan)<", text)
    words = " ".join(" ".join(parsed.words).split())
    for part in ("chosen: 1", "near-tie: 1", "worse: 2", "the data do not decide", "no solution without it"):
        assert part in words, part
    assert "in common: in d hare/dt: hare; in d lynx/dt: lynx, hare*lynx." in words


ALONE = "One run tests the equations only along its own path"
NO_WARNING = "Apart from structures that only add terms to this one, none that was tried came within 6 units"


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("warned", [True, False])
@pytest.mark.parametrize("status", ["done", "interrupted"])
def test_page_claims_no_more_than_was_tried(tmp_path, runs, warned, status):
    data = measurements(*[(30.0, 4.0), (12.0, 9.0)][:runs])
    made = discovery(data, messages=("beware",) if warned else (), status=status)
    write_report(tmp_path / "r.html", made)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    Page(text)
    assert (ALONE in text) == (runs == 1)
    assert (NO_WARNING in text) == (not warned and status == "done")


def test_a_summary_has_one_row_for_each_constant(page):
    summary = discovery(measurements()).summary()
    assert [(row.state, row.value) for row in summary.rows] == [
        ("hare", 0.54), ("hare", -0.027), ("lynx", -0.8), ("lynx", 0.024)
    ]  # fmt: skip
    assert [row.buys for row in summary.rows if not math.isnan(row.buys)] == [61.7, math.inf]
    lines = str(summary).splitlines()
    assert lines[:2] == str(PREY).splitlines()
    assert lines[4].split() == ["d", "hare/dt", "0.54", "+-", "0.05", "in", "0.54*hare", "buys", "61.7"]
    assert lines[7].split() == ["d", "lynx/dt", "0.024,", "not", "fixed", "by", "the", "data", "in", "0.024*hare*lynx"]
    assert summary.table() in page[0]
    assert summary.equations == PREY


def test_a_summary_of_nothing_is_the_equations_alone():
    still = EquationSystem({"hare": "0", "lynx": "0"})
    chosen = candidate(still, 0.0, 1.0, selected=True)
    assert str(discovery(measurements(), still, [replace(chosen, standard_errors=())], terms=()).summary()) == str(
        still
    )


def test_long_tables_are_folded(tmp_path):
    many = [candidate(PREY, 50.0 + k, 40.0) for k in range(30)]
    write_report(tmp_path / "r.html", discovery(measurements(), candidates=[*CANDIDATES, *many]))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    Page(text)
    assert "<summary>24 more structures</summary>" in text
    assert text.index('class="chosen"') < text.index("<summary>")


def test_page_is_accessible(page):
    _, parsed = page
    assert ("html", {"lang": "en"}) in parsed.tags
    assert all(a.get("aria-label") for tag, a in parsed.tags if tag == "svg")
    assert all(a.get("scope") == "col" for tag, a in parsed.tags if tag == "th")
    count = {name: sum(tag == name for tag, _ in parsed.tags) for name in ("table", "caption", "h1")}
    assert count["table"] == count["caption"] == 3
    assert count["h1"] == 1


def test_pictures_on_one_page_keep_their_names_apart(page):
    _, parsed = page
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    pointed = {a["xlink:href"] for _, a in parsed.tags if "xlink:href" in a}
    assert {name.lstrip("#") for name in pointed if name} <= set(ids)


def test_pictures_take_the_colour_of_the_page(page):
    text, _ = page
    assert "currentColor" in text
    assert "#010203" not in text


def test_same_discovery_same_page(tmp_path):
    data = measurements()
    for name in ("a", "b"):
        write_report(tmp_path / name, discovery(data))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_session_keeps_its_backend_and_figures(tmp_path):
    mpl.use("svg")
    import matplotlib.pyplot as plt

    try:
        data = measurements()
        write_report(tmp_path / "report.html", discovery(data))
        assert mpl.get_backend() == "svg"
        assert not plt.get_fignums()
    finally:
        mpl.use("Agg")


def test_phase_picture_only_for_two_states():
    data = measurements()
    assert set(draw_pictures(discovery(data))) == {"trajectories", "phase", "residuals", "pareto"}
    one = data.select("hare")
    growth = discovery(one, EquationSystem({"hare": "0.02*hare"}))
    assert "phase" not in draw_pictures(growth)


def test_mathml_holds_numbers_with_four_figures():
    text = mathml(EquationSystem({"x<y": "1.23456789*x2**1.5/(1 + 2.5*x2)", "x2": "-0.0000123456*x2"}))
    assert re.search(r"<mn>1\.235</mn>", text)
    assert "x&lt;y" in text
    assert "&InvisibleTimes;" not in text
    assert text.count("<math ") == text.count("</math>") == 2


def test_places_name_the_term_of_each_constant():
    named = places(PREY)
    assert len(named) == len(PREY.constants)
    for (equation, term), value in zip(named, PREY.constants, strict=True):
        state = equation.removeprefix("d ").removesuffix("/dt")
        assert math.isclose(abs(EquationSystem({state: term, **_other(state)}).constants[0]), abs(value))


def _other(state: str) -> dict[str, int]:
    return {name: 0 for name in PREY.states if name != state}


def test_missing_folder_is_a_clear_error(tmp_path):
    data = measurements()
    with pytest.raises(DataError, match=r"cannot write .*choose another place"):
        write_report(tmp_path / "nowhere" / "report.html", discovery(data))


def test_names_cannot_write_into_the_page():
    text = mathml(EquationSystem({"<script>": "-0.5*`<script>`**2"}))
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 2
