"""The rules of docs/conventions.md that the text of the scripts can be held to; no database.

A check is a function of a project directory that returns findings. Each one is run on this project,
where it must find nothing, and on copies that were broken on purpose, where it must find just that.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from integrations_db.plan import Change, read_plan
from integrations_db.project import load_project
from integrations_db.script import Kind

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[2]
KINDS: tuple[Kind, ...] = ("deploy", "revert", "verify")
PREPOSITION = {"deploy": "to", "revert": "from", "verify": "on"}
PLANNER = "Integrations DB <integrations-db@example.com>"

DEFINER_TAIL = """\
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set plpgsql.print_strict_params = off
set debug_print_plan = off
set debug_print_parse = off
set debug_print_rewritten = off
as $function$"""

# Without the search path, an operator that somebody made in schema public could win over one of
# pg_catalog, and would run as whoever deploys, or as the owner of what is deployed.
PINNED = ["begin;", "set local search_path = pg_catalog, pg_temp;"]
TIMEOUTS = ["set local lock_timeout = '5s';", "set local statement_timeout = '60s';"]
QUOTING = "set local quote_all_identifiers = off;"
FRAME = {
    "deploy": PINNED + TIMEOUTS,
    "revert": PINNED + TIMEOUTS,
    "verify": [*PINNED, QUOTING],
}

# Codes that a helper may raise, but never on the way from this function.
UNREACHABLE = {
    ("integrations.revoke_credentials", "IN104"),  # everything but revoked may become revoked
    ("integrations.set_definition_status", "IN102"),  # it changes nothing but the status
    ("integrations.discard_draft", "IN104"),  # it deletes, and moves no status
    ("integrations.reencrypt_batch", "IN104"),  # what has credentials may become error
    ("integrations.reencrypt_batch", "IN304"),  # it quarantines the row instead
    ("integrations.complete_refresh", "IN201"),  # a live lease has its instance
    ("integrations.fail_refresh", "IN104"),  # it moves only what is active
    # A definition that was made by hand has a schema that is none: it refuses every document.
    ("integrations_private.schema_violation", "IN105"),
    ("integrations.create_instance", "IN105"),
    ("integrations.update_config", "IN105"),
    ("integrations.upgrade_instance", "IN105"),
    ("integrations.put_credentials", "IN105"),
    ("integrations.complete_refresh", "IN105"),
}

# Only these may write to the server's log: RAISE LOG logs the statement that was sent, too.
MAY_LOG = {"deploy/functions/get_credentials.sql", "deploy/functions/read_with_lease.sql"}

# Parameters and variables that hold a key or plaintext credentials.
SECRETS = (
    "kek data_key v_data_key keyring v_keyring plaintext passphrase v_document v_credentials v_hex"
    # Of the validator: the document that it checks, and whatever part of it.
    " document items v_value v_values v_part v_keys v_text v_number v_hashes"
).split()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A broken rule: the file, relative to the project, the line, and what is wrong."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


Findings = Iterator[Finding]
Check = Callable[[Path], Findings]


# -- reading ------------------------------------------------------------------------------------


def _sql_files(project: Path, *folders: str) -> Iterator[tuple[str, str]]:
    """Gives the path, relative to the project, and the text of each script.

    Former scripts of reworked changes (NAME@TAG) are left out: they kept the rules when they were
    released, and nobody edits them.
    """
    for folder in folders:
        for path in sorted((project / folder).rglob("*.sql")):
            if "@" not in path.name:
                yield path.relative_to(project).as_posix(), path.read_text()


_OPAQUE = re.compile(
    r"--[^\n]*"  # a comment
    r"|/\*.*?\*/"
    r"|\$\$.*?\$\$"  # the text of a COMMENT; bodies have a tag
    r"|'(?:[^']|'')*'",
    re.DOTALL,
)


@cache  # the checks ask it of the same scripts, and so do the tests of each check
def _masked(text: str, keep_comments: bool = False) -> str:
    """Blanks comments and strings out, and leaves every other character where it is."""

    def blank(match: re.Match[str]) -> str:
        if keep_comments and match.group().startswith("--"):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return _OPAQUE.sub(blank, text)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _search(file: str, text: str, pattern: str, problem: str) -> Findings:
    for match in re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE):
        yield Finding(file, _line(text, match.start()), problem)


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a deploy script creates."""

    name: str
    file: str
    line: int
    definition: str
    comment: str


_CREATE_FUNCTION = re.compile(r"^ *create (?:or replace )?function ([\w.]+)\(", re.MULTILINE)


def _functions(project: Path) -> Iterator[Function]:
    """Gives every function, from CREATE to the end of its body, with its comment."""
    for file, text in _sql_files(project, "deploy"):
        for match in _CREATE_FUNCTION.finditer(text):
            name = match.group(1)
            tag = re.search(r"as (\$\w+\$)", text[match.end() :])
            following = _CREATE_FUNCTION.search(text, match.end())
            end = following.start() if following else len(text)
            if tag and match.end() + tag.end() < end:
                body = match.end() + tag.end()
                end = text.find(tag.group(1), body)
            else:
                end = text.find(";", match.end())
            comment = re.search(
                rf"^comment on function {re.escape(name)}\([^$]*\$\$(.*?)\$\$", text, re.M | re.S
            )
            yield Function(
                name,
                file,
                _line(text, match.start()),
                text[match.start() : end],
                comment.group(1) if comment else "",
            )


def _raised(project: Path) -> Iterator[tuple[str, int, str, str]]:
    """Gives file, line, code and message of each RAISE with a code of class IN."""
    pattern = r"raise exception '((?:[^']|'')*)'[^;]*?errcode = '(IN\w+)'"
    for file, text in _sql_files(project, "deploy"):
        for match in re.finditer(pattern, text):
            yield file, _line(text, match.start()), match.group(2), match.group(1)


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of docs/error_codes.md: a code, its messages, the functions it comes from."""

    line: int
    code: str
    messages: frozenset[str]
    functions: frozenset[str]
    reserved: bool


def _registry(project: Path) -> Iterator[Registered]:
    reserved = False
    lines = (project / "docs/error_codes.md").read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("## "):
            reserved = line.lower().startswith("## reserved")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`?IN\d{3}`?", cells[0]):
            yield Registered(
                number,
                cells[0].strip("`"),
                frozenset(re.findall(r"`([^`]+)`", cells[1])),
                frozenset(re.findall(r"`([^`]+)`", cells[2])) if len(cells) > 2 else frozenset(),
                reserved,
            )


# -- checks -------------------------------------------------------------------------------------


def plan_lines(project: Path) -> Findings:
    """Every change has a note and the project's planner, and times grow."""
    changes = read_plan(project / "sqitch.plan").changes
    for change in changes:
        if f"{change.planner_name} <{change.planner_email}>" != PLANNER:
            yield Finding("sqitch.plan", change.line, f"the planner of {change.name} differs")
        if not change.note:
            yield Finding("sqitch.plan", change.line, f"{change.name} has no note")
    for former, change in pairwise(changes):
        if change.planned_at <= former.planned_at:
            yield Finding("sqitch.plan", change.line, f"{change.name} is not later than the last")


def _scripts(project: Path) -> Iterator[tuple[Change, str, str]]:
    """Gives each change with the kind and the path, relative to the project, of its scripts."""
    loaded = load_project(project)
    for index, change in enumerate(loaded.plan.changes):
        for kind in KINDS:
            yield change, kind, loaded.path(index, kind).relative_to(project).as_posix()


def triples(project: Path) -> Findings:
    """Every change has its three scripts and its test, and there are no others."""
    changes = {change.name: change.line for change in read_plan(project / "sqitch.plan").changes}
    places = {file: change.line for change, _, file in _scripts(project)}
    places |= {f"tests/pgtap/{name}_test.sql": line for name, line in changes.items()}
    for file, line in places.items():
        if not (project / file).is_file():
            yield Finding("sqitch.plan", line, f"{file} is missing")
    for kind in KINDS:
        for path in sorted((project / kind).rglob("*.sql")):
            file = path.relative_to(project).as_posix()
            if file not in places:
                yield Finding(file, 1, "no change of the plan has this script")
    kinds = {name.partition("/")[0] for name in changes}
    for file, _ in _sql_files(project, "tests/pgtap"):
        folder = file.removeprefix("tests/pgtap/").partition("/")[0]
        if folder in kinds and file not in places:
            yield Finding(file, 1, "it tests no change of the plan")


def headers(project: Path) -> Findings:
    """The first lines name the change and, in deploy, what the plan says it requires."""
    for change, kind, file in _scripts(project):
        if not (project / file).is_file():
            continue  # triples says so
        lines = (project / file).read_text().splitlines()
        title = f"-- {kind.title()} integrations:{change.name} {PREPOSITION[kind]} pg"
        if not lines or lines[0] != title:
            yield Finding(file, 1, f"the first line is not: {title}")
        required = [line for line in lines if line.startswith("-- requires:")]
        planned = [f"-- requires: {it}" for it in change.requires] if kind == "deploy" else []
        if required != planned or lines[1 : 1 + len(planned)] != planned:
            yield Finding(file, 2, "the requires lines are not those of the plan, in its order")


def frames(project: Path) -> Findings:
    """One transaction, with its timeouts, from the first statement to the last.

    A script that says that it is not atomic, and why, has several, or an index between them.
    """
    for kind in KINDS:
        last = "rollback;" if kind == "verify" else "commit;"
        for file, text in _sql_files(project, kind):
            lines = text.splitlines()
            code = [
                (number, line)
                for number, line in enumerate(_masked(text).splitlines(), 1)
                if line.strip()
            ]
            apart = kind != "verify" and bool(re.search(r"^-- Not atomic: ", text, re.MULTILINE))
            begins = [at for at, (_, line) in enumerate(code) if line == "begin;"]
            for at in begins if apart else [0]:
                first = code[at][0] if code else 1
                found = lines[first - 1 : first - 1 + len(FRAME[kind])]
                # Reading a large table takes long, and stops nobody.
                if apart and found[-1:] == ["set local statement_timeout = '0';"]:
                    found = [*found[:-1], TIMEOUTS[-1]]
                if found != FRAME[kind] and not (apart and _alone(code[at][1])):
                    yield Finding(file, first, "it does not start with: " + " ".join(FRAME[kind]))
            if kind == "deploy" and re.search(r"^set search_path", text, re.MULTILINE):
                # The settings of a function are kept as they are quoted when it is made.
                if QUOTING not in lines:
                    yield Finding(file, 1, f"it makes a function without: {QUOTING}")
            if not code or (code[-1][1] != last and not (apart and _alone(code[-1][1]))):
                yield Finding(file, code[-1][0] if code else 1, f"it does not end with {last}")
            inside, former = False, ";"
            for at, (number, line) in enumerate(code):
                if not re.match(r"(begin|commit|rollback|start|savepoint|abort)\b.*;", line):
                    if apart and not inside and former.endswith(";") and not _alone(line):
                        yield Finding(file, number, "a statement outside of a transaction")
                elif apart and line == ("commit;" if inside else "begin;"):
                    inside = not inside
                elif 0 < at < len(code) - 1:
                    yield Finding(file, number, "a second transaction command")
                former = line


def _alone(line: str) -> bool:
    """Tells whether a statement begins that no transaction can hold."""
    return bool(re.match(r"(create (unique )?|drop )index concurrently ", line))


def forbidden(project: Path) -> Findings:
    """Words that hide a mistake, and whatever only one of psql, Sqitch and our deployer knows."""
    for file, text in _sql_files(project, *KINDS):
        code = _masked(text)
        # A foreign key may say so of its own rows; nothing else drops what it does not name.
        yield from _search(file, code, r"(?<!\bon delete )\bcascade\b", "cascade")
        # What was built already when a script that is not atomic was broken off is left alone.
        yield from _search(
            file,
            code,
            r"(?<!^create index concurrently )(?<!^create unique index concurrently )"
            r"\bif\s+(not\s+)?exists\s+[a-z_\"]",
            "if exists",
        )
        yield from _search(
            file, code, r"^\s*set\s+(session\s+)?search_path\b[^;\n]*;", "a session's search_path"
        )
        yield from _search(file, code, r"^\s*\\|\\g(exec|set|desc)?\b", "a psql meta-command")
        yield from _search(file, code, r"(?<![:\w\]]):['\"]?[a-z_]", "a psql variable")
        yield from _search(file, text, r"\{\{|\{%", "a template placeholder")


def layout(project: Path) -> Findings:
    """Spaces, no trailing blanks, 100 columns, one newline at the end."""
    for file, text in _sql_files(project, *KINDS):
        yield from _search(file, text, r"\t", "a tab")
        yield from _search(file, text, r"[ \r]$", "a trailing blank")
        yield from _search(file, text, r"^.{101,}$", "longer than 100 columns")
        if not text.endswith("\n") or text.endswith("\n\n"):
            yield Finding(file, _line(text, len(text)), "it must end with one newline")


def function_tails(project: Path) -> Findings:
    """A function's owner, privileges and settings stand in its own file."""
    for function in _functions(project):
        name, text = re.escape(function.name), (project / function.file).read_text()
        said = [
            (
                rf"^alter function {name}\([^;]*?owner to integrations_(owner|keymaster);",
                "an owner",
            ),
            (rf"^revoke all on function {name}\([^;]*?from public;", "a revoke from public"),
        ]
        for pattern, what in said:
            if not re.search(pattern, text, re.MULTILINE | re.DOTALL):
                yield Finding(function.file, function.line, f"{function.name} has not got {what}")
        definer = re.search(r"\bsecurity definer\b", _masked(function.definition))
        if definer and DEFINER_TAIL not in function.definition:
            yield Finding(
                function.file, function.line, f"{function.name} has not the whole tail of a definer"
            )
        if (
            re.search(r"^ *language plpgsql$", function.definition, re.MULTILINE)
            and "\nset search_path = pg_catalog, pg_temp\n" not in function.definition
        ):
            yield Finding(function.file, function.line, f"{function.name} has no search_path")
        if not re.search(
            r"^ *(immutable|stable|volatile|returns trigger)$", function.definition, re.M
        ):
            yield Finding(
                function.file, function.line, f"{function.name} does not say how volatile"
            )


_CREATE = re.compile(
    r"^ *create (?:or replace |unique )?"
    r"(?P<kind>function|table|view|type|policy|trigger|schema|role|index|extension)"
    r"(?: concurrently if not exists)? (?P<name>[\w.]+)"
    r"(?:[^;]*?\bon (?P<on>[\w.]+))?",
    re.MULTILINE,
)


def comments(project: Path) -> Findings:
    """Every object and every constraint with a rule is commented on where it is made."""
    for file, text in _sql_files(project, "deploy"):
        code = _masked(text)
        made = [
            (match["kind"], match["name"], match["on"], match.start())
            for match in _CREATE.finditer(text)
        ]
        table = next((name for kind, name, _, _ in made if kind == "table"), "")
        made += [
            ("constraint", match[1], table, match.start())
            for match in re.finditer(r"^ +constraint (\w+)", code, re.MULTILINE)
            if not match[1].endswith("_pkey")
        ]
        for kind, name, on, at in made:
            # An index lives in the schema of its table.
            schema = rf"(?:{re.escape((on or '').partition('.')[0])}\.)?" if kind == "index" else ""
            place = (
                rf"\s+on\s+{re.escape(on)}" if kind in ("policy", "trigger", "constraint") else ""
            )
            pattern = rf"^ *comment on {kind} {schema}{re.escape(name)}\b[^$']*?{place}[^$']*? is\s"
            if not re.search(pattern, text, re.MULTILINE):
                yield Finding(file, _line(text, at), f"{kind} {name} has no comment")


def error_codes(project: Path) -> Findings:
    """docs/error_codes.md lists the codes that are raised, with their messages, and no others."""
    page = "docs/error_codes.md"
    rows = list(_registry(project))
    for former, row in pairwise(rows):
        if row.code in {other.code for other in rows if other.line < row.line}:
            yield Finding(page, row.line, f"{row.code} is listed twice")
        if row.reserved == former.reserved and row.code <= former.code:
            yield Finding(page, row.line, f"{row.code} is out of order")
    known = {row.code: row for row in rows}
    raised: dict[str, set[str]] = {}
    for file, line, code, message in _raised(project):
        raised.setdefault(code, set()).add(message)
        if code not in known:
            yield Finding(file, line, f"{code} is not registered in {page}")
        elif known[code].reserved:
            yield Finding(file, line, f"{code} is raised, but {page} has it as reserved")
        elif message not in known[code].messages:
            yield Finding(file, line, f"{page} gives another message for {code}")
        if re.search(r"[A-Z%]", message[:1]) or "%" in message:
            yield Finding(file, line, "a message is constant and starts in lower case")
    for row in rows:
        if not row.reserved and row.messages - raised.get(row.code, set()):
            yield Finding(page, row.line, f"nothing raises {row.code} with such a message")
    for file, text in _sql_files(project, "deploy"):
        code_text = _masked(text, keep_comments=False)
        for match in re.finditer(r"\braise exception\b[^;]*;", code_text):
            if "errcode" not in match.group():
                yield Finding(file, _line(text, match.start()), "an exception without an errcode")


def _throws(text: str) -> set[str]:
    """Gives the codes that stand between one throws_ok and the next."""
    parts = text.split("throws_ok(")[1:]
    return {code for part in parts for code in re.findall(r"'(IN\d{3})'", part)}


def expected_codes(project: Path) -> Findings:
    """Every registered code that can be raised is expected by a test."""
    tested: set[str] = set()
    for _, text in _sql_files(project, "tests/pgtap"):
        tested |= _throws(_OPAQUE_COMMENT.sub("", text))
    for path in (project / "tests/python").rglob("test_*.py"):
        if path.name not in ("test_static_sql.py", "test_documents.py"):
            tested |= set(re.findall(r"[\"'](IN\d{3})[\"']", path.read_text()))
    for row in _registry(project):
        if not row.reserved and row.code not in tested:
            yield Finding("docs/error_codes.md", row.line, f"no test expects {row.code}")


_OPAQUE_COMMENT = re.compile(r"--[^\n]*")


def _reachable_codes(functions: dict[str, Function]) -> dict[str, set[str]]:
    """Gives the codes that each function raises, itself or through those that it calls."""
    immutable = "integrations_private.tg_integration_definitions__immutable"
    codes: dict[str, set[str]] = {}
    calls: dict[str, set[str]] = {}
    for name, function in functions.items():
        body = _OPAQUE_COMMENT.sub("", function.definition.partition("(")[2])
        codes[name] = set(re.findall(r"errcode = '(IN\d{3})'", body))
        calls[name] = set(
            re.findall(r"\b(integrations(?:_private)?\.\w+)\((?!\.\.\.)", body)
        ) & set(functions)
        if re.search(r"\b(update|delete from) integrations\.integration_definitions\b", body):
            calls[name].add(immutable)
    while True:
        grown = {
            name: codes[name].union(*(codes[called] for called in calls[name]))
            for name in functions
        }
        if grown == codes:
            return codes
        codes = grown


def comment_codes(project: Path) -> Findings:
    """A function's comment, and the registry, name exactly the codes that it can raise."""
    functions = {function.name: function for function in _functions(project)}
    said: dict[str, set[str]] = {}
    for name, codes in _reachable_codes(functions).items():
        function = functions[name]
        can = {code for code in codes if (name, code) not in UNREACHABLE}
        listed = set(re.findall(r"\bIN\d{3}\b", function.comment))
        for code in sorted(can - listed):
            yield Finding(function.file, function.line, f"the comment of {name} lacks {code}")
        for code in sorted(listed - can):
            yield Finding(function.file, function.line, f"{name} cannot raise {code}")
        if name.startswith("integrations.") and " Callable by " not in " ".join(
            ["", *function.comment.split("\n")]
        ):
            yield Finding(function.file, function.line, f"the comment of {name} names no caller")
        if name.startswith("integrations."):
            for code in can:
                said.setdefault(code, set()).add(name.partition(".")[2])
    for row in _registry(project):
        if not row.reserved and row.functions != said.get(row.code, set()):
            wrong = ", ".join(sorted(row.functions ^ said.get(row.code, set())))
            yield Finding("docs/error_codes.md", row.line, f"{row.code}: not right about {wrong}")


_QUERY = re.compile(
    r"(?:^|\n|\(|\bthen\b|\belse\b|\bloop\b|\bbegin\b|\bin\b)\s*"
    r"(select|insert|update|delete|merge|with|perform|execute|return\s+query|call|raise)\b",
    re.IGNORECASE,
)


def tenants_in_queries(project: Path) -> Findings:
    """A query has its tenant from a variable: the policy's own words guard, and do not route."""
    for file, text in _sql_files(project, "deploy/functions"):
        yield from _search(
            file,
            _masked(text),
            r"\btenant_id\s*=\s*integrations\.current_tenant\(\)",
            "the tenant of a query stands in a variable",
        )


def secrets_in_queries(project: Path) -> Findings:
    """Keys and plaintext stand in assignments only.

    In a query, auto_explain and debug_print_plan would show their values, and a RAISE would hand
    them to client and log.
    """
    for function in _functions(project):
        if not re.search(r"^ *language plpgsql$", function.definition, re.MULTILINE):
            continue
        short = function.name.partition(".")[2]
        secret = re.compile(
            rf"(?<![.\w])(?:{short}\.)?(?:{'|'.join(SECRETS)})\b"
            rf"|\b{short}\.credentials\b"
            # The bare name is the parameter, unless something is assigned to the column.
            + (
                r"|(?<![.\w])credentials\b(?!\s*=)"
                if re.search(r"\bcredentials (text|jsonb)\b", function.definition)
                else ""
            )
        )
        code = _masked(function.definition)
        start = code.find("$function$")
        for piece in re.finditer(r"[^;]+", code[start:]):
            query = _QUERY.search(piece.group())
            if not query:
                continue
            text = re.split(r"\bloop\b", piece.group()[query.start(1) :])[0]
            if used := secret.search(text):
                at = start + piece.start() + query.start(1) + used.start()
                yield Finding(
                    function.file,
                    function.line + function.definition.count("\n", 0, at),
                    f"{used.group()} stands in {query.group(1).upper()}",
                )


def log_lines(project: Path) -> Findings:
    """RAISE LOG, which logs the caller's statement as well, stands where no secret is passed."""
    for file, text in _sql_files(project, "deploy"):
        if file not in MAY_LOG:
            yield from _search(
                file, _masked(text), r"\braise\s+(log|info|warning|debug)\b", "it writes to the log"
            )


def packaging(project: Path) -> Findings:
    """The wheel carries the plan and the scripts."""
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {})
    for path in ("sqitch.plan", "sqitch.conf", *KINDS):
        if wheel.get(path) != f"integrations_db/project/{path}":
            yield Finding("pyproject.toml", 1, f"the wheel would not have {path}")


CHECKS: list[Check] = [
    plan_lines,
    triples,
    headers,
    frames,
    forbidden,
    layout,
    function_tails,
    comments,
    error_codes,
    expected_codes,
    comment_codes,
    tenants_in_queries,
    secrets_in_queries,
    log_lines,
    packaging,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_project(check: Check) -> None:
    """This project keeps the rule."""
    findings = sorted(set(check(ROOT)))
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_functions_are_found() -> None:
    """The checks of functions look at all of them, so that none passes for want of a match."""
    text = "\n".join(text for _, text in _sql_files(ROOT, "deploy"))
    functions = list(_functions(ROOT))
    assert len(functions) == len(re.findall(r"create (?:or replace )?function ", text)) > 40
    assert all(function.comment and len(function.definition) > 40 for function in functions)
    assert sum(DEFINER_TAIL in function.definition for function in functions) == len(
        re.findall(r"^security definer$", text, re.MULTILINE)
    )


# -- each check can fail ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Break:
    """One edit of a file that a check must find; ``new`` None removes the file."""

    check: Check
    file: str
    old: str
    new: str | None
    found: str
    where: str = ""  # when the finding is in another file


PUT = "deploy/functions/put_credentials.sql"
GET = "deploy/functions/get_credentials.sql"
UNLOCK = "deploy/functions/unlock.sql"
KEYS = "deploy/tables/tenant_keys.sql"
INSTANCES = "deploy/tables/integration_instances.sql"
CODES = "docs/error_codes.md"

BREAKS = [
    Break(plan_lines, "sqitch.plan", "Z Integrations DB <", "Z Somebody <", "planner"),
    Break(plan_lines, "sqitch.plan", " # Check the name of an instance", "", "no note"),
    Break(plan_lines, "sqitch.plan", "2026-11-22T12:31:00Z", "2026-11-22T12:30:40Z", "not later"),
    Break(triples, PUT, "", None, f"{PUT} is missing", "sqitch.plan"),
    Break(triples, PUT.replace("deploy", "verify"), "", None, "is missing", "sqitch.plan"),
    Break(triples, PUT.replace("deploy", "revert"), "", None, "is missing", "sqitch.plan"),
    Break(triples, "sqitch.plan", "functions/unlock [", "functions/open [", "no change", UNLOCK),
    Break(headers, PUT, "functions/put_credentials to", "functions/put to", "first line"),
    Break(headers, PUT, "-- requires: functions/lock_instance\n", "", "requires lines"),
    Break(headers, "sqitch.plan", " tables/audit_log_default]", "]", "requires lines",
          "deploy/views/audit_trail.sql"),
    Break(frames, PUT, "set local lock_timeout = '5s';\n", "", "does not start"),
    Break(frames, PUT, "set local search_path = pg_catalog, pg_temp;\n", "", "does not start"),
    Break(frames, PUT, "timeout = '60s'", "timeout = '60min'", "does not start"),
    Break(frames, PUT, "set local quote_all_identifiers = off;\n", "", "makes a function without"),
    Break(frames, PUT, "\ncommit;\n", "\nrollback;\n", "does not end"),
    Break(frames, "verify/tables/tenant_keys.sql", "\nrollback;", "\ncommit;", "does not end"),
    Break(frames, KEYS, "alter table", "commit;\nbegin;\nalter table", "second transaction"),
    Break(forbidden, "revert/tables/tenant_keys.sql", "keys;", "keys cascade;", "cascade"),
    Break(forbidden, "revert/tables/tenant_keys.sql", "table i", "table if exists i", "if exists"),
    Break(forbidden, KEYS, "alter table", "set search_path = x;\nalter table", "search_path"),
    Break(forbidden, KEYS, "alter table", "\\set x 1\nalter table", "meta-command"),
    Break(forbidden, KEYS, "tenant_keys owner to", "tenant_keys owner to :owner", "variable"),
    Break(forbidden, KEYS, "integrations_owner;", "{{ owner }};", "placeholder"),
    Break(layout, KEYS, "  tenant_id uuid", "\ttenant_id uuid", "tab"),
    Break(layout, KEYS, "not null,", "not null, ", "trailing blank"),
    Break(layout, KEYS, "\ncommit;", "-- " + 98 * "x" + "\ncommit;", "100 columns"),
    Break(layout, KEYS, "commit;\n", "commit;\n\n", "one newline"),
    Break(function_tails, PUT, "set row_security = on\n", "", "whole tail"),
    Break(function_tails, PUT, "set debug_print_plan = off\nset debug_print_parse = off\n",
          "set debug_print_parse = off\nset debug_print_plan = off\n", "whole tail"),
    Break(function_tails, PUT, "from public;", "from integrations_admin;", "revoke from public"),
    Break(function_tails, PUT, "owner to integrations_owner", "owner to postgres", "owner"),
    Break(function_tails, "deploy/functions/check_name.sql",
          "set search_path = pg_catalog, pg_temp\n", "", "search_path"),
    Break(function_tails, PUT, "volatile\n", "", "how volatile"),
    Break(comments, PUT, "comment on function", "-- comment on function", "no comment"),
    Break(comments, INSTANCES, "comment on table", "-- comment at table", "no comment"),
    Break(comments, INSTANCES, "comment on constraint integration_instances_config_is_object",
          "-- on integration_instances_config", "constraint integration_instances_config_is"),
    Break(comments, KEYS, "comment on index integrations_private.tenant_keys_kek_id_idx",
          "comment on index integrations_private.other", "index tenant_keys_kek_id_idx"),
    Break(comments, "deploy/policies/audit_log.sql", "comment on policy auditor_select",
          "comment on policy other", "policy auditor_select"),
    Break(comments, "deploy/triggers/audit_log_append_only.sql",
          "comment on trigger _110_no_truncate", "comment on trigger x", "trigger _110_no"),
    Break(comments, "deploy/types/tenant_key_state.sql", "comment on type", "-- on type", "type"),
    Break(comments, "deploy/views/key_overview.sql", "comment on view", "-- on view", "view"),
    Break(comments, "deploy/schemas/integrations.sql", "comment on schema", "-- on", "schema"),
    Break(comments, "deploy/roles/svc_integration.sql", "comment on role", "-- on", "role"),
    Break(error_codes, PUT, "'IN306'", "'IN399'", "IN399 is not registered"),
    Break(error_codes, PUT, "credentials have another version", "no", "another message"),
    Break(error_codes, PUT, "credentials are locked", "Locked: %", "lower case"),
    Break(error_codes, CODES, "| IN306 |", "| 22000 |", "not registered", PUT),
    Break(error_codes, CODES, "## Codes of class IN", "## Reserved", "has it as reserved", PUT),
    Break(error_codes, CODES, "| IN306 |", "| IN001 |", "listed twice"),
    Break(error_codes, PUT, "errcode = 'IN306',", "", "without an errcode"),
    Break(error_codes, "deploy/functions/require_tenant.sql", "IN001", "IN002", "nothing raises",
          CODES),
    Break(expected_codes, CODES, "| IN306 |", "| IN399 |", "no test expects IN399"),
    Break(comment_codes, PUT, "IN306 another version, ", "", "lacks IN306"),
    Break(comment_codes, PUT, "IN307 no active", "IN308 no active", "cannot raise IN308"),
    Break(comment_codes, "deploy/functions/lock_instance.sql", "'IN201'", "'IN101'",
          "lacks IN101", PUT),
    Break(comment_codes, PUT, "Callable by svc_integration.", "", "names no caller"),
    Break(comment_codes, CODES, "`put_credentials`](functions.md#put_credentials) |\n| IN306",
          "`unlock`](functions.md#put_credentials) |\n| IN306", "not right about", CODES),
    Break(tenants_in_queries, UNLOCK, "k.tenant_id = v_tenant_id",
          "k.tenant_id = integrations.current_tenant()", "in a variable"),
    Break(secrets_in_queries, PUT, "set credentials = v_envelope",
          "set credentials = pg_catalog.to_jsonb(put_credentials.credentials)", "UPDATE"),
    Break(secrets_in_queries, PUT, "set credentials = v_envelope", "set credentials = v_document",
          "v_document stands in UPDATE"),
    Break(secrets_in_queries, PUT, "'version', v_version,", "'version', credentials,", "PERFORM"),
    Break(secrets_in_queries, UNLOCK, "v_count := v_count + 1;", "perform f(v_data_key);",
          "v_data_key stands in PERFORM"),
    Break(secrets_in_queries, UNLOCK, "v_count := v_count + 1;", "v_count := (select f(kek));",
          "kek stands in SELECT"),
    Break(secrets_in_queries, UNLOCK, "in ('active', 'decrypt_only')\n", "in ('active', kek)\n",
          "SELECT"),
    Break(secrets_in_queries, UNLOCK, "if v_count = 0 then",
          "if v_count = 0 then execute 'set x = ' || v_keyring;", "v_keyring stands in EXECUTE"),
    Break(secrets_in_queries, UNLOCK, "format('KEK %s.', unlock.kek_id)",
          "format('%s', unlock.kek)", "RAISE"),
    Break(log_lines, PUT, "return v_version;", "raise log 'put';\n  return v_version;", "log"),
    Break(packaging, "pyproject.toml", '"verify" = "integrations_db/project/verify"', "", "verify"),
]  # fmt: skip


def test_every_check_is_tried() -> None:
    """No check goes without a mistake that it must find."""
    assert {broken.check for broken in BREAKS} == set(CHECKS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the checks read; a test puts back what it breaks."""
    project = tmp_path_factory.mktemp("project")
    for folder in (*KINDS, "docs", "tests/pgtap", "tests/python"):
        shutil.copytree(
            ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("sqitch.plan", "sqitch.conf", "pyproject.toml"):
        shutil.copy(ROOT / file, project / file)
    return project


@cache  # of an intact copy it is always the same
def _found_in(copy: Path, check: Check) -> frozenset[Finding]:
    return frozenset(check(copy))


@pytest.mark.parametrize(
    "broken", BREAKS, ids=lambda it: f"{it.check.__name__}-{Path(it.file).name}-{it.found[:20]}"
)
def test_check_can_fail(copy: Path, broken: Break) -> None:
    """A check finds the mistake, names its file, and finds nothing there without it."""
    path = copy / broken.file
    intact = path.read_text()
    before = _found_in(copy, broken.check)
    assert broken.old in intact, f"{broken.file} no longer has the text that this test breaks"
    try:
        if broken.new is None:
            path.unlink()
        else:
            path.write_text(intact.replace(broken.old, broken.new, 1))
        findings = set(broken.check(copy)) - before
    finally:
        path.write_text(intact)
    where = broken.where or broken.file
    assert any(it.file == where and broken.found in it.text for it in findings), findings


def test_missing_test_is_found(copy: Path) -> None:
    """A change without its pgTAP file, and a pgTAP file without its change, are found."""
    path = copy / "tests/pgtap/functions/unlock_test.sql"
    intact = path.read_text()
    before = _found_in(copy, triples)
    path.unlink()
    stray = path.with_name("no_such_change_test.sql")
    stray.write_text(intact)
    try:
        found = {it.text for it in set(triples(copy)) - before}
    finally:
        stray.unlink()
        path.write_text(intact)
    assert found == {
        "tests/pgtap/functions/unlock_test.sql is missing",
        "it tests no change of the plan",
    }
