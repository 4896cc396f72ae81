"""Values and objects to plain data; refusals name the parameter and the remedy."""

from __future__ import annotations

import base64
import math
import types
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import numpy as np

from batchml.core.digest import canonical_json
from batchml.core.naming import canonical_path
from batchml.core.pickled import describe_pickled
from batchml.core.refusals import FORBIDDEN_PARAMS, PICKLED, remedy
from batchml.core.signatures import constructor, param_values
from batchml.core.spec_special import join, special_object
from batchml.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_BYTES", "Encoder"]

# A spec is read by every worker and shown by SQL; larger data belongs into the task.
MAX_BYTES: Final = 1 << 16
_MAX_ITEMS: Final = 100_000
_MAX_DEPTH: Final = 64
_SIZED: Final = (list, tuple, dict, set, frozenset)
_BIG: Final = "make it a column of the task, or compute or load it in a class of your own module"
_FUNCTIONS: Final = (types.FunctionType, types.BuiltinFunctionType, np.ufunc, type(np.mean))


class Encoder:
    """One encoding of one object.

    Parameters
    ----------
    where
        What is being encoded, for messages.
    lenient
        Write ``{"$repr": text}`` for what has no encoding instead of refusing it.
    """

    def __init__(self, where: str, *, lenient: bool = False) -> None:
        self.where = where
        self.lenient = lenient
        self._open: list[int] = []

    def encode(self, value: Any) -> Any:
        """Return `value` as plain data."""
        return self.value(value, "")

    def all_params(self, obj: Any) -> dict[str, Any]:
        """Return every parameter of an object, also those at their defaults."""
        if isinstance(obj, (*_FUNCTIONS, type)):
            return {}
        return {name: self.value(value, name) for name, value in sorted(param_values(obj).items())}

    def value(self, value: Any, path: str) -> Any:
        """Return the value of the parameter at `path` as plain data."""
        kind = type(value)
        if kind in (bool, int, str) or value is None:
            if kind is str and len(value) > MAX_BYTES:
                self._check_size(len(value), path)
            return value
        if kind is float:
            return _encode_float(value)
        try:
            return self._container(value, kind, path)
        except SpecError as error:
            if self.lenient:
                return {"$repr": repr(value)[:500]}
            raise error from None

    def _container(self, value: Any, kind: type, path: str) -> Any:
        """Encode what can hold other values, remembering what is open so that a cycle is found."""
        if id(value) in self._open:
            self.refuse(path, "holds itself; a spec cannot be circular")
        if len(self._open) >= _MAX_DEPTH:
            self.refuse(path, f"is nested deeper than {_MAX_DEPTH} levels")
        self._open.append(id(value))
        try:
            encoder = self._BY_TYPE.get(kind)
            if kind in _SIZED and len(value) > _MAX_ITEMS:
                self.refuse(path, f"holds {len(value):,} items; specs take up to {_MAX_ITEMS:,}: {_BIG}")
            return encoder(self, value, path) if encoder else self._other(value, path)
        finally:
            self._open.pop()

    def _other(self, value: Any, path: str) -> Any:
        advice = remedy(value)
        if advice is not None:
            return self._pickled(value, path, advice) if type(value) in PICKLED else self.refuse(path, advice)
        if isinstance(value, (*_FUNCTIONS, type)):
            return self.named(value, path)
        if isinstance(value, np.ndarray):
            self.refuse(path, f"is a {type(value).__name__}; give a plain numpy array")
        if isinstance(value, (np.generic, np.dtype)):
            return self._numpy(value, path)
        special = special_object(self, value, path)
        if special is not None:
            return special
        if not hasattr(value, "get_params") and hasattr(value, "__qualname__"):
            return self.named(value, path)
        return self._object(value, path)

    # Containers

    def _list(self, value: list[Any], path: str) -> Any:
        return [self._item(item, path, index) for index, item in enumerate(value)]

    def _tuple(self, value: tuple[Any, ...], path: str) -> Any:
        return {"$tuple": [self._item(item, path, index) for index, item in enumerate(value)]}

    def _item(self, item: Any, path: str, index: int) -> Any:
        """Encode an element; named steps get the path that `set_params` would use."""
        if type(item) is tuple and len(item) > 1 and type(item[0]) is str and hasattr(item[1], "get_params"):
            step = join(path.rpartition("__")[0], item[0])
            rest = [self.value(more, f"{path}[{index}][{i}]") for i, more in enumerate(item[2:], start=2)]
            return {"$tuple": [item[0], self.value(item[1], step), *rest]}
        return self.value(item, f"{path}[{index}]")

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        for key, item in value.items():
            if isinstance(key, str):
                self._check_name(key, item, f"{path}[{key!r}]")
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.value(value[key], f"{path}[{key!r}]") for key in sorted(value)}
        pairs = [
            [self.value(key, f"key {key!r} of {path}"), self.value(item, f"{path}[{key!r}]")]
            for key, item in value.items()
        ]
        return {"$dict": sorted(pairs, key=lambda pair: canonical_json(pair[0]))}

    def _set(self, value: set[Any] | frozenset[Any], path: str) -> Any:
        items = [self.value(item, f"{path}[...]") for item in value]
        return {f"${type(value).__name__}": sorted(items, key=canonical_json)}

    def _span(self, value: slice | range, path: str) -> Any:
        parts = (value.start, value.stop, value.step)
        return {f"${type(value).__name__}": [self.value(part, path) for part in parts]}

    # Leaves

    def _complex(self, value: complex, path: str) -> Any:
        return {"$complex": [self.value(value.real, path), self.value(value.imag, path)]}

    def _bytes(self, value: bytes, path: str) -> Any:
        self._check_size(len(value), path)
        return {"$bytes": base64.b64encode(value).decode("ascii")}

    def _numpy(self, value: np.generic | np.dtype[Any], path: str) -> Any:
        dtype = value if isinstance(value, np.dtype) else value.dtype
        if dtype.names is not None or dtype.subdtype is not None or dtype.kind == "V":
            self.refuse(path, f"has the structured dtype {dtype}; give plain numbers or text")
        if isinstance(value, np.dtype):
            return {"$dtype": dtype.str}
        if dtype.kind in "biuU" or (dtype.kind == "f" and dtype.itemsize <= 8):
            return {"$numpy": [dtype.str, self.value(value.item(), path)]}
        return {"$array": _array_data(np.asarray(value), dtype)}

    def _array(self, value: np.ndarray[Any, Any], path: str) -> Any:
        self._check_size(value.nbytes, path)
        self._numpy(value.dtype, path)
        if value.dtype.kind == "O":
            items = [self.value(item, f"{path}[{index}]") for index, item in enumerate(value.ravel().tolist())]
            return {"$array": {"dtype": "|O", "shape": list(value.shape), "values": items}}
        return {"$array": _array_data(value, value.dtype)}

    def _check_size(self, size: int, path: str) -> None:
        if size > MAX_BYTES:
            self.refuse(
                path,
                f"holds {size:,} bytes; specs take up to {MAX_BYTES:,} in one value: {_BIG}",
            )

    # Code

    def named(self, value: Any, path: str) -> Any:
        """Return a class or function by its import path."""
        try:
            name = canonical_path(value)
        except SpecError as error:
            return self._pickled(value, path, str(error))
        return {"$type" if isinstance(value, type) else "$function": name}

    def _object(self, value: Any, path: str) -> Any:
        cls = type(value)
        try:
            name: Any = canonical_path(cls)
        except SpecError as error:
            name = self._pickled(cls, path, f"has a class that {error}")
        try:
            values = param_values(value)
        except SpecError as error:
            return self._pickled(value, path, str(error))
        self.check_state(value, values, path)
        data: dict[str, Any] = {"$object": name, "params": self._changed_params(cls, values, path)}
        output = getattr(value, "_sklearn_output_config", None)
        if output:
            data["output"] = self.value(dict(output), join(path, "set_output"))
        return data

    def _pickled(self, value: Any, path: str, reason: str) -> Any:
        """Name a pickle in place of what has no spec, where pickles are allowed."""
        described = None if self.lenient else describe_pickled(value, self._refusal(path, reason))
        return described or self.refuse(path, reason)

    def _changed_params(self, cls: type, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Encode the parameters that differ from the constructor's defaults."""
        defaults = constructor(cls).defaults
        params = {}
        for name in sorted(values):
            value = values[name]
            if name in defaults and value is defaults[name]:
                continue
            self._check_name(name, value, join(path, name))
            encoded = self.value(value, join(path, name))
            if name not in defaults or encoded != self._default(cls, name) or _typed(encoded, self._default(cls, name)):
                params[name] = encoded
        return params

    def _default(self, cls: type, name: str) -> Any:
        known = constructor(cls).encoded
        if name not in known:
            known[name] = Encoder(self.where, lenient=True).encode(constructor(cls).defaults[name])
        return known[name]

    def _check_name(self, name: str, value: Any, path: str) -> None:
        advice = FORBIDDEN_PARAMS.get(name.rpartition("__")[2])
        if advice is not None and advice.refuses(value) and not self.lenient:
            self.refuse(path, advice.reason)

    def check_state(self, value: Any, values: Mapping[str, Any], path: str) -> None:
        """Refuse what a fresh object built from parameters would silently lack."""
        if self.lenient:
            return
        if getattr(value, "_skl_callbacks", None):
            self.refuse(path, "has callbacks, which specs do not carry; remove them (set_callbacks())")
        request = getattr(value, "_metadata_request", None)
        if request is not None:
            self.refuse(path, "has metadata requests (set_fit_request ...), which specs do not carry; remove them")
        prefit = values.get("prefit") is True or values.get("cv") == "prefit"
        if (prefit or type(value).__name__ == "FrozenEstimator") and _is_fitted(values.get("estimator")):
            self.refuse(
                join(path, "estimator"),
                "is fitted already, and a spec holds parameters only; give the unfitted estimator, which each "
                "iteration trains on its own rows",
            )

    def refuse(self, path: str, reason: str) -> NoReturn:
        """Raise the error that names the parameter, what is wrong with it and what to do."""
        raise SpecError(self._refusal(path, reason))

    def _refusal(self, path: str, reason: str) -> str:
        subject = f"parameter {path} " if path else ""
        return f"{self.where}: {subject}{reason}"

    _BY_TYPE: ClassVar[dict[type, Callable[[Encoder, Any, str], Any]]] = {
        list: _list,
        tuple: _tuple,
        dict: _dict,
        set: _set,
        frozenset: _set,
        slice: _span,
        range: _span,
        complex: _complex,
        bytes: _bytes,
        np.ndarray: _array,
    }


def _encode_float(value: float) -> Any:
    if math.isfinite(value) and (value != 0.0 or math.copysign(1.0, value) > 0):
        return value
    return {"$float": repr(value)}


def _typed(one: Any, other: Any) -> bool:
    """Tell equal encodings apart that hold 1, 1.0 and True, which Python calls equal."""
    return canonical_json(one) != canonical_json(other)


def _array_data(value: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    little = dtype.newbyteorder("<")
    raw = np.ascontiguousarray(value, dtype=little).tobytes()
    return {"dtype": little.str, "shape": list(value.shape), "data": base64.b64encode(raw).decode("ascii")}


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True
