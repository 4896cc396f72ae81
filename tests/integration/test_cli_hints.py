"""What the command line tells users to type next."""

import pytest

from batchml.cli.program import program_for


@pytest.fixture
def installed(tmp_path):
    """An environment as `make demo` leaves it."""
    scripts = tmp_path / "project" / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name in ("python", "batchml"):
        (scripts / name).touch()
    return scripts


def test_what_the_path_finds_is_called_by_its_name(installed, tmp_path):
    link = tmp_path / "batchml"
    link.symlink_to(installed / "batchml")
    for found in (installed / "batchml", link):
        assert program_for(installed / "python", tmp_path, str(found)) == "batchml"


def test_off_the_path_the_command_is_given_as_seen_from_here(installed, tmp_path):
    for found in (None, "/usr/bin/batchml"):
        assert program_for(installed / "python", tmp_path / "project", found) == ".venv/bin/batchml"
    assert program_for(installed / "python", tmp_path / "else where", None) == str(installed / "batchml")


def test_without_a_script_the_interpreter_is_named(installed, tmp_path):
    (installed / "batchml").unlink()
    assert program_for(installed / "python", tmp_path / "project", None) == ".venv/bin/python -m batchml"
