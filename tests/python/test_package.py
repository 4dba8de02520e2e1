"""The wheel and the source distribution: what they carry, and what they do where they arrive."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email import message_from_bytes
from importlib import metadata
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import pytest
from every_kind import empty_project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from psycopg.conninfo import conninfo_to_dict
from small_project import environment, recorded

from integrations_db import __version__
from integrations_db.plan import read_plan
from integrations_db.server import unprivileged
from size import size

ROOT = Path(__file__).parents[2]
NAME = f"integrations_db-{__version__}"
# What is in the tree of an unpacked source distribution, or comes there by working in it.
NOT_OURS = {"PKG-INFO", ".venv", "build", "dist", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
NOT_OURS |= {".hypothesis", ".coverage"}


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive; the filter came with Python 3.11.4."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder)  # noqa: S202  # it is our own


@dataclass(frozen=True, slots=True)
class Built:
    """What ``make build`` makes.

    Attributes:
        sdist: the source distribution.
        wheel: the wheel.
    """

    sdist: Path
    wheel: Path

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Names what is made in a folder."""
        return cls(folder / f"{NAME}.tar.gz", folder / f"{NAME}-py3-none-any.whl")


def build(source: Path, to: Path, *, umask: int = -1) -> Built:
    """Builds both as ``make build`` does."""
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "hatchling", "build", "-d", str(to)],
        cwd=source,
        check=True,
        capture_output=True,
        umask=umask,
    )
    return Built.of(to)


@pytest.fixture(scope="session")
def common(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of a session have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(pytestconfig, "workerinput") else own


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Lets one worker in at a time."""
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def built(common: Path) -> Built:
    """The wheel and the source distribution of this tree, built by the first who asks."""
    made = Built.of(common / "dist")
    with locked(common / "dist.lock"):
        return made if made.wheel.exists() else build(ROOT, common / "dist")


def sources() -> set[str]:
    """The files of this tree: those that git knows, or in an unpacked distribution, all."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
        return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}
    found = set()
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder)
        top = here == ROOT
        folders[:] = [f for f in folders if f != "__pycache__" and not (top and f in NOT_OURS)]
        found |= {str((here / f).relative_to(ROOT)) for f in files if not (top and f in NOT_OURS)}
    return found


def in_wheel(name: str) -> str | None:
    """Where a file of this tree is in the wheel, if it is."""
    top, _, rest = name.partition("/")
    if top == "scripts":
        return rest
    if top in ("sqitch.plan", "sqitch.conf", "deploy", "revert", "verify"):
        return f"integrations_db/project/{name}"
    return {
        "tests/docker/Dockerfile": "integrations_db/testing/Dockerfile",
        "LICENSE": f"{NAME}.dist-info/licenses/LICENSE",
    }.get(name)


@pytest.mark.static
def test_the_wheel_has_what_a_deployment_needs_and_no_more(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {info.filename: info for info in wheel.infolist()}
        expected = {place: ROOT / name for name in sources() if (place := in_wheel(name))}
        for place, path in expected.items():
            assert wheel.read(place) == path.read_bytes(), place
        made = {
            f"{NAME}.dist-info/{n}" for n in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
        }
        assert set(held) == set(expected) | made
    # The list of it cannot be wrong together with the sources alone.
    for change in read_plan(ROOT / "sqitch.plan").changes:
        for kind in ("deploy", "revert", "verify"):
            assert f"integrations_db/project/{kind}/{change.name}.sql" in held
    for name in ("py.typed", "marker.sql", "registry.sql", "catalogue.sql", "testing/Dockerfile"):
        assert f"integrations_db/{name}" in held
    # Everybody may read it, whatever the umask of who built it.
    assert {info.external_attr >> 16 & 0o777 for info in held.values()} == {0o644}


@pytest.mark.static
def test_the_source_distribution_has_every_file(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {member.name.removeprefix(f"{NAME}/"): member for member in archive.getmembers()}
    assert set(held) == sources() | {"PKG-INFO"}
    for name, member in held.items():
        assert member.isfile()
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        if name != "PKG-INFO":
            assert bool(member.mode & 0o100) == os.access(ROOT / name, os.X_OK), name


@pytest.mark.static
def test_the_same_tree_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """Also from the unpacked source distribution, without git, with other times and modes."""
    with tarfile.open(built.sdist) as archive:
        _extract(archive, tmp_path)
    source = tmp_path / NAME
    for path in source.rglob("*"):
        os.utime(path)
        path.chmod(path.stat().st_mode & 0o700)
    (source / "deploy" / "__pycache__").mkdir()
    (source / "scripts" / "integrations_db" / "__pycache__").mkdir()
    for folder in (source / "deploy", source / "scripts" / "integrations_db"):
        (folder / "__pycache__" / "x.pyc").write_bytes(b"not to be shipped")
    (source / "notes.txt").write_text("that lie about are not taken along")
    again = build(source, tmp_path / "dist", umask=0o077)
    for one, other in ((built.wheel, again.wheel), (built.sdist, again.sdist)):
        assert (
            hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()
        )


@pytest.mark.static
@pytest.mark.long
def test_the_tests_run_from_the_source_distribution(built: Built, tmp_path: Path) -> None:
    """Without git: those that read most files, and those of what is built from there."""
    with tarfile.open(built.sdist) as archive:
        _extract(archive, tmp_path)
    source = tmp_path / NAME
    here = "tests/python"
    names = ["documents", "makefile", "plan", *(["static_sql"] if size(0, 1) else [])]
    chosen = [f"{here}/test_{name}.py" for name in names]
    chosen += [f"{here}/test_package.py::{test.__name__}" for test in FROM_ANY_TREE]
    without = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-m", "static", *without, *chosen],
        cwd=source,
        env=environment(PYTHONPATH=str(source / "scripts"), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


FROM_ANY_TREE = [
    test_the_wheel_has_what_a_deployment_needs_and_no_more,
    test_the_source_distribution_has_every_file,
]


@pytest.mark.static
def test_the_metadata_is_complete(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        told = message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
    assert (told["Name"], told["Version"]) == ("integrations-db", __version__)
    assert (told["License-Expression"], told["License-File"]) == ("MIT", "LICENSE")
    assert told["Description-Content-Type"] == "text/markdown"
    assert told.get_payload(decode=True) == (ROOT / "README.md").read_bytes()
    classifiers = told.get_all("Classifier", [])
    assert {"Typing :: Typed", "Programming Language :: SQL"} <= set(classifiers)
    versions = [c.rpartition(" :: ")[2] for c in classifiers if " :: Python :: 3." in c]
    assert told["Requires-Python"] == f">={versions[0]}"
    # An exact version among what a user installs would shut out that of another package.
    required = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    exact = [it.name for it in required if any(part.operator == "==" for part in it.specifier)]
    assert exact == ["hatchling"]


def requirements(wheel: Path) -> Iterator[metadata.Distribution]:
    """What the wheel requires, without its extras: the distributions, each once."""
    with zipfile.ZipFile(wheel) as archive:
        told = message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))
    waiting = [(text, "") for text in told.get_all("Requires-Dist", [])]
    seen = set()
    while waiting:
        text, extra = waiting.pop()
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        for name in ("", *wanted.extras):
            if (key := (canonicalize_name(wanted.name), name)) not in seen:
                seen.add(key)
                found = metadata.distribution(wanted.name)
                if not name:
                    yield found
                waiting += [(text, name) for text in found.requires or ()]


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with nothing but the wheel and what it requires.

    Attributes:
        folder: its own, which an ordinary user may read and not write.
        user: of the operating system, who is not root; None where the tests run as such a one.
    """

    folder: Path
    user: int | None

    def run(
        self, *arguments: str, folder: Path, python: Sequence[str] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command as an ordinary user."""
        program = self.folder / "bin" / ("python" if python else "integrations-db")
        others = ("PYTHON", "INTEGRATIONS_DB_STATE", "XDG_", "VIRTUAL_ENV")
        kept = {name: it for name, it in environment().items() if not name.startswith(others)}
        return subprocess.run(  # noqa: S603
            [str(program), *python, *arguments],
            cwd=folder,
            env=kept | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )


def ordinary() -> tuple[str, int | None]:
    """Gives a Python of this version that an ordinary user may run, and the user's number.

    None is this user: who is one, or is root where others may run no such Python.
    """
    python = os.path.realpath(sys.executable)
    user = unprivileged()
    if user is None:
        return python, None
    for program in (python, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        with suppress(OSError):
            subprocess.run([program, "-c", ""], check=True, cwd="/", user=user.uid)  # noqa: S603
            return program, user.uid
    return python, None


def install(wheel: Path, folder: Path, python: str) -> Path:
    """Makes a virtual environment with the wheel; what it requires is copied from here."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)  # noqa: S603
    site = next(folder.glob("lib/python3*/site-packages"))
    for found in requirements(wheel):
        for file in found.files or ():
            if ".." not in file.parts and Path(str(file.locate())).exists():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                # With its time: what was compiled stays valid, and a command starts in half of it.
                shutil.copy2(str(file.locate()), site / file)
    command = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return folder


@pytest.fixture(scope="session")
def installed(built: Built, common: Path) -> Iterator[Installed]:
    """An installation that an ordinary user cannot write to; the last who uses it removes it."""
    python, user = ordinary()
    note, lock = common / "installed", common / "installed.lock"
    with open(common / "installed.users", "w") as users:
        with locked(lock):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not note.exists():
                # Not in pytest's own folder, which it closes to others each time when it starts.
                folder = Path(tempfile.mkdtemp())
                folder.chmod(0o755)
                there = install(built.wheel, folder / "venv", python)
                for path in (there, *there.rglob("*")):
                    if not path.is_symlink():
                        path.chmod(path.stat().st_mode & 0o555 | 0o444)
                note.write_text(str(folder))
        folder = Path(note.read_text())
        yield Installed(folder / "venv", user)
        with locked(lock), suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note.unlink()
            for path in folder.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            shutil.rmtree(folder)


@pytest.mark.static
def test_it_says_what_it_is(installed: Installed) -> None:
    nowhere = Path("/")
    for python in ((), ("-m", "integrations_db")):
        done = installed.run("--version", folder=nowhere, python=python)
        assert done.stdout == f"integrations-db, version {__version__}\n", done.stderr
        planned = installed.run("plan", folder=nowhere, python=python).stdout
        assert "\nfunctions/get_credentials " in planned


@pytest.fixture
def closed(installed: Installed) -> Iterator[Path]:
    """A folder that the ordinary user may not enter, such as another one's home."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o000)
        yield Path(folder)
        Path(folder).chmod(0o700)


@pytest.mark.static
@pytest.mark.parametrize("arguments", [["deploy"], ["status"], ["demo"], ["server", "start"]])
def test_without_a_server_it_says_what_to_do(
    installed: Installed, closed: Path, arguments: list[str]
) -> None:
    for place in ({"HOME": str(closed)}, {"INTEGRATIONS_DB_STATE": "/nonexistent/state"}):
        if "HOME" in place and installed.user is None and os.geteuid() == 0:
            continue  # root's server is not in his home
        done = installed.run(*arguments, folder=Path("/"), **place)
        assert done.returncode == 1
        assert done.stderr == (
            "integrations-db: the embedded PostgreSQL is not installed: pip install"
            " 'integrations-db[embedded]', or name a server of your own as TARGET"
            " (postgresql://USER@HOST/DATABASE)\n"
        )


@pytest.mark.static
def test_a_folder_that_is_gone_is_one_sentence(installed: Installed, tmp_path: Path) -> None:
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m integrations_db plan'
    program = str(installed.folder / "bin" / "python")
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", str(tmp_path), program], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "integrations-db: the current directory was removed; go to another one\n"
    )


@pytest.fixture
def target(lent_database: str, installed: Installed) -> Iterator[str]:
    """The database as a URI that the ordinary user can use, a password in a file of his."""
    parts = conninfo_to_dict(lent_database)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if given := parts.get("passfile"):
            passfile = shutil.copy(str(given), folder)
            if installed.user is not None:
                os.chown(passfile, installed.user, -1)
            parts["passfile"] = passfile
        yield f"postgresql:///?{urlencode({name: str(value) for name, value in parts.items()})}"


@pytest.mark.long
@pytest.mark.database
def test_the_wheel_alone_deploys(
    lent_database: str, installed: Installed, closed: Path, target: str
) -> None:
    """In a folder that is not to be written to, without a home, and nothing is left behind."""
    # A user who is not root cannot be put into a folder that is closed to him.
    folder = Path("/") if installed.user is None else closed
    files = {path: path.stat().st_mtime_ns for path in installed.folder.rglob("*")}
    changes = [change.name for change in read_plan(ROOT / "sqitch.plan").changes]

    def ours(*arguments: str, code: int = 0) -> str:
        done = installed.run(*arguments, target, folder=folder, HOME=str(closed))
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    assert f"Deployed {len(changes)} changes" in ours("deploy")
    assert recorded(lent_database) == changes
    assert "Nothing to deploy" in ours("deploy")
    assert changes[-1] in ours("status", "--check")
    assert f"Verified {len(changes)} changes" in ours("verify")
    ours("revert", "--to", changes[-2], "-y")
    ours("status", "--check", code=3)
    assert "Reverted" in ours("revert", "--all", "-y")
    assert recorded(lent_database) == []
    assert {path: path.stat().st_mtime_ns for path in installed.folder.rglob("*")} == files


@pytest.mark.static
def test_the_wheel_alone_adds_changes(installed: Installed) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = empty_project(Path(place))
        folder.chmod(0o777)
        for path in folder.iterdir():
            path.chmod(0o666)
        who = {"SQITCH_FULLNAME": "Ada", "SQITCH_EMAIL": "ada@example.com"}
        given = ("add", "tables/a", "-t", "table", "-n", "Add a")
        done = installed.run(*given, folder=folder, **who)
        assert done.returncode == 0, done.stderr
        assert "create table public.a (" in (folder / "deploy/tables/a.sql").read_text()
        assert (folder / "tests/pgtap/tables/a_test.sql").exists()


# What docs/deployer.md names as the interface for programs.
CONSUMER = """\
from integrations_db.config import load_config, parse_config
from integrations_db.errors import Failure
from integrations_db.plan import format_plan, parse_plan, read_plan

reveal_type(read_plan)
reveal_type(load_config)
reveal_type(Failure("").exit_code)
read_plan("sqitch.plan")
"""
SEEN = """\
5: note: Revealed type is "def (path: pathlib.Path) -> integrations_db.plan.Plan"
6: note: Revealed type is "def (directory: pathlib.Path) -> integrations_db.config.Config"
7: note: Revealed type is "int"
8: error: Argument 1 to "read_plan" has incompatible type "str"; expected "Path"  [arg-type]
"""


@pytest.mark.static
def test_a_program_that_uses_it_sees_types(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(CONSUMER)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary"]
    command += ["--python-executable", str(installed.folder / "bin" / "python"), "consumer.py"]
    done = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.replace("consumer.py:", "") == SEEN
