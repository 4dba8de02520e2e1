"""psql: its variables, and the program itself for the scripts that nothing else can run.

The program is started as Sqitch starts it, with two differences: no secret and no variable stands
among its arguments, where every user of the machine could read it, and it does not outlive us.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from integrations_db.config import Target
from integrations_db.database import plain
from integrations_db.errors import Failure
from integrations_db.registry import Connection
from integrations_db.script import Script, shown
from integrations_db.server import programs

__all__ = [
    "PsqlFailed",
    "all_variables",
    "automatic_variables",
    "find_psql",
    "quoted",
    "run",
    "script_variables",
    "set_command",
    "set_commands",
]

# What psql 15 to 18 sets when it starts with Sqitch's options; --set is stronger.
_DEFAULTS = {
    "AUTOCOMMIT": "on",
    "COMP_KEYWORD_CASE": "preserve-upper",
    "ECHO": "none",
    "ECHO_HIDDEN": "off",
    "FETCH_COUNT": "0",
    "HIDE_TABLEAM": "off",
    "HIDE_TOAST_COMPRESSION": "off",
    "HISTCONTROL": "none",
    "HISTSIZE": "500",
    "IGNOREEOF": "0",
    "ON_ERROR_ROLLBACK": "off",
    "ON_ERROR_STOP": "1",
    "PROMPT1": "%/%R%x%# ",
    "PROMPT2": "%/%R%x%# ",
    "PROMPT3": ">> ",
    "QUIET": "on",
    "SHOW_ALL_RESULTS": "on",
    "SHOW_CONTEXT": "errors",
    "SINGLELINE": "off",
    "SINGLESTEP": "off",
    "VERBOSITY": "default",
}
# What it sets once it is connected, stronger than --set.
_CONNECTED = frozenset(
    ("DBNAME", "USER", "HOST", "PORT", "ENCODING", "SERVER_VERSION_NAME", "SERVER_VERSION_NUM")
)
_NAME = re.compile("[A-Za-z0-9_\u0080-\U0010ffff]+")
# What names files: psql runs in the project's directory, which may not be that of the command.
_FILES = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "servicefile")
_FILE_VARIABLES = (*(f"PG{name.upper()}" for name in _FILES), "PGSYSCONFDIR")
# No variable of libpq takes these: they can reach psql by a connection service file only.
_UNSEEN = ("sslpassword", "oauth_client_secret")
_SERVICE = "integrations-db"
_LOCATED = re.compile(r"psql:(?P<file>.+?):(?P<line>\d+): (?P<text>.*)", re.DOTALL)
_STATE = re.compile(r"(?P<severity>\S+):\s+(?P<state>[0-9A-Z]{5}): ")
# The part of a statement that psql shows with an error, and the line that points into it.
_EXCERPT = re.compile(r"LINE \d+: |\s*\^$")
_KEPT = 500  # lines of output, for the error message
_PATIENCE = 5.0  # seconds for psql to cancel what the server does for it


class PsqlFailed(Failure):
    """psql ended with an error.

    Attributes:
        place: file and line, as exact as psql tells.
        message: what psql or the server said.
        sqlstate: of the server's error, if it was one.
    """

    def __init__(self, place: str, message: str, sqlstate: str | None = None) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message
        self.sqlstate = sqlstate


def automatic_variables(conn: Connection) -> dict[str, str]:
    """Returns the variables that psql would set by itself on a connection like this one.

    Those that change while a script runs (``ROW_COUNT``, ...) and psql's own version are not among
    them: a script that names one is for psql.

    Raises:
        Failure: the session reads strings in another way than scripts are read here.
    """
    info = conn.info
    if info.parameter_status("standard_conforming_strings") == "off":
        raise Failure(
            "standard_conforming_strings is off for this role or database, and scripts are read "
            "with it on. Nothing was touched. Set it on (ALTER ROLE or ALTER DATABASE ... SET)."
        )
    return {
        **_DEFAULTS,
        "DBNAME": info.dbname,
        "USER": info.user,
        "HOST": info.host,
        "PORT": str(info.port),
        "ENCODING": info.parameter_status("client_encoding") or "UTF8",
        "SERVER_VERSION_NAME": info.parameter_status("server_version") or "",
        "SERVER_VERSION_NUM": str(info.server_version),
    }


def all_variables(conn: Connection, given: Mapping[str, str], *, registry: str) -> dict[str, str]:
    """Returns every variable that a script would see when Sqitch runs it.

    Args:
        conn: where the script will run.
        given: the project's variables.
        registry: the schema of the registry.

    Raises:
        Failure: as ``automatic_variables``.
    """
    automatic = automatic_variables(conn)
    connected = {name: automatic[name] for name in _CONNECTED}
    return {**automatic, **given, **connected, "ON_ERROR_STOP": "1", "registry": registry}


def set_command(name: str, value: str) -> str:
    """Returns the line that sets a variable of psql to any text.

    Raises:
        Failure: psql takes no variable of this name.
    """
    if not _NAME.fullmatch(name):
        raise Failure(
            f'"{name}" cannot be a variable of psql: its name may hold letters, digits and _ only'
        )
    return f"\\set {name} {quoted(value)}"


def quoted(text: str) -> str:
    """Returns any text as an argument of a meta-command, in which nothing is replaced."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def script_variables(given: Mapping[str, str], *, registry: str) -> dict[str, str]:
    """Returns what a script will find set that runs some day; a name stands for what is not known.

    Raises:
        Failure: one of ``given`` would change how psql reads and runs a script.
    """
    if odd := sorted(name for name in given if name in _DEFAULTS and name != "ON_ERROR_STOP"):
        raise Failure(
            f"{', '.join(odd)}: a setting of psql itself, which this script makes on its own. "
            "Take it out of the variables."
        )
    known = {**given, **{name: name for name in _CONNECTED}}
    return {**_DEFAULTS, **known, "ON_ERROR_STOP": "1", "registry": registry}


def set_commands(given: Mapping[str, str]) -> list[str]:
    """Returns the lines that set a project's variables, but for those that psql sets itself."""
    kept = _CONNECTED | {"ON_ERROR_STOP", "registry"}
    return [set_command(name, value) for name, value in sorted(given.items()) if name not in kept]


def find_psql(client: str | None) -> Path:
    """Returns the psql program: the configured one, that of PATH, or the embedded server's.

    Raises:
        Failure: there is none.
    """
    if client:
        if found := shutil.which(client):
            return Path(found).absolute()
        raise Failure(
            f"the configured client cannot be run: {client}\nCorrect the setting client "
            "(engine.pg.client in sqitch.conf), or remove it to use the psql of PATH."
        )
    if found := shutil.which("psql"):
        return Path(found).absolute()
    folder = programs()
    if folder and (folder / "psql").exists():
        return folder / "psql"
    raise Failure(
        "the psql program is not installed. Install PostgreSQL's client programs, or name the "
        "program in sqitch.conf (engine.pg.client)."
    )


def _absolute(path: str) -> str:
    """Returns the path of a file that is there as one that holds from every directory."""
    return os.path.abspath(path) if os.path.exists(path) else path


def _conninfo(target: Target, application_name: str) -> tuple[str, dict[str, str], str]:
    """Returns a connection string without secrets, and what is to go with it.

    Returns:
        The connection string, the environment, and the text of a connection service file: empty if
        none is needed. The environment does not name it yet.

    Raises:
        Failure: a secret has no other way to psql than its arguments.
    """
    given = {key: str(value) for key, value in conninfo_to_dict(target.dsn).items()}
    env = dict(os.environ)
    if target.embedded:  # the variables are about some other server
        env = {name: value for name, value in env.items() if not name.startswith("PG")}
    given |= {key: _absolute(given[key]) for key in _FILES if key in given}
    env |= {key: _absolute(env[key]) for key in _FILE_VARIABLES if key in env}
    unseen = {key: given.pop(key) for key in _UNSEEN if key in given}
    for key, value in unseen.items():
        # libpq reads one service, strips its lines, and before 18 refuses one about OAuth.
        clear = key == "sslpassword" and value == value.strip() and "\n" not in value
        if not clear or "service" in given or "PGSERVICE" in env:
            raise Failure(
                f"{key} in TARGET cannot be handed to psql without showing it to other users of "
                "this machine. Put it into a connection service file, and use service= instead."
            )
    if password := given.pop("password", None):
        env["PGPASSWORD"] = password
    # One in TARGET would be stronger than the environment's.
    given["application_name"] = env["PGAPPNAME"] = application_name
    if not unseen:
        return make_conninfo("", **given), env, ""
    given["service"] = _SERVICE
    lines = [f"[{_SERVICE}]", *(f"{key}={value}" for key, value in unseen.items())]
    return make_conninfo("", **given), env, "".join(f"{line}\n" for line in lines)


def _die_with(parent: int) -> Callable[[], None] | None:
    """Returns what makes the new process end when this one does, where the system has it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    pdeathsig, sigkill = 1, int(signal.SIGKILL)  # PR_SET_PDEATHSIG of linux/prctl.h

    def bind() -> None:
        prctl(pdeathsig, sigkill)
        if os.getppid() != parent:  # it has ended before
            os._exit(1)

    return bind


def _nameless() -> IO[bytes]:
    """Opens a file that is in no directory: nothing of it outlives us.

    Where the system has that it is in memory, for a container may have no folder to write to.
    """
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("service"), "w+b")
    return TemporaryFile()


@contextmanager
def _process(
    command: list[str], env: Mapping[str, str], cwd: Path, service: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs psql; whatever ends this block ends psql, too."""
    with ExitStack() as opened:
        handed: list[int] = []
        if service:
            file = opened.enter_context(_nameless())
            file.write(service.encode())
            file.seek(0)
            handed = [file.fileno()]
            env = {**env, "PGSERVICEFILE": f"/dev/fd/{file.fileno()}"}
        try:
            process = subprocess.Popen(  # noqa: S603
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=handed,
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            raise Failure(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            # An interrupt makes psql cancel what the server does for it; death would not.
            try:
                process.send_signal(signal.SIGINT)
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()


def _messages(lines: Iterable[str]) -> Iterator[str]:
    """Yields the messages of psql's output: each begins with file and line, and may go on."""
    message: list[str] = []
    for line in lines:
        if line.startswith("psql:"):
            if message:
                yield "\n".join(message)
            message = [line]
        elif message:
            message.append(line)
    if message:
        yield "\n".join(message)


def _failure(script: Script, file: str, cwd: Path, lines: list[str], code: int) -> PsqlFailed:
    """Returns the error that psql ended with, by what it has written."""
    errors: list[PsqlFailed] = []
    for message in _messages(lines):
        place, text = shown(script.path), message.removeprefix("psql:").strip()
        if found := _LOCATED.match(message):
            name = place if found["file"] == file else shown(cwd / found["file"])
            place, text = f"{name}:{found['line']}", found["text"]
        state = _STATE.match(text)
        if state:
            if state["state"][:2] in ("00", "01", "02"):
                continue  # a notice or a warning
            text = f"{state['severity']} {state['state']}: {text[state.end() :]}"
        errors.append(PsqlFailed(place, text.replace("\n", "\n  "), state and state["state"]))
    # What the server said tells more than what psql adds to it.
    for error in reversed(errors):
        if error.sqlstate:
            return error
    if errors:
        return errors[-1]
    said = f": {lines[-1]}" if lines else ""
    return PsqlFailed(shown(script.path), f"psql ended with code {code}{said}")


def run(
    script: Script,
    target: Target,
    *,
    client: str | None,
    registry: str,
    variables: Mapping[str, str],
    cwd: Path,
    application_name: str,
    lock_timeout: str | None = None,
    output: Callable[[str], None],
) -> None:
    """Runs a script with the psql program, in a session of its own.

    Args:
        script: what to run.
        target: the database.
        client: the configured program; None: see ``find_psql``.
        registry: the schema of the registry, for the variable of this name.
        variables: the project's variables.
        cwd: where psql runs and looks for included files: the project's directory.
        application_name: of its session.
        lock_timeout: the statement that limits the session's lock waits, if they are to be.
        output: hears each line that psql writes, as it comes.

    Raises:
        PsqlFailed: an error ended the script; what it had committed before stays.
        Failure: psql could not be started.
    """
    program = find_psql(client)
    conninfo, env, service = _conninfo(target, application_name)
    if program.parent == programs():
        env["LD_LIBRARY_PATH"] = str(program.parent.parent / "lib")
    # As Sqitch names it: the folder of a link, not of what it leads to, is where \ir looks.
    file = os.path.abspath(script.path)
    if Path(file).is_relative_to(cwd):
        file = str(Path(file).relative_to(cwd))
    command = [str(program), "--dbname", conninfo, "--no-password"]
    command += ["--quiet", "--no-psqlrc", "--no-align", "--tuples-only"]
    command += ["--set", "ON_ERROR_STOP=1", "--set", f"registry={registry}"]
    # Variables come by standard input. The first makes psql tell SQLSTATEs.
    settings = [set_command("VERBOSITY", "verbose"), *set_commands(variables)]
    setting = "".join(f"{line}\n" for line in settings)
    if lock_timeout:
        setting += f"{lock_timeout};\n"
    secrets = conninfo_to_dict(target.dsn)
    lines: deque[str] = deque(maxlen=_KEPT)
    told = False  # whether what comes is of a message
    with _process([*command, "--file=-", f"--file={file}"], env, cwd, service) as process:
        assert process.stdin and process.stdout  # noqa: S101  # both are pipes
        with suppress(BrokenPipeError):  # it tells why it has ended
            process.stdin.write(setting.encode())
            process.stdin.close()
        for raw in process.stdout:
            line = plain(raw.decode(errors="replace").rstrip("\r\n"), secrets)
            told = told or line.startswith("psql:")
            if line.startswith("LOCATION:  "):  # in the server's own source; the end of a message
                told = False
                continue
            if told and variables and _EXCERPT.match(line):  # with a value in it, perhaps cut
                continue
            lines.append(line)
            output(re.sub(r"(: \S+:\s+)00000: ", r"\1", line))
        code = process.wait()
    if code:
        raise _failure(script, file, cwd, list(lines), code)
