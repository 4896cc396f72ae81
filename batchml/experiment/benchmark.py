"""Run a whole design in this session."""

from __future__ import annotations

from batchml.core.seed import root_of
from batchml.errors import DesignError
from batchml.experiment.design import BenchmarkDesign
from batchml.experiment.preflight import check_cells, measures_for
from batchml.experiment.result import BenchmarkResult
from batchml.experiment.run import run_cells

__all__ = ["benchmark"]


def benchmark(design: BenchmarkDesign) -> BenchmarkResult:
    """Run every iteration of a design in this session and return the results.

    A registry gives the same results to the last bit for the same seed. `joblib.parallel_config` chooses where
    iterations run (one after another by default); results do not depend on backend, number of workers or order. Of a
    threading backend only learners make use that draw from their own seeds alone (scikit-learn's, featureless); others
    run one after another, since threads share the global generators, and ``capture`` is refused there.

    Raises
    ------
    ConfigError
        If a learner cannot take a task, before anything runs.
    Exception
        What escaped from a learner that is not encapsulated, with a note naming task, learner and iteration.
    """
    if not isinstance(design, BenchmarkDesign):
        raise DesignError(f"benchmark() takes a design, not {type(design).__name__}: make one with benchmark_grid()")
    if not design.cells:
        raise DesignError("the design has no cells: there is nothing to run")
    check_cells(design.cells)
    measures = measures_for(design.cells, design.measures)
    root = root_of(design.seed)
    return BenchmarkResult(run_cells(design.cells, seed=root, measures=measures, store_models=design.store_models))
