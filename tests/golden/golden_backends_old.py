"""Backends in memory and in SQLite, as mlr3db of early 2023 has them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd
from golden_ledger import Ledger, rows, same

import batchml as bm

ledger = Ledger("backends_old")
folder = Path(tempfile.mkdtemp(prefix="batchml-golden-"))


@ledger.afterwards
def clean():
    shutil.rmtree(folder, ignore_errors=True)


def backend_of(case):
    table = case.inputs["table"]["__table__"]
    frame = pd.DataFrame(table["rows"], columns=table["columns"])
    if "sqlite" not in case.id:
        return bm.as_data_backend(frame, primary_key=case.inputs["primary_key"])
    folder.mkdir(exist_ok=True)
    return bm.as_sqlite_backend(frame, folder, primary_key=case.inputs["primary_key"])


def listed(table):
    return [list(row.values()) for row in table.to_pylist()]


@ledger.replays("backend_data.table_head", "backend_sqlite_head")
def head(case):
    same(listed(backend_of(case).head(3)), rows(case.output))


@ledger.replays("backend_data.table_data", "backend_sqlite_data_unknown", "backend_sqlite_data_none")
def data(case):
    wanted = {
        "backend_data.table_data": ([5, 2, 2], ["y", "x"]),
        "backend_sqlite_data_unknown": ([1, 99], ["x", "nope"]),
        "backend_sqlite_data_none": ([], ["x", "y"]),
    }
    found = backend_of(case).data(*wanted[case.id])
    assert found.column_names == case.output["__table__"]["columns"]
    same(listed(found), rows(case.output))


@ledger.replays("backend_data.table_missings", "backend_sqlite_missings_sub")
def missings(case):
    asked = (range(1, 9), ["x", "g", "y"]) if case.id == "backend_data.table_missings" else ([3, 4], ["g", "x"])
    same(backend_of(case).missings(*asked), case.output)


@ledger.replays("backend_sqlite_distinct")
def distinct(case):
    backend = backend_of(case)
    found = {
        "no_na": backend.distinct(range(1, 9), ["g"]),
        "with_na": backend.distinct(range(1, 9), ["g"], drop_missing=False),
    }
    same(found, case.output)
    same(
        {"no_na": backend.distinct(None, ["g"]), "with_na": backend.distinct(None, ["g"], drop_missing=False)},
        case.output,
    )


@ledger.differs(
    "backend_data.table_task",
    "backend_sqlite_task",
    why="features stay in the table's order, R sorts their names; strings are categorical, wherever they lie",
)
def task_on_backend(case):
    task = bm.as_task_regr(backend_of(case), "y", id="t")
    assert task.feature_names == ("x", "g")
    assert task.feature_types == {"x": "numeric", "g": "categorical"}
    same({"nrow": task.n_rows, "has_na": task.missings()}, {name: case.output[name] for name in ("nrow", "has_na")})


@ledger.replays("backend_data.table_resample")
def resample(case):
    task = bm.as_task_regr(backend_of(case), "y", id="t")
    halves = [[1, 2, 3, 4], [5, 6, 7, 8]]
    custom = bm.rsmp("custom", train_sets=halves, test_sets=halves[::-1])
    same(bm.resample(task, "regr.featureless", custom).score("regr.mse")["regr.mse"], case.output)
