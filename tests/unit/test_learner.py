import io
import logging
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky.backend.reduction import dumps as cloudpickled
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from batchml.core.catalog import lrn, tsk
from batchml.core.intake import as_task_classif, as_task_regr
from batchml.core.learner import Learner, as_learner
from batchml.core.resources import set_threads
from batchml.errors import ConfigError, DataError, LearnerError, NotTrainedError, SpecError, UnknownKeyError


class Echo(Learner):
    """Predicts the last class and tells its seed."""

    task_type = "classif"
    properties = frozenset({"twoclass", "multiclass"})

    def _fit(self, task, row_ids, *, seed):
        return {"seed": seed, "n": len(row_ids), "draw": float(np.random.rand())}  # noqa: NPY002

    def _predict(self, model, task, row_ids, *, seed):
        return {"response": [task.classes[-1]] * len(row_ids)}


class Odd(ClassifierMixin, BaseEstimator):
    """Answers what its parameter says."""

    def __init__(self, answer="short"):
        self.answer = answer

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        answers = {
            "short": lambda: self.classes_[:1],
            "unknown": lambda: np.full(len(X), "nobody"),
            "objects": lambda: np.array([object()] * len(X)),
            "none": lambda: None,
            "gaps": lambda: np.array([None, *[self.classes_[0]] * (len(X) - 1)], dtype=object),
        }
        return answers[self.answer]()


@pytest.fixture(scope="module")
def iris():
    return tsk("iris")


@pytest.fixture(scope="module")
def penguins():
    return tsk("penguins")


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


def toy(**columns):
    n = len(next(iter(columns.values())))
    return as_task_classif(pd.DataFrame({**columns, "y": (["a", "b"] * n)[:n]}), target="y", id="toy")


# Keys, objects, identity


def test_keys_estimators_classes_and_learners_all_make_learners():
    assert as_learner("classif.tree").id == "classif.tree"
    assert as_learner(DecisionTreeClassifier).id == "DecisionTreeClassifier"
    assert as_learner(LinearRegression()).task_type == "regr"
    assert as_learner(make_pipeline(StandardScaler(), LogisticRegression())).id == "StandardScaler.LogisticRegression"
    learner = lrn("classif.knn")
    assert as_learner(learner) is learner
    assert as_learner(learner, id="mine").id == "mine"
    assert learner.id == "classif.knn"


@pytest.mark.parametrize("value", [3, object(), StandardScaler(), OneHotEncoder, None])
def test_what_is_no_learner_is_refused(value):
    with pytest.raises(ConfigError):
        as_learner(value)


def test_a_key_and_its_estimator_are_the_same_model_whatever_they_are_called():
    keyed, bare = lrn("classif.tree", max_depth=3), as_learner(DecisionTreeClassifier(max_depth=3), id="x")
    assert keyed.hash == bare.hash
    assert keyed.hash != lrn("classif.tree", max_depth=4).hash
    assert keyed.hash != lrn("classif.tree", max_depth=3, predict_type="prob").hash
    assert keyed.hash != as_learner(DecisionTreeClassifier(max_depth=3), preprocess="none").hash
    assert lrn("classif.tree", max_depth=None).hash == lrn("classif.tree").hash


def test_running_it_otherwise_is_no_other_model():
    plain, careful = lrn("classif.tree"), lrn("classif.tree", encapsulate="process", timeout={"train": "2m"})
    careful.fallback = "classif.featureless"
    careful.predict_sets = ["train", "test"]
    assert plain.hash == careful.hash
    assert plain.policy_spec() == {"format": 1}
    spec = careful.policy_spec(store_models=True)
    assert spec["timeout"] == {"train": 120.0}
    assert spec["predict_sets"] == ["train", "test"]
    assert spec["store_models"] is True


@pytest.mark.parametrize(
    "learner",
    [
        lambda: lrn("classif.featureless", method="sample", predict_type="prob"),
        lambda: lrn("classif.debug", error_train=0.5, sleep_train=0.1),
        lambda: lrn("classif.svm", C=2.0, predict_type="prob"),
        lambda: as_learner(make_pipeline(StandardScaler(), LogisticRegression(C=0.1))),
        lambda: lrn("regr.featureless", robust=True, predict_type="se"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*in a session the time limit:UserWarning")
def test_specs_make_an_equal_learner(learner):
    one = learner()
    one.fallback = f"{one.task_type}.featureless"
    one.timeout = 5
    one.when = accuracy_score  # any function of two with an import path
    two = Learner.from_specs(one.model_spec(), one.policy_spec(), id=one.id)
    assert (two.id, two.hash) == (one.id, one.hash)
    assert two.policy_spec() == one.policy_spec()
    assert two.fallback.id == one.fallback.id


def test_specs_from_the_future_and_unknown_fields_are_refused():
    spec = lrn("classif.tree").model_spec()
    with pytest.raises(SpecError, match="newer"):
        Learner.from_specs({**spec, "format": 99})
    with pytest.raises(ConfigError, match="did you mean 'timeout'"):
        Learner.from_specs(spec, {"timeouts": 3})
    with pytest.raises(SpecError):
        Learner.from_specs({"format": 1, "type": "classif"})
    with pytest.raises(SpecError, match="regr"):
        Learner.from_specs({**lrn("classif.featureless").model_spec(), "type": "regr"})


def test_parameters_are_checked_by_name_and_can_be_unset(iris):
    learner = as_learner(DecisionTreeClassifier(max_depth=2))
    assert dict(learner.param_set.values) == {"max_depth": 2}
    with pytest.raises(UnknownKeyError, match="max_depth"):
        learner.param_set.values["max_dept"] = 3
    del learner.param_set.values["max_depth"]
    assert learner.estimator.max_depth is None
    learner.param_set.values["min_samples_leaf"] = 20
    assert learner.train(iris, seed=1).model.min_samples_leaf == 20
    nested = as_learner(make_pipeline(StandardScaler(), LogisticRegression()))
    nested.param_set.values["logisticregression__C"] = 0.5
    assert nested.estimator[-1].C == 0.5


def test_a_clone_is_untrained_and_apart(iris):
    learner = lrn("classif.tree", max_depth=2).train(iris, seed=1)
    copy = learner.clone()
    copy.param_set.values["max_depth"] = 5
    copy.encapsulate = "capture"
    assert copy.model is None
    assert learner.param_set.values["max_depth"] == 2
    assert learner.encapsulate == {"train": "none", "predict": "none"}
    assert copy.train(iris, seed=1).model.max_depth == 5


# Settings


def test_settings_that_make_no_sense_name_the_learner_and_what_there_is():
    learner = lrn("classif.tree")
    for name, value in [
        ("predict_type", "se"),
        ("predict_sets", "validation"),
        ("predict_sets", []),
        ("encapsulate", "callr"),
        ("encapsulate", {"fit": "none"}),
        ("timeout", "soon"),
        ("timeout", {"fit": 3}),
        ("fallback", "regr.featureless"),
        ("preprocess", "some"),
    ]:
        with pytest.raises(ConfigError):
            setattr(learner, name, value)
    with pytest.raises(ConfigError, match=r"Learner 'regr.featureless' must have task type 'classif'"):
        learner.fallback = "regr.featureless"


def test_a_fallback_switches_capture_on_and_takes_the_predict_type():
    learner = lrn("classif.tree", predict_type="prob")
    learner.encapsulate = {"predict": "process"}
    learner.fallback = lrn("classif.featureless")
    assert learner.encapsulate == {"train": "capture", "predict": "process"}
    assert learner.fallback_for_stages().predict_type == "prob"
    with pytest.raises(ConfigError, match="does not offer"):
        learner.fallback = SGDClassifier()
    chain = lrn("classif.knn")
    chain.fallback = "classif.featureless"
    with pytest.raises(ConfigError, match="has a fallback itself"):
        learner.fallback = chain


@pytest.mark.filterwarnings("ignore:.*in a session the time limit:UserWarning")
def test_limits_take_units_and_infinity_is_none():
    learner = lrn("classif.tree", timeout={"train": "1m", "predict": float("inf")})
    assert learner.timeout == {"train": 60, "predict": None}
    learner.timeout = 3
    assert learner.timeout == {"train": 3, "predict": 3}


def test_threads_are_the_learners_matter(iris):
    learner = lrn("classif.random_forest", n_jobs=-1, n_estimators=3)
    assert learner.train(iris, seed=1).model.n_jobs == 1
    assert set_threads(learner, 2) is learner
    assert learner.train(iris, seed=1).model.n_jobs == 2
    assert learner.policy_spec()["threads"] == 2
    assert [one.threads for one in set_threads(["classif.tree", learner], 3)] == [3, 3]
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(ConfigError, match="threads is a whole number of at least 1"):
            set_threads(learner, wrong)
        with pytest.raises(ConfigError, match=r"'classif\.tree': threads is a whole number"):
            lrn("classif.tree", threads=wrong)


# Pre-flight


def test_what_does_not_fit_is_refused_before_training_by_task_learner_and_column(penguins, iris):
    with pytest.raises(ConfigError, match=r"'regr.lm' is for regr tasks, task 'penguins'"):
        lrn("regr.lm").check(penguins)
    bare = as_learner(LogisticRegression(), id="lr", preprocess="none")
    with pytest.raises(DataError, match=r"'lr' cannot take column 'island' of task 'penguins'"):
        bare.check(penguins)
    numeric = toy(x=[1.0, None, 3.0, 4.0])
    with pytest.raises(DataError, match=r"'lr' cannot take missing values, but column 'x' of task 'toy' has 1"):
        bare.train(numeric)
    for pipeline in (make_pipeline(StandardScaler(), LogisticRegression()), make_pipeline(LogisticRegression())):
        with pytest.raises(DataError):
            as_learner(pipeline).check(numeric)
    bare.check(iris)
    as_learner(make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())).check(penguins)
    as_learner(DecisionTreeClassifier(), preprocess="none").check(numeric)


def test_text_and_dates_are_the_users_to_convert():
    frame = pd.DataFrame({"when": pd.date_range("2020-01-01", periods=4), "y": ["a", "b", "a", "b"]})
    with pytest.raises(DataError, match="'when'"):
        lrn("classif.tree").check(as_task_classif(frame, target="y"))
    lrn("classif.featureless").check(as_task_classif(frame, target="y"))


def test_weights_are_passed_on_or_refused():
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "w": [1.0, 1, 1, 100], "y": ["a", "a", "a", "b"]})
    task = as_task_classif(frame, target="y", weights="w", id="heavy")
    assert set(lrn("classif.featureless").train(task).predict(task).response) == {"b"}
    prob = lrn("classif.tree", predict_type="prob", max_depth=1).train(task, seed=1).predict(task)
    assert prob.response[-1] == "b"
    pipeline = as_learner(make_pipeline(StandardScaler(), LogisticRegression()))
    pipeline.train(task)
    with pytest.raises(DataError, match=r"weights of task 'heavy'"):
        lrn("classif.knn").check(task)


# Training and predicting


def test_equal_seeds_give_equal_models_and_leave_the_sessions_random_numbers_alone(iris):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    one = lrn("classif.random_forest", n_estimators=5, predict_type="prob").train(iris, seed=11)
    assert np.random.rand() == expected  # noqa: NPY002
    two = lrn("classif.random_forest", n_estimators=5, predict_type="prob").train(iris, seed=11)
    three = lrn("classif.random_forest", n_estimators=5, predict_type="prob").train(iris, seed=12)
    assert (one.predict(iris).prob == two.predict(iris).prob).all(axis=None)
    assert one.model.random_state == two.model.random_state != three.model.random_state
    assert as_learner(DecisionTreeClassifier(random_state=7)).train(iris).model.random_state == 7


def test_the_quick_way_of_seeding_an_estimator_gives_the_same_number(iris):
    from batchml.core.seed import derive, fill_random_state

    estimator = DecisionTreeClassifier()
    fill_random_state(estimator, derive(9, "stage", "train"))
    assert lrn("classif.tree").train(iris, seed=9).model.random_state == estimator.random_state


def test_global_random_numbers_come_from_the_seed_under_every_encapsulation(iris):
    draws = set()
    for method in ("none", "capture"):
        learner = Echo()
        learner.encapsulate = method
        draws.add(learner.train(iris, seed=3).model["draw"])
    assert len(draws) == 1


def test_predicting_before_training_says_so(iris):
    learner = lrn("classif.tree")
    with pytest.raises(NotTrainedError, match=r"Cannot predict, Learner 'classif.tree' has not been trained yet"):
        learner.predict(iris)
    for question in (learner.importance, learner.selected_features, lambda: learner.oob_error):
        with pytest.raises(NotTrainedError):
            question()


def test_the_predict_type_may_change_after_training_where_the_model_allows_it(iris):
    learner = lrn("classif.tree").train(iris, seed=1)
    response = learner.predict(iris).response
    learner.predict_type = "prob"
    prediction = learner.predict(iris)
    assert list(prediction.prob.columns) == list(iris.classes)
    assert (prediction.response == response).all()
    svm = lrn("classif.svm").train(iris, seed=1)
    svm.predict_type = "prob"
    with pytest.raises(ConfigError, match="train it again"):
        svm.predict(iris)
    assert svm.train(iris, seed=1).predict(iris).prob.shape == (150, 3)
    with pytest.raises(ConfigError, match="cannot predict 'prob'"):
        as_learner(SVC(), preprocess="none").predict_type = "prob"
    with pytest.raises(ConfigError, match="cannot predict 'prob'"):
        lrn("classif.tree").__class__(SGDClassifier()).predict_type = "prob"


def test_a_class_that_the_training_rows_lack_has_probability_zero(iris):
    learner = lrn("classif.log_reg", predict_type="prob").train(iris, np.arange(100), seed=1)
    prob = learner.predict(iris).prob
    assert (prob["virginica"] == 0).all()
    assert np.allclose(prob.sum(axis=1), 1)


@pytest.mark.parametrize("target", [[True, False], [0, 1], [-1, 1], ["b", "a"]])
def test_labels_come_back_as_they_were_given(target):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": target * 10})
    task = as_task_classif(frame, target="y")
    prediction = lrn("classif.tree", predict_type="prob").train(task, seed=1).predict(task)
    assert set(prediction.response) == set(target)
    assert (prediction.response == frame["y"].to_numpy()).all()
    assert set(prediction.prob.columns) == set(target)


@pytest.mark.parametrize("answer", ["short", "unknown", "objects", "none"])
def test_nonsense_from_predict_is_the_learners_error(iris, answer):
    learner = as_learner(Odd(answer)).train(iris)
    with pytest.raises(LearnerError):
        learner.predict(iris)
    learner.encapsulate = "capture"
    assert learner.train(iris).predict(iris).n_missing == 150
    assert len(learner.errors) == 1


def test_missing_answers_are_missing_predictions(iris):
    assert as_learner(Odd("gaps")).train(iris).predict(iris).n_missing == 1


def test_state_survives_pickling(iris):
    learner = lrn("classif.random_forest", n_estimators=3, predict_type="prob").train(iris, seed=1)
    again = pickle.loads(pickle.dumps(learner))
    assert (again.predict(iris).prob == learner.predict(iris).prob).all(axis=None)
    assert again.timings.keys() == {"train", "predict"}


def test_new_data_may_have_its_columns_in_any_order_more_of_them_and_unknown_levels(penguins):
    learner = lrn("classif.log_reg").train(penguins, seed=1)
    known = learner.predict(penguins, penguins.row_ids[:20])
    frame = penguins.data(penguins.row_ids[:20]).iloc[:, ::-1].assign(extra=1)
    assert list(learner.predict_newdata(frame).response) == list(known.response)
    frame = frame.drop(columns="species").assign(island=[*["Atlantis"] * 10, *[None] * 10])
    new = learner.predict_newdata(frame)
    assert new.n_missing == 0
    assert all(label is None for label in new.truth)
    with pytest.raises(DataError, match="no column 'sex'"):
        learner.predict_newdata(frame.drop(columns="sex"))
    with pytest.raises(DataError, match=r"'bill_length_mm' of the new data is categorical"):
        learner.predict_newdata(frame.assign(bill_length_mm="long"))
    with pytest.raises(DataError, match="columns of one length"):
        learner.predict_newdata({"bill_length_mm": 40.0})
    with pytest.raises(NotTrainedError):
        lrn("classif.tree").predict_newdata(frame)


def test_another_shape_of_task_is_refused(iris, penguins):
    learner = lrn("classif.tree").train(iris, seed=1)
    with pytest.raises(DataError, match="other features"):
        learner.predict(penguins)


# Insight


def test_importance_is_by_feature_also_where_categories_were_encoded(penguins, iris):
    forest = lrn("classif.random_forest", n_estimators=5).train(penguins, seed=1)
    importance = forest.importance()
    assert set(importance.index) == set(penguins.feature_names)
    assert importance.sum() == pytest.approx(1)
    assert importance.is_monotonic_decreasing
    tree = lrn("classif.tree", max_depth=1).train(iris, seed=1)
    assert len(tree.selected_features()) == 1
    assert lrn("classif.featureless").train(iris).selected_features() == []
    with pytest.raises(ConfigError, match="no feature importance"):
        lrn("classif.log_reg").train(iris).importance()


def test_the_out_of_bag_error_is_told_where_it_was_asked_for(iris):
    forest = lrn("classif.random_forest", n_estimators=40, oob_score=True).train(iris, seed=1)
    assert 0 < forest.oob_error < 0.2
    diabetes = tsk("diabetes")
    forest = as_learner(RandomForestRegressor(40, oob_score=True)).train(diabetes, seed=1)
    truth = diabetes.truth()
    assert forest.oob_error == pytest.approx((1 - forest.model.oob_score_) * truth.var())
    with pytest.raises(ConfigError, match="oob_score"):
        _ = lrn("classif.random_forest", n_estimators=3).train(iris, seed=1).oob_error


def test_regression_learners_offer_standard_errors_where_the_method_does():
    from sklearn.linear_model import BayesianRidge

    task = as_task_regr(pd.DataFrame({"x": np.arange(10.0), "y": np.arange(10.0) ** 2}), target="y")
    prediction = as_learner(BayesianRidge()).train(task).predict(task)
    assert prediction.predict_type == "response"
    learner = as_learner(BayesianRidge())
    learner.predict_type = "se"
    assert (learner.train(task).predict(task).se > 0).all()


# Printing


def test_a_learner_prints_its_facts(iris):
    learner = lrn("classif.tree", max_depth=3)
    learner.fallback = "classif.featureless"
    assert repr(learner).splitlines() == [
        "<LearnerSklearn:classif.tree>",
        "* Model: -",
        "* Parameters: max_depth=3",
        "* Preprocessing: auto",
        "* Packages: sklearn",
        "* Predict types: [response], prob",
        "* Feature types: logical, integer, numeric, categorical, ordered",
        "* Properties: importance, missings, multiclass, selected_features, twoclass, weights",
        "* Encapsulation: train capture, predict capture",
        "* Fallback: classif.featureless",
    ]
    learner.train(iris, seed=1)
    assert "* Model: DecisionTreeClassifier" in repr(learner)
    assert "<table>" in learner._repr_html_()
    bad = lrn("classif.debug", error_train=1, encapsulate="capture").train(iris)
    assert "* Errors: Error from classif.debug->train()" in repr(bad)


def test_own_learners_need_two_hooks(iris):
    learner = Echo()
    assert learner.train(iris, np.arange(20), seed=4).model["n"] == 20
    assert set(learner.predict(iris).response) == {"virginica"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.fallback = "classif.featureless"


def test_a_task_that_was_changed_is_prepared_anew(penguins):
    task = penguins.clone()
    learner = lrn("classif.log_reg").train(task, seed=1)
    assert "columns" in learner.model.named_steps
    task.select(["bill_length_mm", "year"])
    assert "columns" not in learner.train(task, seed=1).model.named_steps


def test_lambdas_train_in_a_session_but_have_no_spec(iris):
    from sklearn.preprocessing import FunctionTransformer

    learner = as_learner(make_pipeline(FunctionTransformer(lambda X: X), DecisionTreeClassifier()))
    assert learner.train(iris, seed=1).predict(iris).n_missing == 0
    with pytest.raises(SpecError, match="func"):
        learner.model_spec()


def test_values_that_the_estimator_refuses_are_refused_at_once(iris):
    with pytest.raises(ConfigError, match=r"learner 'classif.tree': max_depth: -1 is not an int in the range \[1, inf"):
        lrn("classif.tree", max_depth=-1)
    with pytest.raises(ConfigError, match="logisticregression__C: -1 is not a float in the range"):
        as_learner(make_pipeline(StandardScaler(), LogisticRegression(C=-1)))
    swapped = as_learner(Pipeline([("clf", DecisionTreeClassifier())]))
    swapped.param_set.values["clf"] = LogisticRegression(C=-1)  # nobody knew of its parameters before
    with pytest.raises(ConfigError, match="'C' parameter"):
        swapped.check(iris)


# Rows and tables that are not what they should be


def test_tasks_may_be_named_by_their_key(iris):
    learner = lrn("classif.tree").train("iris", seed=1)
    assert (learner.predict("iris").response == learner.predict(iris).response).all()
    with pytest.raises(ConfigError, match="DataFrame is no task"):
        learner.train(iris.data())


@pytest.mark.parametrize("rows", [[0.5, 1.5], np.ones(150, dtype=bool), [[0, 1]], ["0"]])
def test_row_ids_are_whole_numbers_never_masks_or_fractions(iris, rows):
    with pytest.raises(DataError, match="task 'iris': row ids are a list of whole numbers, not"):
        lrn("classif.tree").train(iris, rows)
    with pytest.raises(DataError, match="row ids are"):
        lrn("classif.tree").train(iris).predict(iris, rows)


@pytest.mark.parametrize("key", ["classif.tree", "classif.log_reg", "classif.featureless", "classif.debug"])
def test_of_no_rows_there_is_an_empty_prediction(iris, key):
    learner = lrn(key, predict_type="prob").train(iris, seed=1)
    assert len(learner.predict(iris, [])) == 0
    assert learner.predict(iris, []).prob.shape == (0, 3)
    assert len(learner.predict_newdata(iris.data().iloc[:0])) == 0
    with pytest.raises(DataError, match=r"cannot be trained on no rows of task 'iris'"):
        learner.train(iris, [])


def test_a_task_of_one_class_is_refused_by_task_learner_and_target(iris):
    with pytest.raises(DataError, match=r"'classif.log_reg' cannot be trained on task 'iris': its target 'species'"):
        lrn("classif.log_reg").train(iris.clone().filter(range(50)))


def test_new_data_that_cannot_be_used_are_refused_by_column(penguins):
    learner = lrn("classif.log_reg").train(penguins, seed=1)
    frame = penguins.data().iloc[:5]
    with pytest.raises(DataError, match=r"has 2 columns 'sex'"):
        learner.predict_newdata(pd.concat([frame, frame[["sex"]]], axis=1))
    with pytest.raises(DataError, match=r"column 'body_mass_g' .* learner 'classif.log_reg' has infinite values"):
        learner.predict_newdata(frame.assign(body_mass_g=np.inf))
    bare = as_learner(DecisionTreeClassifier(), preprocess="none").train(tsk("iris"), seed=1)
    assert len(bare.predict_newdata(tsk("iris").data().assign(sepal_length=np.nan))) == 150
    strict = as_learner(SVC(), preprocess="none").train(tsk("iris"), seed=1)
    gone = tsk("iris").data()
    gone.iloc[0, 1] = np.nan
    with pytest.raises(DataError, match=r"cannot take missing values, but column '.*' of task 'newdata'"):
        strict.predict_newdata(gone)


def through_joblib(learner):
    file = io.BytesIO()
    joblib.dump(learner, file)
    file.seek(0)
    return pickle.dumps(joblib.load(file))


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickled, through_joblib])
@pytest.mark.parametrize("key", ["classif.tree", "classif.gradient_boosting", "classif.debug", "classif.featureless"])
def test_state_survives_all_kinds_of_pickles(penguins, dump, key):
    learner = lrn(key)
    learner.predict_type, learner.fallback = "prob", "classif.featureless"
    learner.train(penguins, seed=1).predict(penguins)
    again = pickle.loads(dump(learner))
    assert (again.predict(penguins).prob == learner.predict(penguins).prob).all(axis=None)
    assert again.timings.keys() == learner.timings.keys()
    assert (again.hash, again.policy_spec(), repr(again)) == (learner.hash, learner.policy_spec(), repr(learner))
    assert again.state.trained.fallback_ok
    assert (again.predict_newdata(penguins.data()).response == learner.predict(penguins).response).all()


def test_when_is_a_function():
    for wrong in (True, "always", dict):
        with pytest.raises(ConfigError, match=r"learner 'classif.tree': when is a function"):
            lrn("classif.tree").when = wrong


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_properties_say_what_the_estimators_of_scikit_learn_can_do(kind, iris):
    """Of all that can be made without arguments: the model offers exactly what the properties promise."""
    task = iris if kind == "classifier" else tsk("diabetes")
    rows = task.row_ids[::3]
    names = ("Ensemble", "Tree", "Forest", "Boost", "Bagging", "Linear", "Naive", "NB", "Ridge", "Neighbors")
    for name, cls in all_estimators(type_filter=kind):
        if not any(word in name for word in names) or "Radius" in name or name.startswith(("Multi", "Bernoulli")):
            continue
        learner = as_learner(cls())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            learner.train(task, rows, seed=1)
        for what in ("importance", "selected_features"):
            try:
                getattr(learner, what)()
            except ConfigError:
                assert what not in learner.properties, name
            else:
                assert what in learner.properties, name
        assert isinstance(learner.model_spec(), dict)


def test_a_class_that_no_worker_can_import_is_named_with_its_learner():
    class Here(Learner):
        key = None
        task_type = "classif"

    with pytest.raises(SpecError, match=r"^the class of learner 'mine' is .*Here, defined inside a function"):
        Here(id="mine").model_spec()


@pytest.mark.parametrize("name", ["predict_typ", "encapsulation", "fall_back", "timeouts", "predict_set"])
def test_a_misspelt_field_is_refused_with_the_nearest(name):
    learner = lrn("classif.tree")
    with pytest.raises(UnknownKeyError, match="did you mean"):
        setattr(learner, name, None)
    assert name not in vars(learner)
