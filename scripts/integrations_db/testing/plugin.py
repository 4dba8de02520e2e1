"""The fixtures, and the life of the test server in a session.

The server is started when the first tests that need one were collected: those with pgTAP files and
those that use the fixture ``pgtap_server`` directly or through another one, as all of these do. A
project may have fixtures of the same names but for that one, which then take their place. With
pytest-xdist the controller starts it, and the workers find its address in a file that only this
user can read.

A session in which nothing ran but skipped tests ends as one without tests does, with exit code 5.

With ``--plpgsql-coverage=FOLDER`` the servers profile all functions in PL/pgSQL, and each process
writes what ran into the folder; ``integrations_db.testing.coverage`` makes reports of that.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..config import Committer, Target
from ..database import connect
from ..deploy import deploy
from ..errors import Failure
from ..project import Project, load_project
from ..terminal import Silent
from . import databases, profiles, servers
from .collector import PgTapItem
from .entry import setting, variables
from .servers import Server

_STATE = "database_testing_state"  # workerinput: the folder shared by controller and workers
_NEEDED = "needed"
_SERVER = "server.json"
_WHO = Committer("pytest", "pytest@localhost")  # recorded in databases that go with the tests


class Session:
    """What one process of a test session has: the server, the template, the worker's clone.

    Everything is made when first asked for and ended by ``close``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.stack = ExitStack()
        self.worker = getattr(config, "workerinput", None)
        self.folder = (
            Path(self.worker[_STATE])
            if self.worker
            else self.stack.enter_context(servers.private_folder())
        )
        self._server: Server | None = None
        self._template: str | None = None
        self._database: str | None = None
        self._broken: Exception | None = None
        self.profiles = profiles.Profiles() if self.coverage else None
        if self.profiles:
            databases.watchers.append(self.profiles.take)

    @property
    def coverage(self) -> Path | None:
        """The folder where profiles of functions are written, if that was asked for."""
        folder = self.config.getoption("plpgsql_coverage")
        return self.config.invocation_params.dir / folder if folder else None

    def close(self) -> None:
        """Ends what this process started, and writes what it measured."""
        self.stack.close()
        if self.coverage and self.profiles:
            databases.watchers.remove(self.profiles.take)
            if self.profiles.functions or self.profiles.unread:
                self.profiles.write(self.coverage / f"profile-{secrets.token_hex(6)}.json")

    def say(self, text: str) -> None:
        """Tells a person something, above the results."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"test server: {text}")

    @contextmanager
    def new_server(self, kind: str) -> Iterator[Server]:
        """Gives another server of a kind; see ``servers.running``."""
        own = self.config.getini("pgtap_dockerfile")
        dockerfile = self.config.rootpath / own if own else servers.packaged_dockerfile()
        settings = profiles.SETTINGS if self.coverage else None
        with ExitStack() as stack:
            try:
                server = stack.enter_context(
                    servers.running(kind, dockerfile, self.say, self.folder, settings)
                )
                if self.coverage and not profiles.measures(server.dsn):
                    raise servers.Unobtainable("the server does not profile functions")
            except servers.Unobtainable as error:
                if self.coverage:
                    raise servers.Unobtainable(f"{error}. {profiles.HOW_TO_GET}") from None
                raise
            yield server

    @property
    def server(self) -> Server:
        """The server of the session.

        Raises:
            servers.Unobtainable: there is none to be had.
        """
        if self._server is None and self.worker:
            file = self.folder / _SERVER
            if not file.exists():
                raise servers.Unobtainable(
                    "this test asks for the server in a way that could not be foreseen;"
                    " name the fixture among its arguments"
                )
            self._server = Server(**json.loads(file.read_text()))
        elif self._server is None:
            server = self.stack.enter_context(self.new_server(self._kind))
            if self.config.getoption("pgtap_database"):
                # Nobody may be connected to what is copied.
                server = replace(server, dsn=make_conninfo(server.dsn, dbname="postgres"))
            self._server = server
            (self.folder / _SERVER).write_text(json.dumps(asdict(self._server)))
        return self._server

    @property
    def _kind(self) -> str:
        """What is asked for: a kind of server, the URI of one, or nothing."""
        option = self.config.getoption
        asked = option("pgtap_database") or option("pgtap_server") or os.environ.get("TEST_SERVER")
        if not asked and not os.environ.get("TEST_DSN"):
            asked = self.config.getini("pgtap_server")
        return asked or ""

    @property
    def template(self) -> str:
        """The name of the template database; of ``--pgtap-database``, where it is given.

        Raises:
            Failure: the project does not deploy, or a helper fails.
        """
        if self._broken is not None:
            raise self._broken
        if self._template is None:
            try:
                self._template = self._made()
            except Exception as error:
                self._broken = error  # the next test would only wait for the same
                raise
        return self._template

    def _made(self) -> str:
        server, existing = self.server, self.config.getoption("pgtap_database")
        if existing:
            name = conninfo_to_dict(existing).get("dbname")
            if not name:
                raise Failure("--pgtap-database: it names no database (dbname=...)")
            return str(name)
        more = self.config.hook.pytest_pgtap_template_files(config=self.config)
        files = [*self._sources(), *(file for group in more for file in group), *self.helpers]
        key = databases.fingerprint(server.version, files, variables(self.config))
        name = self.config.getini("pgtap_template")
        if not name:
            name = self.project.plan.project if self.project else self.config.rootpath.name
        return databases.ensure_template(server.dsn, name, key, self._fill)

    @cached_property
    def project(self) -> Project | None:
        """The Sqitch project to deploy: what the settings say, else that of the root folder.

        Raises:
            Failure: it cannot be read.
        """
        named = setting(self.config, "pgtap_project")
        if named == "":
            return None
        config = self.config
        given = config.getoption("pgtap_project") is not None
        root = (config.invocation_params.dir if given else config.rootpath) / (named or ".")
        if any((root / name).is_file() for name in ("sqitch.plan", "sqitch.conf")):
            return load_project(root)
        if named is not None:
            raise Failure(f"pgtap_project: {root} has no sqitch.plan")
        return None

    def _sources(self) -> list[Path]:
        """Names the files of the project; scripts may include others that lie beside them."""
        if self.project is None:
            return []
        roots = {
            self.project.path(index, kind).parents[change.name.count("/")]
            for index, change in enumerate(self.project.plan.changes)
            for kind in ("deploy", "verify")
        }
        return sorted(path for root in roots for path in root.rglob("*") if path.is_file())

    @property
    def helpers(self) -> list[Path]:
        """SQL files of test helpers, in the order of their names."""
        folder = self.config.getini("pgtap_helpers")
        return sorted((self.config.rootpath / folder).glob("*.sql")) if folder else []

    def _fill(self, conninfo: str) -> None:
        if self.project is not None:
            target = Target(conninfo)
            with closing(connect(target, Silent().say)) as connection:
                values = variables(self.config)
                deploy(connection, self.project, target, _WHO, Silent(), variables=values)
        self.config.hook.pytest_pgtap_deploy(config=self.config, conninfo=conninfo)
        self._prepare(conninfo)

    def _prepare(self, conninfo: str) -> None:
        """Adds pgTAP and the helpers."""
        with psycopg.connect(conninfo, autocommit=True) as connection:
            row = connection.execute("select current_schemas(false)").fetchone()
            path = row[0] if row else []
            # Where files find it, but not among what they may count, if the database's own settings
            # leave the choice.
            schema = "public" if "public" in path or not path else path[0]
            create = sql.SQL("create extension if not exists pgtap schema {}")
            connection.execute(create.format(sql.Identifier(schema)))
            for helper in self.helpers:
                try:
                    connection.execute(helper.read_bytes())
                except psycopg.Error as error:
                    raise Failure(f"{helper}: {error}") from None

    @contextmanager
    def clone(self) -> Iterator[str]:
        """Gives the conninfo of a new clone of the template, with pgTAP and the helpers."""
        with databases.clone(self.server.dsn, self.template) as conninfo:
            if self.config.getoption("pgtap_database"):
                self._prepare(conninfo)
            yield conninfo

    @property
    def database(self) -> str:
        """The conninfo of this process's clone of the template."""
        if self._database is None:
            self._database = self.stack.enter_context(self.clone())
        return self._database


_SESSION = pytest.StashKey[Session]()


def pytest_configure(config: pytest.Config) -> None:
    """Begins the state of this process."""
    config.addinivalue_line("markers", "database: needs the test server")
    config.stash[_SESSION] = Session(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Ran(), "database-testing-ran")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the server, also after Ctrl-C and errors."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist where the state is shared."""
    node.workerinput[_STATE] = str(node.config.stash[_SESSION].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Starts the server when a worker needs one; none has begun to run tests yet."""
    state = node.config.stash[_SESSION]
    if (state.folder / _NEEDED).exists():
        _start(state)


def _start(session: Session) -> None:
    if session._server is None:
        try:
            session.say(str(session.server))
        except servers.Unobtainable as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.TESTS_FAILED)


def _needs_server(item: pytest.Item) -> bool:
    return isinstance(item, PgTapItem) or "pgtap_server" in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the server, so that ``-m 'not database'`` can leave them out."""
    for item in items:
        if _needs_server(item):
            item.add_marker("database")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> Iterator[None]:
    """Starts the server when a selected test needs it, or asks the controller to."""
    state = session.config.stash[_SESSION]
    needed = not session.config.option.collectonly and any(map(_needs_server, session.items))
    if needed and state.worker:
        (state.folder / _NEEDED).touch()  # before pytest-xdist tells the controller
    yield
    if needed and not state.worker:
        _start(state)


class _Ran:
    """Lets no session pass in which every test was skipped."""

    def __init__(self) -> None:
        self.ran = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes that something ran."""
        if report.failed or (report.when == "call" and not _was_skipped(report)):
            self.ran = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turns success without a test into failure."""
        if exitstatus or self.ran or session.config.option.collectonly:
            return
        if session.testscollected:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
            session.config.stash[_SESSION].say("no test ran, all were skipped")


def _was_skipped(report: pytest.TestReport) -> bool:
    return report.skipped and not hasattr(report, "wasxfail")


def pytest_pgtap_database(config: pytest.Config) -> str:
    """Gives this worker's clone to the pgTAP files."""
    return config.stash[_SESSION].database


def pytest_pgtap_clone(config: pytest.Config) -> AbstractContextManager[str]:
    """Gives a private clone to a pgTAP file that asks for one."""
    return config.stash[_SESSION].clone()


@contextmanager
def _told() -> Iterator[None]:
    """Lets a test fail with the sentence alone where it says all."""
    try:
        yield
    except Failure as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def pgtap_server(request: pytest.FixtureRequest) -> Server:
    """The test server: ``dsn`` (superuser, maintenance database), ``version``, ``log()``, …"""
    return request.config.stash[_SESSION].server


@pytest.fixture(scope="session")
def server(pgtap_server: Server) -> Server:
    """The same by its short name."""
    return pgtap_server


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest, pgtap_server: Server) -> str:
    """The name of the database with the project, pgTAP and helpers; it takes no connections."""
    with _told():
        return request.config.stash[_SESSION].template


@pytest.fixture(scope="session")
def worker_database(request: pytest.FixtureRequest, pgtap_server: Server) -> str:
    """The conninfo of this worker's clone, as superuser, for tests that roll back."""
    with _told():
        return request.config.stash[_SESSION].database


@pytest.fixture
def database(request: pytest.FixtureRequest, pgtap_server: Server) -> Iterator[str]:
    """The conninfo of a private clone, as superuser; dropped afterwards."""
    with ExitStack() as stack:
        with _told():
            conninfo = stack.enter_context(request.config.stash[_SESSION].clone())
        yield conninfo


@pytest.fixture
def empty_database(pgtap_server: Server) -> Iterator[str]:
    """The conninfo of a new empty database, as superuser; dropped afterwards."""
    with databases.clone(pgtap_server.dsn, "template0") as conninfo:
        yield conninfo


def models(config: pytest.Config) -> Path:
    """Gives the folder of what new servers of a session begin as; see ``servers.running``."""
    return config.stash[_SESSION].folder


@contextmanager
def another_server(config: pytest.Config, like: Server) -> Iterator[Server]:
    """Gives another server of the same kind with nothing deployed; it ends on exit.

    For the kind ``dsn``, of which there is no second one, it is of the kind ``local``.
    """
    kind = "local" if like.name == "dsn" else like.name
    with ExitStack() as stack:
        try:
            other = stack.enter_context(config.stash[_SESSION].new_server(kind))
        except servers.Unobtainable as error:
            pytest.fail(str(error), pytrace=False)
        yield other


@pytest.fixture
def cluster(pytestconfig: pytest.Config, pgtap_server: Server) -> Iterator[Server]:
    """Another server of the same kind with nothing deployed, for tests that drop shared roles.

    For the kind ``dsn``, of which there is no second one, it is of the kind ``local``.
    """
    with another_server(pytestconfig, pgtap_server) as server:
        yield server


@pytest.fixture
def login(pgtap_server: Server, tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Makes logins: ``login(role, conninfo)`` gives the conninfo of a new member of the role.

    They are dropped afterwards, with everything they own in their database.
    """
    made: list[tuple[str, str]] = []

    def make(role: str, dsn: str) -> str:
        conninfo = databases.create_login(role, dsn, tmp_path)
        made.append((str(conninfo_to_dict(conninfo)["user"]), dsn))
        return conninfo

    yield make
    for name, dsn in reversed(made):
        databases.drop_login(name, dsn)
