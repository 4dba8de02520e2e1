"""Arguments and options that several commands have."""

from __future__ import annotations

import re

import click

from integrations_db.cli import completing

__all__ = [
    "json_option",
    "lock_timeout_option",
    "resume_option",
    "set_option",
    "target_argument",
    "wait_option",
]

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_LONGEST = (2**31 - 1) // 1000  # seconds: PostgreSQL counts milliseconds, up to this


def _duration(value: str) -> float:
    """Returns the seconds of ``5s``, ``500ms``, ``2min``, ``1h``, or a bare number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not a time span such as 5s, 500ms or 2min")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise click.BadParameter(f"{value!r} is more than {_LONGEST // 3600} hours")
    return seconds


def _variables(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    """Returns the psql variables of ``--set``; of what is malformed nothing is repeated."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        # psql takes every character outside of ASCII as a letter.
        if not equals or not re.fullmatch(r"[A-Za-z0-9_\u0080-\U0010ffff]+", name):
            raise click.BadParameter("expected NAME=VALUE, the name of letters, digits and _")
        found[name] = value
    return found


target_argument = click.argument("target", required=False, shell_complete=completing.targets)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
set_option = click.option(
    "--set",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variables,
    help="Set a psql variable for the scripts; may be repeated.",
)
resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Run again a script that is not atomic and was begun but not finished.",
)
lock_timeout_option = click.option(
    "--lock-timeout",
    type=_duration,
    metavar="DURATION",
    show_default="what a script sets, else 5s",
    help="How long a statement waits for a lock; then the change is rolled back and tried again. "
    "When given, it replaces the lock_timeout that a script sets.",
)
wait_option = click.option(
    "--wait",
    type=_duration,
    metavar="DURATION",
    default="60s",
    show_default=True,
    help="How long to wait for another deployment of the same database.",
)
