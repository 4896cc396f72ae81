"""What SLURM's words mean, without a SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchml.core.attempt import Ending
from batchml.core.resources import Resources
from batchml.errors import ConfigError
from batchml.executors.slurm import Slurm
from batchml.executors.slurm_cluster import cluster_of
from batchml.executors.slurm_handle import _words
from batchml.executors.slurm_listing import Element, Listing, _squeue
from batchml.executors.slurm_request import Request, directives, summary
from batchml.executors.slurm_watch import word_of
from batchml.registry.rescue import Verdict
from batchml.worker.allocation import Allocation, own_allocation
from batchml.worker.places import DEVICES, places


@pytest.mark.parametrize(
    ("element", "verdict", "ending"),
    [
        (Element(state="RUNNING"), Verdict.ALIVE, None),
        (Element(state="COMPLETING"), Verdict.ALIVE, None),
        (Element(state="A_WORD_OF_TOMORROW"), Verdict.ALIVE, None),
        (Element(state="TIMEOUT"), Verdict.DEAD, Ending.PREEMPTED),
        (Element(state="PREEMPTED"), Verdict.DEAD, Ending.PREEMPTED),
        (Element(state="CANCELLED"), Verdict.DEAD, Ending.PREEMPTED),
        (Element(state="OUT_OF_MEMORY"), Verdict.DEAD, Ending.OUT_OF_MEMORY),
        (Element(state="FAILED", signal=9, reason="JobLaunchFailure"), Verdict.DEAD, Ending.LOST),
        (Element(state="FAILED"), Verdict.DEAD, Ending.LOST),
        (Element(state="COMPLETED"), Verdict.DEAD, Ending.LOST),
        (Element(state="NODE_FAIL"), Verdict.MISSING, Ending.INFRASTRUCTURE),
        (Element(state="PENDING", restarts=1), Verdict.MISSING, Ending.PREEMPTED),
    ],
)
def test_the_state_of_an_element_says_what_became_of_its_worker(element, verdict, ending):
    word = word_of("12_0", element, 0)
    assert word.verdict is verdict
    if ending is not None:
        assert word.ending is ending


@pytest.mark.parametrize(
    ("log", "ending"),
    [
        ("slurmstepd-n1: error: StepId=2.batch exceeded memory limit (607 > 209), being killed", Ending.OUT_OF_MEMORY),
        ("slurmstepd: error: Exceeded job memory limit at some point.", Ending.OUT_OF_MEMORY),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch.", Ending.OUT_OF_MEMORY),
        ("my_learner: exceeded memory limit", Ending.LOST),
        ("slurmstepd: error: *** JOB 2 ON n1 CANCELLED ***", Ending.LOST),
    ],
)
def test_a_kill_is_for_memory_only_if_slurm_says_so(log, ending):
    element = Element(state="FAILED", signal=9, reason="JobLaunchFailure")
    assert word_of("12_0", element, 0, f"first line\n{log}\n").ending is ending


@pytest.mark.parametrize(
    ("kind", "params", "counts"),
    [
        ("jobacct_gather/linux", "OverMemoryKill", True),
        ("jobacct_gather/linux", "UsePss,OverMemoryKill", False),
        ("jobacct_gather/linux", "(null)", False),
        ("jobacct_gather/cgroup", "OverMemoryKill", False),
    ],
)
def test_a_cluster_that_counts_shared_pages_more_than_once_is_known(kind, params, counts):
    text = f"ClusterName             = big\nJobAcctGatherType       = {kind}\nJobAcctGatherParams     = {params}\n"
    assert cluster_of(text).counts_shared is counts


def test_an_incarnation_is_not_taken_for_its_predecessor():
    assert word_of("12_0", Element(state="RUNNING", restarts=1), 1).verdict is Verdict.ALIVE


def test_a_list_of_squeue_is_read_by_its_columns():
    words = ("12_0", "CANCELLED by 7", "2", "9", "1:00:00", "mine", "None of these")
    line = "".join(word.ljust(width) for word, width in zip(words, (60, 40, 12, 12, 24, 64, 80), strict=True))
    assert _squeue(line) == [
        ("12_0", Element(state="CANCELLED", restarts=2, signal=9, left="1:00:00", job="mine", reason="None of these"))
    ]


def test_an_element_is_known_only_by_its_number_and_the_name_of_its_array():
    listing = Listing()
    listing.known = {"12_0": Element(state="RUNNING", job="mine"), "13": Element(state="PENDING", job="foreign")}
    assert listing.state("12_0", "mine").state == "RUNNING"
    assert listing.state("12_0", "foreign") is listing.state("13_4", "mine") is None
    assert listing.state("13_4", "foreign").state == "PENDING"
    assert listing.elements({"12", "13"}, "mine") == {"12_0": listing.known["12_0"]}


def test_elements_of_an_array_are_named_together():
    assert _words(["12_0", "12_1", "12_2", "12_7", "13"]) == [["13", "12_[0-2,7]"]]


def request(resources, **given):
    wanted = Resources.parse(resources)
    return Request.of({"workers": 4, "python": "python", **given}, wanted, wanted.walltime_s, wanted.extra)


@pytest.mark.parametrize(
    ("resources", "given", "cpus", "slots"),
    [
        ({}, {}, 1, 1),
        ({"cpus": 2}, {"slots": 4}, 8, 4),
        ({"cpus": 2}, {"cpus": 9}, 9, 4),
        ({"cpus": 2}, {"cpus": 16, "slots": 4}, 16, 4),
        ({"cpus": 2}, {"lines": ["--exclusive"]}, None, None),
    ],
)
def test_slots_are_what_the_processors_of_an_element_allow(resources, given, cpus, slots):
    found = request(resources, **given)
    assert (found.cpus, found.slots) == (cpus, slots)


def test_the_sum_over_slots_is_said_as_it_is_asked_for():
    found = request({"memory": "4G", "walltime": "2h"}, slots=8)
    assert summary(found).startswith("4 elements x 8 slots x 4 GB = 32 GB each, 2:00:00")
    assert "--mem=33280M" in directives(found, "name", Path("/log"))


def test_notice_is_never_most_of_a_short_walltime():
    assert request({"walltime": "10m"}).notice_s == 60
    assert request({"walltime": "1m"}).notice_s == 30
    assert request({"walltime": "1-00:00:00"}).notice_s == 120


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": 0}, "workers"),
        ({"slots": True}, "slots"),
        ({"lines": "--exclusive"}, "list of lines"),
        ({"walltime": "soon"}, "no duration"),
        ({"channel": "spol"}, "did you mean 'spool'"),
    ],
)
def test_what_could_not_be_meant_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        Slurm(**wrong)


def test_too_few_processors_for_the_slots_are_refused():
    with pytest.raises(ConfigError, match="too few for 4 slots of 2"):
        request({"cpus": 2}, cpus=6, slots=4)


def test_no_walltime_at_all_is_refused():
    with pytest.raises(ConfigError, match="takes 0 for no limit"):
        request({"walltime": "0"})


def test_a_throttle_that_is_no_number_is_refused():
    assert request({}, throttle="3").throttle == 3
    with pytest.raises(ConfigError, match="throttle must be a whole number"):
        request({}, throttle="many")


@pytest.mark.parametrize("line", ["exclusive", "--a\n#SBATCH --b"])
def test_a_line_that_is_no_option_is_refused(line):
    with pytest.raises(ConfigError, match="no line for #SBATCH"):
        request({}, lines=[line])


@pytest.mark.parametrize("line", ["--job-name=mine", "-J mine", "#SBATCH -a 0-3", "--wait", "-o/tmp/log"])
def test_a_line_that_says_what_batchml_says_is_refused(line):
    with pytest.raises(ConfigError, match="what batchml says itself"):
        request({}, lines=[line])


def test_whatever_prints_can_stand_in_a_line():
    found = request({"comment": 'it\'s "x" \\ #1'}, workdir="/a b", lines=["--wait-all-nodes=1"])
    assert {r'''--comment="it's \"x\" \\ #1"''', '--chdir="/a b"'} <= set(directives(found, "name", Path("/log")))
    with pytest.raises(ConfigError, match="does not print"):
        directives(request({"comment": "a\nb"}), "name", Path("/log"))
    with pytest.raises(ConfigError, match="for the backslash: set workdir"):
        directives(found, "name", Path("/a\\b/%A_%a.log"))


def test_the_settings_make_an_equal_executor():
    executor = Slurm(workers=3, slots=2, lines=["--exclusive"], template=Path("mine.sh"), walltime="2h")
    assert Slurm(**executor.settings).settings == executor.settings


def test_a_worker_is_granted_its_walltime_on_notice_and_less_than_the_kill_wait_on_sigterm():
    allocation = Allocation(element="12_0@c", ends_at=1000.0, kill_wait_s=30.0, clock=lambda: 500.0)
    assert allocation.left_s == 490
    assert allocation.grace_s(killed_soon=False) == 490
    assert allocation.grace_s(killed_soon=True) == 20
    assert Allocation().grace_s(killed_soon=True) is None  # no scheduler: the worker's own rule


def test_an_element_is_named_by_its_array_and_cluster_and_counts_its_restarts():
    environment = {
        "SLURM_JOB_ID": "15",
        "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_CLUSTER_NAME": "big",
        "SLURM_RESTART_COUNT": "2",
        "SLURM_JOB_END_TIME": "99999999999",
        "BATCHML_ELEMENT": "slurm",
    }
    found = own_allocation(environment)
    assert (found.element, found.restarts) == ("12_3@big", 2)
    assert found.left_s > 1e9
    assert own_allocation({"SLURM_JOB_ID": "15", "SLURM_JOB_END_TIME": "99999999999"}).element is None
    assert own_allocation({}).ends_at is None


def test_each_slot_sees_its_own_devices(monkeypatch):
    monkeypatch.setenv(DEVICES, "0,1,2,3,4")
    assert places(8, {"gpus": 2}) == (2, ["0,1", "2,3"])
    assert places(3, {}) == (3, ())
    monkeypatch.delenv(DEVICES)
    with pytest.raises(ConfigError, match="names 0 here"):
        places(1, {"gpus": 1})
