"""Where configuration comes from, which words win, and that every value says so."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import batchml as bm
from batchml.core.configuration import DEFAULT_REGISTRY, load_configuration
from batchml.core.configuration_keys import KEYS
from batchml.core.trust import Trust
from batchml.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs/reference/configuration.md"


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))
    folder = tmp_path / "config/batchml"
    folder.mkdir(parents=True)
    (tmp_path / "site/batchml").mkdir(parents=True)
    return folder


def test_without_files_and_environment_the_defaults_hold(user_folder, tmp_path):
    found = load_configuration(tmp_path, {})
    assert found.registry == DEFAULT_REGISTRY
    assert found.files == ()


def test_the_folder_wins_over_the_user_and_the_environment_over_both(user_folder, tmp_path):
    (user_folder / "batchml.toml").write_text(
        'registry = "sqlite:///u.db"\ntrusted_modules = ["a"]\n'
        '[executor]\nslots = 3\nworkers = 2\n[sources]\nx = "u"\ny = "u"'
    )
    (tmp_path / "batchml.toml").write_text(
        'registry = "sqlite:///f.db"\ntrusted_modules = ["b"]\n[executor]\nslots = 5\n[sources]\ny = "f"'
    )
    found = load_configuration(tmp_path, {"BATCHML_TRUSTED_MODULES": "c, a"})
    assert found.registry == "sqlite:///f.db"
    assert found.trusted_modules == ("a", "b", "c")
    assert found.executor == {"slots": 5, "workers": 2}
    assert found.sources == {"x": "u", "y": "f"}
    assert found.origins["executor.workers"] == str(user_folder / "batchml.toml")
    assert found.origins["executor.slots"] == str(tmp_path / "batchml.toml")
    assert (
        load_configuration(tmp_path, {"BATCHML_REGISTRY": "sqlite:///e.db"}).origins["registry"] == "$BATCHML_REGISTRY"
    )


def test_the_site_comes_first_and_parents_of_the_working_folder_before_itself(user_folder, tmp_path):
    (tmp_path / "site/batchml/batchml.toml").write_text("cpus = 1\n[executor]\nworkers = 7")
    (tmp_path / "batchml.toml").write_text('cpus = 2\nregistry = "sqlite:///study.db"\n[paths]\ndata = "tables"')
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    (inner.parent / "batchml.toml").write_text("cpus = 3")
    found = load_configuration(inner, {})
    assert (found.cpus, found.executor) == (3, {"workers": 7})
    assert [file.parent for file in found.files] == [tmp_path / "site/batchml", tmp_path, tmp_path / "a"]
    assert found.registry == f"sqlite:///{tmp_path}/study.db"  # beside the file that names it
    assert found.get("paths.data") == str(tmp_path / "tables")


def test_a_file_of_somebody_else_in_a_parent_is_not_read(user_folder, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: a file of another user")
    (tmp_path / "batchml.toml").write_text("cpus = 3")
    os.chown(tmp_path / "batchml.toml", 4321, 4321)
    (tmp_path / "a").mkdir()
    found = load_configuration(tmp_path / "a", {})
    assert found.cpus is None
    assert found.ignored == (tmp_path / "batchml.toml",)


@pytest.mark.root
def test_folders_above_need_not_let_this_user_in(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: to become another user")
    with tempfile.TemporaryDirectory() as closed:  # of root, 0700
        work = Path(closed) / "work"
        work.mkdir(mode=0o755)
        script = (
            "import os, sys; from batchml.core.configuration import load_configuration as load; load();"
            "os.chdir(sys.argv[1]); os.setuid(65534); print(load().values)"
        )
        words = [sys.executable, "-c", script, str(work)]
        said = subprocess.run(words, env={"HOME": "/nowhere"}, capture_output=True, text=True, check=False)
    assert said.stdout == "{}\n", said.stderr


def test_a_cluster_has_its_own_resources_and_template(user_folder, tmp_path):
    (tmp_path / "batchml.toml").write_text(
        '[slurm]\nsetup = ["module load python"]\npartition = "cpu"\nenv.MODE = "a"\n'
        '[slurm.cluster.big]\npartition = "long"\ntemplate = "big.sh"\nresources = { walltime = "2h" }'
    )
    found = load_configuration(tmp_path, {})
    assert found.slurm("small") == {"setup": ["module load python"], "partition": "cpu", "env.MODE": "a"}
    assert found.slurm("big") == {
        "setup": ["module load python"],
        "partition": "long",
        "env.MODE": "a",
        "template": str(tmp_path / "big.sh"),
        "resources.walltime": "2h",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cpus = 0", "cpus in .* at least 1"),
        ("cpus = true", "cpus in .* whole number"),
        ("registri = 'x'", r"unknown key registri in .*did you mean 'registry'"),
        ("[slurm]\npartion = 'x'", r"unknown key slurm.partion .*did you mean 'partition'"),
        ("[slurm.cluster.a]\npartion = 'x'", r"unknown key slurm.cluster.a.partion .*did you mean 'partition'"),
        ("[slurm.cluster]\na = 1", r"slurm.cluster.a in .* must be a table"),
        ("slurm = 1", r"slurm in .* must be a table"),
        ("[slurm]\nnotice = 'soon'", "slurm.notice in .*no duration"),
        ("[executor]\nkind = 'slum'", "one of local, slurm"),
        ("[sources]\na = 1", "sources.a in .* must be a text"),
        ("x = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_file(user_folder, tmp_path, text, words):
    (tmp_path / "batchml.toml").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_configuration(tmp_path, {})
    assert str(tmp_path / "batchml.toml") in str(caught.value)


def test_config_show_says_where_each_value_comes_from_and_no_password(user_folder, tmp_path):
    (tmp_path / "batchml.toml").write_text('cpus = 2\n[sources]\nw = "postgresql://ann:s3cret@db/w"')
    environment = {**os.environ, "BATCHML_REGISTRY": "postgresql://ann:t0psecret@db/study"}

    def show(*words):
        command = [sys.executable, "-m", "batchml", "config", "show", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        assert "s3cret" not in done.stdout
        assert "t0psecret" not in done.stdout
        return done.stdout

    values = json.loads(show("--json"))["values"]
    assert values["cpus"] == {"value": 2, "from": str(tmp_path / "batchml.toml")}
    assert values["registry"]["from"] == "$BATCHML_REGISTRY"
    assert f"cpus = 2    # {tmp_path / 'batchml.toml'}" in show()


def test_the_reference_page_lists_every_key_with_its_meaning_and_default():
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    written = {name: (text, default) for name, text, default in rows if not name.startswith("BATCHML_")}
    meant = {name: (key.text, key.default) for name, key in KEYS.items()}
    assert written == meant


def test_what_is_configured_holds_in_python_as_on_the_command_line(user_folder, tmp_path, monkeypatch):
    for name in ("BATCHML_CPUS", "BATCHML_ARTIFACTS", "BATCHML_TRUSTED_MODULES"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (tmp_path / "batchml.toml").write_text('cpus = 61\nartifacts = "store"\ntrusted_modules = ["mylab"]')
    assert bm.available_cores() == 61
    assert Trust.default().covers("mylab.trees")
    with bm.Registry.create("sqlite:///study.db") as registry:
        assert registry._store.artifact_path == tmp_path / "store"
    assert {
        key: load_configuration().origins[key] for key in ("cpus", "artifacts", "trusted_modules")
    } == dict.fromkeys(("cpus", "artifacts", "trusted_modules"), str(tmp_path / "batchml.toml"))
    monkeypatch.setenv("BATCHML_CPUS", "3")
    assert bm.available_cores() == 3
    monkeypatch.chdir("/")
    monkeypatch.delenv("BATCHML_CPUS")
    assert not Trust.default().covers("mylab.trees")  # what held there does not stay
    assert bm.available_cores() != 61


def test_the_folder_of_the_spool_can_be_configured_for_slurm(user_folder, tmp_path):
    (tmp_path / "batchml.toml").write_text('[slurm]\nspool = "outbox"\n[slurm.cluster.big]\nspool = true')
    found = load_configuration(tmp_path, {})
    assert found.slurm("small")["spool"] == str(tmp_path / "outbox")
    assert found.slurm("big")["spool"] is True
    (tmp_path / "batchml.toml").write_text("[slurm]\nspool = 1")
    with pytest.raises(ConfigError, match=r"slurm.spool in .* true, false or the path of a folder, not 1"):
        load_configuration(tmp_path, {})
