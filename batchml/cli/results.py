"""Commands for what came out: reduce, rescore, sql, export."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchml.cli.boundary import OK, SOME_JOBS
from batchml.cli.selection import Filters, job_filters
from batchml.cli.session import Session, command
from batchml.cli.tables import echo, echo_frame, echo_json, echo_rows, frame_records, say
from batchml.core.resources import parse_duration

if TYPE_CHECKING:
    import pandas as pd

    from batchml.experiment.result import BenchmarkResult

__all__ = ["COMMANDS", "echo_aggregate"]


@click.command("reduce")
@click.option("-m", "--measure", "measures", multiple=True, metavar="MEASURE", help="Instead of those of the design.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Store the result there too.")
@click.option("--strict", is_flag=True, help="Refuse (status 1) while jobs failed or are missing.")
@job_filters
@command
def reduce(
    session: Session,
    measures: tuple[str, ...],
    output: Path | None,
    filters: Filters,
    *,
    strict: bool,
    as_json: bool,
) -> int:
    """Print the aggregated scores of what is done; status 1 while jobs failed or are missing."""
    with session.attend() as registry:
        # One benchmark alone keeps its own measures and labels, whatever else there is.
        names = filters.get("benchmark", [])
        benchmark = filters.pop("benchmark")[0] if len(names) == 1 else None
        named = {} if benchmark is None else {"benchmark": benchmark}
        jobs = registry.jobs(**named, **filters) if filters else None
        result = registry.reduce(jobs, benchmark=benchmark, strict=strict)
        complete = echo_aggregate(result, list(measures) or None, as_json=as_json)
        if output is not None:
            result.export(output)
            if not as_json:
                echo(f"stored in {output}")
    return OK if complete else SOME_JOBS


def echo_aggregate(result: BenchmarkResult, measures: list[str] | None, *, as_json: bool) -> bool:
    """Print the aggregated table, and a sentence on what is not in it; return whether nothing is missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*iterations have no prediction")  # said below, in the table's words
        table = result.aggregate(measures, conditions=True, params=True)
    coverage = result.coverage
    missing = int(coverage["missing"].sum())
    if as_json:
        echo_json({"aggregate": frame_records(table), "coverage": frame_records(coverage)})
    else:
        _echo_cells(table)
        if missing:
            total = int(coverage["defined"].sum())
            echo(f"{missing} of {total} iterations are missing; a mean over them is left empty")
        bare = int(table["n_missing"].sum()) - missing
        if bare > 0:
            what = "iteration ended" if bare == 1 else "iterations ended"
            echo(f"{bare} {what} without a prediction: the learner failed and has no fallback; a mean is left empty")
    return not missing


def _echo_cells(table: pd.DataFrame) -> None:
    if table.empty:
        echo("no job is done yet")
        return
    # None is a value of a parameter, and no gap. (DataFrame.map would make 3.0 of the whole numbers beside a gap.)
    rows = [["None" if cell is None else cell for cell in row] for row in table.itertuples(index=False, name=None)]
    alike = [name for name in ("resampling", "n") if table[name].eq(table[name].iloc[0]).all()]
    nothing = [name for name in ("warnings", "errors", "n_imputed", "n_missing") if not table[name].any()]
    echo_rows([str(name) for name in table.columns], rows, spare=[*nothing, *alike])


@click.command("rescore")
@click.option(
    "-m", "--measure", "measures", multiple=True, metavar="MEASURE", help="Default: what the design asks for."
)
@click.option("--benchmark", metavar="NAME", help="Of this benchmark only.")
@click.option("--slots", type=click.IntRange(min=1), help="Processes; default: CPUs, if there is much to do.")
@command
def rescore(
    session: Session, measures: tuple[str, ...], *, benchmark: str | None, slots: int | None, as_json: bool
) -> None:
    """Score what is done by further measures, from stored predictions; nothing runs again."""
    with session.open() as registry:
        done = registry.rescore(list(measures) or None, benchmark, slots=slots)
    say(done.as_json(), str(done), as_json=as_json)


@click.command("sql", context_settings={"ignore_unknown_options": True})  # a query may begin with a comment: -- ...
@click.argument("query")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A value for :NAME in the query.")
@click.option("--timeout", metavar="TIME", default="60s", show_default=True, help="When to end it.")
@command
def sql(session: Session, query: str, params: tuple[str, ...], *, timeout: str, as_json: bool) -> None:
    """Run one SELECT (`-` reads it from standard input) on the views.

    They are: jobs, all_jobs, scores, aggregates, errors, conditions, coverage, runtimes, workers, environments.
    """
    if query == "-":
        query = sys.stdin.read()
    elif query.startswith("-") and " " not in query and "\n" not in query:
        raise click.NoSuchOption(query, ctx=click.get_current_context())
    values = {}
    for word in params:
        name, found, value = word.partition("=")
        if not found:
            raise click.UsageError(f"--param needs NAME=VALUE, not {word!r}", click.get_current_context())
        values[name] = value
    with session.open(readonly=True) as registry:
        echo_frame(registry.sql(query, parse_duration(timeout), **values), as_json=as_json, empty="no rows")


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@command
def export(session: Session, folder: Path, *, as_json: bool) -> None:
    """Write jobs, attempts, environments, scores, conditions and predictions as Parquet to FOLDER."""
    with session.attend() as registry:
        registry.export(folder)
    files = sorted(str(f) for f in folder.glob("*.parquet"))
    if as_json:
        echo_json({"files": files})
    else:
        echo("\n".join(files))


COMMANDS = (reduce, rescore, sql, export)
