"""Which parameters of well-known estimators have no effect unless another one has certain values.

The table serves search spaces and designs only: a set value is never refused because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchml.params.condition import Condition, read_depends

__all__ = ["known_dependencies"]

Table = Mapping[str, str]

_KERNEL: Final[Table] = {
    "degree": "kernel == 'poly'",
    "gamma": "kernel in ['rbf', 'poly', 'sigmoid']",
    "coef0": "kernel in ['poly', 'sigmoid']",
}
_PAIRWISE: Final[Table] = {
    "degree": "kernel in ['poly', 'polynomial']",
    "gamma": "kernel in ['rbf', 'poly', 'polynomial', 'sigmoid', 'laplacian', 'chi2']",
    "coef0": "kernel in ['poly', 'polynomial', 'sigmoid']",
}
_STOPPING: Final[Table] = {"validation_fraction": "early_stopping == True"}
_SGD: Final[Table] = {
    **_STOPPING,
    "l1_ratio": "penalty == 'elasticnet'",
    "eta0": "learning_rate in ['constant', 'invscaling', 'adaptive', 'pa1', 'pa2']",
    "power_t": "learning_rate == 'invscaling'",
}
_BAGGED: Final[Table] = {"max_samples": "bootstrap == True", "oob_score": "bootstrap == True"}
_MLP: Final[Table] = {
    **_STOPPING,
    "learning_rate": "solver == 'sgd'",
    "learning_rate_init": "solver in ['sgd', 'adam']",
    "power_t": "solver == 'sgd' and learning_rate == 'invscaling'",
    "momentum": "solver == 'sgd'",
    "nesterovs_momentum": "solver == 'sgd'",
    "beta_1": "solver == 'adam'",
    "beta_2": "solver == 'adam'",
    "epsilon": "solver == 'adam'",
    "batch_size": "solver in ['sgd', 'adam']",
    "early_stopping": "solver in ['sgd', 'adam']",
    "n_iter_no_change": "solver in ['sgd', 'adam']",
    "max_fun": "solver == 'lbfgs'",
}
_HIST: Final[Table] = {
    "validation_fraction": "early_stopping in ['auto', True]",
    "n_iter_no_change": "early_stopping in ['auto', True]",
}
_NEIGHBOURS: Final[Table] = {
    "p": "metric == 'minkowski'",
    "leaf_size": "algorithm in ['auto', 'ball_tree', 'kd_tree']",
}
_TREES: Final = "booster in ['gbtree', 'dart']"
_BOOSTER: Final[Table] = dict.fromkeys(
    ("max_depth", "subsample", "min_child_weight", "gamma", "colsample_bytree", "colsample_bylevel", "grow_policy"),
    _TREES,
)

_TABLE: Final[Mapping[str, Table]] = {
    "sklearn.SVC": _KERNEL,
    "sklearn.SVR": _KERNEL,
    "sklearn.NuSVC": _KERNEL,
    "sklearn.NuSVR": _KERNEL,
    "sklearn.OneClassSVM": _KERNEL,
    "sklearn.KernelRidge": _PAIRWISE,
    "sklearn.KernelPCA": _KERNEL,
    "sklearn.Nystroem": _PAIRWISE,
    "sklearn.LabelPropagation": {"gamma": "kernel == 'rbf'", "n_neighbors": "kernel == 'knn'"},
    "sklearn.LabelSpreading": {"gamma": "kernel == 'rbf'", "n_neighbors": "kernel == 'knn'"},
    "sklearn.SGDClassifier": {**_SGD, "epsilon": "loss in ['huber', 'epsilon_insensitive']"},
    "sklearn.SGDRegressor": {
        **_SGD,
        "epsilon": "loss in ['huber', 'epsilon_insensitive', 'squared_epsilon_insensitive']",
    },
    "sklearn.Perceptron": {
        **_STOPPING,
        "l1_ratio": "penalty == 'elasticnet'",
        "alpha": "penalty in ['l1', 'l2', 'elasticnet']",
    },
    "sklearn.LogisticRegression": {
        "l1_ratio": "penalty == 'elasticnet'",
        "intercept_scaling": "solver == 'liblinear'",
        "dual": "solver == 'liblinear'",
    },
    "sklearn.RandomForestClassifier": _BAGGED,
    "sklearn.RandomForestRegressor": _BAGGED,
    "sklearn.ExtraTreesClassifier": _BAGGED,
    "sklearn.ExtraTreesRegressor": _BAGGED,
    "sklearn.BaggingClassifier": {"oob_score": "bootstrap == True"},
    "sklearn.BaggingRegressor": {"oob_score": "bootstrap == True"},
    "sklearn.GradientBoostingRegressor": {"alpha": "loss in ['huber', 'quantile']"},
    "sklearn.HistGradientBoostingClassifier": _HIST,
    "sklearn.HistGradientBoostingRegressor": {**_HIST, "quantile": "loss == 'quantile'"},
    "sklearn.MLPClassifier": _MLP,
    "sklearn.MLPRegressor": _MLP,
    "sklearn.KNeighborsClassifier": _NEIGHBOURS,
    "sklearn.KNeighborsRegressor": _NEIGHBOURS,
    "sklearn.RadiusNeighborsClassifier": _NEIGHBOURS,
    "sklearn.RadiusNeighborsRegressor": _NEIGHBOURS,
    "sklearn.LinearDiscriminantAnalysis": {"shrinkage": "solver in ['lsqr', 'eigen']"},
    "sklearn.PCA": {
        "tol": "svd_solver == 'arpack'",
        "iterated_power": "svd_solver == 'randomized'",
        "n_oversamples": "svd_solver == 'randomized'",
        "power_iteration_normalizer": "svd_solver == 'randomized'",
    },
    "sklearn.TruncatedSVD": {
        "n_iter": "algorithm == 'randomized'",
        "n_oversamples": "algorithm == 'randomized'",
        "tol": "algorithm == 'arpack'",
    },
    "sklearn.KBinsDiscretizer": {
        "subsample": "strategy in ['quantile', 'kmeans']",
        "random_state": "strategy in ['quantile', 'kmeans']",
    },
    "sklearn.SimpleImputer": {"fill_value": "strategy == 'constant'"},
    "xgboost.XGBClassifier": _BOOSTER,
    "xgboost.XGBRegressor": _BOOSTER,
}


def known_dependencies(cls: type) -> Mapping[str, tuple[Condition, ...]]:
    """Return parameter to the conditions without which it has no effect."""
    package = cls.__module__.partition(".")[0]
    found = _TABLE.get(f"{package}.{cls.__name__}", {})
    return {name: read_depends(condition) for name, condition in found.items()}
