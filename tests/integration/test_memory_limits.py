"""Jobs that want more memory than there is, and what is known of jobs that did not live to report."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from batchml.execution.sandbox import cgroup

HERE = Path(__file__).parent
ROOM = 900 << 20

DESIGN = """
[benchmark]
name = "starving"
seed = 3
modules = ["nasty_learners"]
[[task]]
key = "iris"
[[resampling]]
key = "holdout"
"""
LEARNER = """
[[learner]]
id = "{deed}, {encapsulate}"
class = "nasty_learners.Nasty"
preprocess = "none"
params = {{ deed = "{deed}", how = "as {encapsulate}" }}
encapsulate = "{encapsulate}"
{more}
"""


def memory_group(name):
    """Return a new group that limits memory, within the one that this process is in; None if there cannot be one."""
    home = cgroup.home()
    if home is not None and cgroup.enable_memory(home, name):
        return cgroup.Group.make(home, name).path
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, inside = line.split(":", 2)
        if controllers == "memory":  # the first version of control groups
            path = Path("/sys/fs/cgroup/memory", inside.lstrip("/"), name)
            try:
                path.mkdir()
            except OSError:
                return None
            return path
    return None


@pytest.fixture
def starving():
    """Return a group whose processes get `ROOM` bytes together, so that the kernel kills for want of memory."""
    path = memory_group(f"batchml-test-{os.getpid()}")
    if path is None:
        pytest.skip("no control group for memory can be made here: the kernel never kills for want of memory")
    limit = path / "memory.max"
    (limit if limit.exists() else path / "memory.limit_in_bytes").write_text(str(ROOM))
    yield path
    end = time.monotonic() + 5
    while path.exists() and time.monotonic() < end:
        try:
            path.rmdir()
        except OSError:
            time.sleep(0.05)
    assert not path.exists(), (path / "cgroup.procs").read_text()


def test_what_the_kernel_kills_for_want_of_memory_is_told_apart_from_other_kills(starving, tmp_path):
    """Also in a partner, where it is a condition, and the fallback goes on."""
    fallback = 'fallback = "classif.featureless"'
    learners = [
        LEARNER.format(deed="devour", encapsulate="none", more=""),
        LEARNER.format(deed="kill_self", encapsulate="none", more=""),
        LEARNER.format(deed="devour", encapsulate="process", more=fallback),
        LEARNER.format(deed="nothing", encapsulate="none", more=""),
    ]
    (tmp_path / "design.toml").write_text(DESIGN + "".join(learners))
    shutil.copy(HERE / "nasty_learners.py", tmp_path)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "BATCHML_STATE": str(tmp_path / "state"),
        "BATCHML_TRUSTED_MODULES": "nasty_learners",
    }

    def batchml(*words):
        code = "import sys, runpy; sys.argv[0] = 'batchml'; runpy.run_module('batchml', run_name='__main__')"
        enter = f"import os; open({str(starving / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); {code}"
        return subprocess.run(
            [sys.executable, "-c", enter, *words], cwd=tmp_path, env=environment, capture_output=True, check=False
        )

    run = batchml("run", "design.toml", "--slots", "1")
    assert run.returncode == 1, run.stderr.decode()
    jobs = {job["learner"]: job for job in json.loads(batchml("jobs", "--json").stdout)}
    assert {name: (job["outcome"], job["prediction"]) for name, job in jobs.items()} == {
        "devour, none": ("out_of_memory", None),
        "kill_self, none": ("crashed", None),
        "devour, process": ("done", "imputed"),
        "nothing, none": ("done", "full"),
    }
    assert all(job["attempts"] == 1 for job in jobs.values())
    assert jobs["devour, none"]["peak_mb"] > 300
    assert jobs["devour, process"]["peak_mb"] > 300
    log = batchml("log", str(jobs["devour, process"]["job_id"])).stdout.decode()
    assert "process exited with status -9: the kernel killed it for want of memory" in log
    told = batchml("why", str(jobs["devour, none"]["job_id"])).stdout.decode()
    assert "want of memory" in told


def test_a_group_is_killed_at_once_with_all_that_has_escaped_into_the_background():
    home = cgroup.home()
    if home is None:
        pytest.skip("no control group of version 2 can be made here")
    group = cgroup.Group.make(home, f"test-{os.getpid()}")
    program = f"""
        import os, time
        open({str(group.path / "cgroup.procs")!r}, "w").write("0")
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                os.fork()
                time.sleep(600)
        print("ready", flush=True)
        time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    end = time.monotonic() + 5
    while len(group.members()) < 7 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(group.members()) == 7
    group.kill()
    assert process.wait(5) == -9
    process.stdout.close()
    group.remove()
    assert not group.path.exists(), "only a group without living members can be removed"
    cgroup.sweep(home, f"test-{os.getpid()}")


def test_a_group_that_is_left_over_is_swept_by_its_name():
    home = cgroup.home()
    if home is None:
        pytest.skip("no control group of version 2 can be made here")
    groups = [cgroup.Group.make(home, f"{name}-{os.getpid()}-1") for name in ("left", "kept")]
    cgroup.sweep(home, f"left-{os.getpid()}")
    assert [group.path.exists() for group in groups] == [False, True]
    cgroup.tidy(home)  # whose keeper lives
    assert groups[1].path.exists() is Path("/proc/1").exists()
    groups[1].remove()
    orphan = cgroup.Group.make(home, "orphan-99999999")
    cgroup.tidy(home)
    assert not orphan.path.exists()


def test_a_folder_that_is_no_group_limits_nothing(tmp_path):
    group = cgroup.Group.make(tmp_path, "one")
    (group.path / "memory.events").write_text("low 0\nhigh 1\nmax 9\noom 2\noom_kill 3\n")
    assert group.oom_kills() == 3
    assert cgroup.Group.make(tmp_path, "two").oom_kills() is None
    assert not cgroup.enable_memory(tmp_path, "one")
