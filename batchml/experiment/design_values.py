"""Values of a design file: what TOML has no word for, and where a mistake is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from batchml.errors import BatchmlError, DesignError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from batchml.core.trust import Trust

__all__ = ["build_object", "check_keys", "located", "take_table", "take_text", "take_texts", "value_of"]


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Say in every error where in the file it arose."""
    try:
        yield
    except BatchmlError as error:
        if not str(error).startswith(where):
            error.args = (f"{where}: {error}",)
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise DesignError(f"{where}: {error}") from error


def check_keys(entry: Mapping[str, Any], known: Collection[str], where: str, *, hint: str = "") -> None:
    """Refuse keys that nobody would read, naming the nearest that is one."""
    for key in entry:
        if key not in known:
            raise DesignError(
                f"{where}: unknown key '{key}'{nearest(key, known)}; it takes {', '.join(sorted(known))}{hint}"
            )


def take_text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    """Return a text, None if the key is not there."""
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise DesignError(f"{where}: {key} must be a text, not {value!r}")
    if value is not None and not value.strip():
        raise DesignError(f"{where}: {key} is empty; leave it out, or write something")
    return value


def take_texts(entry: Mapping[str, Any], key: str, where: str) -> list[str]:
    """Return a list of texts; one text counts as a list, no key as an empty one."""
    value = entry.get(key, [])
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise DesignError(f"{where}: {key} must be a list of texts, not {value!r}")
    return listed


def take_table(entry: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """Return a table, an empty one if the key is not there."""
    value = entry.get(key, {})
    if not isinstance(value, dict):
        raise DesignError(f"{where}: {key} must be a table, {{ name = value }}, not {value!r}")
    return value


def value_of(value: Any, *, trust: Trust, where: str) -> Any:
    """Return the Python value of what TOML can write.

    ``{ tuple = [..] }``, ``{ none = true }`` and ``{ class = "..", params = {..} }`` stand for what it has no word for.
    """
    if isinstance(value, list):
        return [value_of(item, trust=trust, where=where) for item in value]
    if not isinstance(value, dict):
        return value
    keys = set(value)
    if keys == {"tuple"} and isinstance(value["tuple"], list):
        return tuple(value_of(item, trust=trust, where=where) for item in value["tuple"])
    if keys == {"none"} and value["none"] is True:
        return None
    if "class" in keys and keys <= {"class", "params"}:
        return build_object(value, trust=trust, where=where)
    return {key: value_of(item, trust=trust, where=where) for key, item in value.items()}


def build_object(entry: str | Mapping[str, Any], *, trust: Trust, where: str) -> Any:
    """Return the object of a class path, or of a table with ``class`` and ``params``."""
    from batchml.core import spec

    table: Mapping[str, Any] = {"class": entry} if isinstance(entry, str) else entry
    path = take_text(table, "class", where)
    params = take_table(table, "params", where)
    if path is None:
        raise DesignError(f'{where}: write class = "package.module.Name"')
    encoded = {
        name: spec.encode(value_of(value, trust=trust, where=where), where=f"{path}({name})")
        for name, value in params.items()
    }
    with located(where):
        return spec.build({"object": path, "params": encoded}, trust=trust)
