"""What supervisor and Dask worker say to each other survives the way, and nonsense is refused."""

from __future__ import annotations

import pytest

from batchml.core.attempt import Assignment, Ending
from batchml.testing import make_experiment, make_outcome
from batchml.worker.dask_bundle import Bundle, Reply, Setup, tables_of


def assignments(n):
    experiments = [make_experiment(1), make_experiment(2)]
    return tuple(
        Assignment(
            attempt_id=i, job_id=i + 10, iteration=i, experiment=experiments[i % 2], alone=i == 2, expected_s=0.1
        )
        for i in range(n)
    )


def test_a_bundle_comes_as_it_was_sent():
    setup = Setup(registry="ab", artifacts="/x", trust=("a",), paths=("/p",), needs={"cpus": 2}, memory_mb=5.0)
    bundle = Bundle(setup=setup.as_text(), topic="t", assignments=assignments(5))
    assert Bundle.decode(bundle.encode()) == bundle
    assert Setup.from_text(bundle.setup) == setup


def test_experiments_that_iterations_share_are_written_once():
    few, many = (len(Bundle(setup="", topic="", assignments=assignments(n)).encode()) for n in (2, 30))
    assert many < 5 * few


def test_a_reply_comes_as_it_was_sent():
    outcomes = [make_outcome(one, Ending.DONE, wall_s=0.5) for one in assignments(3)]
    reply = Reply(worker="tcp://a", outcomes=outcomes)
    assert Reply.decode(reply.encode()) == reply
    assert Reply.decode(Reply(worker="w", unfit="no", missing=("d",)).encode()).missing == ("d",)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 100, {"a": 1}, None])
def test_what_is_no_reply_is_refused(content):
    with pytest.raises((ValueError, TypeError)):
        Reply.decode(content)


def test_a_torn_reply_is_refused():
    whole = Reply(worker="w", outcomes=[make_outcome(one, Ending.DONE, wall_s=0.5) for one in assignments(2)]).encode()
    with pytest.raises(ValueError, match="damaged"):
        Reply.decode(whole[:-3])


def test_only_tables_among_the_artifacts_are_sent():
    from dataclasses import replace

    table = replace(make_experiment(1), task={"data": {"kind": "artifact", "digest": "d"}})
    file = replace(make_experiment(2), task={"data": {"kind": "parquet", "path": "x"}})
    assert tables_of([table, file, make_experiment(3)]) == ["d"]
