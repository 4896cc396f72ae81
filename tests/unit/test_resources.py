import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.core import resources
from batchml.core.resources import Resources, available_cores, parse_duration, parse_memory
from batchml.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("60m", 3600),
        ("2h", 7200),
        ("1-00:00:00", 86400),
        ("1-02", None),
        ("2:30", 150),
        ("1:02:03", 3723),
        ("1d 12h", 129600),
        ("1h30m", 5400),
        (45, 45),
        ("45", 45),
        (0.5, 0.5),
        ("500ms", 0.5),
        ("", None),
        ("soon", None),
        ("5 parsecs", None),
        (-1, None),
        (float("nan"), None),
        (True, None),
    ],
)
def test_durations_are_read_as_people_and_slurm_write_them(text, seconds):
    if seconds is None:
        with pytest.raises(ConfigError, match="duration"):
            parse_duration(text)
    else:
        assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("4G", 4096), ("500M", 500), (512, 512), ("1.5GB", 1536), ("2GiB", 2048), ("1T", 2**20), ("1k", 1), ("100", 100)],
)
def test_memory_is_read_in_powers_of_1024(text, megabytes):
    assert parse_memory(text) == megabytes


@pytest.mark.parametrize("text", ["", "lots", "4Q", -1, 0, True, "4 5G"])
def test_no_amount_of_memory_is_refused(text):
    with pytest.raises(ConfigError, match="memory"):
        parse_memory(text)


def test_resources_take_units_and_keep_what_only_the_scheduler_knows():
    need = Resources.parse({"cpus": "2", "memory": "4G", "walltime": "2h", "qos": "long"})
    assert need == Resources(cpus=2, memory_mb=4096, walltime_s=7200, extra={"qos": "long"})
    assert Resources.parse(need.as_json()) == need
    assert Resources.parse(None) == Resources()


def test_gigabytes_written_as_a_bare_number_are_not_taken_for_megabytes():
    with pytest.raises(ConfigError, match="a bare number is MB, '4G' are gigabytes"):
        Resources.parse({"memory": 4})


@pytest.mark.parametrize("values", [{"cpus": 0}, {"cpus": 1.5}, {"gpus": -1}, {"cpus": True}, {"memory": "x"}])
def test_resources_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigError):
        Resources.parse(values)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_bare_number_is_seconds_however_it_is_written(n):
    assert parse_duration(n) == parse_duration(str(n)) == parse_duration(f"{n}s") == n


def test_available_cores_is_at_least_one_and_the_environment_overrules_it(monkeypatch):
    monkeypatch.delenv("BATCHML_CPUS", raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    own = available_cores()
    assert own >= 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert available_cores() == 1
    monkeypatch.setenv("BATCHML_CPUS", "7")
    assert available_cores() == 7
    monkeypatch.setenv("BATCHML_CPUS", "many")
    with pytest.raises(ConfigError, match="BATCHML_CPUS"):
        available_cores()


def test_the_tightest_control_group_counts(tmp_path):
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    inner = tmp_path / "root" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000")
    (inner.parent / "cpu.max").write_text("150000 100000")
    assert resources._cgroup_quota(membership, tmp_path / "root") == 1.5
    assert resources._cgroup_quota(tmp_path / "none", tmp_path / "root") is None
    membership.write_text("3:cpu,cpuacct:/x\n")
    old = tmp_path / "root" / "cpu,cpuacct" / "x"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("200000")
    (old / "cpu.cfs_period_us").write_text("100000")
    assert resources._cgroup_quota(membership, tmp_path / "root") == 2
