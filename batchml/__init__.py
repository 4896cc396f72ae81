"""Machine-learning benchmarks as jobs in a database.

``import batchml as bm`` loads next to nothing: a public name is imported from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "batchml.core.catalog": ("lrn", "lrns", "msr", "msrs", "rsmp", "rsmps", "tsk", "tsks"),
    "batchml.core.learner": ("Learner", "as_learner"),
    "batchml.core.measure": ("Measure", "as_measure", "as_measures"),
    "batchml.core.prediction": ("PredictionClassif", "PredictionRegr"),
    "batchml.core.resampling": ("Resampling", "as_resampling"),
    "batchml.core.task": ("Task", "TaskClassif", "TaskRegr"),
    "batchml.core.trust": ("Trust",),
    "batchml.errors": ("BatchmlError",),
    "batchml.params": ("ParamSet",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])  # noqa: PLE0605  # one table says what is public


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("batchml")
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(_no_such(name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _no_such(name: str) -> str:
    from batchml.errors import nearest

    close = "" if name.startswith("_") else nearest(name, __all__)
    return f"module 'batchml' has no attribute {name!r}{close}"
