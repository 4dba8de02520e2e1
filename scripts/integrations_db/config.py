"""Reads ``sqitch.conf`` and finds the database that a command means.

The file format is the one Sqitch reads (Perl's ``Config::GitLike``): git's, but with underscores in
names. Git's own libraries refuse those, hence a reader of our own.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from integrations_db.errors import Failure, Usage

__all__ = [
    "Committer",
    "Config",
    "Target",
    "committer",
    "load_config",
    "parse_config",
    "resolve_target",
]

_SECTION = re.compile(r'\s*\[\s*(?P<name>[^\s\]"]+)(?:\s+"(?P<sub>(?:[^"\\]|\\.)*)")?\s*\]')
_KEY = re.compile(r"\s*(?P<key>[A-Za-z][\w.-]*)\s*(?P<equals>=)?[ \t]*")
# user:password@host:port,host:port/database: whatever else is there belongs to the password.
_HOST = r"(?:\[[^\]@/]*\]|[^\[\]:@/,]*)(?::\d*)?"
_URI = re.compile(rf"[a-z]+://(?:[^@/]*@)?{_HOST}(?:,{_HOST})*(?:/[^@]*)?")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Config:
    """Settings by full name (``core.engine``, ``target.prod.uri``), in the order they were read."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Returns the last value of a setting, as Sqitch does."""
        return self.values.get(key, (default,))[-1]

    def all(self, key: str) -> tuple[str, ...]:
        """Returns every value of a setting, in order."""
        return self.values.get(key, ())

    def section(self, prefix: str) -> dict[str, str]:
        """Returns the settings directly below ``prefix``, by name as it is written."""
        found: dict[str, str] = {}
        for key, values in self.values.items():
            before, _, name = key.rpartition(".")
            if before == prefix:
                found[self.names.get(key, name)] = values[-1]
        return found


@dataclass(frozen=True, slots=True)
class Target:
    """A database to work on.

    Attributes:
        dsn: a libpq connection string or URI; it may hold a password, so it is never shown.
        embedded: whether it is the server that this package runs itself.
        name: of the ``[target "NAME"]`` in the configuration that it comes from, if it does.
    """

    dsn: str = field(repr=False)
    embedded: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Committer:
    """Who deploys, for the registry."""

    name: str
    email: str


def _value(text: str) -> str:
    """Returns the value that ``text`` means: quotes taken off, escapes read, comment cut."""
    out: list[str] = []
    keep = 0  # length that trailing blanks may not shorten, because it was quoted
    quoted = False
    position = 0
    while position < len(text):
        char = text[position]
        if char == '"':
            quoted = not quoted
            keep = len(out)
        elif char == "\\" and position + 1 < len(text):
            position += 1
            out.append(_ESCAPES.get(text[position], text[position]))
            keep = len(out)
        elif char in "#;" and not quoted:
            break
        else:
            out.append(char)
            if quoted:
                keep = len(out)
        position += 1
    if quoted:
        raise ValueError("a quote is not closed")
    return "".join(out[:keep]) + "".join(out[keep:]).rstrip()


def parse_config(text: str, file: str = "sqitch.conf") -> dict[str, tuple[str, ...]]:
    """Parses one configuration file; a key without ``=`` means ``true``.

    Raises:
        Failure: naming file and line.
    """
    values: dict[str, tuple[str, ...]] = {}
    section = ""
    numbered = enumerate(text.splitlines(), start=1)
    for number, first in numbered:
        line = first
        while re.search(r"(?<!\\)(?:\\\\)*\\$", line):  # continued on the next line
            line = line[:-1] + next(numbered, (number, ""))[1]
        if found := _SECTION.match(line):
            # Section names ignore case, the quoted part does not.
            sub = re.sub(r"\\(.)", r"\1", found["sub"] or "")
            section = found["name"].lower() + (f".{sub}" if found["sub"] is not None else "")
            line = line[found.end() :]
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        found = _KEY.match(line)
        rest = line[found.end() :] if found else ""
        if not found or not section or (not found["equals"] and rest.strip()[:1] not in "#;"):
            raise Failure(f"{file}:{number}: expected [section] or name = value")
        key = f"{section}.{found['key'].lower()}"
        try:
            value = _value(rest) if found["equals"] else "true"
        except ValueError as error:
            raise Failure(f"{file}:{number}: {error}") from None
        values[key] = (*values.get(key, ()), value)
    return values


def load_config(directory: Path) -> Config:
    """Reads the system's, the user's and the project's configuration, the last being the strongest.

    Args:
        directory: the project's.
    """
    system = os.environ.get("SQITCH_SYSTEM_CONFIG") or "/etc/sqitch/sqitch.conf"
    user = os.environ.get("SQITCH_USER_CONFIG") or Path.home() / ".sqitch" / "sqitch.conf"
    own = os.environ.get("SQITCH_CONFIG") or directory / "sqitch.conf"
    values: dict[str, tuple[str, ...]] = {}
    for path in (Path(system), Path(user), Path(own)):
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{path}: cannot be read: {error}") from None
        for key, found in parse_config(text, str(path)).items():
            values[key] = (*values.get(key, ()), *found)
    return Config(values)


def committer(config: Config) -> Committer:
    """Returns who deploys: the environment, the configuration, else the operating system's user."""
    try:
        entry = pwd.getpwuid(os.getuid())
        login, full = entry.pw_name, entry.pw_gecos.split(",")[0]
    except KeyError:  # a container may run as a user that has no name
        login, full = f"uid{os.getuid()}", ""
    env = os.environ.get
    return Committer(
        name=env("SQITCH_FULLNAME")
        or config.get("user.name")
        or env("SQITCH_ORIG_FULLNAME")
        or full
        or login,
        email=env("SQITCH_EMAIL")
        or config.get("user.email")
        or env("SQITCH_ORIG_EMAIL")
        or f"{login}@{socket.gethostname()}",
    )


def resolve_target(config: Config, given: str | None) -> Target | None:
    """Returns the database meant by a TARGET, or None for the embedded server.

    Args:
        config: the project's configuration.
        given: a ``db:pg:`` URI, a libpq URI or connection string (both are left untouched), or the
            name of a configured target; None: ``SQITCH_TARGET``, or what the configuration says.

    Raises:
        Usage: it is none of these, or its parts cannot be told apart; no part of it is repeated.
    """
    given = (
        given
        or os.environ.get("SQITCH_TARGET")
        or config.get("engine.pg.target")
        or config.get("core.target")
    )
    if not given:
        return None
    if given.startswith("db:"):
        return _target(_translate(given))
    if given.startswith(("postgresql://", "postgres://")) or "=" in given:
        return _target(given)
    uri = config.get(f"target.{given}.uri")
    if uri is None:
        # The text is not repeated: whatever it is, it may hold a password.
        raise Usage(
            "TARGET is not a db:pg: URI, a postgresql:// URI, a connection string "
            "(host=... dbname=...), or the name of a [target] in sqitch.conf"
        )
    if uri.startswith(("db:", "postgresql://", "postgres://")) or "=" in uri:
        target = resolve_target(config, uri)
        return replace(target, name=given) if target else None
    raise Usage(f"target.{given}.uri in sqitch.conf is not a database URI")


def _target(dsn: str) -> Target:
    """Returns the target, unless libpq would take a part of a password for a host or a database.

    It repeats these in its messages, where nobody could tell them from others.
    """
    if dsn.startswith(("postgresql://", "postgres://")):
        clear = bool(_URI.fullmatch(dsn.partition("?")[0]))
    else:
        clear = not re.search(r"dbname\s*=\s*\S*:\S*@", dsn)
    if not clear:
        raise Usage(
            "TARGET: user, password, host and database cannot be told apart. In a URI write the "
            "special characters of a password percent-encoded: %40 for @, %2F for /, %3F for ?, "
            "%25 for %"
        )
    return Target(dsn)


def _translate(uri: str) -> str:
    """Returns the libpq form of a ``db:`` URI, as ``URI::db`` understands it."""
    found = re.match(r"db:(?P<engine>[a-z]+):(?P<rest>.*)\Z", uri, re.DOTALL)
    if not found or found["engine"] not in ("pg", "postgres", "postgresql", "pgsql"):
        raise Usage("this tool deploys to PostgreSQL only: expected a db:pg: URI")
    if found["rest"].startswith("//"):
        return f"postgresql:{found['rest']}"
    name, _, query = found["rest"].partition("?")
    if re.search("[@:]", name):
        raise Usage(
            "TARGET: db:pg:NAME names a database only; with user, password or host it is "
            "db:pg://USER:PASSWORD@HOST:PORT/NAME, where %40 stands for an @ in a password "
            "and, as %3A for a :, in the name of a database"
        )
    options = "&".join(f"{k}={quote(v, safe='')}" for k, v in parse_qsl(query))
    path = quote(unquote(name.removeprefix("/")), safe="")
    return f"postgresql:///{path}" + (f"?{options}" if options else "")
