"""Several sessions that resume the same registry at the same time start its workers once."""

import threading

import batchml as bm


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
