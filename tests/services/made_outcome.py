"""What an attempt came to, made up: for tests of what carries outcomes."""

from batchml.core.attempt import Ending, JobResult, Outcome


def outcome(assignment, ending=Ending.DONE):
    """Return a finished attempt with a score of 0.5 by each measure, or one that ended otherwise."""
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    done = JobResult(completeness="full", predictions={"test": b"arrow"}, scores=scores, n=10)
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        wall_s=0.01,
        message=None if ending is Ending.DONE else str(ending),
        result=done if ending is Ending.DONE else None,
    )
