"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import batchml

ROOT = Path(batchml.__file__).parent


def modules_with_examples():
    for found in pkgutil.walk_packages([str(ROOT)], "batchml."):
        file = ROOT.joinpath(*found.name.split(".")[1:])
        source = file / "__init__.py" if found.ispkg else file.with_suffix(".py")
        if ">>>" in source.read_text(encoding="utf-8"):
            yield found.name


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_the_examples_of_a_module_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.FAIL_FAST)
    assert result.attempted > 0
    assert result.failed == 0


def test_no_example_is_skipped():
    assert [file for file in ROOT.rglob("*.py") if "doctest: +SKIP" in file.read_text(encoding="utf-8")] == []
