"""What a database is made of, and how two databases differ in that.

``catalogue.sql`` reads every kind of object with its properties. A partition that only one of the
two has is no difference: partitions come and go while a service runs. It is compared with another
partition of the same table instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from integrations_db.registry import Connection

__all__ = ["DEPLOYER", "Catalogue", "Comparison", "Difference", "Object", "compare", "read"]

_SQL = Path(__file__).with_name("catalogue.sql")

Key = tuple[str, str]  # kind and name

DEPLOYER = "(who deploys)"  # what the role that asks is called
# What the system or an extension brought is known only by what was changed of it since.
_BROUGHT = ("system ", "extension ")
# In the place of the name of a partition, and of those above it, as many as anybody nests.
_MARKS = "*^~|&"
# A value that may be a secret, as its digest.
_HIDDEN = re.compile(r"\(hidden [0-9a-f]{32}\)")


@dataclass(slots=True)
class Object:
    """An object of a database.

    Attributes:
        kind: in PostgreSQL's words: table, column, policy, ...
        name: with its schema; for a part of a relation with that relation.
        part_of: the relation (or domain) that it goes with, if any.
        properties: what is known of it, in words; what it does not have is missing.
    """

    kind: str
    name: str
    part_of: str | None
    properties: dict[str, str] = field(default_factory=dict)


Catalogue = dict[Key, Object]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between a database and what it should be.

    Attributes:
        kind: of the object.
        name: of the object.
        change: ``missing`` and ``added``: the whole object; ``changed``: one property of it.
        property: which one.
        expected: its value where the object is as it should be; None: it should have none.
        found: its value in the database.
    """

    kind: str
    name: str
    change: Literal["missing", "added", "changed"]
    property: str | None = None
    expected: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        differences: by kind and name.
        partitions: those that only one of the two has, which is no difference.
    """

    differences: tuple[Difference, ...]
    partitions: tuple[str, ...]


def read(
    conn: Connection, ignored: Sequence[str], other: int, *, every_role: bool = False
) -> Catalogue:
    """Reads the catalogue of a connection's database.

    Args:
        conn: the connection; its search path is ours (``database.connect``).
        ignored: schemas to leave out.
        other: version number of the server of the catalogue to compare with: what only one of the
            two knows, or words in its own way, is left out.
        every_role: whether roles that own nothing here and may do nothing are read, too.

    Raises:
        psycopg.Error: it cannot be read.
    """
    found: Catalogue = {}
    own = conn.info.server_version
    values = {
        "ignored": list(ignored),
        "alike": own // 10000 == other // 10000,
        "membership": min(own, other) >= 160000,
        "maintain": min(own, other) >= 170000,
        "not_null": min(own, other) >= 180000,
        "every_role": every_role,
    }
    for kind, name, part_of, of_it, value in conn.execute(_SQL.read_bytes(), values):
        it = found.setdefault((kind, name), Object(kind, name, part_of))
        if of_it is not None and value is not None:
            it.properties[of_it] = value
    return found


def compare(expected: Catalogue, found: Catalogue, *, exact: bool = False) -> Comparison:
    """Compares a database with what it should be.

    Args:
        expected: what it should be.
        found: what it is.
        exact: whether no service is at work, so that no partition may come or go.
    """
    differences: list[Difference] = []
    here, there = _partitions(found), _partitions(expected)
    relations = _relations(expected) & _relations(found)
    one_sided = here.keys() ^ there.keys()
    # One that was detached and kept is a difference; its parts follow from that.
    detached = one_sided & relations
    both = here | there

    def comes_and_goes(name: str) -> bool:
        if name not in one_sided or name in detached:
            return False
        if both[name] in relations:
            # The default partition is made once, and stays.
            return not (name in there and _is_default(expected, name))
        return comes_and_goes(both[name])

    only_one = set() if exact else set(filter(comes_and_goes, one_sided))
    for name in sorted(only_one & here.keys()):
        line = [name]
        while here[line[-1]] in only_one:
            line.append(here[line[-1]])
        siblings = list(_lines(there, len(line), here[line[-1]]))
        differences += _beside_its_siblings(found, expected, line, siblings)
    for key in sorted(expected.keys() | found.keys()):
        should, is_ = expected.get(key), found.get(key)
        one = should or is_
        assert one is not None  # noqa: S101  # it is a key of one of the two
        if one.name in only_one or one.part_of in only_one or one.part_of in detached:
            continue
        if should is None or is_ is None:
            whole = one.part_of is None or one.part_of in relations
            if one.kind.startswith(_BROUGHT):
                nothing: dict[str, str] = {}
                differences += _changes(
                    one.kind,
                    one.name,
                    should.properties if should else nothing,
                    is_.properties if is_ else nothing,
                )
            # That there is a role, or none, shows in what it owns and may do.
            elif whole and one.kind != "role":
                differences.append(
                    Difference(one.kind, one.name, "missing" if is_ is None else "added")
                )
        else:
            differences += _changes(one.kind, one.name, should.properties, is_.properties)
    return Comparison(
        tuple(sorted(differences, key=lambda it: (it.kind, it.name, it.property or ""))),
        tuple(sorted(only_one)),
    )


def _changes(
    kind: str, name: str, expected: Mapping[str, str], found: Mapping[str, str]
) -> Iterator[Difference]:
    for of_it in sorted(expected.keys() | found.keys()):
        should, is_ = expected.get(of_it), found.get(of_it)
        if should != is_:
            yield Difference(kind, name, "changed", of_it, _shown(should), _shown(is_))


def _shown(value: str | None) -> str | None:
    """Returns a value as it may be shown."""
    return value and _HIDDEN.sub("(hidden)", value)


def _relations(catalogue: Catalogue) -> set[str]:
    """Returns the names of what has parts: relations and domains."""
    return {it.name for it in catalogue.values() if it.part_of is None}


def _partitions(catalogue: Catalogue) -> dict[str, str]:
    """Returns the partitions and what they are partitions of."""
    return {
        it.name: it.properties["partition of"]
        for it in catalogue.values()
        if "partition of" in it.properties
    }


def _is_default(catalogue: Catalogue, name: str) -> bool:
    return any(
        it.properties.get("partition bound") == "DEFAULT"
        for it in catalogue.values()
        if it.name == name and it.part_of is None
    )


def _lines(partitions: Mapping[str, str], length: int, table: str) -> Iterator[list[str]]:
    """Yields the partitions so many levels below a table, each with those above it."""
    for name in partitions:
        line = [name]
        while len(line) < length and line[-1] in partitions:
            line.append(partitions[line[-1]])
        if len(line) == length and partitions.get(line[-1]) == table:
            yield line


def _beside_its_siblings(
    found: Catalogue, expected: Catalogue, line: Sequence[str], siblings: Sequence[Sequence[str]]
) -> Iterator[Difference]:
    """Yields in what a partition differs from another one that is as it should be.

    Each comes with those above it up to a table that both have.
    """
    if not siblings:
        return
    model = min(siblings, key=lambda it: (_is_default(expected, it[0]), it))
    # What is said of the default partition is not true of others.
    unlike = _is_default(expected, model[0]) and not _is_default(found, line[0])
    left_out = {"partition bound", "comment"} if unlike else {"partition bound"}
    should, is_ = _anonymous(expected, model, left_out), _anonymous(found, line, left_out)
    for kind, anonymous in sorted(should.keys() | is_.keys()):
        shown = anonymous
        for mark, name in zip(_MARKS, line, strict=False):
            shown = shown.replace(mark, name.rpartition(".")[2])
        if (kind, anonymous) not in is_:
            yield Difference(kind, shown, "missing")
        elif (kind, anonymous) not in should:
            yield Difference(kind, shown, "added")
        else:
            yield from _changes(kind, shown, should[kind, anonymous], is_[kind, anonymous])


def _anonymous(
    catalogue: Catalogue, line: Sequence[str], left_out: Collection[str]
) -> dict[Key, dict[str, str]]:
    """Returns a partition and its parts, with marks in the place of its name and those above it."""
    partition = line[0]
    # The longest first: one name may begin another.
    marks = sorted(zip(line, _MARKS, strict=False), key=lambda it: -len(it[0]))
    named = [(_named_after(name), rf"\1{mark}\2") for name, mark in marks]

    def anonymous(text: str) -> str:
        for pattern, mark in named:
            text = pattern.sub(mark, text)
        return text

    return {
        (it.kind, anonymous(it.name)): {
            of_it: anonymous(value)
            for of_it, value in it.properties.items()
            if of_it not in left_out
        }
        for it in catalogue.values()
        if (it.name == partition and it.part_of is None) or it.part_of == partition
    }


def _named_after(partition: str) -> re.Pattern[str]:
    """Returns a pattern of its name, and of what is named after it: not of all such letters."""
    schema, _, name = partition.rpartition(".")
    bare = re.escape(name.strip('"'))
    return re.compile(
        rf"((?<![\w$]){re.escape(schema)}\.|^|(?<=INDEX )|(?<=TRIGGER ))"
        rf'(?:"{bare}(_[^"]*)?"|{bare}(?=_|\W|$))'
    )
