"""A pytest plugin that runs our command in the process of the tests, where mutmut counts.

``loaded.run`` forks it from another process, and what mutants of it the tests reach would not be
known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import loaded
import pytest

from integrations_db.cli import main


@contextmanager
def _elsewhere(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Gives a block another folder and environment, and takes back what it changes."""
    before, where = dict(os.environ), Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(before)
        time.tzset()
        os.chdir(where)


@contextmanager
def _streams(out: int, err: int) -> Iterator[None]:
    """Gives a block, and the programs it starts, other standard streams."""
    names = ("stdin", "stdout", "stderr")
    before = [(os.dup(number), getattr(sys, name)) for number, name in enumerate(names)]
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        for number, file in enumerate((nothing, out, err)):
            os.dup2(file, number)
            stream = os.fdopen(os.dup(number), "r" if number == 0 else "w", encoding="utf-8")
            setattr(sys, names[number], stream)
        yield
    finally:
        os.close(nothing)
        for number, (saved, old) in enumerate(before):
            if (stream := getattr(sys, names[number])) is not None:
                stream.close()
            os.dup2(saved, number)
            os.close(saved)
            setattr(sys, names[number], old)


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs our command as ``loaded.run`` does, but here; mutmut has a limit of its own."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _elsewhere(folder, environment), _streams(out.fileno(), err.fileno()):
            with pytest.raises(SystemExit) as end:
                main(arguments)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(list(arguments), int(end.value.code or 0), *texts)


loaded.run = run
