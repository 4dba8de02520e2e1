"""The tables and their references as sources of Mermaid and PlantUML diagrams."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from integrations_db.docs.model import Column, Constraint, Model, Relation
from integrations_db.docs.words import one_line, short_type

__all__ = ["cardinality", "entity_names", "keys_of", "mermaid", "plantuml"]

# Words that Mermaid takes for something else where the name of an entity stands.
_RESERVED = re.compile(
    r"(?i)(accdescr|acctitle|aggregation|class|classdef|default|direction|end|erdiagram|many|one|"
    r"only|optionally|or|style|subgraph|title|to|u|zero|graph|flowchart|bt|lr|rl|tb|td)"
)


def cardinality(table: Relation, key: Constraint) -> tuple[str, str]:
    """Returns how many rows a foreign key connects: of what it refers to, and of its own table.

    Returns:
        ``1`` or ``0..1``, and ``0..1`` or ``0..*``.
    """
    required = all(table.column(name).required for name in key.columns)
    return "1" if required else "0..1", "0..1" if table.is_unique(key.columns) else "0..*"


_FEET = {"1": ("||", "||"), "0..1": ("|o", "o|"), "0..*": ("}o", "o{")}


def _feet(table: Relation, key: Constraint) -> str:
    referenced, own = cardinality(table, key)
    return f"{_FEET[referenced][0]}--{_FEET[own][1]}"


def keys_of(table: Relation, column: Column) -> list[str]:
    """Returns which keys a column is a part of: PK, FK, UK (of itself alone)."""
    found = ["PK"] if column.name in table.primary_key else []
    if any(column.name in key.columns for key in table.foreign_keys):
        found.append("FK")
    if "PK" not in found and table.is_unique([column.name]):
        found.append("UK")
    return found


def entity_names(
    tables: Iterable[Relation], taken: Callable[[str], bool] | None = None
) -> dict[tuple[str, str], str]:
    """Returns for each table a name of letters, digits and _ that no other has, nor is ``taken``.

    It is the table's own where that will do.
    """
    names: dict[tuple[str, str], str] = {}
    used: set[str] = set()
    for table in tables:
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", table.name) and "__" not in table.name
        name = table.name if plain else re.sub(r"[^A-Za-z0-9]+", "_", f"t_{table.full_name}")
        if name in used or (taken and taken(name)):
            name = re.sub(r"[^A-Za-z0-9]+", "_", f"t_{table.full_name}")
        base, number = name, 1
        while name in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name)
        names[table.key] = name
    return names


# -- Mermaid ------------------------------------------------------------------------------------


def _mermaid_word(value: str) -> str:
    """Returns a name or type as a word of Mermaid's: only letters, digits and some signs."""
    word = re.sub(r"[^A-Za-z0-9_()\[\]-]+", "_", one_line(value))
    # What begins like the mark of a key is taken for one.
    plain = word[:1].isalpha() and not re.match(r"(?i)(?:PK|FK|UK)(?![A-Za-z0-9_])", word)
    return word if plain else f"_{word}".replace("__", "_")


def _mermaid_text(value: str) -> str:
    """Returns a text for between double quotes; what could end or style it is left out."""
    return re.sub(r"[^\w .,:()/+-]+", "_", one_line(value)) or "_"


def mermaid(model: Model) -> str:
    """Returns the tables and their references as an ``erDiagram`` of Mermaid."""
    tables = model.tables
    names = entity_names(tables, lambda name: bool(_RESERVED.fullmatch(name)))
    idents = {it.name: it.ident for it in model.schemas}
    lines = ["erDiagram"]
    for table, key, referenced in model.references():
        label = _mermaid_text(", ".join(key.columns))
        lines.append(
            f'  {names[referenced.key]} {_feet(table, key)} {names[table.key]} : "{label}"'
        )
    for table in tables:
        name = names[table.key]
        label = "" if name == table.name else f'["{_mermaid_text(table.full_name)}"]'
        lines.append(f"  {name}{label} {{")
        for column in table.columns:
            kind = _mermaid_word(short_type(column.type, idents[table.schema]))
            marks = ", ".join(keys_of(table, column))
            lines.append(f"    {kind} {_mermaid_word(column.name)}{marks and f' {marks}'}")
        lines.append("  }")
    return "\n".join(lines)


# -- PlantUML -----------------------------------------------------------------------------------


def _plantuml_text(value: str) -> str:
    """Returns a text of which nothing is taken for markup of PlantUML."""
    shown = re.sub(
        r"[^\w .,:()\[\]/-]|(?<=[_./,-])[_./,-]",
        lambda found: f"<U+{ord(found[0]):04X}>" if ord(found[0]) < 0x10000 else "?",
        one_line(value),
    )
    return shown or "<U+0020>"


def plantuml(model: Model) -> str:
    """Returns the tables and their references as an entity diagram of PlantUML.

    A column that must have a value has a ``*``, as its information engineering diagrams have.
    """
    tables = model.tables
    names = entity_names(tables)
    idents = {it.name: it.ident for it in model.schemas}
    lines = ["@startuml", "hide circle", "hide methods", "skinparam linetype ortho", ""]
    for table in tables:
        lines.append(f'entity "{_plantuml_text(table.full_name)}" as {names[table.key]} {{')
        primary = [it for it in table.columns if it.name in table.primary_key]
        rest = [it for it in table.columns if it not in primary]
        for column in primary + rest:
            if rest and primary and column is rest[0]:
                lines.append("  --")
            kind = _plantuml_text(short_type(column.type, idents[table.schema]))
            marks = "".join(f" <<{it}>>" for it in keys_of(table, column))
            must = "* " if column.required else ""
            lines.append(f"  {{field}} {must}{_plantuml_text(column.name)} : {kind}{marks}")
        lines += ["}", ""]
    for table, key, referenced in model.references():
        label = _plantuml_text(", ".join(key.columns))
        lines.append(f"{names[referenced.key]} {_feet(table, key)} {names[table.key]} : {label}")
    return "\n".join([*lines, "@enduml"])
