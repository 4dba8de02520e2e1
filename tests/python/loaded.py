"""Our command in processes that need not load it: they are forked from one that has.

Loading Python, the driver and the command takes longer than most of what tests ask of them. The
forked process is one like any other for all else: its own arguments, environment, folder, standard
streams and exit. Tests that look closer start Python itself with ``small_project.command``.
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
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

PACKAGE = "integrations_db"
_NUMBER = struct.Struct("i")  # of a process; then its exit code


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


def _begin(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: Sequence[int],
    apart: bool,
) -> tuple[int, socket.socket]:
    """Has our command forked; gives its number, and who will tell of its end."""
    loader, lock = _loader()
    request = json.dumps([str(folder), dict(environment), list(arguments), apart]).encode()
    ours, its = socket.socketpair()
    with its, lock:
        socket.send_fds(loader, [len(request).to_bytes(4)], [*streams, its.fileno()])
        loader.sendall(request)
    return _NUMBER.unpack(ours.recv(_NUMBER.size))[0], ours


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs our command with these arguments; its standard input is empty.

    Raises:
        subprocess.TimeoutExpired: it took longer than so many seconds, and was killed.
    """
    with (
        open(os.devnull, "rb") as stdin,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        streams = [file.fileno() for file in (stdin, out, err)]
        pid, teller = _begin(arguments, folder, environment, streams, apart=False)
        with teller:
            teller.settimeout(timeout)
            try:
                (code,) = _NUMBER.unpack(teller.recv(_NUMBER.size))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout) from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(list(arguments), code, *texts)


class Started:
    """Our command while it runs, as ``subprocess.Popen`` shows a program.

    It leads a process group of its own; its standard input is empty, its output goes into pipes.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)
        with open(os.devnull, "rb") as stdin:
            streams = [stdin.fileno(), its_out, its_err]
            self.pid, self._teller = _begin(arguments, folder, environment, streams, apart=True)
        os.close(its_out)
        os.close(its_err)

    def poll(self) -> int | None:
        """Returns the exit code, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it ends, and returns its exit code.

        Raises:
            subprocess.TimeoutExpired: that takes longer than so many seconds.
        """
        if self.returncode is None:
            self._teller.settimeout(timeout)
            try:
                (self.returncode,) = _NUMBER.unpack(self._teller.recv(_NUMBER.size))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._teller.close()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ends it with SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits until it ends, and returns what else it writes.

        Raises:
            subprocess.TimeoutExpired: that takes longer than so many seconds; it is killed.
        """
        with self, ThreadPoolExecutor(2) as readers:
            out, err = readers.submit(self.stdout.read), readers.submit(self.stderr.read)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            return out.result(), err.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.stderr.close()
        self.wait()


def _serve(control: socket.socket) -> None:
    """Forks a process for each request, and returns in it."""
    tellers: dict[int, socket.socket] = {}

    def tell(*_: object) -> None:
        # The end of another may call this in the midst of itself, and leave nobody to wait for.
        with suppress(ChildProcessError):
            while tellers and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with tellers.pop(ended[0]) as teller, suppress(ConnectionError):  # nobody waits
                    teller.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(ended[1])))

    signal.signal(signal.SIGCHLD, tell)
    while True:
        length, files, _, _ = socket.recv_fds(control, 4, 4)
        if not length:
            sys.exit()
        message = control.recv(int.from_bytes(length), socket.MSG_WAITALL)
        *streams, answer = files
        teller = socket.socket(fileno=answer)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # until it is known who waits
        pid = os.fork()
        if pid == 0:
            break
        tellers[pid] = teller
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for file in streams:
            os.close(file)
    control.close()
    for other in tellers.values():
        other.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    folder, environment, arguments, apart = json.loads(message)
    if apart:
        os.setsid()
    with teller:
        teller.sendall(_NUMBER.pack(os.getpid()))
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    # Those that Python made would take a pipe for what was there before: a file.
    out, err = sys.stdout, sys.stderr
    sys.stdout = open(1, "w", -1, out.encoding, out.errors, closefd=False)
    sys.stderr = open(2, "w", 1, err.encoding, err.errors, closefd=False)
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
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # too late; and coverage may be writing
        # To take every module apart again takes twice as long as all the rest.
        atexit._run_exitfuncs()
        os._exit(end.code if isinstance(end.code, int) else 1)
