"""Names, comments and expressions of a catalogue, as text that no markup is made of.

Whoever may write a COMMENT or name a column writes into these documents; what they write is shown,
and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from integrations_db.docs.model import Argument, Constraint, Function, Trigger
from integrations_db.sqltext import identifier

__all__ = [
    "arguments",
    "code",
    "expression",
    "fenced",
    "fires",
    "listed",
    "one_line",
    "result",
    "rule",
    "short_type",
    "signature",
    "slug",
    "text",
    "visible",
]

_SHORT = (
    (re.compile(r"\bcharacter varying\b"), "varchar"),
    (re.compile(r"\btimestamp((?:\(\d\))?) with time zone\b"), r"timestamptz\1"),
    (re.compile(r"\btimestamp((?:\(\d\))?) without time zone\b"), r"timestamp\1"),
    (re.compile(r"\btime((?:\(\d\))?) with time zone\b"), r"timetz\1"),
    (re.compile(r"\btime((?:\(\d\))?) without time zone\b"), r"time\1"),
)

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)'
# A literal with the cast that the server writes behind it, which only repeats the type. Names in
# quotes are found so that quotes in them begin no literal.
_LITERAL = re.compile(
    r"""("(?:[^"]|"")*")|((?<!\w)E?'(?:[^']|'')*'|\bNULL\b)"""
    rf"(?:::{_NAME}(?:\.{_NAME})*(?: varying| precision)?(?:\(\d+(?:,\d+)?\))?"
    r"(?: with(?:out)? time zone)?(?:\[\])*)?"
)


# What commands a terminal that shows a page, or turns the direction of what comes after it.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Returns a text with what nobody would see, but be misled by, as an escape: ``\\x1b``."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(value: str | None) -> str:
    """Returns a text with every run of blanks and control characters as one blank."""
    return visible(re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", value or "").strip())


def short_type(name: str, ident: str = "") -> str:
    """Returns a type as people write it, without the schema if that is the one of its object.

    Args:
        name: as ``format_type`` writes it.
        ident: the schema of the object, as SQL writes it.
    """
    if '"' not in name:
        for long, short in _SHORT:
            name = long.sub(short, name)
    return name[len(ident) + 1 :] if ident and name.startswith(f"{ident}.") else name


def expression(value: str | None) -> str:
    """Returns an expression in one line, without the casts of literals that only the server writes.

    What stands in quotes is left as it is, but for the breaks of lines.
    """
    return one_line(_LITERAL.sub(lambda found: found[1] or found[2], value or ""))


def rule(constraint: Constraint) -> str:
    """Returns the definition of a constraint."""
    return expression(constraint.definition)


def fires(trigger: Trigger) -> str:
    """Returns when a trigger fires: ``before delete or update, each row, always``."""
    events = [
        f"update of {', '.join(trigger.update_of)}" if it == "update" and trigger.update_of else it
        for it in trigger.events
    ]
    told = [f"{trigger.timing} {' or '.join(events)}", f"each {trigger.each}"]
    if trigger.condition:
        told.append(f"when ({expression(trigger.condition)})")
    if trigger.enabled != "yes":
        told.append(trigger.enabled)
    return ", ".join(told)


_MODES = {"o": "out ", "b": "inout ", "v": "variadic "}


def _argument(it: Argument, ident: str) -> str:
    name = f"{identifier(it.name)} " if it.name else ""
    default = expression(it.default)
    default = re.sub(r"^(NULL|TRUE|FALSE)$", lambda found: found[1].lower(), default)
    return (
        f"{_MODES.get(it.mode, '')}{name}{short_type(it.type, ident)}"
        f"{f' default {default}' if it.default is not None else ''}"
    )


def arguments(function: Function, ident: str) -> str:
    """Returns the arguments of a function, as a call by name needs them."""
    return one_line(", ".join(_argument(it, ident) for it in function.arguments if it.mode != "t"))


def result(function: Function, ident: str) -> str:
    """Returns what a function returns; nothing for a procedure."""
    columns = [_argument(it, ident) for it in function.arguments if it.mode == "t"]
    if columns:
        return one_line(f"table({', '.join(columns)})")
    if function.returns is None or function.kind == "procedure":
        return ""
    return f"{'setof ' if function.set else ''}{one_line(short_type(function.returns, ident))}"


def signature(function: Function, ident: str) -> str:
    """Returns the signature of a function in one line of SQL; one of another kind says so."""
    returns = result(function, ident)
    name = f"{identifier(function.schema)}.{identifier(function.name)}"
    if function.kind != "function":
        name = f"{function.kind} {name}"
    return one_line(f"{name}({arguments(function, ident)}){returns and f' returns {returns}'}")


# -- Markdown -----------------------------------------------------------------------------------

# What may begin or end markup inside a line, of CommonMark and of what GitHub adds.
_MARKUP = re.compile(r"[\\`*\[\]~|$]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^(?:[#>+=-]|\d+(?=[.)](?:\s|$)))")


def _number(found: re.Match[str]) -> str:
    """Returns the character as HTML's number for it."""
    return f"&#{ord(found[0])};"


def text(value: str | None) -> str:
    """Returns a text as Markdown that shows it, in one line.

    Paragraph, cell of a table or item of a list: it does for each.
    """
    escaped = _MARKUP.sub(r"\\\g<0>", one_line(value))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    # A colon and two slashes become a link by themselves, and so does www.
    escaped = re.sub(r":(?=//)|(?<=\bwww)\.", _number, escaped, flags=re.IGNORECASE)
    found = _AT_START.match(escaped)
    if found and found[0].isdigit():
        return f"{found[0]}\\{escaped[found.end() :]}"
    return f"\\{escaped}" if found else escaped


def code(value: str | None) -> str:
    """Returns a text as Markdown that shows it as code, in one line; nothing for nothing.

    In a table a pipe ends the cell, in code too, and how a backslash before it is read differs
    from reader to reader. So a text with either is written as HTML.
    """
    shown = one_line(value)
    if not shown:
        return ""
    if "`" not in shown and "|" not in shown:
        return f"`{shown}`"
    escaped = re.sub(
        r"[^\w\s.,;:=+()/'\"?^%{}-]|_|:(?=//)|(?<=\bwww)\.", _number, shown, flags=re.I
    )
    return f"<code>{escaped}</code>"


def fenced(value: str, language: str) -> str:
    """Returns lines as a block of code that nothing in them can end."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{value}\n{fence}"


def slug(*names: str) -> str:
    """Returns an anchor of names: letters and digits stay, others become their number."""
    return "-".join(
        re.sub(r"[^A-Za-z0-9_]", lambda found: f".{ord(found[0]):x}.", name) for name in names
    )


def listed(names: Sequence[str]) -> str:
    """Returns names as code, one after the other."""
    return ", ".join(code(it) for it in names)
