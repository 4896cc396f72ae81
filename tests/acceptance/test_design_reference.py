"""The reference page of design files has each key that they take, and no other."""

import re
from pathlib import Path

import pytest

from batchml.experiment import design_entries, design_toml

PAGE = (Path(__file__).parents[2] / "docs/reference/design.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("benchmark", design_toml._BENCHMARK_KEYS),
        ("task", design_entries._TASK_KEYS),
        ("learner", design_entries._LEARNER_KEYS),
        ("resampling", ("key", "class", "params", "openml_task", "id")),
    ],
)
def test_every_key_of_a_design_file_is_described(section, keys):
    rows = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(keys)


def test_every_table_of_a_design_file_has_a_section():
    assert set(SECTIONS) == set(design_toml._TABLES)
