"""Options of the test run, and the services it starts: a PostgreSQL server of its own, and what plugs in beside it.

A service that cannot run here skips its tests, is named in the last line of the run, and fails them under `.ci/run`
(``CI=true``): a fixture says ``services.missing("SLURM", "no slurmctld on the path")``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

MISSING = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser):
    parser.addoption("--run-benchmarks", action="store_true", help="run tests/benchmark, which print figures")


# Modules whose tests one process has to run if several share the tests: they have one cluster, torment the machine, or
# look for processes that others leave behind. By name of the module: markers are not known where tests are dealt out.
TOGETHER = {
    "slurm": {"test_slurm", "test_executors_agree"},
    "chaos": {"test_chaos", "test_outages", "test_suspects"},
    "daemons": {"test_failures", "test_memory_limits", "test_sandbox", "test_sandbox_family"},
    "dask": {"test_dask", "test_dask_cuts", "test_dask_growth", "test_dask_suspects", "test_pools"},
    "mariadb": {"test_data_mariadb"},
}

HOME = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config):
    config.stash[MISSING] = {}
    # Tests make signing keys and read settings: not those of whoever runs them.
    config.stash[HOME] = tempfile.TemporaryDirectory(prefix="batchml-config-")
    os.environ["XDG_CONFIG_HOME"] = config.stash[HOME].name
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Under nohup. What tests start must heed it, as programs do that are started in a terminal.
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-benchmarks"):
        return
    deselected = [item for item in items if "benchmark" in item.path.parts]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "benchmark" not in item.path.parts]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deal tests out one by one, but those of a group to one process; groups go first, as they take long."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            module = Path(nodeid.partition("::")[0]).stem
            return next((group for group, modules in TOGETHER.items() if module in modules), nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """What was missing for one of the processes that share the tests was missing."""
    node.config.stash[MISSING].update(getattr(node, "workeroutput", {}).get("missing", {}))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["missing"] = session.config.stash[MISSING]


def pytest_unconfigure(config):
    config.stash[HOME].cleanup()
    # Not `pytest_terminal_summary`: the line with the numbers comes after that one, and a green one hides the gap.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    missing = config.stash.get(MISSING, {})
    if reporter is not None and missing:
        words = "; ".join(f"{service} ({reason})" for service, reason in missing.items())
        reporter.write_line(f"NOT TESTED, for want of a service: {words}", red=True, bold=True)


class Services:
    """What the tests could not start."""

    def __init__(self, missing):
        self._missing = missing

    def missing(self, service, reason):
        """Skip the test that asks for a service which cannot run here; fail it where everything has to run."""
        self._missing[service] = reason
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{service} could not be started: {reason}", pytrace=False)
        pytest.skip(f"{service} could not be started: {reason}")

    def found(self, service):
        """A second try may succeed."""
        self._missing.pop(service, None)


@pytest.fixture(scope="session")
def services(pytestconfig):
    return Services(pytestconfig.stash[MISSING])


@pytest.fixture(scope="session")
def postgres_server(services):
    """A PostgreSQL server on the loopback, which ends with the tests; not durable."""
    from postgres_folder import postgres_folder

    from batchml.errors import BatchmlError
    from batchml.registry.server import serve

    with postgres_folder() as folder:
        try:
            server = serve(folder, durable=False)
        except BatchmlError as error:
            services.missing("PostgreSQL", str(error))
        yield server


NUMBERS = itertools.count()


@pytest.fixture
def postgres_url(postgres_server, tmp_path, monkeypatch):
    """The URL of a database of its own, empty; what its registry keeps in files lies in the test's folder."""
    import psycopg

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    name = f"test_{next(NUMBERS)}"
    admin = postgres_server.url
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield admin.replace("/batchml?", f"/{name}?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_url(request, tmp_path):
    """The URL of a registry that is not there yet, on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def slurm_server(services):
    """A SLURM cluster of three nodes, which ends with the tests."""
    from slurm_cluster import SlurmCluster, SlurmUnavailableError

    folder = Path(tempfile.mkdtemp(prefix=f"batchml-slurm-{os.getpid()}-"))
    cluster = None
    try:
        cluster = SlurmCluster(folder)
        cluster.ready()
        services.found("SLURM")
        yield cluster
    except SlurmUnavailableError as error:
        services.missing("SLURM", str(error))
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(slurm_server, tmp_path, monkeypatch):
    """The cluster, with nothing on it; batchml asks it often, and lets its elements use a database."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_server.environment[name])
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    (tmp_path / "batchml.toml").write_text('[slurm]\nchannel = "database"\npoll = "300ms"\nmissing = "1s"\n')
    monkeypatch.chdir(tmp_path)
    yield slurm_server
    slurm_server.clear()
