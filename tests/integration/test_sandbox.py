"""Whatever a learner does, its job gets the right outcome, the next one its result, and nothing is left running."""

import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_experiment import made_experiment

from batchml.core.attempt import Assignment, Ending
from batchml.core.catalog import lrn, rsmp, tsk
from batchml.core.intake import as_task_classif
from batchml.core.learner import as_learner
from batchml.core.measure import as_measure
from batchml.core.seed import derive
from batchml.core.trust import Trust
from batchml.data.artifacts import ArtifactFolder
from batchml.errors import PoolError
from batchml.execution import iteration
from batchml.execution.sandbox import proc
from batchml.worker.slots import SandboxPool

pytestmark = pytest.mark.filterwarnings("ignore:.*in a session the time limit:UserWarning")

HERE = Path(__file__).parent
PATIENCE = 15.0


@pytest.fixture(scope="module", autouse=True)
def own_modules():
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ArtifactFolder(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def experiment(folder):
    """Return experiments of the debug task and any learner."""
    count = 0

    def make(learner, *given, **settings):
        nonlocal count
        count += 1
        return made_experiment(folder, learner, count, *given, **settings)

    return make


@pytest.fixture(scope="module")
def nasty(experiment):
    import nasty_learners

    def make(deed="nothing", timeout=None, **params):
        learner = as_learner(nasty_learners.Nasty(deed=deed, **params), preprocess="none")
        if timeout is not None:
            learner.timeout = {"train": timeout}
        return experiment(learner)

    return make


@pytest.fixture(scope="module")
def make_pool(folder):
    pools = []
    trust = Trust.default().with_modules(("nasty_learners",))

    def make(slots=1, **options):
        pools.append(SandboxPool(slots, folder.root, trust, [HERE], **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        assert proc.tagged(pool._family.tag) == []


@pytest.fixture
def start(make_pool):
    """Return pools that are closed when the test is over."""
    pools = []

    def make(slots=1, **options):
        pools.append(make_pool(slots, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture(scope="module")
def pool(make_pool):
    return make_pool()


class Numbers:
    last = 0


def assign(experiment, iteration=0, **fields):
    Numbers.last += 1
    return Assignment(
        attempt_id=Numbers.last, job_id=Numbers.last + 1000, iteration=iteration, experiment=experiment, **fields
    )


def run(pool, experiment, iteration=0):
    """Run one job and return its outcome."""
    assignment = assign(experiment, iteration)
    pool.submit(assignment)
    (outcome,) = wait(pool, 1)
    assert (outcome.attempt_id, outcome.job_id) == (assignment.attempt_id, assignment.job_id)
    return outcome


def wait(pool, count):
    outcomes = []
    deadline = time.monotonic() + PATIENCE
    while len(outcomes) < count and time.monotonic() < deadline:
        outcomes += pool.wait(1.0)
    assert len(outcomes) == count, f"only {len(outcomes)} of {count} came back"
    return outcomes


def strangers(pool):
    """Return what of the family is neither template nor a keeper with its slot."""
    time.sleep(0.05)
    keepers = [seat.handle.keeper for seat in pool._seats]
    slots = [child for keeper in keepers for child in proc.child_pids(keeper)]
    return [
        pid
        for pid in proc.descendants()
        if pid in proc.tagged(pool._family.tag) and pid not in (*keepers, *slots, pool._family.pid)
    ]


def daemons():
    """Return the commands that nasty learners leave behind, tagged or not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"987654" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def good(experiment, pool):
    """Return the outcome of a well-behaved job, and a function that asserts that the next one equals it."""
    tree = experiment(lrn("classif.tree"))
    first = run(pool, tree)
    assert first.ending is Ending.DONE

    def check(pool=pool):
        again = run(pool, tree)
        assert again.ending is Ending.DONE, again
        assert again.dirty == ()
        assert again.result == first.result
        assert daemons() == []
        assert strangers(pool) == []

    return check


def test_a_job_gives_what_the_session_gives(pool, experiment):
    tree = experiment(lrn("classif.tree"))
    outcome = run(pool, tree, 1)
    task, learner = tsk("iris"), lrn("classif.tree")
    resampling = rsmp("cv", folds=3).instantiate(task, seed=42)
    seed = derive(42, "job", tree.digest, 1)
    here = iteration.run(task, learner, resampling, 1, job_seed=seed, measures=[as_measure("classif.acc")])
    assert outcome.result.predictions["test"] == here.predictions["test"].to_arrow()
    assert outcome.result.scores == ((1, here.scores["classif.acc"]),)
    assert outcome.result.completeness == "full"
    assert outcome.result.n == 50
    assert outcome.wall_s > outcome.fit_s > 0
    assert outcome.cpu_s > 0
    assert 50 < outcome.peak_mb < 1000
    assert outcome.threads == 1


ENDINGS = [
    # deed, ending, signal, in message or error type, in the log, dirty
    ("crash", Ending.CRASHED, 11, "status -11", "Segmentation fault", None),
    ("abort", Ending.CRASHED, 6, "status -6", "Aborted", None),
    ("leave", Ending.CRASHED, None, "status 3", "", None),
    ("leave_well", Ending.CRASHED, None, "status 0", "", None),
    ("kill_self", Ending.CRASHED, 9, "SIGKILL", "", None),
    ("kill_group", Ending.CRASHED, 9, "SIGKILL", "", None),
    ("kill_parent", Ending.CRASHED, None, "killed from within", "", None),
    ("close_descriptors", Ending.CRASHED, None, "closes descriptors", "", None),
    ("raise_value_error", Ending.LEARNER_ERROR, None, "ValueError", "", ()),
    ("raise_unspeakable", Ending.LEARNER_ERROR, None, "Unspeakable", "", ()),
    ("interrupt", Ending.LEARNER_ERROR, None, "KeyboardInterrupt", "", ()),
    ("exit_python", Ending.LEARNER_ERROR, None, "SystemExit", "", ()),
    ("recurse", Ending.LEARNER_ERROR, None, "RecursionError", "", ()),
    ("run_out_of_memory", Ending.OUT_OF_MEMORY, None, "MemoryError", "", ()),
    ("fork", Ending.DONE, None, "", "", None),
    ("fork_and_raise", Ending.DONE, None, "", "", None),
    ("daemon", Ending.DONE, None, "", "", ("processes",)),
    ("daemon_and_crash", Ending.CRASHED, 11, "status -11", "", None),
    ("daemon_and_kill_parent", Ending.CRASHED, None, "killed from within", "", None),
    ("write_frames", None, None, "", "", None),
    ("print_rubbish", Ending.DONE, None, "", "a\N{REPLACEMENT CHARACTER}b", ()),
    ("print_in_c", Ending.DONE, None, "", "from the C library", ()),
    ("raise_on_overflow", Ending.DONE, None, "", "", ("numpy error state",)),
    ("handle_signals", Ending.DONE, None, "", "", ("signal handlers",)),
    ("disable_logging", Ending.DONE, None, "", "", ("logging",)),
    ("leak_thread", Ending.DONE, None, "", "", ("threads",)),
    ("leak_descriptor", Ending.DONE, None, "", "", ("file descriptors",)),
    ("set_timer", Ending.DONE, None, "", "", ("timer",)),
]


@pytest.mark.parametrize(("deed", "ending", "signum", "message", "log", "dirty"), ENDINGS, ids=[e[0] for e in ENDINGS])
def test_a_nasty_learner_costs_its_own_job_only(pool, nasty, good, deed, ending, signum, message, log, dirty):
    outcome = run(pool, nasty(deed))
    assert ending in (None, outcome.ending), outcome
    assert outcome.signal == signum
    assert message in f"{outcome.message} {outcome.error_type}"
    assert log in outcome.log
    assert dirty in (None, outcome.dirty)
    for text in (outcome.message or "", outcome.log, outcome.traceback or ""):
        assert not re.search("[\0\ud800-\udfff]", text)
    good()


@pytest.mark.parametrize(("how", "message"), [("short", "49"), ("unknown", "unheard of"), ("none", "")])
def test_a_prediction_that_makes_no_sense_is_the_learners_error(pool, nasty, good, how, message):
    outcome = run(pool, nasty(how=how))
    assert outcome.ending is Ending.LEARNER_ERROR
    assert message in outcome.message
    good()


@pytest.mark.parametrize("deed", ["sleep", "swallow", "loop_in_a_pattern", "loop_in_c", "stubborn_child"])
def test_a_limit_ends_whatever_hangs(pool, nasty, good, deed):
    begin = time.monotonic()
    outcome = run(pool, nasty(deed, timeout=0.3))
    assert outcome.ending is Ending.TIMEOUT
    assert "time limit" in outcome.message
    assert time.monotonic() - begin < 10
    where = f"{outcome.log} {outcome.traceback}"
    assert "nasty_learners.py" in where, "the log tells where it hung"
    good()


@pytest.mark.parametrize("deed", ["stop_parent", "stop_parent_and_swallow"])
def test_a_learner_that_stops_its_keeper_is_ended_too(pool, nasty, good, experiment, deed):
    outcome = run(pool, nasty(deed, timeout=0.2))
    assert outcome.ending is Ending.TIMEOUT
    assert run(pool, experiment(lrn("classif.tree", encapsulate="process"))).ending is Ending.DONE
    good()


def test_a_gigabyte_of_output_leaves_its_head_and_its_tail(pool, nasty, good):
    begin = time.monotonic()
    outcome = run(pool, nasty("print_a_gigabyte"))
    assert outcome.ending is Ending.DONE
    assert outcome.log.startswith("the beginning\n")
    assert outcome.log.endswith("\nthe end\n")
    assert "bytes left out" in outcome.log
    assert len(outcome.log) < 200_000
    assert time.monotonic() - begin < 30
    good()


def test_folder_environment_and_warnings_filters_are_set_before_each_job(pool, nasty, good):
    assert run(pool, nasty("change_folder_and_environment")).dirty == ()
    assert run(pool, nasty("look_around")).ending is Ending.DONE
    good()


def test_what_one_job_prints_is_not_in_the_log_of_the_next(start, nasty, experiment):
    pool = start()
    printing, silent = nasty("print_in_c"), nasty("nothing")
    for _ in range(20):
        for one in (printing, silent):
            pool.submit(assign(one, expected_s=0.001))
            if not pool.free:
                break
        for outcome in wait(pool, len(pool.running)):
            printed = outcome.log.count("from the C library")
            assert printed <= 1
    assert pool.close() == []


def test_memory_is_measured_per_job(pool, nasty):
    small = run(pool, nasty("nothing")).peak_mb
    big = run(pool, nasty("allocate")).peak_mb
    assert big > small + 290
    assert abs(run(pool, nasty("nothing")).peak_mb - small) < 50


@pytest.mark.parametrize(("deed", "ending"), [("eat_and_crash", Ending.CRASHED), ("eat_and_hang", Ending.TIMEOUT)])
def test_what_a_job_took_is_known_even_if_it_does_not_live_to_report(pool, nasty, deed, ending):
    outcome = run(pool, nasty(deed, timeout=2.0 if ending is Ending.TIMEOUT else None))
    assert outcome.ending is ending
    assert outcome.peak_mb > 300
    assert 0.05 < outcome.cpu_s < 10
    assert 0.05 < outcome.fit_s <= outcome.wall_s
    assert outcome.predict_s is None
    assert outcome.threads == 1


def test_a_partner_that_dies_is_counted_to_its_job(pool, nasty):
    bad = nasty("eat_and_crash")
    learner = lrn("classif.debug", encapsulate="process")
    outcome = run(pool, replace(bad, id=bad.id + 10_000, policy=learner.policy_spec()))
    assert outcome.ending is Ending.DONE
    assert outcome.peak_mb > 300
    assert outcome.cpu_s > 0.05


def test_a_partner_that_takes_too_much_leaves_its_slot_alive(start, nasty, good):
    pool = start(memory_mb=700)
    bad = nasty("eat_in_children")
    learner = lrn("classif.debug", encapsulate="process", fallback="classif.featureless")
    outcome = run(pool, replace(bad, id=bad.id + 10_000, policy=learner.policy_spec()))
    assert outcome.ending is Ending.DONE, outcome
    assert outcome.result.completeness == "imputed"
    (error,) = [one for one in outcome.conditions if one.level == "error"]
    assert error.kind == "out_of_memory"
    assert "more than its limit of 700 MB" in error.message
    outcome = run(pool, bad)
    assert outcome.ending is Ending.OUT_OF_MEMORY
    assert "more than its limit of 700 MB" in outcome.message
    good(pool)
    pool.close()


def test_a_memory_limit_is_a_memory_error(start, nasty, good):
    pool = start(memory_mb=700)
    outcome = run(pool, nasty("eat"))
    assert outcome.ending is Ending.OUT_OF_MEMORY, outcome
    good(pool)
    pool.close()


def test_a_job_limit_counts_the_whole_job(start, nasty):
    pool = start(timeout_s=0.5)
    outcome = run(pool, nasty("sleep"))
    assert outcome.ending is Ending.TIMEOUT
    assert "job's time limit of 0.5 s" in outcome.message
    pool.close()


def test_large_results_go_through_memory(start, experiment):
    import numpy as np
    import pandas as pd

    from batchml.core.task import as_task_regr

    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=90_000), "y": rng.normal(size=90_000)})
    pool = start()
    outcome = run(pool, experiment(lrn("regr.featureless"), as_task_regr(frame, "y", id="big"), ["regr.mse"]))
    assert outcome.ending is Ending.DONE
    assert outcome.result.n == 30_000
    assert len(outcome.result.predictions["test"]) > 300_000
    pool.close()


def test_models_are_stored_as_pickles_and_one_that_cannot_be_costs_only_itself(pool, experiment, nasty):
    import pickle

    from batchml.core.signing import make_key

    make_key()  # as the submitting user's side does
    for encapsulate in ("none", "process"):
        learner = lrn("classif.tree", encapsulate=encapsulate)
        outcome = run(pool, experiment(learner, store_models=True))
        assert pickle.loads(outcome.result.model) is not None
    locked = nasty("hold_a_lock")
    outcome = run(pool, replace(locked, policy={**locked.policy, "store_models": True}))
    assert outcome.ending is Ending.DONE
    assert outcome.result.model is None
    assert "cannot be stored" in outcome.conditions[-1].message


@pytest.mark.parametrize(
    "deed", ["crash", "kill_self", "kill_parent", "leave", "daemon_and_crash", "swallow", "close_descriptors"]
)
def test_in_a_partner_the_worst_is_a_condition_and_the_fallback_stands_in(pool, nasty, good, deed):
    import nasty_learners

    from batchml.core.learner import as_learner as wrap

    bad = nasty(deed)
    learner = wrap(nasty_learners.Nasty(deed=deed), preprocess="none")
    learner.encapsulate = "process"
    learner.fallback = "classif.featureless"
    learner.timeout = {"train": 0.5}
    outcome = run(pool, replace(bad, id=bad.id + 10_000, policy=learner.policy_spec()))
    if deed == "kill_parent":  # the keeper is the partner's parent, and the slot's
        assert outcome.ending is Ending.CRASHED
    else:
        assert outcome.ending is Ending.DONE, outcome
        assert outcome.result.completeness == "imputed"
        assert [c.kind for c in outcome.conditions if c.level == "error"] == [
            "timeout" if deed == "swallow" else "died"
        ]
    good()


def test_an_unknown_class_is_a_config_error_and_missing_data_infrastructure(pool, experiment, nasty, good):
    base = experiment(lrn("classif.tree"))
    known = nasty("nothing")
    gone = replace(known, learner=json.loads(json.dumps(known.learner).replace("learners.Nasty", "learners.Gone")))
    assert run(pool, gone).ending is Ending.CONFIG_ERROR
    data = {**base.task["data"], "digest": "0" * 64}
    lost = replace(base, id=base.id + 20_001, task={**base.task, "data": data})
    assert run(pool, lost).ending is Ending.INFRASTRUCTURE
    good()


def test_signals_to_the_whole_family_end_nothing(pool, nasty, good):
    good()
    members = proc.tagged(pool._family.tag)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        proc.send(members, signum)
    time.sleep(0.1)
    assert proc.tagged(pool._family.tag) == members
    good()


def test_a_template_whose_imports_start_threads_begins_again_without_them(start, nasty):
    pool = start(imports=["threaded_import", "batchml.execution.sandbox.slot"])
    outcome = run(pool, nasty("nothing"))
    assert outcome.ending is Ending.DONE, outcome
    assert outcome.dirty == ()
    assert proc.thread_count(pool._family.pid) == 1


def test_a_template_that_cannot_start_is_an_infrastructure_error(start, nasty, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    pool = start()
    outcome = run(pool, nasty("nothing"))
    assert outcome.ending is Ending.INFRASTRUCTURE
    assert "template" in outcome.message


@pytest.mark.parametrize("deed", ["raise ImportError('no such library here')", "import os; os._exit(3)"])
def test_slots_that_never_come_up_end_the_pool_with_their_last_words(start, nasty, deed, tmp_path, monkeypatch):
    (tmp_path / "stillborn.py").write_text(deed)
    monkeypatch.syspath_prepend(tmp_path)
    pool = start(2, runner="stillborn:Runner")
    for number in range(2):
        pool.submit(assign(nasty("nothing"), number))
    outcomes = wait(pool, 2)
    assert {outcome.ending for outcome in outcomes} == {Ending.INFRASTRUCTURE}
    for outcome in outcomes:
        assert outcome.message.startswith("6 slots in a row died before their first job")
        assert ("ImportError: no such library here" in outcome.message) == ("raise" in deed)
    assert pool.free == 0
    with pytest.raises(PoolError, match="slots in a row died"):
        pool.wait(1.0)


@pytest.mark.parametrize("victim", ["template", "keeper", "slot"])
def test_any_of_the_family_may_be_killed_from_outside(start, nasty, good, victim):
    pool = start()
    good(pool)
    keeper = pool._seats[0].handle.keeper
    pid = {"template": pool._family.pid, "keeper": keeper, "slot": proc.child_pids(keeper)[0]}[victim]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
    good(pool)
    os.kill(pool._seats[0].handle.keeper, signal.SIGKILL)
    time.sleep(0.05)
    good(pool)
    assert pool.close() == []


def test_a_job_can_be_cancelled_and_what_runs_at_the_end_is_preempted(start, nasty, good):
    pool = start(slots=2)
    first, second = assign(nasty("stubborn_child")), assign(nasty("sleep"))
    pool.submit(first)
    pool.submit(second)
    assert pool.free == 0
    with pytest.raises(RuntimeError, match="free"):
        pool.submit(assign(nasty("nothing")))
    pool.wait(1.5)
    pool.cancel(first.attempt_id, Ending.CANCELLED)
    pool.cancel(12345678, Ending.CANCELLED)
    (outcome,) = wait(pool, 1)
    assert (outcome.attempt_id, outcome.ending) == (first.attempt_id, Ending.CANCELLED)
    assert daemons() == []
    (outcome,) = pool.close()
    assert (outcome.attempt_id, outcome.ending) == (second.attempt_id, Ending.PREEMPTED)
    assert pool.close() == []


def test_short_jobs_are_sent_ahead_and_taken_back_when_the_one_before_hangs(start, experiment, nasty):
    pool = start(slots=2)
    quick, slow = experiment(lrn("classif.featureless")), nasty("sleep", timeout=3.0)
    run(pool, quick)
    hanging = assign(slow, expected_s=0.001)
    pool.submit(hanging)
    for _ in range(40):
        while pool.free:
            pool.submit(assign(quick, expected_s=0.001))
        for outcome in pool.wait(0.2):
            assert outcome.attempt_id != hanging.attempt_id
            assert outcome.ending is Ending.DONE
    left = [attempt for attempt in pool.running if attempt != hanging.attempt_id]
    assert {outcome.attempt_id for outcome in wait(pool, len(left))} == set(left)
    assert list(pool.running) == [hanging.attempt_id]
    (outcome,) = wait(pool, 1)
    assert outcome.ending is Ending.TIMEOUT
    pool.close()


def test_a_crash_does_not_take_along_what_was_sent_ahead(start, experiment, nasty):
    pool = start()
    crash, quick = nasty("crash"), experiment(lrn("classif.featureless"))
    run(pool, quick)
    outcomes, sent = {}, {}
    for number in range(60):
        one = assign(crash if number % 3 == 0 else quick, expected_s=0.001)
        sent[one.attempt_id] = one
        while not pool.free:
            outcomes |= {outcome.attempt_id: outcome for outcome in pool.wait(1.0)}
        pool.submit(one)
    while pool.running:
        outcomes |= {outcome.attempt_id: outcome for outcome in pool.wait(1.0)}
    for attempt, one in sent.items():
        expected = Ending.CRASHED if one.experiment is crash else Ending.DONE
        assert outcomes[attempt].ending is expected
    pool.close()


def test_a_job_that_came_without_its_experiment_is_sent_again_with_it(start, experiment):
    """The one that carried it was recalled while the slot took the next."""
    pool = start()
    quick = experiment(lrn("classif.featureless"))
    handle = pool._seats[0].handle
    handle.known[pool._experiments.of(quick)[0]] = None
    lost = assign(quick)
    pool.submit(lost)
    while pool._seats[0].running is not None:
        pool._watch.poll(1.0)
    handle.known.clear()
    (outcome,) = wait(pool, 1)
    assert (outcome.attempt_id, outcome.ending) == (lost.attempt_id, Ending.DONE)
    pool.close()


def test_what_waits_behind_a_job_that_takes_long_is_given_back(start, experiment, nasty):
    pool = start()
    quick, slow = experiment(lrn("classif.featureless")), nasty("sleep", timeout=3.0)
    run(pool, quick)
    hanging = assign(slow, expected_s=0.001)
    pool.submit(hanging)
    behind = set()
    while pool.room:
        behind.add((one := assign(quick, expected_s=0.001)).attempt_id)
        pool.submit(one)
    assert len(behind) > 5
    outcomes = wait(pool, len(behind))
    assert {outcome.attempt_id for outcome in outcomes} == behind
    assert {outcome.ending for outcome in outcomes} == {Ending.RELEASED}
    (outcome,) = wait(pool, 1)
    assert (outcome.attempt_id, outcome.ending) == (hanging.attempt_id, Ending.TIMEOUT)
    pool.close()


def test_good_jobs_among_nasty_ones_give_what_they_give_alone(start, experiment, nasty):
    pool = start(slots=2)
    tree = experiment(lrn("classif.tree"))
    alone = {i: run(pool, tree, i).result for i in range(3)}
    deeds = [deed for deed, *_ in ENDINGS if deed not in ("write_frames", "kill_parent")]
    bad = [nasty(deed) for deed in deeds]
    work = [assign(one, expected_s=0.001) for pair in zip([tree] * len(bad), bad, strict=True) for one in pair]
    work = [replace(one, iteration=number % 3) for number, one in enumerate(work)]
    outcomes = {}
    todo = list(work)
    while todo or pool.running:
        while todo and pool.free:
            pool.submit(todo.pop())
        outcomes |= {outcome.attempt_id: outcome for outcome in pool.wait(1.0)}
    for one in work:
        if one.experiment is tree:
            assert outcomes[one.attempt_id].result == alone[one.iteration]
    assert pool.close() == []
    assert daemons() == []


def test_a_mapped_file_that_is_cut_short_is_named(pool, experiment, tmp_path):
    import nasty_learners

    path = tmp_path / "t.arrow"
    table = pa.table({"x": np.arange(200_000.0), "g": ["a", "b"] * 100_000})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    learner = as_learner(nasty_learners.Nasty(deed="shorten_data"), preprocess="none")
    outcome = run(pool, experiment(learner, as_task_classif(path, "g", id="t")))
    assert (outcome.ending, outcome.error_type) == (Ending.CONFIG_ERROR, "DataError")
    assert f"the data file '{path}' has changed since the design was added" in outcome.message
    assert "1024 now" in outcome.message
    assert run(pool, experiment("classif.featureless")).ending is Ending.DONE
