"""Machine-learning benchmarks as jobs in a database.

``import batchml as bm`` loads next to nothing: a public name is imported from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchml.core.catalog import lrn, lrns, msr, msrs, rsmp, rsmps, tsk, tsks
    from batchml.core.learner import Learner, as_learner
    from batchml.core.measure import Measure, as_measure, as_measures
    from batchml.core.prediction import PredictionClassif, PredictionRegr
    from batchml.core.resampling import Resampling, as_resampling
    from batchml.core.resources import available_cores, set_threads
    from batchml.core.task import Task, TaskClassif, TaskRegr, as_task, as_task_classif, as_task_regr, partition
    from batchml.core.trust import Trust
    from batchml.data.openml_task import openml_task
    from batchml.data.sources import as_data_backend
    from batchml.data.written import as_duckdb_backend, as_sqlite_backend
    from batchml.errors import BatchmlError
    from batchml.executors.dask import Dask
    from batchml.executors.local import Local
    from batchml.executors.slurm import Slurm
    from batchml.experiment.benchmark import benchmark
    from batchml.experiment.design import BenchmarkDesign
    from batchml.experiment.grid import benchmark_grid
    from batchml.experiment.resample import resample
    from batchml.experiment.result import BenchmarkResult, ResampleResult
    from batchml.params import (
        CondAnyOf,
        CondEqual,
        Design,
        ParamSet,
        ParamSetCollection,
        Sampler1DCateg,
        Sampler1DNormal,
        Sampler1DRfun,
        Sampler1DUnif,
        SamplerHierarchical,
        SamplerJointIndep,
        SamplerUnif,
        TuneToken,
        generate_design_grid,
        generate_design_lhs,
        generate_design_random,
        generate_design_sobol,
        p_dbl,
        p_fct,
        p_int,
        p_lgl,
        p_uty,
        ps,
        ps_replicate,
        ps_union,
        to_tune,
    )
    from batchml.study import Registry, Submission

    __version__: str

__all__ = [
    "BatchmlError",
    "BenchmarkDesign",
    "BenchmarkResult",
    "CondAnyOf",
    "CondEqual",
    "Dask",
    "Design",
    "Learner",
    "Local",
    "Measure",
    "ParamSet",
    "ParamSetCollection",
    "PredictionClassif",
    "PredictionRegr",
    "Registry",
    "ResampleResult",
    "Resampling",
    "Sampler1DCateg",
    "Sampler1DNormal",
    "Sampler1DRfun",
    "Sampler1DUnif",
    "SamplerHierarchical",
    "SamplerJointIndep",
    "SamplerUnif",
    "Slurm",
    "Submission",
    "Task",
    "TaskClassif",
    "TaskRegr",
    "Trust",
    "TuneToken",
    "__version__",
    "as_data_backend",
    "as_duckdb_backend",
    "as_learner",
    "as_measure",
    "as_measures",
    "as_resampling",
    "as_sqlite_backend",
    "as_task",
    "as_task_classif",
    "as_task_regr",
    "available_cores",
    "benchmark",
    "benchmark_grid",
    "generate_design_grid",
    "generate_design_lhs",
    "generate_design_random",
    "generate_design_sobol",
    "lrn",
    "lrns",
    "msr",
    "msrs",
    "openml_task",
    "p_dbl",
    "p_fct",
    "p_int",
    "p_lgl",
    "p_uty",
    "partition",
    "ps",
    "ps_replicate",
    "ps_union",
    "resample",
    "rsmp",
    "rsmps",
    "set_threads",
    "to_tune",
    "tsk",
    "tsks",
]

_HOMES = {
    "core.catalog": ("lrn", "lrns", "msr", "msrs", "rsmp", "rsmps", "tsk", "tsks"),
    "core.learner": ("Learner", "as_learner"),
    "core.measure": ("Measure", "as_measure", "as_measures"),
    "core.prediction": ("PredictionClassif", "PredictionRegr"),
    "core.resampling": ("Resampling", "as_resampling"),
    "core.resources": ("available_cores", "set_threads"),
    "core.task": ("Task", "TaskClassif", "TaskRegr", "as_task", "as_task_classif", "as_task_regr", "partition"),
    "core.trust": ("Trust",),
    "data.openml_task": ("openml_task",),
    "data.sources": ("as_data_backend",),
    "data.written": ("as_duckdb_backend", "as_sqlite_backend"),
    "errors": ("BatchmlError",),
    "executors.dask": ("Dask",),
    "executors.local": ("Local",),
    "executors.slurm": ("Slurm",),
    "experiment.benchmark": ("benchmark",),
    "experiment.design": ("BenchmarkDesign",),
    "experiment.grid": ("benchmark_grid",),
    "experiment.resample": ("resample",),
    "experiment.result": ("BenchmarkResult", "ResampleResult"),
    "params": (
        "CondAnyOf",
        "CondEqual",
        "Design",
        "ParamSet",
        "ParamSetCollection",
        "Sampler1DCateg",
        "Sampler1DNormal",
        "Sampler1DRfun",
        "Sampler1DUnif",
        "SamplerHierarchical",
        "SamplerJointIndep",
        "SamplerUnif",
        "TuneToken",
        "generate_design_grid",
        "generate_design_lhs",
        "generate_design_random",
        "generate_design_sobol",
        "p_dbl",
        "p_fct",
        "p_int",
        "p_lgl",
        "p_uty",
        "ps",
        "ps_replicate",
        "ps_union",
        "to_tune",
    ),
    "study": ("Registry", "Submission"),
}
_HOME_OF = {name: f"batchml.{module}" for module, names in _HOMES.items() for name in names}


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
