"""The page of public names, the list of public names, and what can be imported are the same."""

import re
from pathlib import Path

import pytest

import batchml as bm

PAGE = (Path(__file__).parents[2] / "docs/reference/python.md").read_text(encoding="utf-8")


def test_the_page_names_what_is_public_and_nothing_else():
    named = {
        name
        for line in PAGE.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named | {"__version__"} == set(bm.__all__)
    assert "`__version__`" in PAGE


@pytest.mark.parametrize("name", bm.__all__)
def test_every_public_name_can_be_imported_and_says_what_it_is(name):
    found = getattr(bm, name)
    assert name in dir(bm)
    assert isinstance(found, str) if name == "__version__" else found.__doc__.strip()


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (owner, method)
        for owner, row in re.findall(
            r"^\| `(Registry|Submission|Learner|Resampling|Measure|Design)` \| (.*)\|$", PAGE, re.MULTILINE
        )
        for method in re.findall(r"`(\w+)`", row)
        if method != "submit" or owner == "Registry"
    ],
)
def test_the_methods_that_the_page_names_are_there(owner, method):
    assert hasattr(getattr(bm, owner), method)
