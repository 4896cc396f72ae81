"""The command `batchml`, or a script, as a fork of a process that has imported what it needs: most of what it costs.

What is forked is set up as a fresh process would be: arguments, folder, environment, path, standard streams. Tests of
signals, terminals, process lists and imports start a process of their own.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    *("batchml.cli.main", "batchml.study", "batchml.worker.trial", "batchml.reduce.collect", "batchml.reduce.export"),
    *("pandas", "pyarrow.parquet", "pyarrow.compute", "sqlalchemy.dialects.sqlite", "psycopg", "rich.progress"),
    *("sklearn.dummy", "sklearn.pipeline", "sklearn.tree", "sklearn.linear_model", "sklearn.ensemble"),
)


def run(*words, cwd, env, timeout=120):
    """Run the command and return what `subprocess.run` would."""
    return _run({"words": [str(word) for word in words]}, cwd, env, timeout)


def run_code(code, *, cwd, env, timeout=120):
    """Run what ``python -c`` would, likewise."""
    return _run({"code": code}, cwd, env, timeout)


def _run(task, cwd, env, timeout):
    request = {**task, "cwd": str(cwd), "env": dict(env)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _server().run(request, (out.fileno(), err.fileno()), timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(task, status, out.read().decode(), err.read().decode())


@cache
def _server():
    return _Server()


class _Server:
    def __init__(self):
        here, there = socket.socketpair()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHML_", "PG", "XDG_"))}
        clean |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
        clean |= {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
        with there:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(there.fileno())], cwd="/", env=clean, pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self._socket = here
        atexit.register(self._close)

    def run(self, task, streams, timeout):
        request = json.dumps(task).encode()
        self._socket.settimeout(timeout)
        try:
            socket.send_fds(self._socket, [len(request).to_bytes(4, "little")], streams)
            self._socket.sendall(request)
            answer = self._socket.recv(4)
            if len(answer) < 4:
                raise ConnectionResetError("the process from which commands are forked has died")
        except OSError:  # a command that does not end, or a process to fork from that has died
            self._process.kill()
            _server.cache_clear()
            raise
        return int.from_bytes(answer, "little", signed=True)

    def _close(self):
        self._socket.close()  # that ends it
        self._process.wait()


def _serve(link):
    """Fork for each request; return in the child, with what it is to run."""
    while True:
        head, streams, _, _ = socket.recv_fds(link, 4, 2)
        if len(head) < 4:
            os._exit(0)
        size, content = int.from_bytes(head, "little"), b""
        while len(content) < size:
            content += link.recv(size - len(content))
        pid = os.fork()
        if pid == 0:
            link.close()
            task = json.loads(content)
            _become(task, streams)
            return task
        for each in streams:
            os.close(each)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        link.sendall(status.to_bytes(4, "little", signed=True))


def _become(request, streams):
    for target, each in enumerate(streams, start=1):
        os.dup2(each, target)
        os.close(each)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    told = [word for word in os.environ.get("PYTHONPATH", "").split(os.pathsep) if word not in {"", str(ROOT)}]
    sys.path[:1] = [request["cwd"], *told]
    if "words" in request:
        sys.argv = [str(ROOT / "batchml" / "__main__.py"), *request["words"]]
        return
    sys.argv = ["-c"]
    sys.modules["__main__"] = types.ModuleType("__main__")


def _do(task):
    """Run the task and leave as an interpreter does, without taking to pieces what was imported."""
    status = 0
    try:
        if "code" in task:
            code = compile(task["code"], "<string>", "exec", dont_inherit=True)
            exec(code, sys.modules["__main__"].__dict__)
        else:
            from batchml.cli.main import main

            main()
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter would
        status = 1
        sys.excepthook(*sys.exc_info())
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    import importlib

    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the pages of what was imported stay shared
    _do(_serve(socket.socket(fileno=int(sys.argv[1]))))
