"""The errors that end a command, with the exit code each one means."""

from __future__ import annotations

__all__ = ["Changed", "Failure", "Locked", "Pending", "Usage"]


class Failure(Exception):
    """Something failed; the message says what, where, what was left behind and what to do next.

    Its text is shown to a person as it is: it never holds a password or a traceback.
    """

    exit_code = 1


class Usage(Failure):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class Pending(Failure):
    """``status --check``: changes wait for their deployment."""

    exit_code = 3


class Changed(Failure):
    """Scripts or plan no longer say what the database was built from."""

    exit_code = 4


class Locked(Failure):
    """Another deployment holds the lock for longer than we may wait."""

    exit_code = 5
