"""Finding jobs: by state, labels, patterns, parameters, tags."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, select

from batchml.core.attempt import Ending
from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.registry.dialects import among, among_words
from batchml.registry.expiry import EXPIRED, expired_jobs
from batchml.registry.frames import read_frame
from batchml.registry.parameters import experiments_with
from batchml.registry.tables import benchmark, benchmark_experiment, job_tag
from batchml.registry.views import jobs as jobs_view

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["STATES", "find", "labels"]

STATES = ("defined", "queued", "running", "done", "error", "cancelled")
"""The states of a job, in the order of its life."""

Word = str | re.Pattern[str]
Words = Word | Iterable[Word] | None
Numbers = int | Iterable[int] | None

_LABELS: dict[str, ColumnElement[str]] = {
    "benchmark": benchmark.c.name,
    "tag": job_tag.c.tag,
    **{name: benchmark_experiment.c[name] for name in ("task", "learner", "resampling")},
}


def find(  # noqa: PLR0913 - one for each filter
    store: Store,
    *,
    state: Words = None,
    outcome: Words = None,
    task: Words = None,
    learner: Words = None,
    resampling: Words = None,
    iteration: Numbers = None,
    tag: Words = None,
    benchmark: Words = None,
    params: str | Mapping[str, Any] | Iterable[str] | None = None,
    jobs: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return the jobs of current benchmarks as the view `jobs` shows them, those that meet all conditions.

    Each condition is one value or several of which one must hold.

    Parameters
    ----------
    state
        Also ``expired``: running, but the worker that holds it is dead, or silent for longer than its lease.
    task, learner, resampling, benchmark, tag
        A name; else a pattern with ``*``, ``?`` or ``[...]``; or a compiled regular expression, which may match
        anywhere.
    params
        Conditions on the learner's parameters, of which all must hold: ``"max_depth=3"``, ``"C<0.1"``, with ``=``,
        ``!=``, ``<``, ``<=``, ``>``, ``>=``; or a mapping of values.

    Raises
    ------
    UnknownKeyError
        A state, outcome, task, learner, resampling, tag, benchmark or parameter that there is none of.
    """
    statement = select(jobs_view).order_by(jobs_view.c.job_id, jobs_view.c.benchmark)
    values: dict[str, Any] = {}
    states = _words("state", state, (*STATES, EXPIRED))
    expired = states is not None and EXPIRED in states
    if states is not None and not expired:
        statement = statement.where(among_words(jobs_view.c.state, "state"))
        values["state"] = states
    outcomes = _words("outcome", outcome, tuple(Ending))
    if outcomes is not None:
        statement = statement.where(among_words(jobs_view.c.outcome, "outcome"))
        values["outcome"] = outcomes
    for name, column, numbers in (("iteration", jobs_view.c.iteration, iteration), ("ids", jobs_view.c.job_id, jobs)):
        if numbers is not None:
            statement = statement.where(among(column, name))
            values[name] = _numbers(name, numbers)
    given = {"benchmark": benchmark, "task": task, "learner": learner, "resampling": resampling}
    with store.read() as connection:
        for name, words in given.items():
            if words is not None:
                statement = statement.where(among_words(jobs_view.c[name], name))
                values[name] = labels(connection, name, words)
        if tag is not None:
            tagged = select(job_tag.c.job_id).where(among_words(job_tag.c.tag, "tag"))
            statement = statement.where(jobs_view.c.job_id.in_(tagged))
            values["tag"] = labels(connection, "tag", tag)
        if params is not None:
            statement = statement.where(among(jobs_view.c.experiment_id, "experiments"))
            values["experiments"] = experiments_with(connection, params)
        if states is not None and expired:
            others = among_words(jobs_view.c.state, "state")
            statement = statement.where(others | among(jobs_view.c.job_id, "expired"))
            values |= {"state": [word for word in states if word != EXPIRED], "expired": expired_jobs(connection)}
        return read_frame(connection, statement, values)


def labels(connection: Connection, name: str, given: Words) -> list[str]:
    """Return the names of a kind (``task``, ..., ``tag``) that are meant.

    Raises
    ------
    UnknownKeyError
        There is none so called, or none that fits a pattern.
    """
    known = sorted(connection.execute(select(_LABELS[name]).distinct()).scalars())
    found: dict[str, None] = {}
    for word in _listed(name, given):
        # A name that there is means itself alone, though it could be a pattern: nothing else was asked for.
        fitting = [each for each in known if each == word] or [each for each in known if _fits(word, each)]
        if not fitting:
            some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            shown = word.pattern if isinstance(word, re.Pattern) else word
            there = f"there is {some}" if some else "no job has one" if name == "tag" else "there is none at all"
            raise UnknownKeyError(f"there is no {name} {shown!r}{nearest(shown, known)} here; {there}")
        found.update(dict.fromkeys(fitting))
    return list(found)


def _fits(word: Word, name: str) -> bool:
    if isinstance(word, re.Pattern):
        return word.search(name) is not None
    return fnmatch.fnmatchcase(name, word)


def _listed(name: str, given: Words) -> list[Word]:
    if isinstance(given, (str, re.Pattern)) or not isinstance(given, Iterable):
        given = [given]  # type: ignore[list-item]
    words = [word if isinstance(word, re.Pattern) else str(word) for word in given]
    if not words:
        raise ConfigError(f"{name}= is empty: name at least one, or leave it out")
    return words


def _words(name: str, given: Words, known: Sequence[str]) -> list[str] | None:
    if given is None:
        return None
    words = [str(word) for word in _listed(name, given)]
    for word in words:
        if word not in known:
            raise UnknownKeyError(f"there is no {name} {word!r}{nearest(word, known)}; it is one of {', '.join(known)}")
    return words


def _numbers(name: str, given: Numbers) -> list[int]:
    listed = given if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
    try:
        found = [operator.index(number) for number in listed]  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"{name}= is a whole number or several, not {given!r:.40}") from None
    if not found and name == "iteration":
        raise ConfigError("iteration= is empty: name at least one, or leave it out")
    return found
