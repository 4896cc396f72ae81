"""What is in `deploy/`, as far as it can be seen without a container engine: what it names exists."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import warm_command
import yaml
from sqlalchemy import make_url

from batchml.executors.slurm_script import Script, default_template, render

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose/compose.yaml"
DOCKERFILE = ROOT / "deploy/compose/Dockerfile"
KEYS = {
    *("image", "build", "environment", "volumes", "stop_grace_period", "init", "command", "entrypoint", "depends_on"),
    *("profiles", "healthcheck"),
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def source():
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "batchml").rglob("*.py"))


def lines(path):
    """Return the instructions of a Dockerfile, with the lines that go on joined."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def assert_takes(words, folder):
    """Check that a command exists and has the options that it is given."""
    name, *rest = words
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    if name == "batchml":
        command = rest[: 2 if rest[0] == "db" else 1]
        said = warm_command.run(*command, "--help", cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    else:
        program = Path(sys.executable).parent / name
        said = subprocess.run([program, rest[0], "--help"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, (words, said.stderr)
    for option in options:
        assert re.search(rf"(^|[\s,]){re.escape(option)}\b", said.stdout), (words, option)


def test_the_template_to_copy_is_the_one_that_is_used():
    assert (ROOT / "deploy/slurm/slurm.sh.jinja").read_text(encoding="utf-8") == default_template()


def test_what_could_not_be_tried_says_so():
    for name in ("Dockerfile", "compose.yaml"):
        assert "Untested" in (ROOT / "deploy/compose" / name).read_text(encoding="utf-8")
    assert "**untested**" in (ROOT / "deploy/README.md").read_text(encoding="utf-8")


def test_the_compose_file_names_what_is_there(compose):
    assert {key for key in compose if not key.startswith("x-")} == {"name", "services", "volumes"}
    for name, service in compose["services"].items():
        assert service.keys() <= KEYS, name
        assert set(service.get("depends_on", ())) <= compose["services"].keys()
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in compose["volumes"]
        if "build" in service:
            context = (COMPOSE.parent / service["build"]["context"]).resolve()
            assert context == ROOT
            assert (context / service["build"]["dockerfile"]) == DOCKERFILE


def test_the_environment_of_containers_is_what_batchml_reads(compose, source):
    given = {name for service in compose["services"].values() for name in service["environment"]}
    given |= {word.partition("=")[0] for kind, word in lines(DOCKERFILE) if kind == "ENV"}
    for name in given - {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}:
        assert name.startswith("BATCHML_")
        assert f'"{name}"' in source, name
    about = compose["services"]["worker"]["environment"]
    url = make_url(re.sub(r"\$\{.*?\}", "secret", about["BATCHML_REGISTRY"]))
    database = compose["services"]["database"]["environment"]
    assert (url.host, url.username, url.database) == ("database", database["POSTGRES_USER"], database["POSTGRES_DB"])
    assert about["BATCHML_ARTIFACTS"] in {
        volume.partition(":")[2] for volume in compose["services"]["worker"]["volumes"]
    }


def test_the_commands_of_containers_exist_with_their_options(compose, tmp_path):
    ran = 0
    for service in compose["services"].values():
        words = [*service.get("entrypoint", ["batchml"]), *service.get("command", [])]
        if "build" in service:
            assert_takes(words, tmp_path)
            ran += 1
            for option, value in pairwise(words):
                if option == "--dask" or value.startswith("tcp:"):
                    assert re.match(r"tcp://([\w-]+):\d+$", value)[1] in compose["services"]
    assert ran == 4


def test_the_image_is_built_from_what_is_there():
    steps = lines(DOCKERFILE)
    assert {kind for kind, _ in steps} <= {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV", "ENTRYPOINT"}
    text = " ".join(rest for _, rest in steps)
    found = re.search(r"/src\[([\w,]+)\]", text)[1].split(",")
    assert set(found) <= PROJECT["optional-dependencies"].keys()
    python = tuple(map(int, re.search(r"python:(\d+)\.(\d+)", text).groups()))
    assert python >= tuple(map(int, re.findall(r"\d+", PROJECT["requires-python"])))
    (entry,) = (rest for kind, rest in steps if kind == "ENTRYPOINT")
    assert entry == '["batchml"]'
    assert "batchml" in PROJECT["scripts"]
    assert [rest for kind, rest in steps if kind == "USER"] == ["bench"], "not root"


def test_the_commands_of_the_guide_exist_with_their_options(tmp_path):
    guide = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    said = re.findall(r"`(batchml [^`]+)`|\$\((batchml .*)\)$", guide, re.MULTILINE)
    assert len(said) >= 3
    for words in said:
        assert_takes(shlex.split(next(filter(None, words)).replace('"$(hostname -f)"', "here")), tmp_path)


def test_the_script_of_an_element_is_one_that_a_shell_takes_and_that_runs_what_exists(tmp_path):
    script = Script(
        submission=1,
        directives=["--job-name=x", "--array=0-3"],
        setup=["module load 'a b'"],
        env={"A": "it's"},
        python=sys.executable,
        command=shlex.join([sys.executable, "-m", "batchml", "worker", "--submission", "1", "--slots", "2"]),
        slots=2,
        tmpdir="/tmp/$USER",
    )
    text = render(script, ROOT / "deploy/slurm/slurm.sh.jinja")
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (command,) = re.findall(r"^exec \S+ -m (batchml .*)$", text, re.MULTILINE)
    assert_takes(shlex.split(command), tmp_path)
