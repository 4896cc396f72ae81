"""Configuration: ``batchml.toml`` of the site, the user, the parents of the working folder and itself; the environment.

Later words win. Every value remembers where it came from.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.configuration_keys import ANY, CLUSTER, KEYS
from batchml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CONFIG", "DEFAULT_REGISTRY", "Configuration", "load_configuration", "site_file", "user_file"]

DEFAULT_REGISTRY = "sqlite:///batchml.db"
CONFIG = "BATCHML_CONFIG"
"""Names one more file, read after all others: workers on other machines get the submitter's by it."""
_NAME = "batchml.toml"
_VARIABLES = {"registry": "BATCHML_REGISTRY", "artifacts": "BATCHML_ARTIFACTS"}
_ADDING = "trusted_modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What holds here.

    Attributes
    ----------
    values
        Dotted keys to values, as `KEYS` describes them; only what somebody has set.
    origins
        Dotted keys to where the value came from: a file, or ``$NAME``.
    files
        The files that were read, in the order of reading.
    ignored
        Files of parent folders that were not read, since somebody else owns them or this user may not read them.
    """

    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    ignored: tuple[Path, ...] = ()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a dotted key."""
        return self.values.get(key, default)

    def table(self, name: str) -> dict[str, Any]:
        """Return the keys below `name`, without it, as ``{"a": 1, "b.c": 2}``."""
        return {key.removeprefix(f"{name}."): value for key, value in self.values.items() if key.startswith(f"{name}.")}

    @property
    def registry(self) -> str:
        """URL of the registry to use when nobody names one."""
        return str(self.get("registry", DEFAULT_REGISTRY))

    @property
    def trusted_modules(self) -> tuple[str, ...]:
        """Module prefixes that specs may name besides the trusted ones of batchml."""
        return tuple(self.get(_ADDING, ()))

    @property
    def cpus(self) -> int | None:
        """How many processors there are to use, where ``$BATCHML_CPUS`` does not say; None to find out."""
        number: int | None = self.get("cpus")
        return number

    @property
    def executor(self) -> dict[str, Any]:
        """Defaults of `submit`: ``kind``, ``slots``, ``workers``."""
        return self.table("executor")

    @property
    def resources(self) -> dict[str, Any]:
        """Defaults of what each iteration and allocation needs."""
        return self.table("resources")

    @property
    def sources(self) -> dict[str, str]:
        """Names of data sources to their URLs; specs hold names only, so that no password enters a registry."""
        return self.table("sources")

    def slurm(self, cluster: str = "") -> dict[str, Any]:
        """Return the SLURM settings, with what differs on the cluster of that name."""
        common = {key: value for key, value in self.table("slurm").items() if not key.startswith("cluster.")}
        return {**common, **self.table(f"{CLUSTER}.{cluster}")}


def user_file() -> Path:
    """Return the path of the user's own configuration file."""
    from platformdirs import user_config_path

    return user_config_path("batchml") / _NAME


def site_file() -> Path:
    """Return the path of the configuration file for all users of this machine."""
    from platformdirs import site_config_path

    return site_config_path("batchml") / _NAME


def load_configuration(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read the configuration.

    Parameters
    ----------
    folder
        The working folder; None for that of the process.
    environment
        None for that of the process.

    Raises
    ------
    ConfigError
        A file is no TOML, holds an unknown key or a value of the wrong kind.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    files: list[Path] = []
    here = (folder or Path()).resolve()
    foreign = [file for file in _above(here) if not _is_ours(file)]
    for file in [site_file(), user_file(), *_above(here), here / _NAME, *_named(environment)]:
        if file in foreign or file in files or not _is_file(file):
            continue
        files.append(file)
        for key, value in _read(file, absolute=file.parent != here):
            values[key] = _merged(values, key, value)
            origins[key] = f"{origins[key]}, {file}" if key == _ADDING and key in origins else str(file)
    for key, value, variable in _said(environment):
        values[key] = _merged(values, key, value)
        origins[key] = f"{origins[key]}, ${variable}" if key == _ADDING and key in origins else f"${variable}"
    return Configuration(values=values, origins=origins, files=tuple(files), ignored=tuple(foreign))


def _above(here: Path) -> list[Path]:
    """The files of all folders above, the uppermost first."""
    return [file for folder in reversed(here.parents) if _is_file(file := folder / _NAME)]


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # folders above the working folder need not let this user in
        return False


def _is_ours(file: Path) -> bool:
    """Whether nobody else could have put it there: a file in a folder above may hold shell lines to run."""
    return file.stat().st_uid in {0, os.geteuid()} and os.access(file, os.R_OK)


def _named(environment: Mapping[str, str]) -> list[Path]:
    word = environment.get(CONFIG, "").strip()
    if word and not Path(word).is_file():
        raise ConfigError(f"${CONFIG} names {word}, which is no file")
    return [Path(word).resolve()] if word else []


def _said(environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for key, variable in _VARIABLES.items():
        if environment.get(variable):
            yield key, environment[variable], variable
    file = environment.get("BATCHML_REGISTRY_FILE")
    if file and not environment.get("BATCHML_REGISTRY"):
        try:
            yield "registry", Path(file).read_text(encoding="utf-8").strip(), "BATCHML_REGISTRY_FILE"
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"$BATCHML_REGISTRY_FILE names {file}, which cannot be read: {error}") from error
    words = [word.strip() for word in environment.get("BATCHML_TRUSTED_MODULES", "").split(",") if word.strip()]
    if words:
        yield _ADDING, words, "BATCHML_TRUSTED_MODULES"
    cpus = environment.get("BATCHML_CPUS", "").strip()
    if cpus.isdecimal():
        yield "cpus", int(cpus), "BATCHML_CPUS"


def _merged(values: Mapping[str, Any], key: str, value: Any) -> Any:
    return list(dict.fromkeys([*values.get(key, ()), *value])) if key == _ADDING else value


def _read(file: Path, *, absolute: bool) -> Iterator[tuple[str, Any]]:
    import tomllib

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    for key, value in _leaves(table, "", file):
        described = KEYS[_pattern(key)]
        checked = described.check(value, f"{key} in {file}")
        if described.kind.endswith("path") and isinstance(checked, str) and "://" not in checked:
            checked = str(file.parent / Path(checked).expanduser())
        yield key, _anchored(checked, file.parent) if key == "registry" and absolute else checked


def _anchored(url: str, folder: Path) -> str:
    """A file that a folder above names is below that folder, not below the working folder."""
    relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?![/:])(.+)", url)
    return f"{relative[1]}{folder / relative[2]}" if relative and folder not in _homes() else url


def _homes() -> set[Path]:
    return {user_file().parent, site_file().parent}


def _leaves(table: Mapping[str, Any], prefix: str, file: Path) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; tables that no key describes are unknown."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and _is_table(key):
            yield from _leaves(value, f"{key}.", file)
        elif _pattern(key) in KEYS:
            yield key, value
        elif _is_table(key):
            raise ConfigError(f"{key} in {file} must be a table: [{key}]")
        else:
            known = sorted(_siblings(prefix))
            there = f"; there are {', '.join(known)}" if known else ""
            raise ConfigError(f"unknown key {key} in {file}{nearest(name, known)}{there}")


def _pattern(key: str) -> str:
    """Return the entry of `KEYS` that describes a key: names of the user's choice become ``*``."""
    common = _common(key)
    parent = common.rpartition(".")[0]
    return f"{parent}.{ANY}" if f"{parent}.{ANY}" in KEYS else common


def _common(key: str) -> str:
    """Return the key without the name of a cluster."""
    words = key.split(".")
    if f"{key}.".startswith(f"{CLUSTER}.") and len(words) > 2:
        return ".".join(["slurm", *words[3:]])
    return key


def _is_table(key: str) -> bool:
    if key == CLUSTER:
        return True
    return any(known.startswith(f"{_common(key)}.") for known in KEYS)


def _siblings(prefix: str) -> set[str]:
    start = prefix if prefix in {"", f"{CLUSTER}."} else f"{_common(prefix.rstrip('.'))}."
    return {known.removeprefix(start).partition(".")[0] for known in KEYS if known.startswith(start)} - {ANY}
