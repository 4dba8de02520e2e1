"""Puts the text of a script into a larger script for psql, unaltered as far as that is possible.

In a transaction of the larger script its own BEGIN and COMMIT stand as comments. Files that it
includes (``\\i``, ``\\ir``) take the place of the command, because the larger script travels alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from integrations_db.lexer import Reference, Scan, Statement, parts, scan, tokens
from integrations_db.registry import NAMES
from integrations_db.script import OF_PSQL, Script, ScriptError, read_script, shown

__all__ = ["Inlined", "inlined"]

_PROBE = "select 'integrations_db_end'"
_META = re.compile(r"\\(\w+|\S)")
_INCLUDE = re.compile(
    r"\\(?P<command>include_relative|include|ir|i)(?:\s+(?:'(?P<quoted>(?:[^'\\]|'')+)'"
    r"|(?P<plain>[^\s'\"`:\\]+)))?\s*\Z"
)
_INCLUDES = frozenset(("i", "ir", "include", "include_relative"))
# What would end, or leave, the larger script.
_LEAVES = frozenset(("q", "quit", "c", "connect"))
_USES = re.compile(r":(?:['\"]|\{\?)?(\w+)")
_SETS_COLUMNS = re.compile(r"\\gset\b")
_SETS = re.compile(r"\\(?:set|getenv)\s+(\w+)")
_SETS_ANY = re.compile(r"\\(?:gset|prompt)\b")
_COPY_ROWS = re.compile(r"copy\b.*\bfrom\s+(?:stdin|stdout)\b", re.IGNORECASE | re.DOTALL)
# The same by psql: its scanner passes over the rows, ours does not.
_META_ROWS = re.compile(r"\\copy\b.*\bfrom\s+p?stdin\b", re.IGNORECASE)
_READS = re.compile(
    r"\A\\(?:copy\b.*\bfrom|lo_import)\s+(?!p?stdin\b|program\b)('(?:[^']|'')*'|\S+)", re.IGNORECASE
)
_END_OF_ROWS = re.compile(r"^\\\.\r?(?:\n|\Z)", re.MULTILINE)
_DEEPEST = 20  # files that include each other


@dataclass(frozen=True, slots=True)
class Inlined:
    """A script as it stands in the larger one.

    Attributes:
        text: whole lines.
        rows: whether rows of COPY are among them, which psql cannot pass over in a false ``\\if``.
        unset: the variables that it names and must not find set, as a script before may leave them.
        files: those that psql reads when it runs, as the script names them.
    """

    text: str
    rows: bool
    unset: tuple[str, ...]
    files: tuple[str, ...] = ()


def inlined(
    script: Script, root: Path, variables: Mapping[str, str], *, framed: bool = False
) -> Inlined:
    """Returns a script's text for the larger script.

    Args:
        script: it.
        root: the project's directory, where psql would run.
        variables: all that it will find set.
        framed: whether it runs in a transaction of the larger script; for an atomic one.

    Raises:
        ScriptError: it cannot be a part of another, or needs a variable that is not set.
    """
    source = _source(script)
    if script.execution == "psql":
        source = _with_includes(source, script.path, root)
    read = _without_rows(script.path, source)
    found = scan(read, variables)
    _check_metas(script.path, read, found)
    _check_variables(script.path, read, found, variables)
    unset = _unset(found, variables)
    if framed:
        text = _unframed(script, variables)
        return Inlined(text + _ending(script.path, text), False, unset)
    rows = read != source or any(_COPY_ROWS.match(s.text) for s in found.statements)
    files = [name for s in found.statements for name in _READS.findall(s.text)]
    return Inlined(source + _ending(script.path, read), rows, unset, tuple(files))


def _source(script: Script) -> str:
    """Returns the text of a script.

    Raises:
        ScriptError: it is not UTF-8.
    """
    if not script.source and script.execution == "psql":
        raise ScriptError(f"{script.why}; a script for a change board has one encoding, UTF-8")
    return script.source


def _without_rows(path: Path, source: str) -> str:
    """Returns the text with blanks in the place of the rows of ``\\copy``.

    Raises:
        ScriptError: nothing ends them.
    """
    done = -1
    while True:
        for statement in scan(source).statements:
            if statement.offset > done and _META_ROWS.match(statement.text):
                break
        else:
            return source
        done = statement.offset
        first = source.find("\n", done) + 1 or len(source)
        last = _END_OF_ROWS.search(source, first)
        if not last:
            raise ScriptError(f"{_at(path, source, done)}: its rows do not end with \\.")
        blank = re.sub(r"[^\n]", " ", source[first : last.end()])
        source = source[:first] + blank + source[last.end() :]


def _at(path: Path, source: str, offset: int) -> str:
    """Returns file and line of a place."""
    return f"{shown(path)}:{source.count(chr(10), 0, offset) + 1}"


def _with_includes(source: str, path: Path, root: Path, depth: int = 0) -> str:
    """Returns the text with the files in it that it includes."""
    edits = []
    for statement in scan(_without_rows(path, source)).statements:
        found = _META.match(statement.text)
        if not found or found[1] not in _INCLUDES:
            continue
        where = _at(path, source, statement.offset)
        named = _INCLUDE.match(statement.text)
        if not named or not (named["plain"] or named["quoted"]):
            raise ScriptError(
                f"{where}: {statement.text.split()[0]} of what is known only when it runs: the "
                "script for a change board travels alone. Name the file plainly."
            )
        relative = named["command"] in ("ir", "include_relative")
        name = named["plain"] or named["quoted"].replace("''", "'")
        file = (path.parent if relative else root) / name
        if depth == _DEEPEST:
            raise ScriptError(f"{where}: files include each other more than {_DEEPEST} deep")
        try:
            inner = _source(read_script(file, "verify"))  # which may end as it likes
        except ScriptError as error:
            raise ScriptError(f"{error}\n{where} includes it.") from None
        text = _with_includes(inner, file, root, depth + 1)
        text += _ending(file, _without_rows(file, text))
        edits.append((statement.offset, statement.offset + len(statement.text), text.rstrip("\n")))
    return _edited(source, edits)


def _check_metas(path: Path, source: str, found: Scan) -> None:
    """Refuses meta-commands that the larger script would not survive."""
    conditions: list[bool] = []  # of each \if that is open: whether its \else was there
    sets_columns = any(_SETS_COLUMNS.match(statement.text) for statement in found.statements)
    for statement in found.statements:
        meta = statement.text.startswith("\\")
        if NAMES in statement.text and (meta or sets_columns):
            raise ScriptError(
                f"{_at(path, source, statement.offset)}: variables of psql that begin with {NAMES} "
                "are those of the script for a change board, and this one might set them. Give "
                "them other names."
            )
        if not meta:
            continue
        where = _at(path, source, statement.offset)
        for name in _META.findall(statement.text):
            if name in _LEAVES:
                raise ScriptError(
                    f"{where}: \\{name} would end or leave the whole script for a change board, "
                    "not only this part of it. Do without it, or deploy this change by itself."
                )
            if name == "if":
                conditions.append(False)
            elif name in ("elif", "else", "endif"):
                if not conditions:
                    raise ScriptError(f"{where}: \\{name} without \\if")
                if name != "endif" and conditions[-1]:
                    raise ScriptError(f"{where}: \\{name} after \\else")
                conditions[-1] = conditions[-1] or name == "else"
                if name == "endif":
                    conditions.pop()
    if conditions:
        raise ScriptError(f"{shown(path)}: \\if without \\endif")


def _check_variables(path: Path, source: str, found: Scan, variables: Mapping[str, str]) -> None:
    """Refuses variables that are not set, unless the script sets them, or asks whether they are."""
    metas = [s.text for s in found.statements if s.text.startswith("\\")]
    if any(_SETS_ANY.search(meta) for meta in metas):
        return
    own = {name for meta in metas for name in _SETS.findall(meta)}
    for reference in found.references:
        if reference.name in variables or reference.name in own:
            continue
        if OF_PSQL.fullmatch(reference.name):
            continue
        if not _may_be_text(source, reference):
            raise ScriptError(
                f"{_at(path, source, reference.offset)}: the variable {reference.name} is not set. "
                f"Give it with --set {reference.name}=VALUE, or in sqitch.conf (deploy.variables)."
            )


def _unset(found: Scan, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the variables that a script names, also in meta-commands, and that are not set."""
    names = {reference.name for reference in found.references}
    for statement in found.statements:
        if statement.text.startswith("\\"):
            names.update(_USES.findall(statement.text))
    return tuple(sorted(n for n in names - variables.keys() if not OF_PSQL.fullmatch(n)))


def _may_be_text(source: str, reference: Reference) -> bool:
    """Tells whether what looks like a variable may be meant as it is: ``a[1:n]``, ``:{?name}``."""
    form = source[reference.offset + 1]
    if form == "{":
        return True
    return form not in "'\"" and bool(re.search(r"\[[^\[\];]*\Z", source[: reference.offset]))


def _ending(path: Path, source: str) -> str:
    """Returns what ends the last statement of a script, so that another may follow.

    Raises:
        ScriptError: nothing does.
    """
    line = "" if source.endswith("\n") or not source else "\n"
    rows = any(_COPY_ROWS.match(statement.text) for statement in scan(source).statements)
    for end in ("", ";\n", "\\.\n") if rows else ("", ";\n"):
        after = scan(f"{source}{line}{end}{_PROBE};\n")
        if after.statements and after.statements[-1].text == _PROBE:
            return line + end
    raise ScriptError(
        f"{shown(path)}: something in it (a quote, a parenthesis, a body) is not closed before the "
        "file ends"
    )


def _unframed(script: Script, variables: Mapping[str, str]) -> str:
    """Returns the text of an atomic script with its own transaction control taken out.

    Raises:
        ScriptError: that is not possible without changing more.
    """
    source = script.source
    kept = {statement.offset: statement.text for statement in script.body}
    ends = [token.end for token in tokens(source)]
    edits = []
    for request in script.statements:
        for part in parts(request, source):
            text = kept.get(part.offset)
            if text == part.text or (text is not None and _is_variable(source, part)):
                continue
            last = part.source_offset(len(part.text) - 1)
            end = ends[bisect_right(ends, last)]
            edits.append((part.offset, end, text or _as_comment(source[part.offset : end])))
            if text is None and (semicolon := _semicolon(source, end)) is not None:
                edits.append((semicolon, semicolon + 1, ""))
    edited = _edited(source, edits)
    left = [p.text for r in scan(edited, variables).statements for p in parts(r, edited)]
    if left != [statement.text for statement in script.body]:
        raise ScriptError(
            f"{shown(script.path)}: its BEGIN or COMMIT cannot be taken out. Write each as a "
            "statement of its own, not in a variable."
        )
    return edited


def _is_variable(source: str, part: Statement) -> bool:
    """Tells whether a statement begins with a variable, which may hold several."""
    return source[part.offset] == ":"


def _as_comment(text: str) -> str:
    """Returns a statement as a comment, or nothing if it would not be one."""
    return "" if "/*" in text or "*/" in text else f"/* {text}; */"


def _semicolon(source: str, position: int) -> int | None:
    """Returns where the semicolon is that ends the statement before ``position``, if it is one."""
    for token in tokens(source[position:]):
        if token.kind not in ("space", "comment"):
            start = position + token.start
            return start if source[start] == ";" else None
    return None


def _edited(source: str, edits: list[tuple[int, int, str]]) -> str:
    """Returns the text with pieces of it replaced."""
    texts, position = [], 0
    for start, end, text in sorted(edits):
        texts += [source[position:start], text]
        position = end
    return "".join([*texts, source[position:]])
