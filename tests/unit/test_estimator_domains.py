"""The domains of scikit-learn's estimators: what it accepts is never refused, and what it refuses is, at once."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import pickle
from numbers import Integral
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import _param_validation as validation
from sklearn.utils import all_estimators

from batchml.core.catalog import lrn
from batchml.core.learner import Learner, as_learner
from batchml.core.resources import set_threads
from batchml.errors import ConfigError
from batchml.learners import constraints as module
from batchml.learners.constraints import domains_of_class
from batchml.learners.known_dependencies import _TABLE, known_dependencies
from batchml.params import NO_DEFAULT, generate_design_grid, p_int, to_tune

ESTIMATORS = dict(all_estimators())


def function(values):
    return values


POOL = [
    *("abc", "", "auto", "sqrt", "warn", "balanced", "deprecated"),
    *(-1, 0, 1, 2, 5, 300, 2**40, -0.5, 0.0, -0.0, 0.3, 1.0, 1.5, 2.0, 5.0, 1e-9, 1e300),
    *(math.nan, math.inf, -math.inf, True, False, None, np.int64(3), np.float64(0.25), np.bool_(True), np.nan, pd.NA),
    *((1, 2), [0.1, 0.9], {}, {"a": 1}, np.array([1, 2, 3]), np.array([[0.5]]), set(), b"x", object(), 1j),
    *(function, len, float, DecisionTreeClassifier(), StandardScaler, np.random.RandomState(1), range(3)),
]


def drawn(constraint, generator):
    """Yield values that a constraint takes, bounds included."""
    made = validation.make_constraint(constraint)
    parts = getattr(made, "_constraints", [made])
    for part in parts:
        if isinstance(part, validation.Options):
            yield from part.options
        elif isinstance(part, validation.Interval):
            low = -1e6 if part.left is None else part.left
            high = low + 2e6 if part.right is None else part.right
            low = min(low, high - 1)
            for value in [low, high, *generator.uniform(low, high, 5)]:
                yield from (float(value), round(value), np.float64(value), np.int64(round(value)))
        else:
            with contextlib.suppress(TypeError, ValueError):  # a class that needs arguments, or one without a sample
                yield validation.generate_valid_param(part)


def accepts(cls, name, value):
    """Tell what scikit-learn itself says of a value."""
    try:
        rules = getattr(cls, "_parameter_constraints", {})
        validation.validate_parameter_constraints(rules, {name: value}, cls.__name__)
    except validation.InvalidParameterError:
        return False
    return True


@pytest.mark.parametrize("start", range(0, len(ESTIMATORS), 30))
def test_what_scikit_learn_accepts_is_never_refused_and_what_it_refuses_is(start):
    generator = np.random.default_rng(start)
    seen = 0
    for cls in list(ESTIMATORS.values())[start : start + 30]:
        for name, domain in domains_of_class(cls).items():
            rules = getattr(cls, "_parameter_constraints", {}).get(name, "no_validation")
            values = list(POOL)
            if rules != "no_validation":
                values += [value for one in rules for value in drawn(one, generator)]
            for value in values:
                kept, wrong = domain.read(value)
                # A default may be a mere placeholder for what has to be given.
                at_fit = rules == "no_validation" or accepts(cls, name, value) or value is domain.default
                # A whole number written with a point is taken where scikit-learn takes that number.
                rescued = isinstance(value, float) and value.is_integer() and accepts(cls, name, int(value))
                assert (wrong is None) == (at_fit or rescued), f"{cls.__name__}.{name} = {value!r}: {wrong}"
                assert not at_fit or kept is value, f"{cls.__name__}.{name} = {value!r} became {kept!r}"
                seen += 1
            if domain.default is not NO_DEFAULT:
                assert domain.problem(domain.default) is None, f"{cls.__name__}.{name}"
    assert seen > 0


def buildable():
    for name, cls in ESTIMATORS.items():
        parameters = inspect.signature(cls).parameters.values()
        required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        if not required and issubclass(cls, (ClassifierMixin, RegressorMixin)) and name != "SelfTrainingClassifier":
            yield name, cls


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of deprecated classes
def test_every_learner_takes_the_values_of_its_own_constraints_and_hands_them_on():
    generator = np.random.default_rng(1)
    count = 0
    for _, cls in buildable():
        learner = as_learner(cls())
        assert dict(learner.param_set.values) == {}
        before = learner.hash
        for name, rules in cls._parameter_constraints.items():
            if name not in learner.param_set or rules == "no_validation":
                continue
            for value in [value for one in rules for value in drawn(one, generator) if accepts(cls, name, value)][:6]:
                learner.param_set.values[name] = value
                held = learner.param_set.values[name]
                assert held is value
                count += 1
            del learner.param_set.values[name]
        assert learner.hash == before
    assert count > 3000


@pytest.mark.parametrize(
    ("key", "name", "value", "words"),
    [
        ("classif.tree", "max_depth", "abc", "'abc' is not an int in the range [1, inf) or None"),
        ("classif.tree", "criterion", "ginni", "(did you mean 'gini'?)"),
        (
            "classif.tree",
            "min_samples_split",
            1,
            "1 is not an int in the range [2, inf) or a float in the range (0.0, 1.0]",
        ),
        ("classif.svm", "C", -1, "-1 is not a float in the range (0.0, inf"),
        ("classif.svm", "gamma", "scales", "(did you mean 'scale'?)"),
        ("classif.log_reg", "max_iter", None, "None is not an int in the range [0, inf)"),
    ],
)
def test_a_wrong_value_says_parameter_value_and_rule(key, name, value, words):
    with pytest.raises(ConfigError) as caught:
        lrn(key, **{name: value})
    assert str(caught.value).startswith(f"learner '{key}': {name}: ")
    assert words in str(caught.value)


def test_the_widest_range_is_the_domain_and_the_rest_is_special():
    tree = domains_of_class(DecisionTreeClassifier)
    assert (tree["min_samples_split"].kind, tree["min_samples_split"].lower) == ("int", 2)
    assert tree["max_features"].kind == "int"
    assert set(tree["max_features"].special_vals) == {None, "sqrt", "log2"}
    assert tree["criterion"].levels == ("entropy", "gini", "log_loss")
    assert (tree["min_weight_fraction_leaf"].lower, tree["min_weight_fraction_leaf"].upper) == (0.0, 0.5)
    assert tree["class_weight"].kind == "uty"
    assert "is not" in tree["class_weight"].problem("balancd")
    assert domains_of_class(HistGradientBoostingClassifier)["early_stopping"].kind == "lgl"
    assert domains_of_class(HistGradientBoostingClassifier)["max_bins"].upper == 255
    assert domains_of_class(SVC)["kernel"].kind == "fct"
    assert domains_of_class(SVC)["gamma"].special_vals == ("auto", "scale")
    assert domains_of_class(SVC)["kernel"].problem(function) is None


def test_a_fraction_stays_a_fraction_and_a_whole_float_becomes_a_number():
    values = lrn("classif.tree", max_features=1.0, max_depth=5.0, min_samples_leaf=2.0).param_set.values
    assert [type(value) for value in values.values()] == [int, float, int]
    assert lrn("classif.tree", max_depth=5.0).hash == lrn("classif.tree", max_depth=5).hash


def test_steps_have_the_domains_of_their_estimators():
    learner = as_learner(make_pipeline(StandardScaler(), SVC()))
    space = learner.param_set
    assert space.domains["svc__kernel"].default == "rbf"
    with pytest.raises(ConfigError, match=r"svc__C: 'x' is not a float"):
        space.values["svc__C"] = "x"
    space.values.update(svc__kernel=to_tune(["poly", "rbf"]), svc__degree=to_tune(1, 3))
    assert str(space.search_space().domains["svc__degree"].depends[0]) == "svc__kernel == 'poly'"
    with pytest.raises(ConfigError, match="svc__C: -1 is not"):
        as_learner(make_pipeline(StandardScaler(), SVC(C=-1)))


def test_threads_are_tagged_and_follow_from_the_learner():
    learner = as_learner(Pipeline([("forest", RandomForestClassifier())]))
    assert learner.param_set.ids_with("threads") == ("forest__n_jobs",)
    before = learner.hash
    assert set_threads(learner, 3).hash == before
    assert "forest__n_jobs" not in learner.param_set.values


def test_known_dependencies_name_parameters_and_values_that_there_are():
    classes = {f"sklearn.{name}": cls for name, cls in ESTIMATORS.items()}
    for path in _TABLE:
        if not path.startswith("sklearn."):
            continue
        domains = domains_of_class(classes[path])
        for name, conditions in known_dependencies(classes[path]).items():
            assert name in domains, f"{path}.{name}"
            for condition in conditions:
                for value in condition.rhs:
                    assert domains[condition.on].problem(value) is None, f"{path}: {condition}"


def test_known_dependencies_never_refuse_a_value():
    assert lrn("classif.svm", degree=2, kernel="rbf").estimator.degree == 2
    assert lrn("classif.svm", degree=to_tune(1, 3), kernel="rbf").param_set.search_space().ids == ("degree",)


def test_a_known_dependency_may_be_on_values_of_other_types():
    learner = as_learner(SGDClassifier())
    learner.param_set.values = {
        "early_stopping": to_tune([True, False]),
        "validation_fraction": to_tune(0.1, 0.3),
        "penalty": to_tune(["l2", None]),
        "l1_ratio": to_tune(0, 1),
    }
    space = learner.param_set.search_space()
    assert [str(one) for one in space.domains["validation_fraction"].depends] == ["early_stopping == 'True'"]
    assert space.domains["l1_ratio"].depends == ()  # no value of the penalty is left for which it holds
    for point in generate_design_grid(space, 2).transpose():
        assert ("validation_fraction" in point) == point["early_stopping"]
        learner.clone().param_set.values.update(point)


def test_shares_and_counts_have_ranges_of_their_own():
    learner = lrn("classif.tree", max_features=to_tune(0.1, 1.0), min_samples_split=to_tune(2, 10))
    kinds = {name: domain.kind for name, domain in learner.param_set.search_space().domains.items()}
    assert kinds == {"max_features": "dbl", "min_samples_split": "int"}
    with pytest.raises(ConfigError, match=r"does not do: 5.0 is not"):
        lrn("classif.tree", max_features=to_tune(0.5, 5))


def test_a_learner_with_tokens_does_not_run_and_says_which(tmp_path):
    learner = lrn("classif.tree", max_depth=to_tune(1, 3))
    assert "to_tune(1, 3)" in repr(learner)
    for attempt in (lambda: learner.train("iris"), learner.model_spec, lambda: learner.hash):
        with pytest.raises(ConfigError, match=r"max_depth is to be tuned, to_tune\(1, 3\)"):
            attempt()
    debug = lrn("classif.debug", iter=to_tune(1, 3))
    with pytest.raises(ConfigError, match="iter is to be tuned"):
        debug.train("iris")


def test_specs_are_built_without_checks():
    spec = lrn("classif.tree", max_depth=2).model_spec()
    spec["estimator"]["params"]["max_depth"] = -5
    assert Learner.from_specs(spec).param_set.values["max_depth"] == -5
    spec = lrn("classif.debug", iter=2).model_spec()
    spec["params"]["iter"] = -5
    assert Learner.from_specs(spec).param_set.values["iter"] == -5
    with pytest.raises(ConfigError, match="no parameter 'itre'"):
        Learner.from_specs({**spec, "params": {"itre": 1}})


class Own(ClassifierMixin, BaseEstimator):
    """Says nothing of its parameters."""

    def __init__(self, depth=3, *, n_jobs=None):
        self.depth = depth
        self.n_jobs = n_jobs

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X


class Wider(DecisionTreeRegressor):
    """Takes what its parent does not."""

    def __init__(self, max_depth="any"):
        super().__init__()
        self.max_depth = max_depth

    def fit(self, X, y):
        return self


class Careful(Own):
    """Says something."""

    _parameter_constraints: ClassVar = {
        "depth": [validation.Interval(Integral, 1, None, closed="left")],
        "n_jobs": ["nonsense"],
    }


def test_classes_of_others_go_by_what_they_say_themselves():
    assert {domain.kind for domain in domains_of_class(Own).values()} == {"uty"}
    assert domains_of_class(Own)["n_jobs"].tags == {"threads"}
    assert as_learner(Own(depth="deep")).param_set.values["depth"] == "deep"
    assert as_learner(Wider(max_depth="whole")).param_set.values["max_depth"] == "whole"
    with pytest.raises(ConfigError, match="depth: 0 is not an int"):
        as_learner(Careful(depth=0))
    assert domains_of_class(Careful)["n_jobs"].rule is None


def test_where_scikit_learn_has_no_constraints_all_values_are_taken(monkeypatch):
    monkeypatch.setattr(module, "validation", None)
    domains_of_class.cache_clear()
    try:
        domains = domains_of_class(SVC)
        assert {domain.kind for domain in domains.values()} == {"uty"}
        assert domains["C"].default == 1.0
    finally:
        domains_of_class.cache_clear()


def test_a_user_who_switched_validation_off_is_not_checked():
    with config_context(skip_parameter_validation=True):
        assert lrn("classif.svm", C=-1).param_set.values["C"] == -1


def test_domains_survive_pickling_and_copies():
    learner = pickle.loads(pickle.dumps(as_learner(SVR(C=2.0))))
    with pytest.raises(ConfigError, match="C: -1 is not"):
        learner.param_set.values["C"] = -1
    assert copy.deepcopy(learner).param_set.domains == learner.param_set.domains


def test_messages_do_not_depend_on_the_order_of_sets():
    said = domains_of_class(LogisticRegression)["solver"].problem("x")
    assert "'lbfgs', 'liblinear', 'newton-cg', 'newton-cholesky', 'sag', 'saga'" in said
    assert domains_of_class(LinearRegression)["fit_intercept"].problem(3) == (
        "3 is not an instance of 'bool' or an instance of 'numpy.bool'"
    )


def test_a_domain_of_ones_own_may_replace_that_of_the_parameter():
    learner = lrn("classif.tree", max_depth=to_tune(p_int(0, 3, trafo="2 ** x")))
    grid = generate_design_grid(learner.param_set.search_space(), 4).transpose()
    assert [point["max_depth"] for point in grid] == [1, 2, 4, 8]
