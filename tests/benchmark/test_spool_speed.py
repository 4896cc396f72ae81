"""What workers without a database cost: taking in a hundred thousand outcomes, and each job's part."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.registry.benchmarks import add
from batchml.registry.processes import here
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.worker.spool import SpoolChannel
from batchml.worker.spool_plan import open_spool
from batchml.worker.spool_segment import SpoolWorker

JOBS = 100_000
PREDICTION = bytes(1500)


def done(assignment):
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": PREDICTION}, scores=scores, n=50)
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=Ending.DONE,
        wall_s=0.01,
        fit_s=0.005,
        predict_s=0.001,
        cpu_s=0.01,
        peak_mb=100.0,
        threads=1,
        result=result,
    )


def test_taking_in_a_hundred_thousand_outcomes(tmp_path):
    with Store.create(f"sqlite:///{tmp_path / 'a.db'}", seed=1) as store:
        add(store, bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=JOBS)), "b")
        submission, _ = submit(store, resources={"spool": str(tmp_path / "spool")})
        spool = open_spool(store, submission, str(tmp_path / "spool"))
        start = time.perf_counter()
        spool.prepare(workers=4, slots=8)
        planned = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(4):
            channel = SpoolChannel(spool.folder, store.uuid, SpoolWorker(process=here(), slots=8))
            outcomes = []
            for _ in range(JOBS // 4 // 50):
                outcomes = [done(each) for each in channel.exchange(outcomes, (), 50).assignments]
            channel.exchange(outcomes, (), 0)
        written = time.perf_counter() - start
        start, cpu = time.perf_counter(), time.process_time()
        taken = spool.ingest()
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"\n{taken} outcomes taken in after {took:.1f} s (asked: under 10 s), {cpu:.1f} s of them on the processor; "
        f"dealt out in {planned:.1f} s, written in {written:.1f} s (not asked)"
    )
    assert taken == JOBS


def test_overhead_of_a_job(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    for milliseconds, count in ((2, 4000), (200, 60)):
        costs = {}
        for spool in (False, True):
            file = tmp_path / f"{milliseconds}-{spool}.db"
            with bm.Registry.create(f"sqlite:///{file}", seed=1) as registry:
                learner = bm.lrn("classif.debug", sleep_train=milliseconds / 1000)
                registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=count)), "b")
                start = time.perf_counter()
                assert registry.submit(executor=bm.Local(slots=2, spool=spool)).wait(280)
                span = time.perf_counter() - start
            with contextlib.closing(sqlite3.connect(file)) as connection:
                (work,) = connection.execute("select sum(wall_s) from attempt").fetchone()
            costs[spool] = (span * 2 - work) / count * 1000
            print(
                f"\n{'spool' if spool else 'database'}, {count} jobs of {milliseconds} ms in 2 slots: {span:.2f} s, "
                f"{costs[spool]:.2f} ms a job besides the work, the workers' start included"
            )
        print(
            f"\na job of {milliseconds} ms by spool costs {costs[True]:.2f} ms, "
            f"{costs[True] - costs[False]:+.2f} ms beside the database (asked: not more)"
        )
