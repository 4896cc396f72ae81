"""A SLURM cluster of one's own on this machine, without systemd, as root: munge, accounting, controller, some nodes.

Everything it writes is in one folder and every port is its own, so a SLURM of the machine is not touched. The daemons
are children of the process that starts them (in the foreground, so that their process ids are known) and end with it.

Two things differ from a cluster with cgroups: nodes claim more processors than the machine has, and a job that takes
too much memory ends as FAILED with exit code 0:9 and reason JobLaunchFailure, not as OUT_OF_MEMORY: the plug-in for
version 1 would take jobs out of the control groups in which the machine keeps the tests, that for version 2 needs the
memory controller to be of that version. The GPUs are links to /dev/null.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from mariadb_server import MariaServer, MariaUnavailableError
from ports import claim_ports

PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
}
NAME = "batchml"
GPUS = 4
FEW = 3
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
AuthType=auth/munge
CredType=cred/munge
# A job that was requeued waits for as long as a credential lives: at least 5 s, by default 120 s.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=2,bf_continue,default_queue_depth=1000
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MaxArraySize={array}
MaxJobCount=20000
MinJobAge=3600
# Nodes of a busy machine answer late; tests that want one to be down say so.
SlurmctldTimeout=30
SlurmdTimeout={patience}
MessageTimeout=20
BatchStartTimeout=10
InactiveLimit=0
KillWait=3
CompleteWait=0
UnkillableStepTimeout=20
ReturnToService=2
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
# Proportional: slots share most of their pages, which a sum of resident sizes counts once for each.
JobAcctGatherParams=UsePss,OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass=socket={folder}/munge.socket
AccountingStorageEnforce=associations,limits,qos
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 MaxTime=INFINITE DefaultTime=60 DefMemPerCPU={mem_cpu} State=UP
PartitionName=scavenger Nodes=ALL PriorityTier=1 PreemptMode=CANCEL MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE DefaultTime=60 State=UP
"""
ACCOUNTING = """\
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage_port}
StorageUser=root
StorageLoc=slurm
"""


class SlurmUnavailableError(RuntimeError):
    """SLURM cannot run here; says why."""


class SlurmCluster:
    """A cluster that is starting; `ready` waits for it.

    Parameters
    ----------
    folder
        Takes everything: keys, states, logs.
    nodes, cpus, memory_mb
        How many nodes there are and what each claims to have.
    array
        MaxArraySize: the largest index of an array is one less.
    patience_s
        After so long without an answer SLURM gives a node up.
    """

    def __init__(self, folder, *, nodes=3, cpus=8, memory_mb=6000, array=1001, patience_s=60):
        missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None]
        if missing:
            raise SlurmUnavailableError(f"not installed: {', '.join(missing)}")
        if os.geteuid() != 0:
            raise SlurmUnavailableError("only root can start it")
        self.folder = Path(folder)
        self.folder.chmod(0o755)
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.conf = self.folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf), "PATH": PATH, "LC_ALL": "C"}
        self._processes = {}
        self._database = None
        try:
            self._database = MariaServer(self.folder / "mariadb")
            self._write(cpus, memory_mb, array, patience_s)
            self._start_munge()
            self._start_accounting()
            self._start("slurmctld", "slurmctld", "-D", "-i")
            for node in self.nodes:
                self.start_node(node)
        except MariaUnavailableError as error:
            raise SlurmUnavailableError(f"MariaDB, for its accounting: {error}") from error
        except BaseException:
            self.stop()
            raise

    def _write(self, cpus, memory_mb, array, patience_s):
        host = socket.gethostname().partition(".")[0]
        ports = claim_ports(len(self.nodes) + 2)
        lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory_mb}"
            for node, port in zip(self.nodes, ports[2:], strict=True)
        ]
        lines[-1] += f" Gres=gpu:{GPUS}"
        values = {"folder": self.folder, "host": host, "controller_port": ports[0], "array": array}
        values |= {"nodes": "\n".join(lines), "mem_cpu": memory_mb // cpus, "patience": patience_s}
        values |= {"accounting_port": ports[1], "storage_port": self._database.port}
        self.conf.write_text(CONF.format(name=NAME, **values))
        accounting = self.folder / "slurmdbd.conf"
        accounting.touch(0o600)
        accounting.write_text(ACCOUNTING.format(**values))
        for number in range(GPUS):
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(
            f"NodeName={self.nodes[-1]} Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n"
        )
        # slurmd loads a plug-in for cgroups even where nothing uses it; this one touches nothing before it is used.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        (self.folder / "controller").mkdir(exist_ok=True)

    def _start_munge(self):
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        names = {name: self.folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
        options = [f"--{option}-file={names[option]}" for option in ("pid", "log", "seed")]
        self._start("munged", "munged", "-F", "--force", f"--key-file={key}", f"--socket={names['socket']}", *options)
        _until(names["socket"].exists, 60, lambda: self._complaint("munged"))

    def _start_accounting(self):
        """Start what `sacct` asks; of the account "few" root may have few jobs, of his own as many as he likes."""
        self._start("slurmdbd", "slurmdbd", "-D")
        _until(lambda: self._enter("cluster", NAME), 90, lambda: self._complaint("slurmdbd"))
        self._enter("account", "few", f"cluster={NAME}")
        self._enter("user", "root", "account=few", f"cluster={NAME}", f"MaxSubmitJobs={FEW}")

    def _enter(self, *words):
        """Add something to the accounts; say whether that went well."""
        return self._takes("sacctmgr", "--immediate", "add", *words)

    def _takes(self, *words):
        """Run a command; say whether that went well."""
        return subprocess.run(words, env=self.environment, capture_output=True, check=False).returncode == 0

    def _start(self, name, *words):
        # If the tests are killed, the daemons go, too.
        with (self.folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=self.folder,
            )

    def _complaint(self, name):
        text = (self.folder / f"{name}.out").read_text(errors="replace").strip()
        return f"{name} did not start: {' | '.join(text.splitlines()[-3:])}"

    # -- use ---------------------------------------------------------------------------------------------------------

    def ready(self, seconds=120):
        """Wait until all nodes take jobs; return the cluster."""
        _until(self._all_idle, seconds, lambda: self._complaint("slurmctld"))
        return self

    def _all_idle(self):
        gone = [name for name, process in self._processes.items() if process.poll() is not None]
        if gone:
            raise SlurmUnavailableError(self._complaint(gone[0]))
        done = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T", check=False)
        states = dict(line.split() for line in done.splitlines() if len(line.split()) == 2)
        return set(states) == set(self.nodes) and set(states.values()) <= {"idle", "mixed", "allocated"}

    def run(self, *words, check=True):
        """Return what one of SLURM's commands prints."""
        done = subprocess.run(
            [*map(str, words)], env=self.environment, capture_output=True, text=True, timeout=200, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stderr}")
        return done.stdout

    def states(self):
        """Return the state of every element, ended ones too: ``{"12_0": "RUNNING"}``."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def state(self, name):
        """Return the state of one element; those that never started may be listed together."""
        states = self.states()
        return states.get(name) or next((s for n, s in states.items() if n.partition("_")[0] == name.partition("_")[0]))

    def forget(self):
        """Let the controller forget all jobs that have ended, as it does by itself after MinJobAge."""
        text = self.conf.read_text()
        self.conf.write_text(text.replace("MinJobAge=3600", "MinJobAge=2"))
        self.run("scontrol", "reconfigure")
        _until(lambda: not self.states(), 200, lambda: f"jobs stay: {self.states()}")
        self.conf.write_text(text)
        self.run("scontrol", "reconfigure")

    def clear(self):
        """Cancel everything and mend all nodes, for the next test."""
        jobs = [job for job, state in self.states().items() if state in {"PENDING", "RUNNING", "SUSPENDED"}]
        if jobs:
            self.run("scancel", *jobs, check=False)
        for node in self.nodes:
            self.start_node(node)
        _until(lambda: not self.run("squeue", "-h").strip(), 200, lambda: f"jobs stay: {self.run('squeue')}")
        self.ready()

    # -- breaking and mending ----------------------------------------------------------------------------------------

    def start_node(self, node):
        """Start the daemon of a node if it does not run."""
        process = self._processes.get(node)
        if process is None or process.poll() is not None:
            self._start(node, "slurmd", "-D", "-N", node)
            if process is not None:
                self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def end_walltime(self, name):
        """Let the walltime of an element be over; SLURM looks every 30 s."""
        # It refuses a time that is over when the controller comes to read it.
        ahead = itertools.count(1)
        words = ("scontrol", "update", f"jobid={name}")
        _until(lambda: self._takes(*words, f"endtime=now+{next(ahead)}"), 30, lambda: f"{name} goes on")

    def cut_node(self, node):
        """Kill the daemon of a node; its jobs run on, as behind a broken network."""
        process = self._processes[node]
        process.kill()
        process.wait()

    def crash_node(self, node):
        """Kill the daemon of a node and all processes of its jobs, and tell SLURM that it is down."""
        self.cut_node(node)
        for pid in self.job_processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def job_processes(self, node=None):
        """Return the processes of jobs of this cluster (on one node)."""
        wanted = {f"SLURM_CONF={self.conf}".encode()} | ({f"SLURMD_NODENAME={node}".encode()} if node else set())
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = set((entry / "environ").read_bytes().split(b"\0"))
                    if wanted <= words and any(word.startswith(b"SLURMD_NODENAME=") for word in words):
                        found.append(int(entry.name))
        return found

    def stop(self):
        """End jobs, nodes, controller and munge."""
        with contextlib.suppress(Exception):
            jobs = [job for job, state in self.states().items() if state in {"PENDING", "RUNNING", "SUSPENDED"}]
            self.run("scancel", *jobs, check=False)
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self.job_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._database is not None:
            self._database.stop()


def _until(condition, seconds, complaint):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SlurmUnavailableError(complaint())
        time.sleep(0.1)
