"""Reads ``sqitch.conf`` and finds the database that a command means.

The file format is the one Sqitch reads (Perl's ``Config::GitLike``, as ``App::Sqitch::Config`` sets
it up): git's, but with almost any character in names. Git's own libraries refuse those, hence a
reader of our own. It differs on purpose in two things: of several values in one file the last one
counts, where Sqitch stops with "Multiple values"; a file that cannot be read is an error, where
Sqitch goes on without it.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote

from integrations_db.errors import Failure, Usage

__all__ = [
    "Committer",
    "Config",
    "Target",
    "committer",
    "load_config",
    "outer_files",
    "parse_config",
    "resolve_target",
]

# The grammar of Config::GitLike. Perl's \s is Python's without U+001C to U+001F.
_SPACE = r"[^\S\x1c-\x1f]"
_BLANK = re.compile(rf"{_SPACE}*")
_COMMENT = re.compile(r"[#;].*")
_SECTION = re.compile(rf"""\[(?P<name>(?:(?!{_SPACE})[^\[\]"])+)(?:[\t ]*"(?P<sub>[^\n]*?)")?\]""")
_BARE_KEY = re.compile(r"(?P<key>[^\[=\n][^=\n]*?)[\t ]*(?:[#;].*)?$", re.MULTILINE)
_KEY = re.compile(r"(?P<key>[^\[=\n][^=\n]*?)[\t ]*=[\t ]*")
_VALUE = re.compile(
    r"""(?P<end>(?:[ \t]*[#;].*)?$)
    |(?P<blank>[\t ]+)
    |(?P<continued>\\\r?\n)
    |\\(?P<escaped>[\\'"ntb])
    |"(?P<quoted>[^"\\]*(?:(?:\\\n|\\[tbn"\\])[^"\\]*)*)"
    |(?P<plain>[^\t \\\n"]+)""",
    re.VERBOSE | re.MULTILINE,
)
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
_DEPTH = 10  # of files that include each other
_ENGINES = ("pg", "postgres", "postgresql", "pgsql", "pgxc", "redshift", "yugabyte", "yugabytedb")
_TRUE = re.compile(r"true|yes|on|-?0*1", re.IGNORECASE)
_FALSE = re.compile(r"false|no|off|0*", re.IGNORECASE)
# user:password@host:port,host:port/database: whatever else is there belongs to the password.
_HOST = r"(?:\[[^\]@/]*\]|[^\[\]:@/,]*)(?::\d*)?"
_URI = re.compile(rf"[a-z]+://(?:[^@/]*@)?{_HOST}(?:,{_HOST})*(?:/[^@]*)?")


@dataclass(frozen=True, slots=True)
class Config:
    """Settings by full name (``core.engine``, ``target.prod.uri``), in the order they were read.

    The section and the last part of a name are in small letters, the quoted part as it is written.

    Attributes:
        values: what each file that counts says; None for a name without ``=``.
        names: the last part of each name as it is written.
        places: where each was set last, as ``file:line``.
    """

    values: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Returns the last value of a setting."""
        return next(reversed(self.all(key)), default)

    def all(self, key: str) -> tuple[str, ...]:
        """Returns every value of a setting, in order."""
        return tuple(value for value in self.values.get(key, ()) if value is not None)

    def section(self, prefix: str) -> dict[str, str]:
        """Returns the settings directly below ``prefix``, by name as it is written."""
        found: dict[str, str] = {}
        for key in self.values:
            before, _, name = key.rpartition(".")
            value = self.get(key)
            if before == prefix and value is not None:
                found[self.names.get(key, name)] = value
        return found

    def flag(self, key: str) -> bool | None:
        """Returns whether a setting is on, None when it is not set; a name without ``=`` is on.

        Raises:
            Failure: it is neither on nor off.
        """
        if key not in self.values:
            return None
        value = self.values[key][-1]
        if value is None or _TRUE.fullmatch(value):
            return True
        if _FALSE.fullmatch(value):
            return False
        raise Failure(f"{self.place(key)}: {key} is neither true nor false")

    def place(self, key: str) -> str:
        """Returns where a setting was made, as ``file:line``, for messages."""
        return self.places.get(key, "sqitch.conf")


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


@dataclass(frozen=True, slots=True)
class _Setting:
    """What one place of a configuration file says."""

    section: str
    name: str
    value: str | None
    line: int

    @property
    def key(self) -> str:
        """The full name, in which capitals of the name do not count."""
        return f"{self.section}.{self.name.lower()}"


def _settings(text: str, file: str) -> Iterator[_Setting]:
    """Yields the settings of one file in order, as ``Config::GitLike`` understands it."""
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    elif "\n" not in text:
        text = text.replace("\r", "\n")
    text = text.rstrip("\n") + "\n"
    section = None
    position = _past_blanks(text, 0)

    def fail(why: str) -> NoReturn:
        raise Failure(f"{file}:{text.count(chr(10), 0, position) + 1}: {why}")

    while position < len(text):
        if found := _COMMENT.match(text, position):
            position = found.end()
        elif found := _SECTION.match(text, position):
            sub = found["sub"] or ""
            if re.search(r'[\\"]', sub.replace("\\\\", "").replace('\\"', "")):
                fail('in the quotes of a [section "..."], a quote or backslash needs a backslash')
            sub = sub.replace("\\\\", "\\").replace('\\"', '"')
            section = found["name"].lower() + (
                f".{sub}" if found["sub"] not in (None, "", "0") else ""
            )
            position = found.end()
        elif found := _BARE_KEY.match(text, position) or _KEY.match(text, position):
            if section is None:
                fail("a setting before the first [section]")
            value, end = None, found.end()
            if found.re is _KEY:
                value, end = _value(text, end)
                if end < 0:
                    fail(
                        "the value cannot be read: a quote is not closed, or a backslash stands "
                        "before something else than a quote, a backslash, n, t, b or a line's end"
                    )
            yield _Setting(section, found["key"], value, text.count("\n", 0, position) + 1)
            position = end
        else:
            fail("expected [section] or name = value")
        position = _past_blanks(text, position)


def _past_blanks(text: str, position: int) -> int:
    """Returns where the blanks and line ends that begin at a position end."""
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int) -> tuple[str, int]:
    """Returns the value that begins at a position, and where it ends; -1 when it has no meaning.

    Blanks count as one, also those at the end unless a comment follows.
    """
    out: list[str] = []
    while found := _VALUE.match(text, position):
        position = found.end()
        if found["end"] is not None:
            return "".join(out), position
        if found["blank"]:
            out.append(" ")
        elif found["escaped"]:
            out.append(_ESCAPES.get(found["escaped"], found["escaped"]))
        elif found["quoted"] is not None:
            quoted = found["quoted"].replace("\\\n", "")
            for escape, char in _ESCAPES.items():
                quoted = quoted.replace(f"\\{escape}", char)
            out.append(quoted.replace("\\\\", "\\"))  # \" stays as it is
        elif found["plain"]:
            out.append(found["plain"])
    return "", -1


class _Loader:
    """Puts files together: what a later file says of a setting replaces what another one said."""

    def __init__(self) -> None:
        self.values: dict[str, list[str | None]] = {}
        self.names: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def take(self, text: str, file: str, depth: int = 0) -> None:
        """Takes the settings of a file's text, and of the files that it includes."""
        origin = os.path.realpath(file)
        for setting in _settings(text, file):
            key = setting.key
            if self.origins.get(key) == origin:
                self.values[key].append(setting.value)
            else:
                self.values[key] = [setting.value]
                self.names[key] = setting.name
            self.origins[key] = origin
            self.places[key] = f"{file}:{setting.line}"
            if key == "include.path" and setting.value:
                if depth > _DEPTH:
                    raise Failure(f"{self.places[key]}: includes more than {_DEPTH} files in turn")
                self.file(_home(setting.value, Path(file).parent), depth + 1)

    def file(self, path: Path, depth: int = 0) -> None:
        """Takes a file, when there is one."""
        if not os.path.isfile(path):  # where we may not look, there is none for us
            return
        try:
            data = path.read_bytes()
            text = data.decode()
        except OSError as error:
            raise Failure(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Failure(f"{path}:{line}: is not UTF-8 (byte {error.start} of the file)") from None
        self.take(text, str(path), depth)

    def config(self) -> Config:
        """Returns what has been taken."""
        return Config({k: tuple(v) for k, v in self.values.items()}, self.names, self.places)


def _home(path: str, base: Path) -> Path:
    """Returns a path as Sqitch understands it: ``~`` is the home directory."""
    return base / (os.environ.get("HOME", "") + path[1:] if path.startswith("~") else path)


def parse_config(text: str, file: str = "sqitch.conf") -> Config:
    """Parses the text of one configuration file.

    Raises:
        Failure: naming file and line.
    """
    loader = _Loader()
    loader.take(text, file)
    return loader.config()


def outer_files(directory: Path) -> tuple[Path, Path]:
    """Returns where the system's and the user's configuration are, whether there is one or not."""
    env = os.environ.get
    return (
        _home(env("SQITCH_SYSTEM_CONFIG") or "/etc/sqitch/sqitch.conf", directory),
        _home(env("SQITCH_USER_CONFIG") or "~/.sqitch/sqitch.conf", directory),
    )


def load_config(directory: Path) -> Config:
    """Reads the system's, the user's and the project's configuration, the last being the strongest.

    ``SQITCH_SYSTEM_CONFIG``, ``SQITCH_USER_CONFIG`` and ``SQITCH_CONFIG`` name others. As with
    Sqitch, the project's may stand in a directory above; its paths are relative to ``directory``.

    Args:
        directory: the project's.

    Raises:
        Failure: a file cannot be read or is wrong, naming file and line.
    """
    own = os.environ.get("SQITCH_CONFIG") or "sqitch.conf"
    places = (_home(own, above) for above in (directory, *directory.absolute().parents))
    paths = [
        *outer_files(directory),
        *[path for path in places if os.path.isfile(path)][:1],  # as in file()
    ]
    loader = _Loader()
    read: set[str] = set()
    for path in paths:
        if os.path.realpath(path) not in read:
            loader.file(path)
        read.add(os.path.realpath(path))
    return loader.config()


def committer(config: Config) -> Committer:
    """Returns who deploys: the environment, the configuration, else the operating system's user.

    Raises:
        Failure: the name or address has characters that would make a plan or log ambiguous.
    """
    env = os.environ.get
    login = env("SQITCH_ORIG_SYSUSER") or _login()
    try:
        full = pwd.getpwnam(login).pw_gecos.split(",")[0]
    except KeyError:  # a container may run as a user that has no name
        full = ""
    name = env("SQITCH_FULLNAME") or config.get("user.name") or env("SQITCH_ORIG_FULLNAME")
    email = env("SQITCH_EMAIL") or config.get("user.email") or env("SQITCH_ORIG_EMAIL")
    who = Committer(name or full or login, email or f"{login}@{socket.gethostname()}")
    if "<" in who.name or who.name.startswith("["):
        raise Failure(
            f'your name is given as "{who.name}": it may hold no < and not begin with [ '
            "(user.name in sqitch.conf, or SQITCH_FULLNAME)"
        )
    if ">" in who.email:
        raise Failure(
            f'your address is given as "{who.email}": it may hold no > '
            "(user.email in sqitch.conf, or SQITCH_EMAIL)"
        )
    return who


def _login() -> str:
    """Returns the login name: of the terminal, else of the process, else what is in the air."""
    try:
        return os.getlogin()
    except OSError:
        pass
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        named = (os.environ.get(name) for name in ("LOGNAME", "USER", "USERNAME"))
        return next((name for name in named if name), f"uid{os.getuid()}")


def resolve_target(config: Config, given: str | None) -> Target | None:
    """Returns the database meant by a TARGET, or None for the embedded server.

    ``SQITCH_USERNAME`` and ``SQITCH_PASSWORD`` replace user and password of any of them.

    Args:
        config: the project's configuration.
        given: a ``db:pg:`` URI, a libpq URI or connection string (both are left untouched), the
            name of a configured target, or ``pg`` for that of the engine; None: ``SQITCH_TARGET``,
            or what the configuration says.

    Raises:
        Usage: it is none of these, or its parts cannot be told apart; no part of it is repeated.
    """
    given = (
        given
        or os.environ.get("SQITCH_TARGET")
        or config.get("core.target")
        or config.get("engine.pg.target")
    )
    if not given:
        return None
    if given == "pg" and not config.get("target.pg.uri"):
        given = config.get("engine.pg.target") or "db:pg:"
    if _is_uri(given):
        # Settings may be meant for a URI, written without its password.
        name = re.sub(r"\A([^?]*?//[^/@:]*:)[^/]*@", r"\1@", given)
        return _target(given, name if _configured(config, name) else None)
    # Sqitch takes a name with a colon for a URI, whatever the configuration says.
    uri = (":" not in given and config.get(f"target.{given}.uri")) or ""
    if _is_uri(uri) or "=" in uri:
        return _target(uri, given)
    if ":" not in given and _configured(config, given):
        where = next(config.place(key) for key in config.values if _belongs(key, given))
        raise Usage(f'{where}: [target "{given}"] has no database URI: uri = db:pg://HOST/NAME')
    if "=" in given:
        return _target(given, None)
    # The text is not repeated: whatever it is, it may hold a password.
    raise Usage(
        "TARGET is not a db:pg: URI, a postgresql:// URI, a connection string "
        "(host=... dbname=...), or the name of a [target] in sqitch.conf"
    )


def _is_uri(text: str) -> bool:
    """Tells whether a target is given by a URI."""
    return bool(re.match(r"(?i:db):|postgres(?:ql)?://", text.strip()))


def _configured(config: Config, name: str) -> bool:
    """Tells whether there are settings for a target."""
    return any(_belongs(key, name) for key in config.values)


def _belongs(key: str, name: str) -> bool:
    """Tells whether a setting is one of a target."""
    return key.startswith(f"target.{name}.")


def _target(dsn: str, name: str | None) -> Target:
    """Returns the target, unless libpq would take a part of a password for a host or a database.

    It repeats these in its messages, where nobody could tell them from others.
    """
    if re.match("(?i:db):", dsn.strip()):
        dsn = _translate(dsn.strip())
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
    return Target(_with_environment(dsn), name=name)


def _with_environment(dsn: str) -> str:
    """Returns a connection string with user and password of Sqitch's environment variables."""
    env = os.environ.get
    wanted = {"user": env("SQITCH_USERNAME"), "password": env("SQITCH_PASSWORD")}
    given = {key: value for key, value in wanted.items() if value}
    if not given:
        return dsn
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    try:
        return make_conninfo(dsn, **given)
    except ProgrammingError:
        return dsn  # what is wrong with it is told when it is used


def _translate(uri: str) -> str:
    """Returns the libpq form of a ``db:`` URI, as ``URI::db`` understands it."""
    found = re.match(r"(?i:db):(?P<engine>[A-Za-z]+):(?P<rest>.*)\Z", uri, re.DOTALL)
    if not found or found["engine"].lower() not in _ENGINES:
        raise Usage("this tool deploys to PostgreSQL only: expected a db:pg: URI")
    place, _, query = found["rest"].partition("?")
    if not place.startswith("//"):
        if re.search("[@:]", place):
            raise Usage(
                "TARGET: db:pg:NAME names a database only; with user, password or host it is "
                "db:pg://USER:PASSWORD@HOST:PORT/NAME, where %40 stands for an @ in a password "
                "and, as %3A for a :, in the name of a database"
            )
        place = f"///{quote(unquote(place), safe='')}"
    # What Perl's URI takes for blanks and separators; a name without = is nothing to it.
    parts = [part for part in re.split("[&;]", query) if "=" in part]
    options = "&".join(quote(part.replace("+", "%20"), safe="%/:@!$'()*,=-._~[]") for part in parts)
    place = quote(place, safe="%/:@!$&'()*+,;=-._~[]#?")
    return f"postgresql:{place}" + (f"?{options}" if options else "")
