import numpy as np
import pandas as pd
import pytest

from batchml.core.catalog import lrn
from batchml.core.intake import as_task_classif, as_task_regr
from batchml.errors import ConfigError

LABELS = ["a", "b", "b", "c", "b", "a", "c"]


@pytest.fixture
def toy():
    return as_task_classif(pd.DataFrame({"x": np.arange(7.0), "y": LABELS}), target="y", id="toy")


def test_mode_predicts_the_majority_and_the_shares(toy):
    prediction = lrn("classif.featureless", predict_type="prob").train(toy).predict(toy)
    assert list(prediction.response) == ["b"] * 7
    assert np.allclose(prediction.prob.iloc[0], [2 / 7, 3 / 7, 2 / 7])


def test_ties_are_broken_by_the_seed_alone():
    task = as_task_classif(pd.DataFrame({"x": [1.0, 2, 3, 4], "y": ["a", "b", "a", "b"]}), target="y")
    said = {seed: lrn("classif.featureless").train(task, seed=seed).predict(task).response[0] for seed in range(20)}
    assert set(said.values()) == {"a", "b"}
    assert said == {
        seed: lrn("classif.featureless").train(task, seed=seed).predict(task).response[0] for seed in range(20)
    }


def test_sampling_is_equal_or_by_shares(toy):
    for method, prob in (("sample", [1 / 3] * 3), ("weighted.sample", [2 / 7, 3 / 7, 2 / 7])):
        learner = lrn("classif.featureless", method=method, predict_type="prob").train(toy, seed=2)
        big = learner.predict(toy, np.tile(np.arange(7), 400))
        assert np.allclose(big.prob.iloc[0], prob)
        shares = pd.Series(big.response).value_counts(normalize=True).sort_index()
        assert np.allclose(shares, prob, atol=0.05)


def test_an_unknown_method_is_refused(toy):
    with pytest.raises(ConfigError, match="did you mean 'mode'"):
        lrn("classif.featureless", method="mod").train(toy)


def test_regression_predicts_mean_and_sd_or_median_and_mad():
    task = as_task_regr(pd.DataFrame({"x": np.arange(5.0), "y": [1, 2, 4, 8, 100]}), target="y")
    plain = lrn("regr.featureless", predict_type="se").train(task).predict(task)
    assert (plain.response[0], plain.se[0]) == pytest.approx((23, 43.1277173056956))
    robust = lrn("regr.featureless", predict_type="se", robust=True).train(task).predict(task)
    assert (robust.response[0], robust.se[0]) == pytest.approx((4, 4.4478))


def test_no_feature_is_used(toy):
    learner = lrn("classif.featureless").train(toy)
    assert learner.selected_features() == []
    assert learner.importance().to_dict() == {"x": 0}
