"""An experiment as a worker is handed it, of any learner: for tests of what runs its iterations."""

from batchml.core.attempt import Experiment
from batchml.core.catalog import rsmp, tsk
from batchml.core.digest import digest
from batchml.core.learner import as_learner
from batchml.core.measure import as_measure
from batchml.data.tables import write_table


def made_experiment(folder, learner, number, task="iris", measures=("classif.acc",), *, store_models=False, **settings):
    """Return an experiment by three folds; the table of the task is in `folder`, unless it lies elsewhere.

    `settings` are further ones of `Experiment`.
    """
    task, learner, resampling = tsk(task) if isinstance(task, str) else task, as_learner(learner), rsmp("cv", folds=3)
    if not task.backend.lazy:
        write_table(folder, task.backend)
    return Experiment(
        id=number,
        digest=digest([task.digest, learner.hash, resampling.family_digest]),
        task=task.spec(),
        learner=learner.model_spec(),
        policy=learner.policy_spec(store_models=store_models),
        resampling=resampling.spec(),
        measures=tuple((row, as_measure(key).spec()) for row, key in enumerate(measures, start=1)),
        **{"seed": 42, **settings},
    )
