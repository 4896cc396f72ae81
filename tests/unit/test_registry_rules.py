"""Rules of the registry that need no database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from batchml.core.attempt import Ending
from batchml.registry.close import fate
from batchml.registry.mounts import file_system, is_shared
from batchml.registry.rescue import Verdict, Word, judge

MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
22 21 0:20 / /proc rw - proc proc rw
30 21 0:44 / /home rw,relatime shared:5 master:2 - nfs4 server:/home rw,vers=4.2
31 21 0:45 / /lustre/work\\040space rw - lustre mds@tcp:/work rw
32 30 0:46 / /home/me/local rw - tmpfs tmpfs rw
33 21 0:47 / /sshfs rw - fuse.sshfs host:/ rw
34 21 0:48 / /ntfs rw - fuseblk /dev/sdb1 rw
35 21 0:49 / /twice rw - ext4 /dev/sdc rw
36 21 0:50 / /twice rw - beegfs beegfs_nodev rw
a broken line
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/study.db", "ext4", False),
        ("/home/me/study.db", "nfs4", True),
        ("/homes/study.db", "ext4", False),
        ("/home/me/local/study.db", "tmpfs", False),
        ("/lustre/work space/a/b/study.db", "lustre", True),
        ("/sshfs/study.db", "fuse.sshfs", True),
        ("/ntfs/study.db", "fuseblk", False),
        ("/twice/study.db", "beegfs", True),
    ],
)
def test_the_deepest_and_latest_mount_holds_a_path(path, kind, shared):
    assert file_system(Path(path), MOUNTS) == kind
    assert is_shared(kind) is shared


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "fuse.glusterfs", "9p", "ceph"]
)
def test_file_systems_that_hosts_share(kind):
    assert is_shared(kind)


@pytest.mark.parametrize("kind", ["", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"])
def test_file_systems_of_one_host(kind):
    assert not is_shared(kind)


def end(ending, **history):
    return fate(ending, **({"alone": False, "hiccups": 0, "lost_alone": 0, "suspect": 0} | history))


def test_a_first_loss_is_not_charged_but_makes_a_suspect():
    found = end(Ending.LOST)
    assert (found.state, found.charged, found.suspect) == ("queued", 0, 1)


def test_a_loss_while_alone_is_charged_and_the_second_ends_the_job():
    assert (end(Ending.LOST, alone=True).state, end(Ending.LOST, alone=True).charged) == ("queued", 1)
    assert end(Ending.LOST, alone=True, lost_alone=1).state == "error"
    assert end(Ending.LOST, alone=False, lost_alone=1).state == "queued"


def test_the_fourth_hiccup_in_a_row_ends_the_job():
    assert [end(Ending.INFRASTRUCTURE, hiccups=n).state for n in range(4)] == ["queued"] * 3 + ["error"]


WORKER = SimpleNamespace(
    host="h", boot_id="b", pid=7, pid_start=1, pid_ns="n", beat_s=1000.0, lease_s=60.0, scheduler_id="4711"
)


@pytest.mark.parametrize(
    ("now", "gone", "told", "verdict"),
    [
        (1001, None, None, Verdict.ALIVE),
        (1001, True, None, Verdict.DEAD),  # a proof needs no lease
        (1061, None, None, Verdict.SILENT),
        (1601, None, None, Verdict.DEAD),  # ten leases and nobody to ask
        (99999, False, None, Verdict.SILENT),  # seen alive, stopped perhaps: never presumed dead
        (99999, None, Verdict.ALIVE, Verdict.SILENT),
        (1001, None, Verdict.DEAD, Verdict.DEAD),
        (1061, False, None, Verdict.SILENT),
        (1001, None, Verdict.MISSING, Verdict.ALIVE),  # its lease holds: it may be there all the same
        (1061, None, Verdict.MISSING, Verdict.DEAD),
        (1061, False, Verdict.MISSING, Verdict.SILENT),
    ],
)
def test_who_is_dead(now, gone, told, verdict):
    word = None if told is None else Word(verdict=told, reason="SLURM says so")
    found = judge(WORKER, now, evidence=lambda _: word, gone=lambda _: gone)
    assert found.verdict is verdict
    assert bool(found.reason) is (verdict is not Verdict.ALIVE)


def test_after_an_outage_of_the_database_leases_run_anew_from_its_start():
    """Nobody could beat while it was away: however long that was, a worker has a whole lease to come back."""
    found = [judge(WORKER, 90_000.0 + silence, up_s=90_000.0, gone=lambda _: None).verdict for silence in (59, 61, 601)]
    assert found == [Verdict.ALIVE, Verdict.SILENT, Verdict.DEAD]
