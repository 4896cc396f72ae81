import json
import sys
import urllib.parse

import click
import numpy as np
import pandas as pd
import pytest

from batchml.cli import boundary, secrets, tables
from batchml.cli.progress import Tally, reporter, sentence
from batchml.cli.results import _echo_cells
from batchml.core.show import duration
from batchml.errors import ConfigError, IncompleteError


@pytest.fixture(autouse=True)
def _forget_passwords():
    yield
    secrets._known.clear()


def test_a_plain_table_is_aligned_and_has_no_empty_cell(capsys):
    frame = pd.DataFrame({"task": ["iris", None], "n": [1, 20], "mean": [0.5, np.nan], "ok": [True, pd.NA]})
    tables.echo_frame(frame, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "task   n    mean  ok",
        "iris   1  0.5000  yes",
        "-     20       -  -",
    ]


def test_a_plain_table_is_never_cut(capsys):
    frame = pd.DataFrame({"message": ["x" * 500]})
    tables.echo_frame(frame, as_json=False)
    assert "x" * 500 in capsys.readouterr().out


def test_a_narrow_terminal_does_without_columns_that_say_least():
    columns = ["job_id", "host", "task", "signal", "wall_s"]
    rows = [["1", "node1", "iris", "-", "0.5"], ["2", "node1", "wine", "-", "0.6"]]
    spare = ["wall_s", "host"]

    def shown(width, spare=spare):
        return [columns[i] for i in tables.fitting(columns, rows, spare, width)]

    assert shown(80) == columns
    assert shown(30) == ["job_id", "host", "task", "wall_s"], "what is empty goes first"
    assert shown(20) == ["job_id", "task", "wall_s"], "then what is the same in all rows"
    assert shown(5) == ["job_id", "task"], "never what is not spare"
    assert shown(5, []) == columns, "a query's columns are the user's choice"


def _narrow(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def test_no_name_is_cut_into_pieces_on_a_terminal_that_is_too_narrow(capsys, monkeypatch):
    _narrow(monkeypatch, 30)
    frame = pd.DataFrame({"learner": ["classif.featureless"], "n": [10], "classif.logloss": [1.0546]})
    tables.echo_frame(frame, as_json=False)
    head, row = click.unstyle(capsys.readouterr().out).splitlines()
    assert head.split() == list(frame.columns)
    assert row.split() == ["classif.featureless", "10", "1.0546"]


def test_whole_numbers_stay_whole_beside_gaps_and_what_is_zero_everywhere_gives_way(capsys, monkeypatch):
    table = pd.DataFrame({"learner": ["tree", "lm"], "resampling": "cv", "depth": pd.Series([2, np.nan], dtype=object)})
    table = table.assign(n=5, n_missing=[1, 0], n_imputed=0, warnings=0, errors=0, acc=0.5)
    _echo_cells(table)
    assert capsys.readouterr().out.splitlines()[1].split() == ["tree", "cv", "2", "5", "1", "0", "0", "0", "0.5000"]
    _narrow(monkeypatch, 40)
    _echo_cells(table)
    assert click.unstyle(capsys.readouterr().out).split()[:5] == ["learner", "depth", "n", "n_missing", "acc"]


def test_moments_are_shown_to_the_second():
    assert tables.text(pd.Timestamp("2026-11-22 04:14:27.632+00:00")) == "2026-11-22 04:14:27"


def test_a_cell_with_line_breaks_stays_on_its_line(capsys):
    tables.echo_frame(pd.DataFrame({"message": ["one\n  two\tthree"]}), as_json=False)
    assert capsys.readouterr().out == "message\none two three\n"


def test_an_empty_table_is_a_sentence_and_an_empty_list(capsys):
    empty = pd.DataFrame({"a": []})
    tables.echo_frame(empty, as_json=False, empty="no such job")
    tables.echo_frame(empty, as_json=True, empty="no such job")
    assert capsys.readouterr().out == "no such job\n[]\n"


def test_json_has_null_for_what_json_cannot_say():
    frame = pd.DataFrame(
        {"a": [np.nan, np.inf, 1.5], "t": pd.to_datetime(["2026-01-02", None, None]), "i": pd.array([1, None, 3])}
    )
    assert json.loads(json.dumps(tables.jsonable(tables.frame_records(frame)))) == [
        {"a": None, "t": "2026-01-02 00:00:00", "i": 1},
        {"a": None, "t": None, "i": None},
        {"a": 1.5, "t": None, "i": 3},
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@db:5432/study",
        "postgresql+psycopg://ann:s3c/r@t@db/study",
        "postgresql://:s3cret@db/study",
        "postgresql:/ann:s3cret@db/study",
        "postgresql://db/study?user=ann&password=s3cret",
    ],
)
def test_a_password_in_a_url_is_masked_wherever_it_stands(url):
    secrets.remember(url)
    for text in (secrets.mask(url), secrets.clean(f"cannot connect to {url}: refused")):
        assert "s3c" not in text
        assert "***" in text
        assert "db" in text


def test_a_known_password_is_struck_out_of_other_texts_too():
    secrets.remember("postgresql://ann:hunter%402@db/study")
    assert secrets.clean("password 'hunter@2' or hunter%402 refused") == "password '***' or *** refused"


@pytest.mark.parametrize("password", ['do"ub\\le', "100", "total"])
def test_json_stays_json_whatever_the_password_is(password, capsys):
    secrets.remember(f"postgresql://ann:{urllib.parse.quote(password, safe='')}@db/study")
    tables.echo_json({"total": 100, "said": f"no: {password}", "rows": [{"job_id": 100}]})
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"total": 100, "said": "no: ***", "rows": [{"job_id": 100}]}
    assert password not in secrets.clean(f"a message with {password!r} in it")


def test_a_url_without_password_stays_as_it_is():
    assert secrets.clean("see sqlite:////tmp/a.db and a@b.c") == "see sqlite:////tmp/a.db and a@b.c"


def test_progress_in_words():
    tally = Tally(total=150, done=90, failed=2, eta_s=3661.0)
    assert sentence(tally, 12.345) == "92/150 jobs, 90 done, 2 failed, 12.3/s, 1 h 1 min left"
    assert sentence(Tally(total=3, done=3, failed=0, eta_s=0.0)) == "3/3 jobs, 3 done, 0 failed"
    assert [duration(s) for s in (0, 59.6, 3600, 90000)] == ["1 s", "1 min", "1 h", "1 d 1 h"]


def test_without_a_terminal_progress_is_a_few_lines_on_standard_error(capsys):
    with reporter() as shown:
        for done in range(100):
            shown.show(Tally(total=100, done=done + 1, failed=0))
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert [line.split(",")[0] for line in err.splitlines()] == ["1/100 jobs", "100/100 jobs"]


def test_a_closed_standard_output_is_no_mistake_of_batchml(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # what Python makes of `batchml jobs >&-`
    group = click.Group(commands={"go": click.Command("go", callback=lambda: sys.stdout.write("said to nobody"))})
    assert boundary.guard(group, ["go"]) != boundary.WRONG_USE
    sys.stdout.close()


def _group(error):
    @click.group()
    def group():
        pass

    @group.command()
    def go():
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("no task is\ncalled 'x'"), 2, "batchml: no task is called 'x'"),
        (IncompleteError("3 of 10 jobs are missing"), 1, "batchml: 3 of 10 jobs are missing"),
        (OSError(28, "No space left on device", "a.db"), 2, "batchml: No space left on device (a.db)"),
        (click.UsageError("which jobs?"), 2, "batchml: which jobs?; see batchml go --help"),
        (click.ClickException("bad"), 2, "batchml: bad"),
        (KeyboardInterrupt(), 1, "batchml: interrupted; say it again to go on, nothing is done twice"),
    ],
)
def test_a_foreseen_failure_is_one_line_and_a_status(error, status, line, capsys):
    assert boundary.guard(_group(error), ["go"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == line


def test_an_unforeseen_failure_shows_its_traceback_without_passwords(capsys):
    secrets.remember("postgresql://ann:s3cret@db/study")
    error = RuntimeError("cannot reach postgresql://ann:s3cret@db/study with s3cret")
    assert boundary.guard(_group(error), ["go"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "s3cret" not in err
    assert "please report" in err


@pytest.mark.parametrize("args", [["nonsense"], ["go", "--nonsense"], []])
def test_wrong_use_is_one_line(args, capsys):
    assert boundary.guard(_group(ConfigError("x")), args) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 or args == []


def test_what_a_trial_raised_keeps_its_lines(capsys):
    from batchml.cli.look import _echo_trial

    condition = {"stage": "train", "level": "error", "message": "no"}
    _echo_trial({"ending": "learner_error", "conditions": [condition], "traceback": "one\n  two\n", "log": "printed\n"})
    assert capsys.readouterr().out.splitlines() == [
        "ending  learner_error",
        "[train error] no",
        "traceback:",
        "one",
        "  two",
        "log:",
        "printed",
    ]
