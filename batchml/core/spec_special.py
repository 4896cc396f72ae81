"""Scorers, distributions, missing markers and parameter spaces as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchml.core.spec_encode import Encoder

__all__ = ["join", "special_object"]


def join(path: str, name: str) -> str:
    """Return the path of a parameter of the object at `path`, as `set_params` writes it."""
    return f"{path}__{name}" if path else name


def special_object(encoder: Encoder, value: Any, path: str) -> Any:
    """Encode scorers, distributions, pandas' NA and parameter spaces; None for anything else."""
    module = type(value).__module__
    if module == "sklearn.metrics._scorer":
        return _scorer(encoder, value, path)
    if module.startswith("scipy.stats."):
        return _distribution(encoder, value, path)
    if module.startswith("batchml.params."):
        return _space(encoder, value, path)
    if type(value).__name__ == "NAType" and module.startswith("pandas."):
        return {"$na": "pandas.NA"}
    return None


def _space(encoder: Encoder, value: Any, path: str) -> Any:
    from batchml.core.space_spec import describe_space, describe_token
    from batchml.params import ParamSet, TuneToken

    where = f"{encoder.where}: {path}" if path else encoder.where
    if isinstance(value, ParamSet):
        return {"$space": describe_space(value, where=where)}
    return {"$tune": describe_token(value, where=where)} if isinstance(value, TuneToken) else None


def _scorer(encoder: Encoder, value: Any, path: str) -> Any:
    if type(value).__name__ != "_Scorer":
        encoder.refuse(path, f"is a {type(value).__name__}; give a scorer's name or make_scorer(function)")
    encoder.check_state(value, {}, path)
    # A scorer keeps the arguments of make_scorer in private attributes and has no other way to them.
    kept = {name: getattr(value, f"_{name}") for name in ("score_func", "sign", "kwargs", "response_method")}
    data = encoder.named(kept["score_func"], join(path, "score_func"))
    return {
        "$scorer": data["$function"],
        "greater_is_better": kept["sign"] > 0,
        "response_method": encoder.value(kept["response_method"], join(path, "response_method")),
        "kwargs": encoder.value(kept["kwargs"], path),
    }


def _distribution(encoder: Encoder, value: Any, path: str) -> Any:
    from scipy import stats

    frozen = isinstance(value, stats.distributions.rv_frozen)
    generator = value.dist if frozen else value
    name = str(getattr(generator, "name", None))
    known = getattr(stats, name, None)
    if not isinstance(known, (stats.rv_continuous, stats.rv_discrete)) or type(known) is not type(generator):
        encoder.refuse(path, f"is a {type(value).__name__}, not a distribution of scipy.stats such as loguniform(1, 9)")
    if not frozen:
        return {"$distribution": f"scipy.stats.{name}"}
    return {
        "$frozen": f"scipy.stats.{name}",
        "args": [encoder.value(item, f"{path}.args[{i}]") for i, item in enumerate(value.args)],
        "kwds": {key: encoder.value(value.kwds[key], f"{path}.{key}") for key in sorted(value.kwds)},
    }
