"""Trust: the resolved object decides; planted attacks are refused before anything runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from batchml.core.naming import canonical_path
from batchml.core.spec import build, decode, describe, module_sources
from batchml.core.trust import Trust
from batchml.core.trusted_functions import FUNCTIONS
from batchml.errors import BatchmlError, ConfigError, SpecError, TrustError

ATTACKS = [
    "subprocess.Popen",
    "subprocess.run",
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "builtins.getattr",
    "operator.attrgetter",
    "operator.methodcaller",
    "functools.partial",
    "importlib.import_module",
    "pickle.loads",
    "joblib.load",
    "joblib.Memory",
    "joblib.Parallel",
    "pathlib.Path",
    "tempfile.NamedTemporaryFile",
    "pandas.read_pickle",
    "pandas.eval",
    "torch.load",
    "cloudpickle.loads",
    "sklearnevil.Model",
    "sklearn_evil.Model",
    "sklearn._config.os.system",
    "sklearn._config.threading.Thread",
    "sklearn.os.system",
    "sklearn.base.np.load",
    "sklearn.utils.parallel.joblib.load",
    "sklearn.utils.parallel.Parallel",
    "sklearn.utils.fixes.parse_version",
    "sklearn.utils.fixes.threadpool_limits",
    "sklearn.utils._testing.assert_run_python_script_without_output",
    "sklearn.utils._testing.create_memmap_backed_data",
    "sklearn.utils._mocking.CheckingClassifier",
    "sklearn.utils.estimator_checks.check_estimator",
    "sklearn.utils.discovery.all_estimators",
    "sklearn.utils.validation.check_memory",
    "sklearn.utils.check_random_state",
    "sklearn.externals._arff.load",
    "sklearn.externals.array_api_compat.numpy.load",
    "sklearn.datasets.load_files",
    "sklearn.datasets.fetch_openml",
    "sklearn.datasets.load_svmlight_file",
    "sklearn.datasets.dump_svmlight_file",
    "sklearn.datasets.clear_data_home",
    "sklearn.datasets._base._fetch_remote",
    "sklearn.datasets.fetch_file",
    "sklearn.tests.test_base.MyEstimator",
    "sklearn.conftest.raccoon_face_or_skip",
    "sklearn.show_versions",
    "sklearn.set_config",
    "sklearn.config_context",
    "sklearn.clone",
    "sklearn.base.clone",
    "sklearn.callback.ProgressBar",
    "sklearn.callback.ScoringMonitor",
    "sklearn.tree.export_graphviz",
    "sklearn.tree.plot_tree",
    "sklearn.inspection.PartialDependenceDisplay",
    "sklearn.model_selection.cross_val_score",
    "sklearn.model_selection.permutation_test_score",
    "sklearn.metrics.pairwise_distances_chunked",
    "sklearn.metrics.get_scorer",
    "sklearn.pipeline.make_pipeline",
    "sklearn.compose.make_column_transformer",
    "sklearn._build_utils.version.sklearn_version",
    "sklearn._min_dependencies.dependent_packages",
    "sklearn.ensemble._base.joblib.load",
    "sklearn.linear_model._logistic.os.getenv",
    "sklearn.tree.DecisionTreeClassifier.fit",
    "sklearn.tree.DecisionTreeClassifier.__init__",
    "sklearn.tree.DecisionTreeClassifier.__subclasses__",
    "sklearn.tree.DecisionTreeClassifier.__init__.__globals__",
    "sklearn.__loader__",
    "sklearn.__builtins__.eval",
    "sklearn.tree",
    "sklearn",
    "numpy.load",
    "numpy.save",
    "numpy.savez",
    "numpy.savetxt",
    "numpy.loadtxt",
    "numpy.genfromtxt",
    "numpy.fromfile",
    "numpy.fromregex",
    "numpy.fromfunction",
    "numpy.frompyfunc",
    "numpy.vectorize",
    "numpy.apply_along_axis",
    "numpy.piecewise",
    "numpy.memmap",
    "numpy.test",
    "numpy.info",
    "numpy.show_config",
    "numpy.ndarray",
    "numpy.ndarray.tofile",
    "numpy.ndarray.dump",
    "numpy.DataSource",
    "numpy.lib.npyio.DataSource",
    "numpy.lib.npyio.NpzFile",
    "numpy.f2py.compile",
    "numpy.f2py.__main__.main",
    "numpy.distutils.core.setup",
    "numpy.testing.rundocs",
    "numpy.ctypeslib.load_library",
    "numpy.core.os.system",
    "numpy.random.default_rng",
    "numpy.random.seed",
    "numpy.setbufsize",
    "numpy.seterrcall",
    "scipy.io.loadmat",
    "scipy.io.wavfile.read",
    "scipy.LowLevelCallable",
    "scipy.optimize.minimize",
    "scipy.integrate.quad",
    "scipy.datasets.download_all",
    "scipy.test",
    "scipy.special.test",
    "scipy.special.seterr",
    "scipy.stats.bootstrap",
    "scipy.stats.rv_histogram",
    "scipy.stats.permutation_test",
    "scipy.stats.sampling.NumericalInversePolynomial",
    "scipy.stats.norm.rvs",
    "scipy.spatial.distance.os.system",
    "scipy.spatial.distance.pdist",
    "batchml.errors.BatchmlError",
    "batchml.core.spec.build",
    "batchml.core.trust.Trust",
    "batchml.core.catalog.resolve_name",
    "batchml.data.datasets.os.system",
    "batchml.cli.main.main",
    "batchml.registry.store.Store",
    "batchml.core.digest.hashlib.sha256",
    "os",
    "",
    ".",
    "sklearn..tree",
    "sklearn.tree.",
    "sklearn tree",
    "sklearn.tree:DecisionTreeClassifier",
    "__main__.evil",
    "../evil",
]


@pytest.mark.parametrize("path", ATTACKS)
def test_a_planted_path_is_refused(path):
    loaded = set(sys.modules)
    for spec in ({"object": path, "params": {}}, {"function": path}, {"scorer": path, "kwargs": {}}):
        with pytest.raises(ConfigError):
            build(spec)
    for value in ({"$type": path}, {"$function": path}):
        with pytest.raises(ConfigError):
            decode({"a": [value]})
    new = {name.partition(".")[0] for name in set(sys.modules) - loaded}
    assert new <= {"sklearn", "scipy", "numpy", "batchml", "threadpoolctl", "joblib", "_loss", "_cyutility"}


@pytest.mark.parametrize("path", ["os.system", "numpy.load", "sklearn.datasets.fetch_openml", "builtins.eval"])
def test_a_planted_function_is_refused_inside_an_estimator(path):
    spec = describe(make_pipeline(FunctionTransformer(), LogisticRegression()))
    spec["params"]["steps"][0]["$tuple"][1]["params"] = {"func": {"$function": path}}
    with pytest.raises(TrustError):
        build(spec)


def test_an_attack_runs_nothing(monkeypatch):
    def ran(*_args, **_kwargs):
        raise AssertionError("the attack ran")

    monkeypatch.setattr(subprocess, "Popen", ran)
    monkeypatch.setattr("os.system", ran)
    for path in ("subprocess.Popen", "sklearn._config.os.system", "os.system"):
        with pytest.raises(TrustError):
            build({"object": path, "params": {"args": "touch /tmp/pwned"}})


def test_a_refusal_says_what_to_do():
    with pytest.raises(TrustError, match="add 'some_lab' to the design's `modules`"):
        build({"object": "some_lab.trees.Model"})
    with pytest.raises(TrustError, match="write a function of your own"):
        build({"function": "numpy.load"})


def test_every_listed_function_exists_and_is_canonical():
    trust = Trust.default()
    for path in sorted(FUNCTIONS):
        try:
            function = trust.resolve(path)
        except BatchmlError as error:
            # Functions come and go with the versions of the libraries.
            if "there is no" in str(error):
                continue
            raise
        assert callable(function)
        assert canonical_path(function) in FUNCTIONS


def test_all_ufuncs_may_be_named():
    trust = Trust.default()
    for module in (np, scipy.special):
        for name, obj in vars(module).items():
            if isinstance(obj, np.ufunc) and not name.startswith("_"):
                assert trust.resolve(f"{module.__name__}.{name}") is obj
                assert trust.resolve(canonical_path(obj)) is obj


def test_every_estimator_is_trusted():
    trust = Trust.default()
    for _name, cls in all_estimators():
        assert trust.resolve(canonical_path(cls)) is cls


def test_no_estimator_takes_a_cache_or_a_path_unseen():
    """New parameters of this kind in a newer scikit-learn must be looked at: see refusals.py."""
    suspicious = set()
    for _name, cls in all_estimators():
        for param in getattr(cls, "_parameter_constraints", {}):
            if any(word in param for word in ("memory", "path", "file", "cache", "dir", "home", "dispatch", "backend")):
                suspicious.add(param)
    assert suspicious <= {"memory", "cache_size", "pre_dispatch", "direction", "fit_path", "path_method"}


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    folder = tmp_path / "src"
    (folder / "own_lab_pkg").mkdir(parents=True)
    (folder / "own_lab_pkg" / "__init__.py").write_text("from own_lab_pkg._trees import Deep\n")
    (folder / "own_lab_pkg" / "_trees.py").write_text(
        "class Deep:\n    def __init__(self, depth=1):\n        self.depth = depth\n"
    )
    (folder / "own_learners.py").write_text(
        "from os import system\n"
        "from subprocess import Popen\n"
        "from functools import partial, lru_cache\n"
        "import sklearn.datasets\n"
        "from sklearn.datasets import fetch_openml\n"
        "from sklearn.base import BaseEstimator, ClassifierMixin\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "class Own(ClassifierMixin, BaseEstimator):\n"
        "    def __init__(self, depth=3, inner=None):\n"
        "        self.depth = depth\n"
        "        self.inner = inner\n"
        "    class Nested(BaseEstimator):\n"
        "        pass\n"
        "def double(X):\n"
        "    return 2 * X\n"
        "alias = system\n"
        "clip = partial(double)\n"
        "instance = Own()\n"
        "@lru_cache\n"
        "def kept(X):\n"
        "    return X\n"
    )
    (folder / "own_broken.py").write_text("import nowhere_to_be_found\n")
    (folder / "own_failing.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_own_classes_and_functions_need_trust_by_module(own_module):
    import own_learners

    spec = describe(make_pipeline(FunctionTransformer(own_learners.double), own_learners.Own(depth=5)))
    with pytest.raises(TrustError, match="own_learners"):
        build(spec)
    back = build(spec, trust=Trust.default().with_modules(["own_learners"]))
    assert back[1].depth == 5
    assert back[0].func is own_learners.double
    assert describe(back) == spec
    nested = own_learners.Own.Nested()
    assert type(build(describe(nested), trust=Trust.default().with_modules(["own_learners"]))) is type(nested)


@pytest.mark.parametrize(
    "name", ["system", "Popen", "alias", "fetch_openml", "partial", "instance", "clip", "sklearn.datasets.fetch_openml"]
)
def test_what_an_own_module_imports_is_not_its_own(own_module, name):
    trust = Trust.default().with_modules(["own_learners"])
    with pytest.raises((TrustError, SpecError)):
        trust.resolve(f"own_learners.{name}")


def test_an_own_module_may_hand_on_an_estimator(own_module):
    trust = Trust.default().with_modules(["own_learners"])
    assert trust.resolve("own_learners.DecisionTreeClassifier") is DecisionTreeClassifier


def test_a_package_shows_its_classes_by_the_shortest_path(own_module):
    trust = Trust.default().with_modules(["own_lab_pkg"])
    obj = trust.resolve("own_lab_pkg._trees.Deep")(depth=4)
    assert describe(obj) == {"object": "own_lab_pkg.Deep", "params": {"depth": 4}}
    assert build(describe(obj), trust=trust).depth == 4


def test_a_module_that_fails_to_import_is_the_users_error(own_module):
    trust = Trust.default().with_modules(["own_broken", "own_failing", "own_absent"])
    with pytest.raises(ConfigError, match="needs 'nowhere_to_be_found'"):
        trust.resolve("own_broken.Model")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        trust.resolve("own_failing.Model")
    with pytest.raises(ConfigError, match="there is no module 'own_absent'"):
        trust.resolve("own_absent.Model")


def test_the_sources_of_own_modules_are_recorded(own_module):
    import own_learners

    trust = Trust.default().with_modules(["own_learners", "own_lab_pkg"])
    spec = {
        "learner": {"estimator": describe(own_learners.Own(inner=FunctionTransformer(own_learners.double)))},
        "other": {"class": "own_lab_pkg.Deep", "params": {"function": "own_learners", "object": "os.system"}},
    }
    assert module_sources(spec, trust) == {
        "own_learners": hashlib.sha256((own_module / "own_learners.py").read_bytes()).hexdigest(),
        "own_lab_pkg._trees": hashlib.sha256((own_module / "own_lab_pkg" / "_trees.py").read_bytes()).hexdigest(),
    }


def test_installed_packages_have_no_recorded_source():
    assert module_sources(describe(LogisticRegression(C=2.0))) == {}
    assert module_sources({"object": "joblib.Memory"}, Trust.default().with_modules(["threadpoolctl"])) == {}


def test_prefixes_match_up_to_a_dot():
    trust = Trust(prefixes=("lab",))
    assert trust.covers("lab")
    assert trust.covers("lab.trees")
    assert not trust.covers("laboratory")
    assert not trust.covers("my.lab")


def test_trust_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("BATCHML_TRUSTED_MODULES", " lab.a , other,")
    assert Trust.default().prefixes[-2:] == ("lab.a", "other")
    monkeypatch.setenv("BATCHML_TRUSTED_MODULES", "os")
    with pytest.raises(ConfigError, match="Python itself"):
        Trust.default()


@pytest.mark.parametrize(
    "name", ["os", "subprocess", "builtins", "__main__", "a b", "", "joblib", "pickle.x", "cloudpickle"]
)
def test_what_nobody_should_trust_cannot_be_trusted(name):
    with pytest.raises(ConfigError, match="cannot trust"):
        Trust.default().with_modules([name])


def test_trusting_scikit_learn_again_opens_nothing():
    trust = Trust.default().with_modules(["sklearn.datasets", "numpy"])
    with pytest.raises(TrustError):
        trust.resolve("sklearn.datasets.fetch_openml")
    with pytest.raises(TrustError):
        trust.resolve("numpy.load")


def test_modules_are_added_once_and_a_single_name_will_do():
    trust = Trust(prefixes=("a",)).with_modules("b").with_modules(["a", "b"])
    assert trust.prefixes == ("a", "b")


def test_scikit_learn_is_really_there():
    assert sklearn.__version__
