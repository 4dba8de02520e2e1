"""Our command in processes that need not load it: they are forked from one that has.

Loading Python, the driver and the command takes longer than most of what tests ask of them. The
forked process is one like any other for all else: its own arguments, environment, folder, standard
streams and exit. ``small_project.start`` starts Python itself, for tests that look closer.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

PACKAGE = "integrations_db"


@cache
def _loader() -> tuple[socket.socket, threading.Lock]:
    """Starts the process that has the command loaded; it ends with this one."""
    ours, its = socket.socketpair()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", __file__, str(its.fileno())],
        pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours, threading.Lock()


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs our command with these arguments; its standard input is empty.

    Raises:
        subprocess.TimeoutExpired: it took longer than so many seconds, and was killed.
    """
    loader, lock = _loader()
    request = json.dumps([str(folder), dict(environment), list(arguments)]).encode()
    with (
        open(os.devnull, "rb") as stdin,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        ours, its = socket.socketpair()
        with ours, its:
            with lock:
                files = (stdin, out, err, its)
                length = len(request).to_bytes(4)
                socket.send_fds(loader, [length], [file.fileno() for file in files])
                loader.sendall(request)
            its.close()
            ours.settimeout(timeout)
            with ours.makefile() as answers:
                pid = int(answers.readline())
                try:
                    code = int(answers.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(arguments), timeout) from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(list(arguments), code, *texts)


def _serve(control: socket.socket) -> None:
    """Forks a process for each request, and returns in it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        length, files, _, _ = socket.recv_fds(control, 4, 4)
        if not length:
            sys.exit()
        message = control.recv(int.from_bytes(length), socket.MSG_WAITALL)
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, answer = files
    if pid := os.fork():
        with socket.socket(fileno=answer) as connection:
            connection.sendall(b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(answer)
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    folder, environment, arguments = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[1:] = arguments


if __name__ == "__main__":
    for module in pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        if not module.name.endswith("__main__") and ".testing" not in module.name:
            importlib.import_module(module.name)
    gc.freeze()  # nothing of this is ever garbage; without a look at it, its memory stays shared
    _serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        # To take every module apart again takes twice as long as all the rest.
        atexit._run_exitfuncs()
        os._exit(end.code if isinstance(end.code, int) else 1)
