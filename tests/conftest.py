"""Options of the test run."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--run-benchmarks", action="store_true", help="run tests/benchmark, which print figures")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-benchmarks"):
        return
    deselected = [item for item in items if "benchmark" in item.path.parts]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "benchmark" not in item.path.parts]
