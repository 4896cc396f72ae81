"""Texts that would do more than they may, where a design or a registry can hold them; of expressions elsewhere."""

import shlex
import subprocess
from pathlib import Path

import pytest

from batchml.core.resources import Resources
from batchml.data.fence import fenced
from batchml.errors import ConfigError, DataError, RegistryError
from batchml.executors.slurm_request import Request, directives
from batchml.executors.slurm_script import Script, render
from batchml.registry.store import Store

# -- DuckDB --------------------------------------------------------------------------------------------------------

READS = (
    "read_csv('{other}')",
    "read_csv(['{given}', '{other}'])",
    "read_csv('{folder}/*.csv')",
    "read_csv('{folder}/../{name}/other.csv')",
    "read_csv('file://{other}')",
    "read_csv('https://127.0.0.1:9/x.csv')",
    "'{other}'",
    "read_text('{other}')",
    "read_text('/proc/self/environ')",
    "read_blob('{other}')",
    "read_json('{other}')",
    "sniff_csv('{other}')",
    "parquet_metadata('{other}')",
    "glob('{folder}/*')",
    "query('SELECT * FROM read_text(''{other}'')')",
    "query_table('{other}')",
)
DEEDS = (
    "ATTACH '{other}' AS x",
    "ATTACH '{folder}/new.db' AS x",
    "COPY (SELECT 1) TO '{folder}/new.csv'",
    "COPY (SELECT 1) TO '{given}'",
    "EXPORT DATABASE '{folder}/new'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "SET enable_external_access = true",
    "SET allowed_paths = ['/']",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET memory_limit = '1TB'",
    "SET temp_directory = '{folder}'",
    "SET secret_directory = '{folder}'",
    "PRAGMA enable_profiling = 'json'",
    "CALL enable_logging(storage = 'file', storage_path = '{folder}/new')",
    "SELECT getenv('HOME')",
)


@pytest.mark.parametrize("stored", [False, True], ids=["files", "database"])
def test_duckdb_reaches_nothing_but_the_files_it_was_given_and_writes_none(tmp_path, stored):
    import duckdb

    given, other = tmp_path / "given.csv", tmp_path / "other.csv"
    given.write_text("k,v\n1,2\n")
    other.write_text("k,v\n9,secret\n")
    database = str(tmp_path / "data.duckdb") if stored else None
    if database is not None:
        duckdb.connect(database).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    names = {"given": given, "other": other, "folder": tmp_path, "name": tmp_path.name}
    for text in [*(f"SELECT * FROM {read}" for read in READS), *DEEDS]:
        with fenced([str(given)], database) as connection:
            assert connection.execute(f"SELECT * FROM read_csv('{given}')").fetchall() == [(1, 2)]
            try:
                found = connection.execute(text.format(**names)).fetchall()
            except duckdb.Error:
                continue
            pytest.fail(f"gets through: {text}, {found}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_reaches_beyond_the_fence_is_told_in_a_line(tmp_path):
    with pytest.raises(DataError, match="reaches for what it was not given"), fenced([]) as connection:
        connection.execute("SELECT * FROM read_text('/proc/self/environ')")


# -- SLURM ---------------------------------------------------------------------------------------------------------


def request(resources=None, **given):
    wanted = Resources.parse(resources or {})
    return Request.of({"workers": 1, "python": "python", **given}, wanted, wanted.walltime_s, wanted.extra)


BREAKS = ("\n#SBATCH --output=/etc/x", "\r#SBATCH -x", "\x0b-x", "a\x00b", "\x1b[2J")


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize("name", ["partition", "account", "qos", "constraint", "licenses"])
def test_no_value_of_an_option_makes_another_line(name, text):
    wanted = request({name: f"a{text}"} if name in {"partition", "licenses"} else None, **{name: f"a{text}"})
    with pytest.raises(ConfigError, match="cannot stand in a #SBATCH line"):
        directives(wanted, "name", Path("/log"))


@pytest.mark.parametrize("text", ['" --output=/etc/x "', "' --output=/etc/x", '\\" --output=/etc/x', "a\\"])
def test_no_value_of_an_option_ends_its_quotes(text):
    words = [shlex.split(line) for line in directives(request(constraint=text), "name", Path("/log"))]
    assert [f"--constraint={text}"] in words
    assert all(len(one) == 1 for one in words)


@pytest.mark.parametrize("line", [f"--exclusive{text}" for text in BREAKS])
def test_no_line_makes_another_line(line):
    with pytest.raises(ConfigError, match="no line for #SBATCH"):
        request(lines=[line])


@pytest.mark.parametrize("name", ["a b", "a\n#SBATCH -x", "-x", "a=b", "a;id", "", "ä", "a'b"])
def test_no_name_of_an_option_makes_another_option(name):
    with pytest.raises(ConfigError, match="no option of sbatch"):
        request({name: "1"})


@pytest.mark.parametrize("name", ["job_name", "output", "array", "open-mode", "signal", "wrap"])
def test_what_elements_are_found_and_told_by_cannot_be_replaced(name):
    with pytest.raises(ConfigError, match="batchml says itself"):
        request({name: "%x"})


@pytest.mark.parametrize("name", ["A=1; touch new; B", "A\n", "", "1A", "A B", "$(touch new)"])
def test_no_name_of_a_variable_is_shell(name):
    with pytest.raises(ConfigError, match="no name of a variable"):
        request(env={name: "1"})


SHELL = (
    "$(touch new)",
    "`touch new`",
    "'; touch new; '",
    '"; touch new; "',
    "\ntouch new\n",
    "\\",
    "$HOME",
    "a b",
    "#",
)


@pytest.mark.parametrize("text", SHELL)
def test_nothing_but_setup_lines_is_shell(tmp_path, text):
    said = tmp_path / "said"
    script = Script(
        submission=1,
        directives=[],
        python="true",
        command=shlex.join(["sh", "-c", f'printf %s "$1" "$TEXT" > {said}', "sh", text]),
        env={"TEXT": text},
        tmpdir=str(tmp_path / "tmp"),
    )
    made = render(script, None)
    done = subprocess.run(["bash", "-c", made], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said.read_text() == text + text
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "text", ["$(touch new)", "`touch new`", '"; touch new; "', "\\$(touch new)", "${A:-$(touch new)}"]
)
def test_of_a_temporary_folder_variables_are_replaced_and_nothing_runs(tmp_path, text):
    script = Script(submission=1, directives=[], python="true", command="true", tmpdir=f"{tmp_path}/tmp/$USER{text}")
    subprocess.run(["bash", "-c", render(script, None)], cwd=tmp_path, capture_output=True, check=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("percent", ["%j", "%%", "%u/%x"])
def test_a_folder_with_a_percent_sign_is_where_logs_go(percent):
    from batchml.executors.slurm_submit import Place

    place = Place(folder=Path(f"/shared/{percent}"), name="n", submission=1)
    assert str(place.log) == f"/shared/{percent.replace('%', '%%')}/%A_%a.log"


# -- the registry's own id -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planted", ["../../../etc", "a\n#SBATCH", "", "0" * 33, "/tmp/x", "ABCDEF01" * 4])
def test_files_are_not_named_by_an_id_that_somebody_made_up(registry_url, planted):
    from sqlalchemy import text

    with Store.create(registry_url, seed=1) as store, store.write() as connection:
        connection.execute(text("UPDATE registry SET uuid = :planted"), {"planted": planted})
    with pytest.raises(RegistryError, match="was altered"):
        Store.open(registry_url)
