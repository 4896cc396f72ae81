import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from batchml.registry import tables, views

PAGE = (Path(__file__).parents[2] / "docs/reference/sql.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def columns():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        tables.metadata.create_all(connection)
        views.create_views(connection)
        found = {name: list(connection.execute(text(f"SELECT * FROM {name}")).keys()) for name in views.NAMES}
    engine.dispose()
    return found


def test_every_view_is_described():
    assert set(SECTIONS) == set(views.NAMES)


@pytest.mark.parametrize("name", sorted(set(views.NAMES) - {"all_jobs"}))
def test_every_column_of_a_view_is_described(name, columns):
    described = set(re.findall(r"`(\w+)`", SECTIONS[name]))
    assert set(columns[name]) - described == set()
