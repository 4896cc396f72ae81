"""The warm process that slots are forked from: it imports, and does nothing else.

It is exec'ed, never forked from a session or a supervisor, so that it has one thread and no user's state. For each slot
it forks a *keeper* (see `batchml.execution.sandbox.keeper`) through an intermediate process that exits at once, so that
the keeper becomes a child of the supervisor, which is a child subreaper.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from batchml.data.snapshots import about_snapshot, import_path
from batchml.execution.sandbox import cgroup, keeper, proc
from batchml.execution.sandbox.protocol import Frame, Link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["main"]

_LEAN = "BATCHML_TEMPLATE_SETUP"


def main(fd: int, parent: int) -> None:
    """Serve the supervisor (or session) at the other end of `fd` until it is gone."""
    keeper.ignore_stops()
    proc.die_with_parent(parent)  # at once: imports take seconds, and nothing has been forked yet
    link = Link.from_fd(fd)
    setup = _setup(link)
    if setup is None:
        return
    prepare(setup)
    if setup["imports"] and proc.thread_count() != 1:
        _start_lean(fd, setup)
    gone = keeper.watch_parent(parent)
    if setup["role"] == "session":
        keeper.Keeper(link, parent, gone, setup).serve()
    else:
        _serve(link, parent, gone, setup)


def _setup(link: Link) -> Mapping[str, Any] | None:
    """Receive the setup, importing before it comes if told so; None if nobody wants this template after all."""
    lean = os.environ.pop(_LEAN, None)
    if lean is not None:
        setup: Mapping[str, Any] = json.loads(lean)
        return setup
    try:
        while (frame := link.receive()) is not None:
            if frame.header["t"] == "setup":
                return frame.header
            _import(frame.header["imports"])
            _settle()  # takes a tenth of a second, which somebody will wait for once the setup is there
    except EOFError:
        pass
    return None


def _start_lean(fd: int, setup: Mapping[str, Any]) -> NoReturn:
    """Begin again without the imports, one of which has started a thread: a child forked beside one may hang.

    Slots then import for themselves, which takes them seconds, but works. Process id, parent and link stay.
    """
    os.environ[_LEAN] = json.dumps({**setup, "imports": []})
    os.set_inheritable(fd, True)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command again


def _import(names: Sequence[str]) -> None:
    gc.disable()  # until `_settle`: modules are no garbage, and looking for some among them takes a tenth of the time
    for name in names:
        with contextlib.suppress(ImportError):  # whoever needs it gets the error, with a job to report it on
            importlib.import_module(name)


def prepare(setup: Mapping[str, Any]) -> None:
    """Import what slots will need, and make the pages that hold it cheap to share."""
    proc.name_process("batchml-template")
    sys.path[:] = import_path(sys.path, setup["paths"])
    if any(about_snapshot(path) is not None for path in setup["paths"]):
        # A snapshot with a file more is another one.
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    _import(setup["imports"])
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)
    _settle()


def _settle() -> None:
    """Collect garbage, and take what is left out of later collections: their marks would unshare its pages."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _serve(link: Link, parent: int, gone: int, setup: Mapping[str, Any]) -> None:
    while True:
        ready = proc.readable([link.fileno(), gone])
        if gone in ready and os.getppid() != parent:
            break
        if link.fileno() not in ready:
            keeper.clear(gone)
            continue
        try:
            frame = link.receive()
        except EOFError:
            break
        assert frame is not None
        _birth(link, frame, parent, setup)
    sweep(setup["tag"])
    if setup["group"] is not None:
        cgroup.sweep(Path(setup["group"]), setup["tag"])


def _birth(link: Link, frame: Frame, parent: int, setup: Mapping[str, Any]) -> None:
    """Fork a keeper that will be the supervisor's child, serving the link that came with the request."""
    if proc.thread_count() != 1:  # not even without imports
        os._exit(70)
    middle = os.fork()
    if middle:
        _close(frame.fds)
        os.waitpid(middle, 0)
        return
    # No exception may climb back into the template's loop: this is another process.
    try:
        if os.fork() == 0:
            link.close()
            keeper.run(frame.fds[0], parent, setup)
    finally:
        os._exit(0)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def sweep(tag: str, patience: float = 10.0) -> None:
    """See to it that nothing is left of a family whose supervisor is dead.

    Keepers know better than anybody what descends from them, so they come first; what is left is killed by its tag.
    """
    begin = time.monotonic()
    while time.monotonic() - begin < patience:
        left = [pid for pid in proc.tagged(tag) if pid != os.getpid()]
        if not left:
            return
        if time.monotonic() - begin > keeper.LEAVE:
            for pid in left:
                proc.send([*proc.descendants(pid), pid], signal.SIGKILL)
        time.sleep(0.01)
