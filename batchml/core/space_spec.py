"""Parameter spaces as plain data and back.

::

    {"format": 1, "params": [{"id": "cost", "kind": "dbl", "lower": 0.1, ...}, ..], "values": {..}, "extra_trafo": ..}

A parameter holds only what differs from a plain `Domain`. Functions are ``{"expression": "10 ** x"}``,
``{"import": "my_module.function"}``, ``{"exp": [lower, upper]}``, ``{"whole_exp": [lower, upper]}``,
``{"lookup": [[name, value], ..], "then": ..}`` or ``{"parts": [..]}``. Values are encoded as in `batchml.core.spec`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from batchml.core.digest import canonical_json
from batchml.core.naming import canonical_path
from batchml.core.spec_decode import Decoder
from batchml.core.spec_encode import Encoder
from batchml.core.trust import Trust
from batchml.errors import BatchmlError, SpecError
from batchml.params import Condition, Domain, ParamSet, TuneToken
from batchml.params.expression import Expression
from batchml.params.kinds import PROBLEMS, read_bounds, same
from batchml.params.trafo import Exp, Imported, Lookup, Part, Parts, WholeExp

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["build_space", "build_token", "describe_space", "describe_token", "space_from_json", "space_to_json"]

FORMAT: Final = 1

_FUNCTIONS: Final = ("trafo", "custom_check", "aggr")
_CONDITIONS: Final = ("depends", "suits")
_LISTS: Final = ("levels", "special_vals")


def space_to_json(space: ParamSet) -> str:
    """Return the canonical JSON of a space; see `ParamSet.to_json`."""
    return canonical_json(describe_space(space))


def space_from_json(text: str, *, trust: Trust | None = None) -> ParamSet:
    """Return the space that `space_to_json` wrote; see `ParamSet.from_json`."""
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError(f"a parameter space is JSON text, and this is not: {error}") from None
    return build_space(data, trust=trust)


# To data -------------------------------------------------------------------------------------------------------------


def describe_space(space: ParamSet, *, where: str | None = None) -> dict[str, Any]:
    """Return a space and its values as plain data.

    Raises
    ------
    SpecError
        A function or a value that cannot be written down, by the name of its parameter.
    """
    owner = where or space.owner
    data: dict[str, Any] = {
        "format": FORMAT,
        "params": [
            {"id": name, **_domain_data(domain, f"{owner}: parameter {name}")} for name, domain in space.domains.items()
        ],
    }
    if space.values:
        data["values"] = {
            name: Encoder(f"{owner}: parameter {name}").encode(value) for name, value in space.values.items()
        }
    if space.extra_trafo is not None:
        data["extra_trafo"] = _function_data(space.extra_trafo, f"{owner}: extra_trafo")
    return data


def describe_token(token: TuneToken, *, where: str) -> dict[str, Any]:
    """Return a token as plain data."""
    data: dict[str, Any] = {
        field.name: getattr(token, field.name)
        for field in fields(token)
        if field.name not in {"content", "aggr"} and getattr(token, field.name) not in (None, False)
    }
    if isinstance(token.content, Domain):
        data["domain"] = _domain_data(token.content, where)
    elif token.content is not None:
        data["space"] = describe_space(token.content, where=where)
    if token.aggr is not None:
        data["aggr"] = _function_data(token.aggr, f"{where}: aggr")
    return data


def _domain_data(domain: Domain, where: str) -> dict[str, Any]:
    if domain.rule is not None:
        raise SpecError(f"{where} is checked by the learner, so its set is not stored: store its search_space()")
    data: dict[str, Any] = {}
    for field in fields(domain):
        value = getattr(domain, field.name)
        if same(value, field.default):
            continue
        if field.name in _FUNCTIONS:
            data[field.name] = _function_data(value, f"{where}: {field.name}")
        elif field.name in _CONDITIONS:
            data[field.name] = [{"on": one.on, "rhs": _encoded(list(one.rhs), where)} for one in value]
        elif field.name == "tags":
            data["tags"] = sorted(value)
        else:
            plain = list(value) if field.name in _LISTS else value
            data[field.name] = _encoded(plain, f"{where}: {field.name}")
    return data


def _encoded(value: Any, where: str) -> Any:
    return Encoder(where).encode(value)


def _function_data(function: Callable[..., Any], where: str) -> dict[str, Any]:
    match function:
        case Expression():
            return {"expression": function.text}
        case Imported():
            return {"import": function.path}
        case Exp():
            return {"exp": _encoded([function.lower, function.upper], where)}
        case WholeExp():
            return {"whole_exp": _encoded([function.lower, function.upper], where)}
        case Lookup():
            then = {} if function.then is None else {"then": _function_data(function.then, where)}
            return {"lookup": [[name, _encoded(value, where)] for name, value in function.named.items()], **then}
        case Parts():
            return {"parts": [_part_data(part, where) for part in function.parts]}
    raise SpecError(f"{where} is {_called(function)}: write {_instead(function)}, which can be stored")


def _part_data(part: Part, where: str) -> dict[str, Any]:
    data: dict[str, Any] = {"ids": [list(pair) for pair in part.ids.items()]}
    data |= {name: getattr(part, name) for name in ("prefix", "suffix", "target") if getattr(part, name)}
    if part.extra_trafo is not None:
        data["extra_trafo"] = _function_data(part.extra_trafo, where)
    return data


def _called(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "a lambda" if name == "<lambda>" else f"the function {name}"


def _instead(function: Any) -> str:
    try:
        path = canonical_path(function)
    except SpecError:
        path = ""
    if path and path.partition(".")[0] not in sys.stdlib_module_names:
        return f"its import path {path!r}"
    return "an expression such as '10 ** x', or the import path of a function in a module beside your design"


# From data -----------------------------------------------------------------------------------------------------------


def build_space(data: Any, *, trust: Trust | None = None, where: str = "parameter space") -> ParamSet:
    """Return the space behind plain data; functions that it names must be trusted.

    Raises
    ------
    SpecError
        It is no space, or one of a newer format.
    TrustError
        It names a function that is not trusted.
    """
    return _Reader(trust or Trust.default(), where).space(data)


def build_token(data: Any, *, trust: Trust, where: str) -> TuneToken:
    """Return the token behind plain data."""
    return _Reader(trust, where).token(data)


class _Reader:
    """Reads one space."""

    def __init__(self, trust: Trust, where: str) -> None:
        self.trust = trust
        self.where = where
        self._decode = Decoder(trust, where).decode

    def space(self, data: Any) -> ParamSet:
        self._table(data, ("format", "params", "values", "extra_trafo"))
        if data.get("format") != FORMAT:
            raise SpecError(f"{self.where}: format {data.get('format')!r} is of a newer batchml: upgrade it")
        try:
            named = [(one["id"], self._domain({k: v for k, v in one.items() if k != "id"})) for one in data["params"]]
            extra = self._function(data.get("extra_trafo"))
            space = ParamSet(dict(named), extra_trafo=extra)
            space.values = {name: self._decode(value) for name, value in data.get("values", {}).items()}
        except BatchmlError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise SpecError(f"{self.where} is malformed: {error!r}") from None
        return space

    def token(self, data: Any) -> TuneToken:
        self._table(data, ("lower", "upper", "logscale", "internal", "domain", "space", "aggr"))
        content: Any = self._domain(data["domain"]) if "domain" in data else None
        if "space" in data:
            content = self.space(data["space"])
        rest = {name: value for name, value in data.items() if name in {"lower", "upper", "logscale", "internal"}}
        return TuneToken(content=content, aggr=self._function(data.get("aggr")), **rest)

    def _domain(self, data: Mapping[str, Any]) -> Domain:
        self._table(data, [field.name for field in fields(Domain) if field.name != "rule"])
        if data.get("kind", "uty") not in PROBLEMS:
            raise SpecError(f"{self.where}: there is no kind {data['kind']!r} of parameters")
        made: dict[str, Any] = {}
        for name, value in data.items():
            if name in _FUNCTIONS:
                made[name] = self._function(value)
            elif name in _CONDITIONS:
                made[name] = tuple(Condition(on=one["on"], rhs=tuple(self._decode(one["rhs"]))) for one in value)
            elif name == "tags":
                made[name] = frozenset(value)
            else:
                decoded = self._decode(value)
                made[name] = tuple(decoded) if name in _LISTS else decoded
        domain = Domain(**made)
        read_bounds(domain.lower, domain.upper)
        return domain

    def _function(self, data: Any) -> Callable[..., Any] | None:
        if data is None:
            return None
        self._table(data, ("expression", "import", "exp", "whole_exp", "lookup", "then", "parts"))
        if "expression" in data:
            return Expression(data["expression"])
        if "import" in data:
            return Imported(data["import"], self.trust.resolve(data["import"]))
        for tag, scale in (("exp", Exp), ("whole_exp", WholeExp)):
            if tag in data:
                lower, upper = self._decode(data[tag])
                return scale(lower=lower, upper=upper)
        if "lookup" in data:
            named = {name: self._decode(value) for name, value in data["lookup"]}
            return Lookup(named=named, then=self._function(data.get("then")))
        return Parts(tuple(self._part(one) for one in data["parts"]))

    def _part(self, data: Mapping[str, Any]) -> Part:
        self._table(data, ("ids", "prefix", "suffix", "target", "extra_trafo"))
        rest = {name: data[name] for name in ("prefix", "suffix", "target") if name in data}
        return Part(ids=dict(data["ids"]), extra_trafo=self._function(data.get("extra_trafo")), **rest)

    def _table(self, data: Any, known: Iterable[str]) -> None:
        if not isinstance(data, Mapping):
            raise SpecError(f"{self.where} is malformed: {data!r:.80} is no mapping")
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise SpecError(f"{self.where} is malformed: it has the unknown field {unknown[0]!r}")
