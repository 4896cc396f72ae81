"""A demon with a seed: it kills, stops, cuts and skews whatever runs, and keeps a list of what it did.

The seed gives each deed its kind and its times by its number, whatever came of those before. Whom it meets and how many
attempts are open then is the machine's affair.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

from chaos_stage import LEASE_S, send, until

SEATS = 3
SKEWS = (0, 0, 5, -5, 1800, -1800, 90_000, -90_000)


@dataclass
class Seat:
    """A place for one worker after the other, each on the same line to the database."""

    number: int
    url: str
    proxy: object
    process: object = None
    name: str = ""
    workers: int = 0
    stopped: bool = False

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None


class Demon:
    """Torment the workers of a stage for a while; afterwards all is healed and nobody is stopped.

    Attributes
    ----------
    deeds
        What was done, in order: its number, seconds since the start, what, to whom, and how many attempts were open
        then.
    exposed
        How many executions may have been lost on the way: attempts that were open when something was killed, or taken
        for dead.
    left
        Jobs that had not ended when it was over.
    skews
        By how much the wall clock of a supervisor was wrong.
    """

    def __init__(self, stage, base, seed):
        self.stage = stage
        self.base = base
        self.seed = seed
        self.draw = None  # of the deed that is being done
        self.number = 0
        self.deeds = []
        self.exposed = 0
        self.skews = {}
        self.began = time.monotonic()
        self.left = 0
        self.helpers = []
        self.submission = None
        self.seats = [Seat(number, *base.route()) for number in range(SEATS)]

    def run(self, seconds, deeds):
        """Go on for so long, and until so much is done: on a slow machine a deed may take half a minute."""
        self.stage.finish("add", "design.toml")
        self.stage.finish("submit", "--detach", "--slots", "2")
        ((self.submission,),) = self.stage.ask("select max(id) from submission")
        self.began = time.monotonic()
        end = self.began + seconds
        try:
            while (time.monotonic() < end or len(self.deeds) < deeds) and self.stage.left():
                self.staff()
                self.number += 1
                self.draw = random.Random(f"{self.seed} deed {self.number}")
                time.sleep(self.draw.uniform(0.1, 0.8))
                self.act()
            self.left = self.stage.left()
        finally:
            self.repent()

    def act(self):
        acts = {
            self.kill_supervisor: 4,
            self.kill_template: 2,
            self.kill_slot: 3,
            self.kill_relative: 2,
            self.kill_committing_worker: 1,
            self.stop_supervisor: 2,
            self.stop_relative: 2,
            self.take_the_database_away: 3,
            self.resume: 3,
        }
        if self.seats[0].proxy is not None:
            acts |= {self.cut: 2, self.stall: 1, self.swallow_reply: 3}
        (act,) = self.draw.choices(list(acts), weights=list(acts.values()))
        act()

    # Workers ----------------------------------------------------------------------------------------------------------

    def staff(self):
        """See that there is somebody to torment."""
        for seat in self.seats:
            if not seat.alive:
                seat.workers += 1
                seat.name = f"{seat.number}-{seat.workers}"
                skew = random.Random(f"{self.seed} worker {seat.name}").choice(SKEWS)
                seat.process = self.stage.start_worker(self.submission, seat.name, url=seat.url, skew=skew)
                self.skews[seat.process.pid] = skew
        self.helpers = [process for process in self.helpers if process.poll() is None]

    def at_work(self):
        """A seat whose worker is alive."""
        if not any(seat.alive for seat in self.seats):  # the last one has just left
            self.staff()
        return self.one_of([seat for seat in self.seats if seat.alive])

    def one_of(self, found):
        """One of what there is just now: a single draw, however many there are."""
        return found[int(self.draw.random() * len(found))]

    def relatives(self, seat):
        """Template, keepers, slots and partners of a worker, the oldest first."""
        return sorted(pid for pid in self.stage.processes(seat.name) if pid != seat.process.pid)

    # Deeds ------------------------------------------------------------------------------------------------------------

    def note(self, what, whom="", *, exposes=False):
        opened = self.stage.open_attempts()
        if exposes:
            self.exposed += opened
        self.deeds.append((self.number, round(time.monotonic() - self.began, 2), what, str(whom), opened))

    def kill(self, what, pid):
        self.note(f"kill -9 of a {what}", pid, exposes=True)
        send(pid, signal.SIGKILL)

    def kill_supervisor(self):
        seat = self.at_work()
        self.kill("supervisor", seat.process.pid)
        seat.process.wait(10)
        # The promise is one second; this machine is busy.
        until(lambda: not self.stage.processes(seat.name), 4, f"a family outlived its supervisor {self.deeds[-3:]}")

    def kill_template(self):
        family = self.relatives(self.at_work())
        if family:
            self.kill("template", family[0])

    def kill_slot(self):
        alive = self.stage.processes()
        pid = next((pid for pid in self.stage.witness().last_pids() if pid in alive), None)
        if pid is not None:
            self.kill("slot", pid)

    def kill_relative(self):
        family = self.relatives(self.at_work())
        if family:
            self.kill("keeper, slot or template", self.one_of(family))

    def kill_committing_worker(self):
        worker = self.stage.start_worker(self.submission, "committing", after=self.draw.randint(1, 4))
        self.note("kill -9 between a commit and its reply", worker.pid, exposes=True)
        with contextlib.suppress(Exception):
            worker.wait(15)
        self.exposed += self.stage.open_attempts()
        send(worker.pid, signal.SIGKILL)
        worker.wait(10)

    def stop_supervisor(self):
        """Past its lease, and back; now and then somebody says that it is dead."""
        seat = self.at_work()
        seat.stopped = True
        declared = self.draw.random() < 0.6
        self.note(
            "SIGSTOP of a supervisor" + (", declared dead" if declared else ""), seat.process.pid, exposes=declared
        )
        send(seat.process.pid, signal.SIGSTOP)
        time.sleep(LEASE_S + 0.5)
        if declared:
            # It may have been stopped with a lock in its hand: then this waits until it goes on.
            query = "select id from worker where pid = :pid and stopped_at is null"
            for (worker,) in self.stage.ask(query, pid=seat.process.pid):
                self.helpers.append(self.stage.start("resume", "--detach", "--assume-dead", worker))
            time.sleep(self.draw.uniform(1.5, 3.0))
            self.exposed += self.stage.open_attempts()
        send(seat.process.pid, signal.SIGCONT)
        seat.stopped = False

    def stop_relative(self):
        family = self.relatives(self.at_work())
        if family:
            pid = self.one_of(family)
            self.note("SIGSTOP of a keeper, slot or template", pid)
            send(pid, signal.SIGSTOP)
            time.sleep(self.draw.uniform(0.2, 2.0))
            send(pid, signal.SIGCONT)

    def take_the_database_away(self):
        what, outage = self.draw.choice(list(self.base.outages().items()))
        seconds = self.draw.choice((0.0, 0.5, 2.0, 5.0))
        also = self.draw.random() < 0.3
        self.note(f"{what} for {seconds:g} s" + (", with a kill -9 of a supervisor" if also else ""), exposes=also)
        with outage():
            time.sleep(seconds / 2)
            if also:
                seat = self.at_work()
                send(seat.process.pid, signal.SIGKILL)
                seat.process.wait(10)
            time.sleep(seconds / 2)
        self.base.heal()
        until(self.answers, 30, "the database does not answer again")

    def answers(self):
        from batchml.errors import BatchmlError

        try:
            self.stage.open_attempts()
        except BatchmlError:
            return False
        return True

    def cut(self):
        self.network("cut", self.draw.choice((1.0, 3.0, 6.0)))

    def stall(self):
        self.network("stall", self.draw.choice((1.0, 5.0)))

    def network(self, mode, seconds):
        seat = self.at_work()
        self.note(f"network {mode} for {seconds:g} s", seat.number)
        seat.proxy.set(mode)
        time.sleep(seconds)
        seat.proxy.set("open")

    def swallow_reply(self):
        seat = self.at_work()
        self.note("the reply to a COMMIT is lost", seat.number)
        seat.proxy.set("swallow")
        time.sleep(0.5)

    def resume(self):
        """What a user would do; now and then the command itself is killed."""
        command = self.stage.start("resume", "--detach")
        self.helpers.append(command)
        if self.draw.random() < 0.4:
            time.sleep(self.draw.uniform(0.3, 1.5))
            if command.poll() is None:
                self.kill("command `resume`", command.pid)
        else:
            with contextlib.suppress(Exception):
                command.wait(10)

    # The end ----------------------------------------------------------------------------------------------------------

    def repent(self):
        """Heal everything and let the workers leave."""
        self.base.heal()
        for pid in self.stage.processes():
            send(pid, signal.SIGCONT)
        for seat in self.seats:
            if seat.process is not None:
                seat.process.terminate()
        (self.stage.folder / "hurry").touch()
        for process in [*self.helpers, *(seat.process for seat in self.seats if seat.process is not None)]:
            with contextlib.suppress(Exception):
                process.wait(60)

    def report(self):
        """What was inflicted, in words and numbers."""
        counts = Counter(what.partition(", for ")[0].partition(" for ")[0] for _, _, what, _, _ in self.deeds)
        counts.update(f"a worker whose wall clock was wrong by {skew:+} s" for skew in self.skews.values() if skew)
        total = [f"{number:5} x {what}" for what, number in sorted(counts.items())]
        listed = [f"{k:4}. {at:8.2f} s  {what} {whom} ({opened} open)" for k, at, what, whom, opened in self.deeds]
        return "\n".join([*total, "", *listed])
