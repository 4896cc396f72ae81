"""What is published works: a built wheel, installed in a fresh environment, makes and migrates a registry."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd, env=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The wheel alone in a new environment; what it depends on is seen from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("batchml-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A path named in a .pth file is searched, but the .pth files in it (the editable checkout) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python, folder


def test_the_wheel_carries_the_package_its_types_and_its_migrations(fresh):
    python, folder = fresh
    where = Path(run(python, "-c", "import batchml; print(batchml.__file__)", cwd=folder).strip())
    assert folder in where.parents
    assert (where.parent / "py.typed").exists()
    assert list((where.parent / "migrations" / "versions").glob("0001*.py"))


def test_an_installed_wheel_creates_a_registry_and_finds_it_up_to_date(fresh):
    python, folder = fresh
    make = "import batchml as bm; bm.Registry.create('sqlite:///made.db', seed=1).close()"
    run(python, "-W", "error", "-c", make, cwd=folder)
    command = python.parent / "batchml"
    run(command, "--registry", "sqlite:///made.db", "db", "upgrade", cwd=folder)
    status = json.loads(run(command, "--registry", "sqlite:///made.db", "status", "--json", cwd=folder))
    assert status


def test_an_installed_wheel_migrates_an_empty_registry_to_the_newest_schema(fresh):
    python, folder = fresh
    make = (
        "import batchml as bm, sqlite3;"
        "bm.Registry.create('sqlite:///again.db', seed=1).close();"
        "print(sqlite3.connect('again.db').execute('select version_num from batchml_version').fetchall())"
    )
    assert "000" in run(python, "-c", make, cwd=folder)
