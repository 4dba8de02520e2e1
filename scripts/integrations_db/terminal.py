"""Shows the progress of a command: a bar for a person who watches, plain lines for a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "Lines", "Silent", "watched"]

_SIGN = {"deploy": "+", "revert": "-", "verify": "*"}


class Lines:
    """One line for each change, as it happens: ``  + functions/x ... ok``."""

    def __init__(self) -> None:
        self._open = False

    def started(self, action: str, count: int) -> None:
        pass

    def change(self, action: str, title: str) -> None:
        click.echo(f"  {_SIGN[action]} {title} ... ", nl=False)
        self._open = True

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        click.echo(remark if self._open else f"    {title} ... {remark}")
        self._open = False

    def failed(self, title: str) -> None:
        self.done(title, 0, "FAILED")

    def say(self, text: str) -> None:
        if self._open:
            click.echo()
            self._open = False
        click.echo(f"    {text}", err=True)


class Bar:
    """The same lines above a progress bar."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._sign = ""

    def started(self, action: str, count: int) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
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
            self._bar.update(self._task, description=f"{action} {title}")

    def _print(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text)

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
        click.echo(text, err=True)


def watched() -> bool:
    """Tells whether a person looks at standard output."""
    return sys.stdout.isatty()
