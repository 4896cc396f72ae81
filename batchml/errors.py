"""The error tree: each class is also a builtin, each message says what, where and what to do.

::

    BatchmlError
    |-- ConfigError (ValueError)            the user's mistake: wrong use, design or configuration
    |   |-- UnknownKeyError (LookupError)   no such key, parameter, job; names the nearest
    |   |-- SpecError                       an object that cannot be written down as data
    |   |-- TrustError (PermissionError)    a spec names code that nobody trusted
    |   |-- DesignError                     a design or design file that makes no sense
    |   |-- DataError                       a table, column, target or row that does not fit
    |   `-- NotTrainedError                 predict, importance, ... before train
    |-- LearnerError (RuntimeError)         the method's own failure, at train or predict
    |   |-- StageTimeoutError (TimeoutError)
    |   `-- ProcessDiedError                the child that ran the stage is gone
    |-- RegistryError (RuntimeError)        the registry cannot be used as asked
    |   |-- NotARegistryError
    |   |-- SchemaError                     newer or older than this code
    |   |-- ReadOnlyError (PermissionError)
    |   |-- BusyError                       another host or process holds it
    |   |-- UnreachableError (ConnectionError)   the database's server is away, for now
    |   |-- WorkerStoppedError              the registry has written this worker off
    |   |-- PoisonedError (ValueError)      the database refuses what an outcome holds
    |   |-- SpoolError                      a spool folder, or a file in it, that cannot be used
    |   `-- ArtifactError                   task data or a model is missing or damaged
    |-- DataUnavailableError (ConnectionError)   a source that could not be reached, for now
    |-- PoolError (RuntimeError)            iterations cannot be run on this machine at all
    |-- SchedulerError (RuntimeError)       SLURM, or another scheduler, refuses or does not answer
    `-- IncompleteError (RuntimeError)      `reduce(strict=True)` with jobs missing

The command line exits with 2 for every BatchmlError but IncompleteError (1).
"""

from __future__ import annotations

import difflib
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "BatchmlError",
    "BusyError",
    "ConfigError",
    "DataError",
    "DataUnavailableError",
    "DesignError",
    "IncompleteError",
    "LearnerError",
    "NotARegistryError",
    "NotTrainedError",
    "PoisonedError",
    "PoolError",
    "ProcessDiedError",
    "ReadOnlyError",
    "RegistryError",
    "SchedulerError",
    "SchemaError",
    "SpecError",
    "SpoolError",
    "StageTimeoutError",
    "TrustError",
    "UnknownKeyError",
    "UnreachableError",
    "WorkerStoppedError",
    "nearest",
]


class BatchmlError(Exception):
    """Root of all errors that batchml raises on purpose."""


class ConfigError(BatchmlError, ValueError):
    """The user's mistake: wrong use, design or configuration. Never encapsulated."""


class UnknownKeyError(ConfigError, LookupError):
    """A key, parameter, column or job that does not exist."""


class SpecError(ConfigError):
    """An object that cannot be written down as data."""


class TrustError(ConfigError, PermissionError):
    """A spec names code that nobody trusted."""


class DesignError(ConfigError):
    """A design or design file that makes no sense."""


class DataError(ConfigError):
    """A table, column, target or row that does not fit."""


class NotTrainedError(ConfigError):
    """Something was asked of a learner that has not been trained."""


class LearnerError(BatchmlError, RuntimeError):
    """The method's own failure, at train or predict."""


class StageTimeoutError(LearnerError, TimeoutError):
    """A stage reached its time limit."""


class ProcessDiedError(LearnerError):
    """The process that ran the stage is gone."""


class RegistryError(BatchmlError, RuntimeError):
    """The registry cannot be used as asked."""


class NotARegistryError(RegistryError):
    """The URL holds no batchml registry."""


class SchemaError(RegistryError):
    """The registry's schema is newer or older than this code."""


class ReadOnlyError(RegistryError, PermissionError):
    """A change was asked of a registry that was opened, or can only be opened, for reading."""


class BusyError(RegistryError):
    """Another host or process holds the registry."""


class UnreachableError(RegistryError, ConnectionError):
    """The database's server is away, for now: nothing is half done, and the same may be said again."""


class WorkerStoppedError(RegistryError):
    """The worker is unknown to its registry, or has said that it stopped: it can neither deliver nor claim."""


class PoisonedError(RegistryError, ValueError):
    """The database refuses what an outcome holds; nothing of its batch was stored."""


class SpoolError(RegistryError):
    """The folder through which workers without a database are served cannot be used, or a file in it is damaged."""


class ArtifactError(RegistryError):
    """Task data or a model is missing or damaged."""


class DataUnavailableError(BatchmlError, ConnectionError):
    """A source of data that could not be reached, for now."""


class PoolError(BatchmlError, RuntimeError):
    """Iterations cannot be run on this machine at all: no process for them comes up."""


class SchedulerError(BatchmlError, RuntimeError):
    """A scheduler refuses what it was asked, or does not answer."""


class IncompleteError(BatchmlError, RuntimeError):
    """A complete result was demanded while jobs are missing."""


def nearest(word: object, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for a misspelt word, or nothing, also for what is no word.

    Examples
    --------
    >>> nearest("tre", ["tree", "knn"])
    " (did you mean 'tree'?)"
    """
    if not isinstance(word, str):
        return ""
    by_lower = {str(one).lower(): str(one) for one in known}
    lower = word.lower()
    close = difflib.get_close_matches(lower, by_lower, n=3, cutoff=0.5)
    if not close:
        return ""

    # Of equally near ones that which begins alike: words are cut short more often than they lose their end.
    def likeness(one: str) -> tuple[float, int]:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, lower, strict=False))
        return difflib.SequenceMatcher(None, one, lower).ratio(), sum(1 for _ in alike)

    return f" (did you mean '{by_lower[max(close, key=likeness)]}'?)"
