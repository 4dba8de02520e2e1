"""Puts names, texts and fragments of SQL into scripts so that they mean what was given."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from integrations_db.lexer import Token, tokens

__all__ = [
    "Argument",
    "Column",
    "Key",
    "after_type",
    "arguments",
    "columns",
    "comment",
    "fragment",
    "identifier",
    "keys",
    "literal",
    "split",
    "two_of",
]

# What cannot be a name without quotes, at least somewhere: all keywords of PostgreSQL 18 but the
# unreserved ones; those that quote_ident quotes.
_KEYWORDS = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
    boolean both case cast char character check coalesce collate collation column concurrently
    constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign freeze from full grant greatest group grouping
    having ilike in initially inner inout int integer intersect interval into is isnull join json
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif
    numeric offset on only or order out outer overlaps overlay placing position precision primary
    real references returning right row select session_user setof similar smallint some substring
    symmetric system_user table tablesample then time timestamp to trailing treat trim true union
    unique user using values varchar variadic verbose when where window with xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable
    """.split()
)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_WIDTH = 100
# The names of types as the catalogue shows them, by those that people write.
_TYPES = {
    "bool": "boolean",
    "char": "character",
    "dec": "numeric",
    "decimal": "numeric",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}
_SHOWN = re.compile(
    "bigint|bit(?: varying)?|boolean|bytea|character(?: varying)?|cidr|date|double precision|inet|"
    "integer|interval(?: (?:year|month|day|hour|minute|second)"
    "(?: to (?:month|hour|minute|second))?)?|jsonb?|macaddr8?|numeric|oid|real|smallint|text|"
    "time with(?:out)? time zone|timestamp with(?:out)? time zone|tsquery|tsvector|uuid|xml|"
    "(?:int4|int8|num|date|ts|tstz)range"
)
# A value of each kind of type, for rows that tests insert.
_SAMPLES = {
    "boolean": "false",
    "bytea": "''",
    "character varying": "''",
    "date": "'2026-01-01'",
    "json": "'{}'",
    "jsonb": "'{}'",
    "text": "''",
    "timestamp with time zone": "'2026-01-01 00:00:00+00'",
    "timestamp without time zone": "'2026-01-01 00:00:00'",
    "uuid": "pg_catalog.gen_random_uuid()",
} | dict.fromkeys(("bigint", "double precision", "integer", "numeric", "real", "smallint"), "0")
# Two values of what the id of a tenant may be.
_TWO = {
    "uuid": ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"),
    "text": ("tenant a", "tenant b"),
} | dict.fromkeys(("bigint", "integer", "smallint"), ("1", "2"))
_END_OF_TYPE = frozenset(
    "not null default references check generated collate primary unique constraint storage "
    "compression".split()
)


def identifier(name: str) -> str:
    """Returns a name as SQL has it: in quotes if it would mean another one without."""
    if _PLAIN.fullmatch(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Returns a text as a string of SQL, whatever ``standard_conforming_strings`` says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def comment(text: str) -> str:
    """Returns a text as a dollar-quoted string, in lines of at most 100 columns."""
    tag = "$$"
    while tag in text or text.endswith(tag[:-1]):
        tag = f"${'c' * (len(tag) - 1)}$"
    lines = [
        line
        for index, paragraph in enumerate(text.splitlines() or [""])
        for line in textwrap.wrap(
            paragraph,
            _WIDTH - len(tag) - 1,
            break_long_words=False,
            break_on_hyphens=False,
        )
        or [""]
    ]
    return tag + "\n".join(lines) + tag


def split(text: str) -> list[str]:
    """Returns the parts of a list, separated by commas that no quotes or parentheses hold."""
    parts, start, depth = [], 0, 0
    for token in tokens(text):
        if token.kind != "other":
            continue
        for at in range(token.start, token.end):
            depth += (text[at] in "([") - (text[at] in ")]")
            if text[at] == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    parts = [part.strip() for part in [*parts, text[start:]]]
    return parts if any(parts) else []


def fragment(text: str, *, comments: bool = False, statements: bool = False) -> str | None:
    """Returns why a text cannot stand as it is in the middle of a statement, None if it can.

    Args:
        text: SQL.
        comments: whether it may have comments.
        statements: whether it may have more than one statement.
    """
    open_: list[str] = []
    source = text + "\n;"  # what is not closed reaches to the end, and takes this in
    last = None
    for last in tokens(source):
        char = source[last.start : last.end]
        if last.end == len(source):
            break
        if last.kind in ("meta", "variable", "joint", "colon"):
            return f"psql would take {char!r} for its own"
        if last.kind == "comment" and not comments:
            return "a comment would hide what follows"
        if char == ";" and not statements:
            return "a semicolon would end the statement"
        if last.kind != "other":
            continue
        for one in char:
            if one in "([":
                open_.append(one)
            elif one in ")]" and (not open_ or open_.pop() + one not in ("()", "[]")):
                return f"a {one} closes nothing"
    if last is None or source[last.start : last.end] != ";":
        return "a quote, comment or body is not closed"
    if open_:
        return f"a {open_[-1]} is not closed"
    return None


def _first_name(text: str) -> tuple[str, str]:
    """Returns the name that a text begins with, as it is meant, and the rest."""
    if found := re.match(r'"((?:[^"]|"")+)"\s*', text):
        return found[1].replace('""', '"'), text[found.end() :]
    name, _, rest = text.partition(" ")
    return name, rest.strip()


def _shown_type(text: str) -> str | None:
    """Returns a type of PostgreSQL's own as the catalogue shows it, None if it is another one."""
    flat = re.sub(r"\s+", " ", text.strip().lower())
    found = re.fullmatch(
        r"(?P<name>[a-z_0-9 ]+?) ?(?:\((?P<mod>[\d, ]+)\))?(?P<zone> with(?:out)? time zone)?"
        r"(?P<array>(?: ?\[\d*\])*)",
        flat,
    )
    if not found:
        return None
    name, mod, zone = found["name"], found["mod"], found["zone"] or ""
    if name == "float" and mod:  # counts binary digits, and says only which of two types it is
        name, mod = ("real" if int(mod) <= 24 else "double precision"), None
    name = name + zone if zone else _TYPES.get(name, name)
    if not _SHOWN.fullmatch(name):
        return None
    if name in ("bit", "character") and mod is None:
        mod = "1"
    if mod:
        mod = mod.replace(" ", "")
        if name == "numeric" and "," not in mod:
            mod += ",0"
        head, time, tail = name.partition(" with")
        in_time = time and head in ("time", "timestamp")
        name = f"{head}({mod}){time}{tail}" if in_time else f"{name}({mod})"
    return name + ("[]" if found["array"] else "")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that is to be made.

    Attributes:
        name: as it is meant.
        type: SQL.
        rest: what follows the type: ``not null default 0``.
        about: what it means.
    """

    name: str
    type: str
    rest: str
    about: str

    @property
    def definition(self) -> str:
        """The column as CREATE TABLE has it."""
        return " ".join(filter(None, [identifier(self.name), self.type, self.rest]))

    @property
    def _said(self) -> list[str]:
        """The words of ``rest`` that no quotes or parentheses hold, in small letters."""
        return [self.rest[it.start : it.end].lower() for it in _words(self.rest)]

    @property
    def not_null(self) -> bool:
        """Whether it refuses NULL."""
        said = " ".join(self._said)
        return "not null" in said or "primary key" in said

    @property
    def is_key(self) -> bool:
        """Whether it is the primary key."""
        return "primary" in self._said

    @property
    def is_unique(self) -> bool:
        """Whether it is a key by itself."""
        return bool({"primary", "unique"} & set(self._said))

    @property
    def has_default(self) -> bool:
        """Whether it has a default, or is generated."""
        return bool({"default", "generated"} & set(self._said))

    @property
    def expected(self) -> str:
        """An expression for what the catalogue says: name, type, ``not null``, ``default``."""
        return self._expected(self.not_null)

    @property
    def expected_not_null(self) -> str:
        """The same after a later change to NOT NULL."""
        return self._expected(True)

    def _expected(self, not_null: bool) -> str:
        null = " not null" if not_null else ""
        # An identity has no expression; a generated column has one.
        said = " ".join(self._said)
        default = " default" if self.has_default and "identity" not in said else ""
        return self._with(f"{null}{default}")

    @property
    def expected_type(self) -> str:
        """An expression for the type as the catalogue shows it."""
        shown = _shown_type(self.type)
        return literal(shown) if shown else _format_type(self.type)

    def _with(self, after: str) -> str:
        shown = _shown_type(self.type)
        if shown:
            return literal(f"{self.name} {shown}{after}")
        parts = [literal(f"{self.name} "), _format_type(self.type)]
        return "\n             || ".join([*parts, literal(after)] if after else parts)

    @property
    def sample(self) -> str | None:
        """A value for a row that is inserted, if one is needed; empty: none can be told."""
        if self.has_default or not self.not_null:
            return None
        shown = (_shown_type(self.type) or "").partition("(")[0]
        return "" if {"references", "check"} & set(self._said) else _SAMPLES.get(shown, "")


def two_of(type_: str) -> tuple[str, str] | None:
    """Returns two values of a type as texts, None if it is not one that identifies tenants."""
    shown = _shown_type(type_) or ""
    shown = shown.partition("(")[0]
    return _TWO.get("text" if shown == "character varying" else shown)


def _format_type(text: str) -> str:
    """Returns an expression for what the catalogue calls a type that is not PostgreSQL's own."""
    # to_regtype takes no notice of modifiers: vector(3), public.geometry(Point, 4326)[].
    found = re.fullmatch(r"(?P<name>.+?)\s*(?P<mods>\([^()\"]*\))\s*(?P<array>[\[\]\d\s]*)", text)
    if not found:
        return f"pg_catalog.format_type(pg_catalog.to_regtype({literal(text)}), null)"
    after = re.sub(r"\s", "", found["mods"]) + ("[]" if found["array"] else "")
    return f"{_format_type(found['name'])}\n             || {literal(after)}"


def columns(given: list[str]) -> list[Column]:
    """Reads columns: ``name type [not null] [default …] [-- what it means]``, each.

    Raises:
        ValueError: saying what is wrong.
    """
    found = []
    for text in given:
        sql, about = text, ""
        for token in tokens(text):
            if token.kind == "comment" and text[token.start : token.start + 2] == "--":
                sql, about = text[: token.start], text[token.start + 2 : token.end].strip()
        name, rest = _first_name(sql.strip())
        if why := fragment(rest):
            raise ValueError(f"{text!r}: {why}")
        type_, after = _type_and_rest(rest)
        if not name or not type_:
            raise ValueError(f"{text!r} is not NAME TYPE")
        found.append(Column(name, type_, after, about or f"The {name.replace('_', ' ')}."))
    names = [column.name for column in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"there are two columns {twice[0]!r}")
    return found


def _type_and_rest(text: str) -> tuple[str, str]:
    """Splits what follows the name of a column."""
    for it in _words(text):
        if text[it.start : it.end].lower() in _END_OF_TYPE:
            return text[: it.start].strip(), text[it.start :].strip()
    return text.strip(), ""


def _words(text: str) -> Iterator[Token]:
    """Yields the words that no quotes or parentheses hold."""
    depth = 0
    for token in tokens(text):
        if token.kind == "other":
            depth += text.count("(", token.start, token.end)
            depth -= text.count(")", token.start, token.end)
        elif token.kind == "word" and depth == 0:
            yield token


def after_type(text: str) -> str:
    """Returns what follows a type that is not part of it: ``not null``, ``generated …``."""
    return _type_and_rest(text)[1]


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a function that is to be made."""

    name: str
    type: str
    default: str

    @property
    def definition(self) -> str:
        """The parameter as CREATE FUNCTION has it."""
        default = f" default {self.default}" if self.default else ""
        return f"{identifier(self.name)} {self.type}{default}"


def arguments(given: list[str]) -> list[Argument]:
    """Reads parameters: ``name type [default …]``, each.

    Raises:
        ValueError: saying what is wrong.
    """
    found = []
    for text in given:
        name, rest = _first_name(text)
        if name.lower() in ("in", "out", "inout", "variadic"):
            raise ValueError(f"{text!r}: parameters without mode only: NAME TYPE [default …]")
        type_, default = rest, ""
        for token in tokens(rest):
            word = rest[token.start : token.end]
            if word.lower() == "default" or word in ("=", ":="):
                type_, default = rest[: token.start].strip(), rest[token.end :].strip()
                break
        why = fragment(type_) or fragment(default)
        if why:
            raise ValueError(f"{text!r}: {why}")
        if not name or not type_:
            raise ValueError(f"{text!r} is not NAME TYPE")
        if re.fullmatch(r"\$\d+", name):
            raise ValueError(f"{text!r}: PL/pgSQL itself calls a parameter so")
        found.append(Argument(name, type_, default))
    return found


@dataclass(frozen=True, slots=True)
class Key:
    """A column or an expression of an index.

    Attributes:
        sql: as CREATE INDEX has it.
        name: of the column, None if it is an expression.
        position: in the index, from 0.
    """

    sql: str
    name: str | None
    position: int

    @property
    def word(self) -> str:
        """What the name of the index says of it."""
        return self.name or "_".join(re.findall(r"\w+\b(?!\.)", self.sql))


def keys(given: list[str]) -> list[Key]:
    """Reads what an index is on: ``name``, ``name desc``, ``lower(name)``, each.

    Raises:
        ValueError: saying what is wrong.
    """
    found = []
    for position, text in enumerate(given):
        if why := fragment(text):
            raise ValueError(f"{text!r}: {why}")
        if re.match(r'"|[^\W\d][\w$]*(?:\s|\Z)', text):
            name, rest = _first_name(text)
            found.append(Key(f"{identifier(name)} {rest}".strip(), name, position))
        else:
            found.append(Key(text, None, position))
    return found
