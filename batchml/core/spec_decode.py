"""Plain data to values and objects; whatever is named must be trusted."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import numpy as np

from batchml.core.refusals import FORBIDDEN_PARAMS
from batchml.core.signatures import constructor
from batchml.errors import BatchmlError, ConfigError, SpecError, TrustError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from batchml.core.trust import Trust

__all__ = ["Decoder"]

_MAX_DEPTH: Final = 200
_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0.0": -0.0}
_SCALAR_KINDS: Final = "biufU"
_DATA_KINDS: Final = "biufcSUmM"


class Decoder:
    """One decoding.

    Parameters
    ----------
    trust
        Decides on every class and function.
    where
        What is being decoded, for messages.
    """

    def __init__(self, trust: Trust, where: str) -> None:
        self.trust = trust
        self.where = where
        self._depth = 0

    def decode(self, data: Any) -> Any:
        """Return the value or object behind plain data."""
        kind = type(data)
        if kind in (bool, int, float, str) or data is None:
            return data
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._malformed(f"is nested deeper than {_MAX_DEPTH} levels")
        try:
            if isinstance(data, (list, tuple)):
                return [self.decode(item) for item in data]
            if isinstance(data, Mapping):
                return self._mapping(data)
        finally:
            self._depth -= 1
        return self._malformed(f"holds a {kind.__name__}, which is no plain data")

    def _mapping(self, data: Mapping[Any, Any]) -> Any:
        if not all(isinstance(key, str) for key in data):
            self._malformed("has a mapping whose keys are not all text")
        tags = [key for key in data if key.startswith("$")]
        if not tags:
            return {key: self._param(key, value) for key, value in data.items()}
        if len(tags) > 1:
            self._malformed(f"has a value with several tags: {', '.join(tags)}")
        tag = tags[0]
        reader = self._BY_TAG.get(tag)
        if reader is None:
            self._malformed(
                f"has the unknown tag {tag!r}{nearest(tag, self._BY_TAG)}; was it written by a newer batchml?"
            )
        extra = set(data) - {tag} - _FIELDS.get(tag, frozenset())
        if extra:
            self._malformed(f"has unknown fields beside {tag!r}: {', '.join(map(repr, sorted(extra)))}")
        try:
            return reader(self, data[tag], data)
        except BatchmlError:
            raise
        except (
            TypeError,
            ValueError,
            KeyError,
            OverflowError,
            AttributeError,
            binascii.Error,
            RecursionError,
        ) as error:
            return self._malformed(f"has a broken {tag!r} value: {error!r}")

    def _param(self, name: str, data: Any) -> Any:
        """Decode the value of a named parameter, or of a key that may become one in a search grid."""
        value = self.decode(data)
        rule = FORBIDDEN_PARAMS.get(name.rpartition("__")[2])
        if rule is not None and rule.refuses(value):
            raise SpecError(f"{self.where}: parameter {name} {rule.reason}")
        return value

    # Values

    def _tuple(self, value: Any, _: Any) -> Any:
        return tuple(self.decode(item) for item in value)

    def _dict(self, value: Any, _: Any) -> Any:
        result = {}
        for raw_key, raw in value:
            key = self.decode(raw_key)
            result[key] = self._param(key, raw) if isinstance(key, str) else self.decode(raw)
        return result

    def _set(self, value: Any, _: Any) -> Any:
        return {self.decode(item) for item in value}

    def _frozenset(self, value: Any, _: Any) -> Any:
        return frozenset(self.decode(item) for item in value)

    def _slice(self, value: Any, _: Any) -> Any:
        start, stop, step = value
        return slice(self.decode(start), self.decode(stop), self.decode(step))

    def _range(self, value: Any, _: Any) -> Any:
        start, stop, step = value
        return range(start, stop, step)

    def _float(self, value: Any, _: Any) -> Any:
        return _FLOATS[value]

    def _complex(self, value: Any, _: Any) -> Any:
        real, imaginary = value
        return complex(self.decode(real), self.decode(imaginary))

    def _bytes(self, value: Any, _: Any) -> Any:
        return base64.b64decode(value, validate=True)

    def _na(self, value: Any, _: Any) -> Any:
        if value != "pandas.NA":
            self._malformed(f"has an unknown $na: {value!r}")
        import pandas as pd

        return pd.NA

    def _dtype(self, value: Any, _: Any) -> Any:
        return _read_dtype(value, _DATA_KINDS + "O")

    def _numpy(self, value: Any, _: Any) -> Any:
        dtype, item = value
        return _read_dtype(dtype, _SCALAR_KINDS).type(self.decode(item))

    def _array(self, value: Any, _: Any) -> Any:
        shape = tuple(int(size) for size in value["shape"])
        if "values" in value:
            items = np.empty(len(value["values"]), dtype=object)
            items[:] = [self.decode(item) for item in value["values"]]
            return items.reshape(shape)
        dtype = _read_dtype(value["dtype"], _DATA_KINDS)
        raw = base64.b64decode(value["data"], validate=True)
        array = np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
        return array if shape else array[()]

    # Code

    def _type(self, value: Any, _: Any) -> Any:
        cls = self.trust.resolve(value)
        if not isinstance(cls, type):
            self._malformed(f"names {value} as a class, which it is not")
        return cls

    def _function(self, value: Any, _: Any) -> Any:
        function = self.trust.resolve(value)
        if isinstance(function, type) or not callable(function):
            self._malformed(f"names {value} as a function, which it is not")
        return function

    def _pickle(self, value: Any, data: Mapping[str, Any]) -> Any:
        what = str(data.get("what", "an object"))[:200]
        if not isinstance(value, str):
            self._malformed(f"names {value!r:.80} as a pickle, which it is not")
        if self.trust.pickles is None:
            raise TrustError(f"{self.where}: {what} is a pickle, and pickles are not opened here")
        return self.trust.pickles.open(value, f"{what} ({self.where})")

    def _object(self, value: Any, data: Mapping[str, Any]) -> Any:
        cls = self._pickle(value["$pickle"], value) if isinstance(value, Mapping) else self._type(value, data)
        if not isinstance(cls, type):
            self._malformed(f"names {cls!r:.80} as a class, which it is not")
        params = data.get("params", {})
        if not isinstance(params, Mapping):
            self._malformed(f"has params of {value} that are no mapping")
        signature = constructor(cls)
        if not signature.open:
            for name in params:
                if name not in signature.names:
                    known = ", ".join(signature.names) or "none"
                    close = nearest(name, signature.names)
                    raise UnknownKeyError(f"{self.where}: {value} has no parameter {name!r}{close}; it has {known}")
        values = {name: self._param(name, item) for name, item in params.items()}
        try:
            obj = cls(**values)
        except Exception as error:
            raise ConfigError(f"{self.where}: {value} refuses its parameters: {error}") from error
        if "output" in data:
            obj.set_output(**self.decode(data["output"]))
        return obj

    def _scorer(self, value: Any, data: Mapping[str, Any]) -> Any:
        from sklearn.metrics import make_scorer

        kwargs = self._mapping(data.get("kwargs", {}))
        return make_scorer(
            self._function(value, data),
            response_method=self.decode(data.get("response_method", "predict")),
            greater_is_better=bool(data.get("greater_is_better", True)),
            **kwargs,
        )

    def _distribution(self, value: Any, _: Any) -> Any:
        from scipy import stats

        module, _dot, name = value.rpartition(".")
        found = getattr(stats, name, None) if module == "scipy.stats" else None
        if not isinstance(found, (stats.rv_continuous, stats.rv_discrete)):
            self._malformed(f"names {value}, which is no distribution of scipy.stats")
        return found

    def _frozen(self, value: Any, data: Mapping[str, Any]) -> Any:
        args = [self.decode(item) for item in data.get("args", [])]
        kwds = {name: self.decode(item) for name, item in data.get("kwds", {}).items()}
        return self._distribution(value, data)(*args, **kwds)

    def _space(self, value: Any, _: Any) -> Any:
        from batchml.core.space_spec import build_space

        return build_space(value, trust=self.trust, where=self.where)

    def _tune(self, value: Any, _: Any) -> Any:
        from batchml.core.space_spec import build_token

        return build_token(value, trust=self.trust, where=self.where)

    def _malformed(self, reason: str) -> NoReturn:
        raise SpecError(f"{self.where} {reason}")

    _BY_TAG: ClassVar[dict[str, Callable[[Decoder, Any, Any], Any]]] = {
        "$array": _array,
        "$bytes": _bytes,
        "$complex": _complex,
        "$dict": _dict,
        "$distribution": _distribution,
        "$dtype": _dtype,
        "$float": _float,
        "$frozen": _frozen,
        "$frozenset": _frozenset,
        "$function": _function,
        "$na": _na,
        "$numpy": _numpy,
        "$object": _object,
        "$pickle": _pickle,
        "$range": _range,
        "$scorer": _scorer,
        "$set": _set,
        "$slice": _slice,
        "$space": _space,
        "$tune": _tune,
        "$tuple": _tuple,
        "$type": _type,
    }


def _read_dtype(text: Any, kinds: str) -> np.dtype[Any]:
    if not isinstance(text, str) or len(text) > 20 or "," in text:
        raise ValueError(f"{text!r} is no dtype")
    dtype = np.dtype(text)
    if dtype.kind not in kinds:
        raise ValueError(f"dtype {text!r} has no place here")
    return dtype


_FIELDS: Final = {
    "$object": frozenset({"params", "output"}),
    "$pickle": frozenset({"what"}),
    "$scorer": frozenset({"greater_is_better", "response_method", "kwargs"}),
    "$frozen": frozenset({"args", "kwds"}),
}
