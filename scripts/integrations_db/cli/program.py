"""The program around the commands: signals, streams, exit codes, how an error is told."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from integrations_db.cli.group import INTERRUPTED, cli
from integrations_db.errors import Failure, Usage
from integrations_db.terminal import ReaderGone, Unwritable, echo, echo_json, on_github

__all__ = ["main"]


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; handled like Ctrl-C, so that the transaction is rolled back in order."""


def _terminate(number: int, frame: object) -> NoReturn:
    """Handles SIGTERM, and SIGHUP: the terminal has gone."""
    raise _Terminated


def _complete_streams() -> None:
    """Puts the null device where a standard stream was closed (``>&-``).

    Otherwise the connection to the server could get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _notes(error: BaseException | None) -> list[str]:
    """Returns what was noted about an error, or about the one that it took the place of."""
    notes: list[str] = []
    while error is not None:
        notes += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    return notes


def _tell(message: str, code: int, as_json: bool) -> int:
    """Says what went wrong, on standard error; for ``--json`` on standard output, too."""
    echo(f"integrations-db: {message}", err=True)
    if on_github():
        from integrations_db.check import workflow_commands

        for command in workflow_commands(message):
            echo(command, err=True)
    if as_json:
        with suppress(Unwritable):  # the code says it as well
            echo_json({"error": {"message": message, "exit_code": code}})
    return code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with a code of the published table."""
    # Nothing here makes garbage in cycles worth looking for; modules that load make it look often.
    gc.disable()
    atexit.register(gc.freeze)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _terminate)
    _complete_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know every letter
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    if "_INTEGRATIONS_DB_COMPLETE" in os.environ:
        importlib.import_module("integrations_db.cli.shells")
    try:
        result = cli.main(given, prog_name="integrations-db", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message(), err=True)
        code = Usage.exit_code
    except click.UsageError as error:
        if error.ctx is not None:
            echo(error.ctx.get_usage(), err=True)
        help_ = f" (try: {error.ctx.command_path} --help)" if error.ctx else ""
        code = _tell(error.format_message() + help_, Usage.exit_code, as_json)
    except click.ClickException as error:
        code = _tell(error.format_message(), error.exit_code, as_json)
    except Failure as error:
        code = _tell(str(error), error.exit_code, as_json)
    except ReaderGone as error:
        sys.stdout = None  # keep the interpreter from complaining at exit
        code = Failure.exit_code
        if notes := _notes(error):  # else nobody wants to hear anything
            _tell("\n".join([str(error), *notes]), code, as_json=False)
    except Unwritable as error:
        code = _tell("\n".join([str(error), *_notes(error)]), Failure.exit_code, as_json=False)
    except (click.Abort, KeyboardInterrupt) as error:
        # A prompt turns the one into the other.
        terminated = any(isinstance(it, _Terminated) for it in (error, error.__context__))
        echo(err=True)
        # What knows better what is left says so in a note.
        notes = _notes(error) or [
            "What was being worked on was rolled back; finished changes stay."
        ]
        code = _tell(
            "\n".join([f"{'terminated' if terminated else 'interrupted'}.", *notes]),
            Failure.exit_code if terminated else INTERRUPTED,
            as_json,
        )
    except OSError as error:
        # A net for what no command expected of the machine: a disk that is full, a closed folder.
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
        code = _tell("\n".join([message, *_notes(error)]), Failure.exit_code, as_json)
    except Exception as error:
        # The same for the database; anything else is a defect and shows.
        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(error, psycopg.Error):
            raise
        from integrations_db.database import explain

        code = _tell(explain(error), Failure.exit_code, as_json)
    for name in ("stdout", "stderr"):
        try:
            if stream := getattr(sys, name):
                stream.flush()
        except OSError:
            # The interpreter would try once more at exit, complain, and change the code.
            setattr(sys, name, None)
    sys.exit(code)
