"""Objects print as text, and the same as a small HTML table."""

from __future__ import annotations

import html.parser

import pandas as pd
import pytest

from batchml.core.catalog import lrn, msr, rsmp, tsk
from batchml.core.show import html_table
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.resample import resample


class Balance(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(markup):
    parser = Balance()
    parser.feed(markup)
    assert parser.open == []
    return " ".join(parser.text)


@pytest.fixture(scope="module")
def shown():
    design = benchmark_grid(["iris", "wine"], ["classif.featureless", "classif.tree"], rsmp("cv", folds=3), seed=1)
    rr = resample("iris", "classif.featureless", rsmp("cv", folds=3), seed=1)
    things = [tsk("penguins"), lrn("classif.tree", max_depth=3), rsmp("cv"), msr("classif.acc"), design]
    return [*things, benchmark(design), rr, rr.prediction()]


def test_everything_has_a_repr_of_lines_and_the_same_facts_as_balanced_html(shown):
    for thing in shown:
        assert "0x" not in repr(thing)
        text = text_of(thing._repr_html_())
        assert repr(thing).splitlines()[0] in text
        assert "<pre>" not in thing._repr_html_()


def test_markup_in_names_is_escaped():
    learner = lrn("classif.tree", id="<script>alert(1)</script>")
    assert "<script>" not in learner._repr_html_()
    table = html_table("<i>", [("<b>", "<u>")], pd.DataFrame({"<s>": ["<td>"]}))
    assert all(tag not in table for tag in ("<i>", "<u>", "<s>"))


def test_long_tables_are_cut_and_say_so():
    assert "... 990 more rows" in html_table("t", frame=pd.DataFrame({"x": range(1000)}))
    assert len(html_table("t", frame=pd.DataFrame({"x": range(1000)}))) < 2000


def test_a_design_shows_its_cells(shown):
    design = next(thing for thing in shown if hasattr(thing, "cells"))
    assert repr(design) == "2 tasks x 2 learners x cv3 = 12 iterations"
    assert design._repr_html_().count("<tr>") >= 4
