"""Whatever is killed, stopped, cut or skewed: nothing is lost, and nothing runs after its result was committed.

The showpiece: ``make chaos`` torments each database for ten minutes, the suite for half a minute. ``SEED=7 MINUTES=10
DATABASE=postgresql make chaos`` repeats the deeds of a seed in their order, if not their moments and victims.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import time
from pathlib import Path

import pytest
from chaos_bases import BASES, Sqlite
from chaos_demon import Demon
from chaos_stage import LEASE_S, Stage
from chaos_witness import CELLS

MINUTES = float(os.environ.get("MINUTES") or 0.5)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10_000))
DATABASES = (os.environ.get("DATABASE") or "sqlite postgresql").split()
REPEATS = max(20, int(200 * MINUTES))
DEEDS = 8 * MINUTES
REPORTS = os.environ.get("CHAOS_REPORTS")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The predictions of an undisturbed run."""
    folder = tmp_path_factory.mktemp("calm")
    stage = Stage(folder, Sqlite(folder).url, REPEATS)
    (folder / "hurry").touch()
    stage.finish("run", "design.toml", "--slots", "2", patience_s=120 + 120 * MINUTES)
    return stage.predictions()


@pytest.fixture
def base(request, tmp_path):
    base = BASES[request.param](tmp_path)
    try:
        base.start()
        yield base
    finally:
        base.stop()


@pytest.mark.slow
@pytest.mark.timeout(300 + 300 * MINUTES)
@pytest.mark.parametrize("base", DATABASES, indirect=True)
def test_nothing_is_lost_and_nothing_is_done_twice_whatever_happens(base, tmp_path, calm, capsys):
    stage = Stage(tmp_path / "stage", base.url, REPEATS)
    create(stage)
    demon = Demon(stage, base, SEED)
    with capsys.disabled():
        print(f"\nchaos on {base.name}, SEED={SEED} MINUTES={MINUTES:g} ...")
    try:
        demon.run(60 * MINUTES, DEEDS)
        finish(stage)
        survivors = stage.remaining()
        said = verdict(stage, calm, demon)
    finally:
        report(demon, base, tmp_path, capsys)
        stage.kill_all()
    assert len(demon.deeds) >= DEEDS, "the jobs came to an end before the demon had begun"
    assert survivors == {}, "no process is left alive"
    assert not said, "\n".join(said)


def create(stage):
    import batchml as bm

    bm.Registry.create(stage.url, seed=1, artifacts=stage.environment["BATCHML_ARTIFACTS"]).close()


def finish(stage):
    """What a user does the morning after."""
    for _ in range(6):
        if stage.ask("select count(*) from job where state = 'error'")[0][0]:
            stage.finish("retry", "--state", "error")
        stage.finish("resume", statuses=(0, 1))
        if not stage.ask("select count(*) from job where state <> 'done'")[0][0]:
            return


def report(demon, base, folder, capsys):
    """Print what was inflicted, and keep it as a file."""
    work = f"{CELLS * REPEATS} jobs, of which {demon.left} were left at the end"
    what = f"SEED={SEED} MINUTES={MINUTES:g}, {len(demon.deeds)} deeds, {work}"
    text = f"chaos on {base.name}, {what}:\n{demon.report()}\n"
    file = Path(REPORTS or folder) / f"chaos-{base.name}-{SEED}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    with capsys.disabled():
        print(f"\n{text.partition(chr(10) * 2)[0]}\nthe whole list: {file}")


def verdict(stage, calm, demon):
    """Say what is wrong, in sentences."""
    wrong = []
    n = CELLS * REPEATS
    states = stage.ask("select state, count(*) from job group by state")
    if states != [("done", n)]:
        wrong.append(f"of {n} jobs not all are done: {states}")
    if stage.predictions() != calm:
        wrong.append("predictions differ from those of an undisturbed run")
    if opened := stage.open_attempts():
        wrong.append(f"{opened} attempts are open")
    wrong += compare(stage, demon)
    again = stage.witness().repeated
    if again > demon.exposed:
        wrong.append(f"{again} executions were repeated, but only {demon.exposed} attempts were open at a kill")
    return wrong


def compare(stage, demon):
    """Compare the registry with the witness, cell by cell."""
    witness = stage.witness()
    tries = dict(
        stage.ask("select job_id, count(*) from attempt where outcome <> 'released' group by job_id"),
    )
    superseded = {job for (job,) in stage.ask("select job_id from attempt where outcome = 'superseded'")}
    rows = stage.ask(
        "select l.body, a.ended_at, a.job_id, w.pid from result r join attempt a on a.id = r.attempt_id "
        "join log l on l.attempt_id = a.id join worker w on w.id = a.worker_id"
    )
    since_boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    seen = set()
    for body, ended_at, job, pid in rows:
        (cell,) = {line.split()[1] for line in body.splitlines() if line.startswith("cell ")}
        seen.add(cell)
        # A file is written by the worker's clock.
        skew = demon.skews.get(pid, 0) if stage.url.startswith("sqlite") else 0
        committed = seconds(ended_at) - skew - since_boot
        starts = [moment for moment, _ in witness.starts[cell]]
        if not witness.ends[cell]:
            yield f"{cell} has a result and never ended"
        if len(starts) > tries[job]:
            yield f"{cell} was started {len(starts)} times in {tries[job]} attempts"
        late = max(starts) - committed
        # A successor of a late result may have it in hand still: it is told with its next beat.
        if late > (LEASE_S if job in superseded else 0.05):
            yield f"{cell} (job {job}) was started {late:.2f} s after its result was committed"
    if len(seen) != CELLS * REPEATS or set(witness.starts) != seen:
        yield f"{len(seen)} cells have results, {len(witness.starts)} were started, of {CELLS * REPEATS}"


def seconds(moment):
    moment = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
