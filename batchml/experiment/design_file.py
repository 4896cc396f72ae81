"""Read a DESIGN: a TOML file, or a Python file with a function `design`."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import tomllib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.errors import BatchmlError, DesignError
from batchml.experiment.design import BenchmarkDesign
from batchml.experiment.design_toml import design_from_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from batchml.core.trust import Trust

__all__ = ["load_design"]


def load_design(path: str | Path, *, trust: Trust | None = None) -> BenchmarkDesign:
    """Return the design of a TOML file, or of a Python file with a function ``design()``.

    A file's own name is the benchmark's name unless it gives one. Paths in it are relative to it. Python files
    are run: they are as trusted as any script that one starts.

    Raises
    ------
    DesignError
        If there is no such file, or it makes no sense; broken TOML names the line.
    ConfigError
        For keys, classes, columns and parameters that do not exist, naming the place in the file.
    """
    file = Path(path)
    if file.suffix == ".py":
        return _from_python(file)
    if file.suffix != ".toml":
        raise DesignError(f"a design is a .toml or a .py file, not '{file}'")
    try:
        tables = tomllib.loads(_read(file))
    except tomllib.TOMLDecodeError as error:
        raise DesignError(f"{file.name} is not valid TOML: {error}") from error
    return design_from_tables(tables, file, trust)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # editors on Windows put a mark in front
    except FileNotFoundError:
        raise DesignError(f"there is no design file '{file}'") from None
    except UnicodeDecodeError as error:
        raise DesignError(f"'{file}' is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise DesignError(f"'{file}' cannot be read: {error.strerror}") from error


def _from_python(file: Path) -> BenchmarkDesign:
    source = _read(file)
    try:
        compile(source, str(file), "exec")
    except (SyntaxError, ValueError) as error:
        raise DesignError(f"{file.name} is not valid Python: {error}") from error
    folder = str(file.parent.resolve())
    name = _module_name(file)
    if folder not in sys.path:
        sys.path.append(folder)
    design = _call(file, name)
    own = _own_modules(design, name, folder)
    if name != file.stem and name in own:
        raise DesignError(
            f"{file.name}: workers cannot import classes from a module called '{file.stem}': rename the file, or move "
            "them to a module of their own beside it"
        )
    return dataclasses.replace(
        design,
        name=design.name if design.name is not None else file.stem,
        modules=tuple(dict.fromkeys([*design.modules, *own])),
        paths=tuple(dict.fromkeys([*design.paths, folder])),
    )


def _call(file: Path, name: str) -> BenchmarkDesign:
    try:
        design = _function(_import(file, name), file)()
    except BatchmlError as error:
        if not str(error).startswith(file.name):
            error.args = (f"{file.name}: {error}",)
        raise
    except (Exception, SystemExit) as error:
        place = str(file.absolute())
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
        line = f", line {frames[-1].lineno}" if frames else ""
        raise DesignError(f"{file.name}{line}: {type(error).__name__}: {error}") from error
    if not isinstance(design, BenchmarkDesign):
        raise DesignError(
            f"{file.name}: design() returned {type(design).__name__}, not a BenchmarkDesign: "
            "return benchmark_grid(tasks, learners, resamplings)"
        )
    return design


def _function(module: ModuleType, file: Path) -> Callable[[], object]:
    make = getattr(module, "design", None)
    if not callable(make):
        raise DesignError(f"{file.name} has no function design(); it should return a BenchmarkDesign")
    function: Callable[[], object] = make
    return function


def _import(file: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DesignError(f"'{file}' cannot be imported")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


def _module_name(file: Path) -> str:
    """Return the name under which workers import the file, unless something else has it."""
    stem = file.stem
    if not stem.isidentifier():
        return "batchml_design_" + "".join(letter if letter.isalnum() else "_" for letter in stem)
    loaded = sys.modules.get(stem)
    if loaded is not None:
        mine = getattr(loaded, "__file__", None)
        return stem if mine is not None and Path(mine).resolve() == file.resolve() else f"batchml_design_{stem}"
    found = importlib.util.find_spec(stem)
    elsewhere = found is not None and (found.origin is None or Path(found.origin).resolve() != file.resolve())
    return f"batchml_design_{stem}" if elsewhere else stem


def _own_modules(design: BenchmarkDesign, name: str, folder: str) -> list[str]:
    """Return the modules beside the file that the design's learners come from."""
    import json

    from batchml.core.pickled import naming

    seen: set[str] = set()
    for cell in design.cells:
        with naming():  # whether pickles are allowed is decided by `plan` and `add`
            text = json.dumps([cell.learner.model_spec(), cell.learner.policy_spec()])
        for module in _beside(folder) | {name}:
            if f'"{module}.' in text:
                seen.add(module)
    return sorted(seen)


def _beside(folder: str) -> set[str]:
    """Return the modules that this session has imported from a folder."""
    home = Path(folder)
    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and home in Path(file).resolve().parents:
            found.add(name.partition(".")[0])
    return found
