"""A project of another company's, with a change of every kind that ``add`` knows."""

# ruff: noqa: S608  # SQL is put together from the constants below

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from integrations_db import scaffold

__all__ = ["CHANGES", "EXAMPLES", "PAGE", "Addition", "empty_project", "write_every_kind"]

# Roles belong to the server, which several processes of pytest share.
SCHEMA = "scaffold_app"
OWNER = f"scaffold_owner_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
READER = f"scaffold_reader_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@dataclass(frozen=True, slots=True)
class Addition:
    """What one ``add`` is given."""

    kind: str
    name: str
    requires: Sequence[str] = ()
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The same on the command line."""
        given = [("-r", it) for it in self.requires]
        given += [("-s", f"{key}={it}") for key, all_ in self.variables.items() for it in all_]
        options = [text for pair in given for text in pair]
        return ["add", self.name, "-t", self.kind, "-n", f"Add {self.name}", *options]


def _add(kind: str, name: str, *requires: str, **variables: str | list[str]) -> Addition:
    listed = {k: [v] if isinstance(v, str) else v for k, v in variables.items()}
    return Addition(kind, name, requires, listed)


ORDERS = "tables/orders"
CHANGES = (
    _add("role", f"roles/{OWNER}", member="true"),
    _add("role", f"roles/{READER}", login="true"),
    _add("schema", f"schemas/{SCHEMA}", f"roles/{OWNER}", f"roles/{READER}", users=READER),
    _add("enum", "types/order_status", f"schemas/{SCHEMA}", labels="draft,sent,it's paid"),
    _add(
        "table",
        "tables/customers",
        f"schemas/{SCHEMA}",
        columns=[
            "name text not null -- What we call them; 100 % theirs",
            "credit numeric(10, 2) default 0 check (credit >= 0)",
            "tags text[]",
            "since timestamptz(3)",
            "number bigint generated always as identity",
            "initial text generated always as (pg_catalog.left(name, 1)) stored",
        ],
        readers=READER,
    ),
    _add(
        "tenant_table",
        ORDERS,
        "types/order_status",
        f"roles/{READER}",
        columns=f"title text not null, status {SCHEMA}.order_status not null default 'draft', "
        "amount bigint not null",
        readers=READER,
    ),
    _add("column", f"{ORDERS}_002_region", ORDERS, table="orders", column="region", type="text",
         default="'eu'", readers=READER),
    _add("column", f"{ORDERS}_003_token", ORDERS, table="orders", column="token", type="uuid",
         default="pg_catalog.gen_random_uuid()"),
    _add("not_null", f"{ORDERS}_004_region_not_null", f"{ORDERS}_002_region", table="orders",
         column="region"),
    _add("constraint", f"{ORDERS}_005_amount_is_positive", ORDERS, table="orders",
         definition="check (amount >= 0)"),
    _add("column", f"{ORDERS}_006_customer", ORDERS, "tables/customers", table="orders",
         column="customer_id", type="uuid"),
    _add("constraint", f"{ORDERS}_007_customer_id_fkey", f"{ORDERS}_006_customer", table="orders",
         definition=f"foreign key (customer_id) references {SCHEMA}.customers (id)"),
    _add("index", f"{ORDERS}_008_created_at_idx", ORDERS, table="orders",
         columns="tenant_id, created_at desc"),
    _add("index", f"{ORDERS}_009_title_idx", ORDERS, table="orders", unique="true",
         columns="tenant_id, pg_catalog.lower(title)", where="region is not null"),
    _add("enum_label", "types/order_status_002_cancelled", "types/order_status", ORDERS,
         enum="order_status", label="cancelled", after="sent"),
    _add("function", "functions/count_orders", ORDERS, returns="integer", volatility="stable",
         arguments=f"status {SCHEMA}.order_status, since timestamptz default null",
         callers=READER),
    _add("definer_function", "functions/purge_orders", ORDERS, callers=READER,
         arguments="before timestamptz", returns="table (id uuid, note text)"),
    _add("trigger", "triggers/customers_touch", "tables/customers", table="customers"),
    _add("view", "views/customer_names", "tables/customers",
         query=f"select c.id, c.name from {SCHEMA}.customers as c", columns="id, name",
         readers=READER),
    # Of a table that names no readers: grants tells all that its role has there.
    _add("table", "tables/receipts", f"schemas/{SCHEMA}", f"roles/{READER}",
         columns="amount bigint"),
    _add("grants", f"grants/{READER}", "tables/receipts", role=READER, tables="receipts",
         privileges="select, insert"),
)  # fmt: skip


PAGE = (Path(__file__).parents[2] / "docs/templates.md").read_text()
EXAMPLES = [shlex.split(it) for it in re.findall(r"^\$ integrations-db (.*)$", PAGE, re.MULTILINE)]


def empty_project(folder: Path, settings: str = "") -> Path:
    """Writes a project without changes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sqitch.plan").write_text("%syntax-version=1.0.0\n%project=shop\n\n")
    (folder / "sqitch.conf").write_text(f"[core]\n\tengine = pg\n{settings}")
    return folder


def write_every_kind(folder: Path) -> Path:
    """Writes the project."""
    empty_project(folder, f'[add "variables"]\n\tschema = {SCHEMA}\n\towner = {OWNER}\n')
    for it in CHANGES:
        request = scaffold.Request(it.name, it.kind, it.requires, (), it.variables)
        scaffold.add(folder, None, request, f"Add {it.name}", lambda _: "")
    return folder
