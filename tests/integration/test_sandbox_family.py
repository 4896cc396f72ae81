"""Nothing is left of a family when the process that it serves is gone, however it went."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from batchml.execution.sandbox import proc

POOL = """
import sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
import nasty_learners
from batchml.core.attempt import Assignment, Experiment
from batchml.core.catalog import rsmp, tsk
from batchml.core.learner import as_learner
from batchml.core.trust import Trust
from batchml.data.artifacts import ArtifactFolder
from batchml.data.tables import write_table
from batchml.worker.slots import SandboxPool

folder = ArtifactFolder({folder!r})
task, resampling = tsk("iris"), rsmp("cv", folds=3)
write_table(folder, task.backend)
trust = Trust.default().with_modules(("nasty_learners",))
pool = SandboxPool({slots}, folder.root, trust, [{here!r}])
for number, (deed, timeout) in enumerate({deeds!r}):
    learner = as_learner(nasty_learners.Nasty(deed=deed), preprocess="none")
    learner.timeout = {{"train": timeout}} if timeout else None
    pool.submit(Assignment(attempt_id=number, job_id=number, iteration=0, experiment=Experiment(
        id=number, digest=str(number), task=task.spec(), learner=learner.model_spec(), policy=learner.policy_spec(),
        resampling=resampling.spec(), measures=(), seed=1)))
print(pool._family.tag, pool._family.pid, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Run a script in a process of its own and return it with its family's tag and template."""
    started = []

    def run(script):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        started.append(process)
        tag, template = process.stdout.readline().split()
        return process, tag, int(template)

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def pool_script(
    tmp_path, deeds, after="while True:\n    for outcome in pool.wait(10): print(outcome.ending, flush=True)"
):
    here = str(Path(__file__).parent)
    head = POOL.format(here=here, folder=str(tmp_path), slots=len(deeds), deeds=deeds)
    return head + textwrap.dedent(after)


def until(condition, patience=20.0):
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def daemons():
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"987654" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("victims", ["supervisor", "template and supervisor", "supervisor and keepers"])
def test_a_killed_supervisor_leaves_nothing_alive_for_a_second(tmp_path, start, victims):
    others = set(daemons())
    process, tag, template = start(pool_script(tmp_path, [("stubborn_child", None), ("daemon_and_sleep", None)]))
    until(lambda: len(set(daemons()) - others) == 3)
    keepers = [pid for pid in proc.child_pids(process.pid) if pid != template]
    assert len(keepers) == 2
    if victims.startswith("template"):
        os.kill(template, signal.SIGKILL)
    process.kill()
    if victims.endswith("keepers"):
        proc.send(keepers, signal.SIGKILL)
    time.sleep(1.0)
    assert proc.tagged(tag) == []
    if not victims.endswith("keepers"):  # without its keeper, a daemon that has hidden its origin is nobody's
        assert set(daemons()) <= others
    proc.send(set(daemons()) - others, signal.SIGKILL)


def test_a_killed_session_takes_its_partner_along(start):
    script = """
    import threading, time
    from batchml.core.catalog import lrn, tsk
    from batchml.execution.sandbox import session_partner
    learner = lrn("classif.debug", sleep_train=600.0, encapsulate="process")
    threading.Thread(target=learner.train, args=(tsk("iris"),), daemon=True).start()
    while session_partner()._family is None:
        time.sleep(0.01)
    print(session_partner()._family.tag, session_partner()._family.pid, flush=True)
    time.sleep(600)
    """
    process, tag, _ = start(textwrap.dedent(script))
    until(lambda: len(proc.tagged(tag)) == 2)
    process.kill()
    time.sleep(1.0)
    assert proc.tagged(tag) == []


def test_a_session_that_ends_ends_its_partner(start):
    script = """
    from batchml.core.catalog import lrn, tsk
    from batchml.execution.sandbox import session_partner
    lrn("classif.featureless", encapsulate="process").train(tsk("iris"))
    print(session_partner()._family.tag, session_partner()._family.pid, flush=True)
    """
    process, tag, _ = start(textwrap.dedent(script))
    assert process.wait(20) == 0
    assert proc.tagged(tag) == []


def test_a_fork_of_a_session_has_a_partner_of_its_own(start):
    script = """
    import os
    from batchml.core.catalog import lrn, tsk
    from batchml.execution.sandbox import session_partner
    learner, task = lrn("classif.featureless", encapsulate="process"), tsk("iris")
    learner.train(task)
    print(session_partner()._family.tag, session_partner()._family.pid, flush=True)
    before = session_partner()._family.pid
    if os.fork() == 0:
        learner.train(task)
        assert session_partner()._family.pid != before
        session_partner().close()
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 5
    learner.train(task)
    assert session_partner()._family.pid == before
    """
    process, tag, _ = start(textwrap.dedent(script))
    assert process.wait(30) == 0
    assert proc.tagged(tag) == []


def test_time_in_which_the_supervisor_was_stopped_is_not_charged(tmp_path, start):
    process, _, _ = start(pool_script(tmp_path, [("loop_in_c", 4.0)]))
    time.sleep(2.5)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    process.send_signal(signal.SIGCONT)
    begin = time.monotonic()
    assert process.stdout.readline() == "timeout\n"
    assert time.monotonic() - begin > 0.5
