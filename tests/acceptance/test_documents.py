"""The examples of README and docs are run as they stand, page by page, each in a folder of its own."""

import os
import re
import shlex
from itertools import groupby
from pathlib import Path

import pytest
import warm_command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(python|console|sql|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Yield (kind, text) in reading order; python blocks that follow one another are one script."""
    found = [(match[1], match[2]) for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]
    for kind, group in groupby(found, key=lambda block: block[0]):
        texts = [text for _, text in group]
        yield from [(kind, "\n".join(texts))] if kind == "python" else [(kind, text) for text in texts]


def environment(folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BATCHML_")}
    kept |= {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config")}
    return kept | {"BATCHML_STATE": str(folder / "state")}


def ended(done, status=0):
    assert done.returncode == status, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def batchml(words, folder, status=0):
    return ended(warm_command.run(*words, cwd=folder, env=environment(folder), timeout=240), status)


def script(text, folder):
    strict = "import warnings; warnings.filterwarnings('error', category=DeprecationWarning, module='batchml')\n"
    return ended(warm_command.run_code(strict + text, cwd=folder, env=environment(folder), timeout=240))


def write(text, folder):
    """Store a block whose first line names a file; `append:` adds to what an earlier block wrote."""
    first, _, rest = text.partition("\n")
    named = re.fullmatch(r"# (append: )?(\S+\.toml)", first)
    if named:
        with (folder / named[2]).open("a" if named[1] else "w", encoding="utf-8") as file:
            file.write(rest)


def console(text, folder):
    """Run the lines of a session: `$ batchml ...  # status N`."""
    for line in text.splitlines():
        command, _, status = line.partition("  # status ")
        words = shlex.split(command)
        assert words[:2] == ["$", "batchml"], line
        batchml(words[2:], folder, int(status or 0))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page, tmp_path):
    for kind, text in blocks(page):
        if kind == "toml":
            write(text, tmp_path)
        elif kind == "console":
            console(text, tmp_path)
        elif kind == "python":
            script(text, tmp_path)
        else:
            assert batchml(["sql", text], tmp_path)


def test_the_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_reachable_from_the_index():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").glob("**/*.md")} - {"index.md"}
    assert {page for page in pages if page not in index} == set()
