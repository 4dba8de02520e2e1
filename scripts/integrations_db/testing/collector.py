"""pgTAP files in pytest: each assertion is a result of its own, with file, line and diagnostics.

A file is one item, named ``FILE::pgtap``, because only running it tells its assertions. Each one is
then reported as ``FILE::NUMBER DESCRIPTION`` (those of a subtest below the one that sums it up), on
the terminal, in JUnit XML and through pytest-xdist alike. The item itself is reported only when
the file as a whole failed: an SQL error, a bail-out, a broken plan, no assertion at all.

Verdicts are those of ``pg_prove``, which runs the same files unchanged, except that

* every file is rolled back, also one that does not say so; one that commits is refused, unless the
  comment ``-- db: clone`` at a line's start asks for a private database, which then is not
  wrapped in a transaction;
* a file that plans nothing and asserts nothing fails, instead of counting as skipped;
* a file whose ``finish()`` counted other assertions or failures than were read fails: assertions
  are read from a row's first column only, so ``select ok(true), ok(false)`` hides the second one;
* a statement that runs longer than ``pgtap_timeout`` seconds (pytest's ini file; 60, or 0 for no
  limit) is cancelled and fails the file;
* a failed assertion in a subtest is a failure of its own.

What follows from one item per file: ``-k``, ``-m``, ``--co`` and ``FILE::pgtap`` see files, not
assertions; ``-x`` ends the run after the file that failed; ``--lf`` and ``--ff`` run the whole
file of an assertion that failed. A bail-out ends the whole run, as TAP has it.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus, TransactionStatus

from ..database import explain
from ..errors import Failure
from ..lexer import Statement, split
from ..terminal import on_github
from .entry import folders, patterns, variables
from .tap import Document, Result

__all__ = ["PgTapError", "PgTapFile", "PgTapItem", "Run", "run_file"]

# psql's header lines: what is shown and how errors end the script, which here is always the same.
_HARMLESS = re.compile(
    r"\\(?:pset\b|unset\b|set\s+(?:ON_ERROR_STOP|ON_ERROR_ROLLBACK|QUIET|ECHO|VERBOSITY)\b)"
)
_ENDS_WELL = re.compile(r"(?:commit|end|prepare\s+transaction)\b", re.IGNORECASE)
_BEGINS = re.compile(r"(?:begin|start\s+transaction)\b", re.IGNORECASE)
_COPIES_ROWS = re.compile(r"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_COPIES_OUT = re.compile(r"copy\b.*\bto\s+stdout\b", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(r"^--[ \t]*db:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
ITEM = "pgtap"
_FAILURES = "cache/lastfailed"  # where pytest keeps them
_TRUE_ID = "pgtap_nodeid"
_MISSING_SHOWN = 100  # a plan can be any number
_TIMEOUT = "pgtap_timeout"
_LONGEST = 2_000_000  # seconds; the server's own limit is 2**31 - 1 milliseconds


class PgTapError(Exception):
    """The file failed as a whole; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A completed assertion of a file, with the statement that made it and what that took."""

    result: Result
    statement: Statement
    started: float
    seconds: float


@dataclass(slots=True)
class Run:
    """What came of running one file.

    Attributes:
        document: the TAP it wrote.
        ran: its assertions, in order.
        died: the SQL error that ended it, with its line; or nothing.
        notices: messages of the server that are no assertions.
    """

    document: Document = field(default_factory=Document)
    ran: list[Ran] = field(default_factory=list)
    died: tuple[int, str] | None = None
    notices: list[str] = field(default_factory=list)


def read_source(path: Path) -> str:
    """Reads a file that is UTF-8, with or without a byte order mark.

    Raises:
        PgTapError: it is in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise PgTapError(
            f":{line}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def wants_clone(source: str) -> bool:
    """Says whether the file asks for a private database.

    Raises:
        PgTapError: a ``-- db:`` comment says something else than ``clone``.
    """
    for found in _DIRECTIVE.finditer(source):
        if found[1] != "clone":
            line = source.count("\n", 0, found.start()) + 1
            raise PgTapError(f":{line}: '-- db: {found[1]}' is unknown; there is '-- db: clone'")
        return True
    return False


def statements(
    source: str, clone: bool, values: Mapping[str, str] | None = None
) -> list[Statement]:
    """Splits the file into what is to be sent.

    Args:
        source: the file's text.
        clone: whether it may commit.
        values: psql's variables; one that is not among them stays as it is written.

    Raises:
        PgTapError: it holds what only psql understands, or commits without leave.
    """
    sent = []
    for statement in split(source, values):
        text, where = statement.text, f":{statement.line}:"
        if text.startswith("\\"):
            if not _HARMLESS.match(text):
                raise PgTapError(f"{where} psql's {text.split()[0]} is not understood; write SQL")
            continue
        if _COPIES_ROWS.match(text):
            raise PgTapError(f"{where} rows after COPY ... FROM stdin are not read; use INSERT")
        if _ENDS_WELL.match(text) and not clone:
            raise PgTapError(
                f"{where} {text.split()[0].upper()} would keep the file's changes for other files;"
                " end with ROLLBACK, or ask for a private database: '-- db: clone' on a line"
            )
        sent.append(statement)
    return sent


def _limited(conninfo: str, timeout: float) -> str:
    """Limits each statement; as an option of the connection, which RESET and ROLLBACK keep."""
    given = conninfo_to_dict(conninfo).get("options") or os.environ.get("PGOPTIONS", "")
    limit = f"-c statement_timeout={math.ceil(timeout * 1000)}"
    return make_conninfo(conninfo, options=f"{given} {limit}".lstrip())


def run_file(
    source: str, conninfo: str, timeout: float = 0, values: Mapping[str, str] | None = None
) -> Run:
    """Runs one pgTAP file on a connection of its own, as ``psql -v ON_ERROR_STOP=1`` would.

    Unless the file asks for a clone, every statement runs in a transaction, begun here when the
    file did not, and what is open at the end is rolled back.

    Args:
        source: the file's text.
        conninfo: where to run it.
        timeout: seconds that a statement may run; 0: no limit.
        values: psql's variables.

    Raises:
        PgTapError: the file cannot be run at all.
        psycopg.OperationalError: there is no connection.
    """
    clone = wants_clone(source)
    sent = statements(source, clone, values)
    run = Run()
    with psycopg.connect(
        _limited(conninfo, timeout),
        autocommit=True,
        prepare_threshold=None,
        client_encoding="utf8",
    ) as connection:
        connection.add_notice_handler(
            lambda notice: run.notices.append(f"{notice.severity}: {notice.message_primary}")
        )
        for statement in sent:
            idle = connection.info.transaction_status == TransactionStatus.IDLE
            started, clock = time.time(), time.perf_counter()
            try:
                if idle and not clone and not _BEGINS.match(statement.text):
                    connection.execute("begin")
                completed = [
                    result
                    for text in _rows(connection, statement.text)
                    for result in run.document.feed(text)
                ]
            except psycopg.Error as error:
                run.died = _line(error, statement), explain(error)
                ran_out = 0 < timeout <= time.perf_counter() - clock
                if ran_out and isinstance(error, psycopg.errors.QueryCanceled):
                    run.died = statement.line, f"not done after {timeout:g} s ({_TIMEOUT}): {error}"
                break
            seconds = (time.perf_counter() - clock) / max(len(completed), 1)
            run.ran += [Ran(result, statement, started, seconds) for result in completed]
            if run.document.bail is not None:
                break
        if not connection.closed:
            connection.rollback()
    return run


def _rows(connection: psycopg.Connection[Any], text: str) -> Iterator[str]:
    """Sends one statement and gives its rows as unaligned psql prints them."""
    if _COPIES_OUT.match(text):
        with connection.cursor().copy(text.encode()) as copied:
            yield from b"".join(copied).decode(errors="replace").split("\n")
        return
    cursor = connection.execute(text.encode())
    more: bool | None = True
    while more:
        result = cursor.pgresult
        if result is not None and result.status == ExecStatus.TUPLES_OK:
            for row in range(result.ntuples):
                values = (result.get_value(row, column) for column in range(result.nfields))
                # A file may have changed the encoding in which the server answers.
                yield "|".join((value or b"").decode(errors="replace") for value in values)
        more = cursor.nextset()


def _line(error: psycopg.Error, statement: Statement) -> int:
    """Says on which line of the file PostgreSQL saw the error."""
    position = int(error.diag.statement_position or 1)
    return statement.line + statement.text.count("\n", 0, position - 1)


class PgTapFile(pytest.File):
    """A file that holds pgTAP assertions."""

    def collect(self) -> Iterator[PgTapItem]:
        """Gives the one item that runs the file."""
        yield PgTapItem.from_parent(self, name=ITEM)


class PgTapItem(pytest.Item):
    """One pgTAP file. It fails when the file as a whole does; assertions are reported apart."""

    run: Run | None = None

    def runtest(self) -> None:
        """Runs the file.

        Raises:
            PgTapError: it failed as a whole.
        """
        hook = self.config.hook
        timeout = _timeout(self.config)
        try:
            source = read_source(self.path)
            with ExitStack() as stack:
                if wants_clone(source):
                    conninfo = stack.enter_context(hook.pytest_pgtap_clone(config=self.config))
                else:
                    conninfo = hook.pytest_pgtap_database(config=self.config)
                self.run = run_file(source, conninfo, timeout, variables(self.config))
        except PgTapError as error:
            raise PgTapError(f"{self.shown}{error}") from None
        self._judge(self.run)

    def _judge(self, run: Run) -> None:
        document = run.document
        plan = document.plan
        if plan is not None and plan.count == 0 and plan.skip is not None and not document.results:
            if run.died is None:
                pytest.skip(plan.skip)
        if document.bail is not None:
            self.session.shouldstop = f"{self.shown}: Bail out! {document.bail}".rstrip()
            raise PgTapError(f"{self.shown}: Bail out! {document.bail}".rstrip())
        problems = [f"{self.shown}: {problem}" for problem in document.problems()]
        if run.died is not None:
            line, message = run.died
            problems = [
                f"{self.shown}:{line}: {message}",
                f"    The file ended here, after {len(run.ran)} assertions"
                + (f" of {plan.count}." if plan is not None else "."),
            ]
        if problems:
            raise PgTapError("\n".join([*problems, *document.remarks]))

    @property
    def shown(self) -> str:
        """The file as messages and node ids name it: relative to pytest's root folder."""
        return self.nodeid.rpartition("::")[0]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Shows the sentence alone where it says all."""
        if isinstance(excinfo.value, PgTapError | Failure):
            return str(excinfo.value)
        if isinstance(excinfo.value, psycopg.Error):
            return f"{self.shown}: {type(excinfo.value).__name__}: {excinfo.value}"
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Gives the place of the item: the file's first line."""
        return self.path, 0, f"{self.shown} as a whole"

    def reports(self) -> Iterator[pytest.TestReport]:
        """Gives one report per assertion that ran, or should have."""
        if self.run is None:
            return
        for position, ran in enumerate(self.run.ran, 1):
            yield from self._reports(ran, ran.result, self.shown, position, False)
        plan, seen = self.run.document.plan, len(self.run.ran)
        if plan is None or plan.count <= seen:
            return
        reason = f"{self.shown}: planned {plan.count} assertions, but ran {seen}"
        if self.run.died is not None:
            reason += f": the file ended with an error in line {self.run.died[0]}"
        shown = min(plan.count, seen + _MISSING_SHOWN)
        names = [f"{number} did not run" for number in range(seen + 1, shown + 1)]
        if shown < plan.count:
            names[-1] = f"{shown} to {plan.count} did not run"
        for name in names:
            yield self._report(f"{self.shown}::{name}", 0, "failed", reason)

    def _reports(
        self, ran: Ran, result: Result, above: str, position: int, todo: bool
    ) -> Iterator[pytest.TestReport]:
        """Reports an assertion, after those of its subtest; ``todo`` when it stands in a TODO."""
        assertion = result.assertion
        # A node id is split at '::', and is one line.
        words = " ".join(assertion.description.split()).replace("::", ": :")
        nodeid = f"{above}::{position} {words}".rstrip()
        todo = todo or assertion.directive == "TODO"
        for place, child in enumerate(result.children, 1):
            yield from self._reports(ran, child, nodeid, place, todo)
        line = ran.statement.line
        verdict = "ok" if assertion.ok else "not ok"
        text = f"{self.shown}:{line}: {verdict} {position} - {assertion.description}"
        for part in (*ran.statement.text.splitlines(), *result.diagnostics):
            text += f"\n    {part}"
        report = partial(self._report, nodeid, line - 1, ran=ran)
        if todo:
            # As for pg_prove, an unexpected success is worth a remark, not a failure.
            yield report("passed" if assertion.ok else "skipped", text, wasxfail=assertion.reason)
        elif assertion.directive == "SKIP" and assertion.ok:
            yield report("skipped", (str(self.path), line, f"Skipped: {assertion.reason}"))
        else:
            yield report("passed" if assertion.ok else "failed", None if assertion.ok else text)

    def _report(
        self,
        nodeid: str,
        line: int,
        outcome: Literal["passed", "failed", "skipped"],
        longrepr: str | tuple[str, int, str] | None,
        ran: Ran | None = None,
        **more: Any,
    ) -> pytest.TestReport:
        notices = self.run.notices if self.run is not None and outcome == "failed" else []
        return pytest.TestReport(
            nodeid=nodeid,
            # Not a tail of the node id, where pytest would take each dot for a separator.
            location=(self.shown, line, f"{self.shown}: {nodeid.partition('::')[2]}"),
            keywords=dict.fromkeys(self.keywords, 1),
            outcome=outcome,
            longrepr=longrepr,
            when="call",
            sections=[("Messages of the server", "\n".join(notices))] if notices else [],
            duration=ran.seconds if ran else 0,
            start=ran.started if ran else 0,
            stop=ran.started + ran.seconds if ran else 0,
            **more,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a setting that cannot be used, before anything runs."""
    _timeout(config)


def _timeout(config: pytest.Config) -> float:
    """Gives the seconds that a statement may run.

    Raises:
        pytest.UsageError: the setting is no such number.
    """
    text = str(config.getini(_TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST:
        raise pytest.UsageError(
            f"{_TIMEOUT}={text} in pytest's ini file: not a number of seconds from 0 (no limit) to"
            f" {_LONGEST}"
        )
    return seconds


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PgTapFile | None:
    """Takes the pgTAP files of the configured folders."""
    if not any(file_path.match(glob) for glob in patterns(parent.config)):
        return None
    if not any(file_path.is_relative_to(folder) for folder in folders(parent.config)):
        return None
    return PgTapFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a pgTAP file through pytest's phases, and reports its assertions."""
    if not isinstance(item, PgTapItem):
        return None
    hook = item.ihook
    reports: list[pytest.TestReport] = []
    for when, act in (
        ("setup", partial(hook.pytest_runtest_setup, item=item)),
        ("call", partial(hook.pytest_runtest_call, item=item)),
        ("teardown", partial(hook.pytest_runtest_teardown, item=item, nextitem=nextitem)),
    ):
        if when == "call" and not reports[0].passed:
            continue
        call = pytest.CallInfo.from_call(
            act,
            when=when,  # type: ignore[arg-type]  # one of pytest's own three words
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
        reports.append(hook.pytest_runtest_makereport(item=item, call=call))
    for report in item.reports():
        around = partial(_phase, report)
        _log(item, [around("setup"), report, around("teardown")])
    if not all(report.passed for report in reports):
        _log(item, reports)
    return True


def _log(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    hook, nodeid, location = item.ihook, reports[0].nodeid, reports[0].location
    hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
    for report in reports:
        if hasattr(item.config, "workerinput") and nodeid != item.nodeid:
            # pytest-xdist sends reports under their item's name only; see below.
            setattr(report, _TRUE_ID, nodeid)
            report.nodeid = item.nodeid
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


@pytest.hookimpl(tryfirst=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> None:
    """Gives an assertion that comes from a worker its own name again; pytest does the rest."""
    if _TRUE_ID in data:
        data["nodeid"] = data.pop(_TRUE_ID)


def _phase(report: pytest.TestReport, when: Literal["setup", "teardown"]) -> pytest.TestReport:
    """Makes the report of a phase in which nothing happened; JUnit XML closes a case with one."""
    return pytest.TestReport(
        nodeid=report.nodeid,
        location=report.location,
        keywords=report.keywords,
        outcome="passed",
        longrepr=None,
        when=when,
    )


class Bookkeeping:
    """Makes the counts of the terminal and of ``--lf`` right in the process that reports."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.seen: set[str] = set()
        self.failed: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts each result of a file after its first as one more test than was collected."""
        file = _file_of(self.session.config, report.nodeid)
        if file is None:
            return
        if report.failed:
            self.failed[report.nodeid] = file
        if report.when == "call":
            if file in self.seen:
                self.session.testscollected += 1
            self.seen.add(file)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Notes, for ``--lf``, the items of the assertions that failed; forgets those that did."""
        config = self.session.config
        if not config.pluginmanager.hasplugin("cacheprovider") or config.option.collectonly:
            return
        assert config.cache is not None  # noqa: S101  # that plugin made it
        failures = {
            nodeid: True
            for nodeid in config.cache.get(_FAILURES, {})
            if _file_of(config, nodeid) not in self.seen
        }
        for nodeid, file in self.failed.items():
            failures[nodeid] = failures[f"{file}::{ITEM}"] = True
        config.cache.set(_FAILURES, failures)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In GitHub's workflows, shows each failure of a pgTAP file beside the line it stands on.

    All files fail for a script that could not be deployed; it is told once.
    """
    if not on_github():
        return
    config = terminalreporter.config
    shown = {
        _annotated(config.rootpath, report): None
        for kind in ("failed", "error")
        for report in terminalreporter.stats.get(kind, ())
        if _file_of(config, report.nodeid) is not None
    }
    for line in shown:
        terminalreporter.write_line(line)


def _annotated(root: Path, report: pytest.TestReport) -> str:
    """Returns a failure as a workflow command; its text says the line, where there is one.

    It may be that of another file: of a script that could not be deployed, or does not verify.
    """
    from ..check import Finding, annotation, located

    file, line, _ = report.location
    text = str(report.longrepr)
    if not text.startswith(f"{file}:"):
        elsewhere = located("error", text)
        if elsewhere.path is not None and elsewhere.path.is_file():
            return annotation(elsewhere)
    text = text.removeprefix(f"{file}:")
    found = re.match(r"(\d+): ", text)
    place = int(found[1]) if found else (line or 0) + 1
    message = text[found.end() :] if found else text.lstrip()
    return annotation(Finding("error", message, root / file, place))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Starts the bookkeeping."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Bookkeeping(session), "pgtap-bookkeeping")


def _file_of(config: pytest.Config, nodeid: str) -> str | None:
    """Gives the pgTAP file that a node id belongs to, if it does."""
    file = nodeid.partition("::")[0]
    return file if any(Path(file).match(glob) for glob in patterns(config)) else None
