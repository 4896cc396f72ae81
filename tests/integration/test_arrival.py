"""From the start of a worker to its hello: nobody starts it twice, and one that does not come is not waited for."""

import shutil
import threading
import time

import pytest

import batchml as bm
from batchml.study import StalledWarning


def test_two_that_resume_at_the_same_time_start_one_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    url = f"sqlite:///{tmp_path}/study.db"
    slow = bm.lrn("classif.debug", sleep_train=0.1)
    with bm.Registry.create(url) as registry:
        jobs = registry.add(bm.benchmark_grid("iris", slow, bm.rsmp("cv", folds=20), seed=1))
        registry.submit(jobs, executor=bm.Local(slots=1)).stop(now=True)
        barrier, reports = threading.Barrier(2), []

        def resume():
            with bm.Registry.open(url) as mine:
                barrier.wait()
                reports.append(mine.resume(executor=bm.Local(slots=1, detach=True)))

        threads = [threading.Thread(target=resume) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        started = [submission for report in reports for submission in report.submissions]
        assert len(started) == 1
        started[0].stop(now=True)


def test_a_worker_that_gave_up_before_its_hello_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(bm.benchmark_grid("iris", "classif.tree", bm.rsmp("holdout"), seed=1))
        shutil.rmtree(tmp_path / "study.db.artifacts")
        submission = registry.submit(executor=bm.Local(slots=1))
        assert submission.handles[0].wait(60)
        begin = time.monotonic()
        with pytest.warns(StalledWarning, match="1 queued job has no worker"):
            assert registry.wait(60) is False
        assert time.monotonic() - begin < 10, "a worker may take 30 s to come, but this one has gone"
        assert "cannot be read on this machine" in submission.last_words()
