"""Configuration: the user's file, then the folder's, then the environment; later words win."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_REGISTRY", "Settings", "load", "user_file"]

DEFAULT_REGISTRY = "sqlite:///batchml.db"
_NAME = "batchml.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line takes from configuration.

    Attributes
    ----------
    registry
        URL of the registry to use when the command line names none.
    trusted_modules
        Module prefixes that specs may name besides the trusted ones of batchml.
    executor
        Defaults of `submit`, `run` and `resume`: ``kind``, ``slots``, ``workers``.
    cpus
        How many processors there are to use, where ``$BATCHML_CPUS`` does not say; None to find out.
    sources
        Names of data sources to their URLs; specs hold names only, so that no password enters a registry.
    files
        The files that were read, in the order of reading.
    """

    registry: str = DEFAULT_REGISTRY
    trusted_modules: tuple[str, ...] = ()
    executor: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    cpus: int | None = None
    files: tuple[Path, ...] = ()


def user_file() -> Path:
    """Return the path of the user's own configuration file."""
    from platformdirs import user_config_path

    return user_config_path("batchml") / _NAME


def load(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    folder
        Where the second file is looked for; None for the working directory.
    environment
        None for that of the process.

    Raises
    ------
    ConfigError
        A file is no TOML, holds an unknown key or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    settings = Settings()
    for file in (user_file(), (folder or Path()) / _NAME):
        if file.is_file():
            settings = _merge(settings, file)
    words = [w.strip() for w in environment.get("BATCHML_TRUSTED_MODULES", "").split(",") if w.strip()]
    return Settings(
        registry=environment.get("BATCHML_REGISTRY") or settings.registry,
        trusted_modules=tuple(dict.fromkeys([*settings.trusted_modules, *words])),
        executor=settings.executor,
        sources=settings.sources,
        cpus=settings.cpus,
        files=settings.files,
    )


def _merge(before: Settings, file: Path) -> Settings:
    table = _read(file)
    _known(table, ("registry", "trusted_modules", "executor", "sources", "cpus"), file, "")
    executor = _table(table, "executor", file)
    _known(executor, ("kind", "slots", "workers"), file, "executor.")
    _check(executor, {"kind": str, "slots": int, "workers": int}, file)
    sources = _table(table, "sources", file)
    _check(sources, dict.fromkeys(sources, str), file)
    _check(table, {"registry": str, "trusted_modules": list, "cpus": int}, file)
    if table.get("cpus", 1) < 1:
        raise ConfigError(f"cpus in {file} must be at least 1, not {table['cpus']}")
    trusted = table.get("trusted_modules", [])
    if not all(isinstance(word, str) for word in trusted):
        raise ConfigError(f"trusted_modules in {file} must be a list of module names")
    return Settings(
        registry=table.get("registry", before.registry),
        trusted_modules=tuple(dict.fromkeys([*before.trusted_modules, *trusted])),
        executor={**before.executor, **executor},
        sources={**before.sources, **sources},
        cpus=table.get("cpus", before.cpus),
        files=(*before.files, file),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _known(table: Mapping[str, Any], names: tuple[str, ...], file: Path, prefix: str) -> None:
    for key in table:
        if key not in names:
            raise ConfigError(f"unknown key {prefix}{key} in {file}{nearest(key, names)}; there are {', '.join(names)}")


def _table(table: Mapping[str, Any], key: str, file: Path) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key} in {file} must be a table: [{key}]")
    return value


def _check(table: Mapping[str, Any], types: Mapping[str, type], file: Path) -> None:
    for key, kind in types.items():
        value = table.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError(f"{key} in {file} must be of type {kind.__name__}, not {value!r}")
