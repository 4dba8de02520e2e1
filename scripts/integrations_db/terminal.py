"""What a person sees: the progress of a command, a bar for who watches, plain lines for a log.

Everything that is printed goes through ``echo``, because a name or message that comes from a
database may hold characters that would command the terminal. JSON goes through ``echo_json``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = [
    "Bar",
    "Lines",
    "Quiet",
    "ReaderGone",
    "Silent",
    "Unwritable",
    "echo",
    "echo_exactly",
    "echo_json",
    "on_github",
    "printable",
    "watched",
]


class Unwritable(Exception):
    """Standard output cannot be written: its disk is full."""


class ReaderGone(Unwritable):
    """Standard output cannot be written: who read it has gone (``| head``).

    It is no BrokenPipeError, at which click would end the process by itself.
    """


_SIGN = {"deploy": "+", "revert": "-", "verify": "*"}
# Control characters but tab and newline, what turns the direction of writing, and halves of
# characters, which no encoding can write.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Returns a text with all that could command a terminal written as an escape: ``\\x1b``."""
    return _UNSAFE.sub(
        lambda found: found.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n")
    )


# Where GitHub's runner finds a command in a line: in its older form not only at the beginning.
_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\[)", re.MULTILINE)


def _commanding_nobody(text: str) -> str:
    """Returns a text in which a workflow of GitHub reads no command, but for one of our own.

    That is a line of its own. What comes from elsewhere is said after some words, or indented.
    """
    if not on_github() or (text.startswith("::") and "\n" not in text):
        return text
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\x{ord(found.group()[-1]):x}", text)


def _write(text: str | bytes, *, err: bool = False, nl: bool = True) -> None:
    """Writes a text that may be written as it is.

    Raises:
        Unwritable: standard output takes no more. Of standard error there would be nobody to tell.
        ReaderGone: nobody reads standard output any more.
    """
    try:
        click.echo(text, err=err, nl=nl)
    except OSError as error:
        if err:
            return
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("the reader of the output has gone.") from None
        raise Unwritable(f"standard output cannot be written: {error.strerror}") from None


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints a text of any origin; ``err``: on standard error."""
    _write(_commanding_nobody(printable(text)), err=err, nl=nl)


def echo_exactly(text: str) -> None:
    """Writes a text as UTF-8, byte for byte, on standard output: what it is for, not to be read."""
    _write(text.encode(), nl=False)


def echo_json(value: object) -> None:
    """Prints a value as JSON, on standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Only strings can hold these, and there an escape means the same.
    text = _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    _write(text.replace("##[", "#\\u0023[") if on_github() else text)


class Lines:
    """One line for each change, as it happens: ``  + functions/x ... ok``."""

    def __init__(self) -> None:
        self._open = False
        self._sign = ""

    def started(self, action: str, count: int) -> None:
        pass

    def change(self, action: str, title: str) -> None:
        self._sign = _SIGN[action]
        echo(f"  {self._sign} {title} ... ", nl=False)
        self._open = True

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        echo(remark if self._open else f"  {self._sign} {title} ... {remark}")
        self._open = False

    def failed(self, title: str) -> None:
        self.done(title, 0, "FAILED")

    def say(self, text: str) -> None:
        if self._open:
            echo()
            self._open = False
        echo(f"    {text}", err=True)


class Bar:
    """The same lines above a progress bar."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._sign = ""

    def started(self, action: str, count: int) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            transient=True,
        )
        self._task = self._bar.add_task(action, total=count)
        self._bar.start()

    def change(self, action: str, title: str) -> None:
        self._sign = _SIGN[action]
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=printable(f"{action} {title}"))

    def _print(self, text: str) -> None:
        if self._bar:
            try:
                # As it is: rich would read [x] as a style and :x: as a picture, and cut long lines.
                self._bar.console.print(
                    printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True
                )
            except OSError as error:  # the terminal has gone
                raise Unwritable(f"the terminal cannot be written: {error.strerror}") from None
        else:
            echo(text)

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        took = f" ({seconds:.1f} s)" if seconds >= 1 else ""
        self._print(f"  {self._sign} {title} ... {remark}{took}")
        if self._bar and self._task is not None:
            self._bar.advance(self._task)

    def failed(self, title: str) -> None:
        self._print(f"  {self._sign} {title} ... FAILED")

    def say(self, text: str) -> None:
        self._print(f"    {text}")

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._bar:
            with suppress(OSError):  # the terminal has gone
                self._bar.stop()


class Silent:
    """Says only what does not come with the progress, on standard error: for ``--json``."""

    def started(self, action: str, count: int) -> None:
        pass

    def change(self, action: str, title: str) -> None:
        pass

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        pass

    def failed(self, title: str) -> None:
        pass

    def say(self, text: str) -> None:
        echo(text, err=True)


class Quiet(Silent):
    """Says nothing: for the building of a scratch, of which nobody wants to hear."""

    def say(self, text: str) -> None:
        pass


def on_github() -> bool:
    """Tells whether a workflow of GitHub reads along, which shows findings beside their lines."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def watched() -> bool:
    """Tells whether a person looks at standard output, on a terminal that can draw a bar."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
