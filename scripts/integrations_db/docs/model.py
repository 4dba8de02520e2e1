"""What the documents tell of a database, as ``model.sql`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from integrations_db.catalogue import DEPLOYER
from integrations_db.registry import Connection

__all__ = [
    "Argument",
    "Column",
    "Constraint",
    "Function",
    "Grant",
    "Index",
    "Model",
    "Policy",
    "Relation",
    "Role",
    "Schema",
    "Trigger",
    "Type",
    "read",
]

_SQL = Path(__file__).with_name("model.sql")

# By this our scripts know the roles that they have made; nobody else wants to read it.
_ROLE_MARK = r"\s*Created by integrations-db\.$"
# How our functions tell in their COMMENT who may call them, and which errors they raise.
_CALLABLE = re.compile(r"\s*\bCallable by [^.]*\.\s*\Z")
_ERRORS = re.compile(r"\bErrors:\s*(.*?)(?:\.\s*|\s*)\Z", re.DOTALL)
_CODE = r"(?=[A-Z]*[0-9])[0-9A-Z]{5}\b"
_ERROR = re.compile(rf"({_CODE})\s*(.*?)(?=,\s*{_CODE}|\Z)")
_RAISE = re.compile(r"\braise\s+exception\s+'((?:[^']|'')*)'([^;]*);", re.IGNORECASE)
_ERRCODE = re.compile(r"\berrcode\s*=\s*'([0-9A-Z]{5})'", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A privilege of a role on an object: ``select``, ``execute``, ..."""

    role: str
    privilege: str
    grantable: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``generated`` is its expression, ``identity`` when it may be overridden."""

    name: str
    position: int
    type: str
    required: bool
    default: str | None
    generated: str | None
    identity: str | None
    comment: str | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint; its type is PostgreSQL's letter: p, u, f, c or x."""

    name: str
    type: str
    definition: str
    comment: str | None
    inherited: bool
    columns: tuple[str, ...]
    referenced: tuple[str, str] | None
    referenced_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An index; ``columns`` only if it covers every row by plain columns."""

    name: str
    definition: str
    unique: bool
    valid: bool
    comment: str | None
    constraint: str | None
    parent: str | None
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a person, not one of a constraint."""

    name: str
    timing: str
    events: tuple[str, ...]
    update_of: tuple[str, ...]
    each: str
    condition: str | None
    enabled: str
    function_schema: str
    function: str
    inherited: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of row-level security."""

    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None
    comment: str | None

    @property
    def new_rows(self) -> str | None:
        """What is demanded of rows that are written, if it is not what is demanded of all."""
        return self.check if self.check != self.using else None


@dataclass(slots=True)
class Relation:
    """A table or view with its parts, in the order of their names, columns in their own.

    Attributes:
        partition_of: schema and name of the table that it is a partition of, if it is one.
        bound: of the partition.
        inherits: names of the tables that it inherits from, partitions aside.
    """

    schema: str
    name: str
    owner: str
    comment: str | None
    grants: tuple[Grant, ...]
    kind: str
    row_security: bool
    forced: bool
    unlogged: bool
    security_invoker: bool
    partitioned_by: str | None
    partition_of: tuple[str, str] | None
    bound: str | None
    inherits: tuple[str, ...]
    columns: list[Column] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name

    @property
    def full_name(self) -> str:
        """The name with the schema."""
        return f"{self.schema}.{self.name}"

    @property
    def is_table(self) -> bool:
        """Tells it from views."""
        return self.kind in ("table", "foreign table")

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return next((it.columns for it in self.constraints if it.type == "p"), ())

    @property
    def foreign_keys(self) -> list[Constraint]:
        """The foreign keys."""
        return [it for it in self.constraints if it.type == "f"]

    def column(self, name: str) -> Column:
        """Returns a column."""
        return next(it for it in self.columns if it.name == name)

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Tells whether no two rows can have the same values in these columns."""
        given = set(columns)
        return any(it.unique and it.columns and set(it.columns) <= given for it in self.indexes)

    def privileges(self, role: str) -> dict[str, list[str] | None]:
        """Returns what a role may do: with the whole (None), or with these columns."""
        found: dict[str, list[str] | None] = {
            it.privilege: None for it in self.grants if it.role == role
        }
        for column in self.columns:
            for it in column.grants:
                if it.role == role and found.get(it.privilege, []) is not None:
                    found.setdefault(it.privilege, [])
                    found[it.privilege].append(column.name)  # type: ignore[union-attr]
        return dict(sorted(found.items()))

    @property
    def grantees(self) -> list[str]:
        """The roles that may do something, the owner aside."""
        return sorted(
            {it.role for it in self.grants}
            | {it.role for column in self.columns for it in column.grants}
        )


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument; its mode is PostgreSQL's letter: i, o, b (both), v (variadic), t (table)."""

    name: str
    mode: str
    type: str
    default: str | None


@dataclass(frozen=True)
class Function:
    """A function, procedure or aggregate.

    Attributes:
        identity: the types that tell it from others of its name, with the names of arguments.
        source: of PL/pgSQL only, for the messages of its errors.
    """

    schema: str
    name: str
    owner: str
    identity: str
    kind: str
    arguments: tuple[Argument, ...]
    returns: str | None
    set: bool
    language: str
    definer: bool
    strict: bool
    volatility: str
    source: str | None
    comment: str | None
    grants: tuple[Grant, ...]

    @property
    def full_name(self) -> str:
        """The name with the schema."""
        return f"{self.schema}.{self.name}"

    @property
    def is_trigger(self) -> bool:
        """Tells whether nobody calls it but a trigger."""
        return self.returns in ("trigger", "event_trigger")

    @property
    def callers(self) -> list[str]:
        """The roles that may execute it, the owner aside."""
        return sorted({it.role for it in self.grants if it.privilege == "execute"})

    @property
    def description(self) -> str:
        """The COMMENT without who may call it and its errors, which are told apart."""
        text = _ERRORS.sub("", self.comment or "") if self.tells_errors else self.comment or ""
        return " ".join(_CALLABLE.sub("", text).split())

    @property
    def tells_errors(self) -> bool:
        """Tells whether the COMMENT has ``Errors:`` with codes, or ``Errors: none``."""
        told = _ERRORS.search(self.comment or "")
        return bool(told and re.match(rf"none\b|{_CODE}", told[1]))

    @cached_property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """The SQLSTATEs that its COMMENT names, each with the condition that stands there."""
        told = _ERRORS.search(self.comment or "") if self.tells_errors else None
        if not told:
            return ()
        text = " ".join(told[1].split())
        return tuple((code, why.strip()) for code, why in _ERROR.findall(text))

    @cached_property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """The SQLSTATEs that its body raises by a literal, each with its message."""
        found = []
        for message, using in _RAISE.findall(self.source or ""):
            for code in _ERRCODE.findall(using):
                found.append((code, message.replace("''", "'")))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Type:
    """An enum, domain, range or composite type."""

    schema: str
    name: str
    comment: str | None
    kind: str
    labels: tuple[str, ...]
    base: str | None
    required: bool
    default: str | None
    checks: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    @property
    def full_name(self) -> str:
        """The name with the schema."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Role:
    """A role that owns something, may do something, or is named by a policy."""

    name: str
    comment: str | None
    login: bool
    powers: tuple[str, ...]
    member_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema; ``ident`` is its name as SQL writes it."""

    name: str
    ident: str
    owner: str
    comment: str | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Model:
    """A database, as the documents tell it; everything in the order of names.

    Attributes:
        name: of the project.
        relations: tables and views; partitions among them.
    """

    name: str
    schemas: tuple[Schema, ...]
    relations: tuple[Relation, ...]
    functions: tuple[Function, ...]
    types: tuple[Type, ...]
    roles: tuple[Role, ...]

    @property
    def tables(self) -> list[Relation]:
        """The tables; a partition is told with the table that it is one of."""
        return [it for it in self.relations if it.is_table and it.partition_of is None]

    @property
    def views(self) -> list[Relation]:
        """The views, materialized ones among them."""
        return [it for it in self.relations if not it.is_table]

    def relation(self, full_name: str) -> Relation | None:
        """Returns the table or view of a name with its schema."""
        return next((it for it in self.relations if it.full_name == full_name), None)

    def partitions(self, table: Relation) -> list[Relation]:
        """Returns the partitions of a table."""
        return [it for it in self.relations if it.partition_of == table.key]

    def named(self, full_name: str) -> list[Function]:
        """Returns the functions of a name with its schema; overloaded ones are several."""
        return [it for it in self.functions if it.full_name == full_name]

    @cached_property
    def error_codes(self) -> dict[str, list[Function]]:
        """The SQLSTATEs that comments tell, each with the functions that do."""
        found: dict[str, list[Function]] = {}
        for function in self.functions:
            for code, _ in function.errors:
                found.setdefault(code, []).append(function)
        return dict(sorted(found.items()))

    def error_messages(self, code: str) -> list[str]:
        """Returns the messages of a SQLSTATE, as the bodies of functions have them."""
        return sorted(
            {text for it in self.functions for raised, text in it.messages if raised == code}
        )

    def references(self) -> Iterator[tuple[Relation, Constraint, Relation]]:
        """Yields the foreign keys between these tables: who has it, the key, what it refers to."""
        tables = {it.key: it for it in self.tables}
        for table in self.tables:
            for key in table.foreign_keys:
                if key.referenced in tables:
                    yield table, key, tables[key.referenced]

    def only(self, schemas: Sequence[str]) -> Model:
        """Returns the part of it that is in some schemas; all roles stay."""
        return Model(
            self.name,
            tuple(it for it in self.schemas if it.name in schemas),
            tuple(it for it in self.relations if it.schema in schemas),
            tuple(it for it in self.functions if it.schema in schemas),
            tuple(it for it in self.types if it.schema in schemas),
            self.roles,
        )


def read(
    conn: Connection,
    name: str,
    ignored: Sequence[str],
    deployer: str | None,
    schemas: Sequence[str] = (),
) -> Model:
    """Reads a database.

    Args:
        conn: a connection to it; its search path is ours (``database.connect``).
        name: of the project.
        ignored: schemas to leave out.
        deployer: the role that deployed, which is called something else on other servers.
        schemas: the only ones to read; none: all.

    Raises:
        psycopg.Error: it cannot be read.
    """
    values = {
        "ignored": list(ignored),
        "schemas": list(schemas) or None,
        "deployer": deployer,
        "who_deploys": DEPLOYER,
        "role_mark": _ROLE_MARK,
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, it in conn.execute(_SQL.read_bytes(), values):
        found.setdefault(kind, []).append(_frozen(it))
    relations: dict[tuple[str, str], Relation] = {}
    for it in sorted(found.get("relation", ()), key=_by_name):
        relations[it["schema"], it["name"]] = Relation(**it)
    for kind, make, parts in (
        ("column", Column, "columns"),
        ("constraint", Constraint, "constraints"),
        ("index", Index, "indexes"),
        ("trigger", Trigger, "triggers"),
        ("policy", Policy, "policies"),
    ):
        for it in sorted(found.get(kind, ()), key=_by_name):
            of = relations[it.pop("schema"), it.pop("relation")]
            getattr(of, parts).append(make(**it))
    order = "pufcx"
    for relation in relations.values():
        relation.columns.sort(key=lambda it: it.position)
        relation.constraints.sort(key=lambda it: order.index(it.type))
    functions = [
        Function(**(it | {"arguments": tuple(Argument(**one) for one in it["arguments"])}))
        for it in sorted(found.get("function", ()), key=_by_name)
    ]
    types = [Type(**it) for it in sorted(found.get("type", ()), key=_by_name)]
    filled = {it.schema for it in relations.values()}
    filled |= {it.schema for it in functions} | {it.schema for it in types}
    return Model(
        name,
        tuple(
            Schema(**it)
            for it in sorted(found.get("schema", ()), key=_by_name)
            if it["name"] in filled
        ),
        tuple(relations.values()),
        tuple(functions),
        tuple(types),
        tuple(Role(**it) for it in sorted(found.get("role", ()), key=_by_name)),
    )


def _by_name(it: dict[str, Any]) -> tuple[str, ...]:
    return it.get("schema", ""), it.get("relation", ""), it["name"], it.get("identity", "")


def _frozen(it: dict[str, Any]) -> dict[str, Any]:
    """Makes tuples of lists, those of grants and roles in order."""
    made: dict[str, Any] = {}
    for name, value in it.items():
        if name == "grants":
            made[name] = tuple(sorted(Grant(**one) for one in value))
        elif name in ("roles", "member_of"):
            made[name] = tuple(sorted(value or ()))
        elif isinstance(value, list):
            made[name] = tuple(tuple(one) if isinstance(one, list) else one for one in value)
        else:
            made[name] = value
    return made
