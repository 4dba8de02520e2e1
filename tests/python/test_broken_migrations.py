"""Migrations that are broken on purpose: each one must be found, by name and for its reason.

What finds them here is what finds them in a run of the tests: ``check``, the rules in
``tests/pgtap/style``, verify scripts, and the checks of verify and revert scripts. Scripts are
edited in memory, or in a copy of the project; what is run in a database is rolled back.

Every rule of the catalogue has a mistake here that it finds, so that none passes for want of what
it looks for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import test_migrations
from api.deployment import ROOT
from api.test_verify_scripts import fails, fails_before_and_passes_after, mutations, unnoticed
from small_project import run
from test_migrations import Run, look, there_and_back, up_down_and_up

from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.registry import Connection
from integrations_db.testing.collector import run_file
from integrations_db.testing.tap import Result


@dataclass(frozen=True, slots=True)
class Edit:
    """A mistake in one file of the project: one text where another one belongs."""

    file: str
    old: str
    new: str

    def of(self, text: str) -> str:
        """Returns the text with the mistake."""
        assert self.old in text, f"{self.file} no longer has the text that this test breaks"
        return text.replace(self.old, self.new)


def script(kind: str, change: str, edit: Edit | None) -> str:
    """Returns a script, with the mistake if that is in it."""
    file = f"{kind}/{change}.sql"
    text = (ROOT / file).read_text()
    return edit.of(text) if edit and edit.file == file else text


def inside(text: str) -> str:
    """Returns a script without its BEGIN and COMMIT or ROLLBACK, to run it in a transaction."""
    body, frames = re.subn(r"^(begin|commit|rollback);$", "", text, flags=re.MULTILINE)
    assert frames == 2
    return body


def inner(conn: Connection, edit: Edit) -> Run:
    """Returns what runs scripts in the transaction that we are in, one of them with a mistake."""

    def run(kind: str, change: str) -> None:
        with conn.transaction(force_rollback=kind == "verify"):
            conn.execute(inside(script(kind, change, edit)).encode())

    return run


@pytest.fixture
def conn(worker_database: str) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back, where everything is deployed."""
    with closing(connect(Target(worker_database), lambda _: None)) as conn:
        with conn.transaction(force_rollback=True):
            yield conn


# -- what reading the files tells -----------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project; a test puts back what it breaks."""
    project = tmp_path_factory.mktemp("project")
    for folder in ("deploy", "revert", "verify"):
        shutil.copytree(ROOT / folder, project / folder)
    for file in ("sqitch.plan", "sqitch.conf"):
        shutil.copy(ROOT / file, project / file)
    return project


FILES = {
    "no revert script": (
        Edit("sqitch.plan", "views/key_overview [", "views/keys ["),
        '"views/keys" has no revert script: revert/views/keys.sql does not exist',
    ),
    "begin without commit": (
        Edit("deploy/views/key_overview.sql", "\ncommit;\n", "\n"),
        "deploy/views/key_overview.sql:4: error: BEGIN without COMMIT",
    ),
    "a revert that is left open": (
        Edit("revert/views/key_overview.sql", "\ncommit;\n", "\n"),
        "revert/views/key_overview.sql:3: error: BEGIN without COMMIT",
    ),
    "out of order": (
        Edit("sqitch.plan", "integrations [roles", "integrations [views/key_overview roles"),
        "views/key_overview",
    ),
    "a dependency that is not in the plan": (
        Edit("sqitch.plan", "views/key_overview [", "views/key_overview [views/overview "),
        "views/overview",
    ),
    "a dependency that only the script knows": (
        Edit(
            "deploy/views/key_overview.sql",
            "to pg\n",
            "to pg\n-- requires: tables/read_leases\n",
        ),
        "deploy/views/key_overview.sql:2: warning: the header says requires: "
        "integrations:tables/read_leases; the plan does not",
    ),
    "the header of another change": (
        Edit("verify/views/key_overview.sql", "views/key_overview on", "views/audit_trail on"),
        "verify/views/key_overview.sql:1: warning: the header says Verify"
        " integrations:views/audit_trail",
    ),
}


@pytest.mark.static
@pytest.mark.parametrize("name", FILES)
def test_check_finds_it(copy: Path, name: str) -> None:
    edit, expected = FILES[name]
    path = copy / edit.file
    intact = path.read_text()
    path.write_text(edit.of(intact))
    try:
        done = run(copy, "check", "--strict")
    finally:
        path.write_text(intact)
    assert done.returncode == 1, done.stdout + done.stderr
    assert expected in done.stdout + done.stderr


DEPLOYED = {
    "an edited deploy script": (
        Edit("deploy/policies/read_leases.sql", "for all to", "for select to"),
        "deploy/policies/read_leases.sql",
    ),
    "an edited line of the plan": (
        Edit("sqitch.plan", "# Add the role that owns every", "# Make the role that owns every"),
        'the database has "roles/integrations_owner"',
    ),
}


@pytest.mark.parametrize("name", DEPLOYED)
def test_check_finds_what_was_deployed_otherwise(
    copy: Path, worker_database: str, name: str
) -> None:
    edit, expected = DEPLOYED[name]
    path = copy / edit.file
    intact = path.read_text()
    path.write_text(edit.of(intact))
    try:
        done = run(copy, "check", worker_database)
    finally:
        path.write_text(intact)
    assert done.returncode == 4, done.stdout + done.stderr
    assert expected in done.stdout + done.stderr


# -- what the catalogue tells ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broken:
    """A migration with a mistake.

    Attributes:
        mistake: in a deploy script that nothing else is built on, which is reverted and deployed
            anew; or the statements in which the mistake is, where all else would have to go first.
        rule: the pgTAP file that finds it.
        told: what a failed assertion of it says: the object and the reason.
        change: whose verify script finds it, too.
    """

    mistake: Edit | str
    rule: str
    told: tuple[str, ...]
    change: str | None = None

    @property
    def statements(self) -> str:
        """What makes the mistake where everything is deployed."""
        if isinstance(self.mistake, str):
            return self.mistake
        change = self.mistake.file.removeprefix("deploy/").removesuffix(".sql")
        back, anew = script("revert", change, None), script("deploy", change, self.mistake)
        # The scripts pin the search path of their transaction; pgTAP is in public.
        return f"{inside(back)}\n{inside(anew)}\nset local search_path = public;"


READ_LEASES = "deploy/policies/read_leases.sql"
GET = "deploy/functions/get_credentials.sql"
KEY_OVERVIEW = "deploy/views/key_overview.sql"
NEW_FUNCTION = (
    "create function integrations.more() returns integer language sql begin atomic select 1; end;"
)

RULES = {
    "a policy for the wrong role": Broken(
        Edit(READ_LEASES, "integrations_tenant,", "integrations_admin,"),
        "style/row_security",
        ("the policies are these", "read_leases", "integrations_admin integrations_owner"),
        "policies/read_leases",
    ),
    "a policy for everybody": Broken(
        Edit(READ_LEASES, "integrations_owner, integrations_tenant, svc_integration", "public"),
        "style/row_security",
        ("the policies are these", "read_leases,tenant_all,t,*,-"),
        "policies/read_leases",
    ),
    "a policy that lets all rows through": Broken(
        Edit(READ_LEASES, "using (tenant_id = integrations.current_tenant())", "using (true)"),
        "style/row_security",
        ("the policies are these", "read_leases", "svc_integration", "true"),
        "policies/read_leases",
    ),
    "a policy that checks no new rows": Broken(
        Edit(READ_LEASES, "with check (tenant_id = integrations.current_tenant())", ""),
        "style/row_security",
        ("the policies are these", "read_leases"),
        "policies/read_leases",
    ),
    "a second policy": Broken(
        "create policy owner_select on integrations_private.read_leases for select"
        " to integrations_owner using (true);",
        "style/row_security",
        ("at most one policy is for a role", "read_leases", "owner_select tenant_all"),
        "policies/read_leases",
    ),
    "a policy by a function that is not stable": Broken(
        "create policy owner_select on integrations_private.read_leases for select"
        " to integrations_keymaster using (id <> pg_catalog.gen_random_uuid()"
        " and tenant_id = integrations_private.require_tenant());",
        "style/row_security",
        ("policies call current_tenant alone", "integrations_private.require_tenant()"),
        "policies/read_leases",
    ),
    "a lost comment": Broken(
        "comment on policy tenant_all on integrations_private.read_leases is null;",
        "style/comments",
        ("policy tenant_all on integrations_private.read_leases has a comment",),
        "policies/read_leases",
    ),
    "a lost comment of a column": Broken(
        "comment on column integrations_private.tenant_keys.wrapped is null;",
        "style/comments",
        ("column integrations_private.tenant_keys.wrapped has a comment",),
        "tables/tenant_keys",
    ),
    "a comment that names other callers": Broken(
        Edit(GET, "Callable by svc_integration.", "Callable by integrations_tenant."),
        "style/comments",
        ("the comment of get_credentials names its callers", "integrations_tenant"),
    ),
    "a definer without a search path": Broken(
        Edit(GET, "set search_path = pg_catalog, pg_temp\nset row", "set row"),
        "style/functions",
        ("get_credentials runs with exactly these settings",),
        "functions/get_credentials",
    ),
    "a definer with a path of the caller": Broken(
        Edit(GET, "set search_path = pg_catalog, pg_temp\nset row",
             "set search_path = public, pg_catalog\nset row"),
        "style/functions",
        ("get_credentials runs with exactly these settings", "public"),
        "functions/get_credentials",
    ),
    "a function that is no longer a definer": Broken(
        Edit(GET, "security definer\n", "security invoker\n"),
        "style/functions",
        ("the definer functions are these", "get_credentials"),
        "functions/get_credentials",
    ),
    "a definer that belongs to the wrong role": Broken(
        Edit(GET, "owner to integrations_owner", "owner to integrations_keymaster"),
        "style/ownership",
        ("functions belong to integrations_owner", "integrations.get_credentials(uuid)"),
        "functions/get_credentials",
    ),
    "a function that is left to everybody": Broken(
        Edit(GET, "revoke all on function", "-- revoke all on function"),
        "style/privileges",
        ("PUBLIC has nothing", "integrations.get_credentials(uuid)", "EXECUTE"),
        "functions/get_credentials",
    ),
    "a function for one role too many": Broken(
        Edit(GET, "uuid) to svc_integration;", "uuid) to svc_integration, integrations_tenant;"),
        "style/privileges",
        ("privileges on functions", "integrations.get_credentials(uuid)", "integrations_tenant"),
        "functions/get_credentials",
    ),
    "a function that writes secrets to the log": Broken(
        "create or replace function integrations_private.check_config(config jsonb) returns void"
        " language plpgsql stable set search_path = pg_catalog, pg_temp"
        " as $$ begin raise log 'config %', config; end $$;",
        "style/functions",
        ("only functions that take no secret write to the server's log", "check_config"),
    ),
    "a leakproof function": Broken(
        "alter function integrations.current_tenant() leakproof;",
        "style/functions",
        ("no function is leakproof", "integrations.current_tenant()"),
        "functions/current_tenant",
    ),
    "an immutable function that reads a setting": Broken(
        "alter function integrations.current_tenant() immutable;",
        "style/functions",
        ("no immutable function reads a setting", "integrations.current_tenant()"),
        "functions/current_tenant",
    ),
    "a strict function": Broken(
        "alter function integrations.set_tenant(uuid) strict;",
        "style/functions",
        ("no function is strict", "integrations.set_tenant(uuid)"),
        "functions/set_tenant",
    ),
    "a renamed parameter": Broken(
        Edit(GET, "create function integrations.get_credentials(instance_id uuid)",
             "create function integrations.get_credentials(instance uuid)"),
        "style/functions",
        ("the callable functions have these parameters", "instance uuid"),
    ),
    "an overload": Broken(
        "create function integrations.unlock(kek text) returns integer language sql"
        " begin atomic select 1; end;",
        "style/inventory",
        ("no function has overloads", "unlock"),
    ),
    "a function that is not listed": Broken(
        NEW_FUNCTION, "style/inventory", ("integrations", "Extra functions", "more")
    ),
    "a function that PUBLIC was born with": Broken(
        NEW_FUNCTION, "style/privileges", ("PUBLIC has nothing", "integrations.more()")
    ),
    "a procedure": Broken(
        "create procedure integrations.more() language sql begin atomic select 1; end;",
        "style/inventory",
        ("there are no procedures", "integrations.more()"),
    ),
    "an operator": Broken(
        "create operator integrations.=== (leftarg = uuid, rightarg = uuid, function = uuid_eq);",
        "style/inventory",
        ("relations, functions and types, and nothing else", "pg_operator"),
    ),
    "a table that is not listed": Broken(
        "create table integrations.more (id uuid);",
        "style/inventory",
        ("Extra tables", "more"),
    ),
    "a table without row-level security": Broken(
        "create table integrations.more (id uuid);",
        "style/row_security",
        ("without it are only the three tables", "integrations.more"),
    ),
    "a table of the deployer": Broken(
        "create table integrations.more (id uuid);",
        "style/ownership",
        ("relations belong to integrations_owner", "integrations.more"),
    ),
    "a table without a primary key": Broken(
        "create table integrations.more (id uuid);",
        "style/tables",
        ("integrations.more has a primary key",),
    ),
    "a table that does not hold its owner": Broken(
        "alter table integrations_private.tenant_keys no force row level security;",
        "style/row_security",
        ("integrations_private.tenant_keys has row-level security, also for its owner", "(t,f)"),
        "tables/tenant_keys",
    ),
    "an unlogged table": Broken(
        "alter table integrations_private.read_leases set unlogged;",
        "style/tables",
        ("integrations_private.read_leases survives a crash", "u"),
    ),
    "a table that is never vacuumed": Broken(
        "alter table integrations_private.read_leases set (autovacuum_enabled = false);",
        "style/tables",
        ("no table has other settings", "integrations_private.read_leases", "autovacuum_enabled"),
    ),
    "a column that is not listed": Broken(
        "alter table integrations_private.read_leases add column more text;",
        "tables/read_leases",
        ("Extra columns", "more"),
        "tables/read_leases",
    ),
    "a time without a zone": Broken(
        "alter table integrations_private.read_leases add column more_at timestamp;",
        "style/tables",
        ("columns are of these types", "timestamp without time zone"),
        "tables/read_leases",
    ),
    "a name that needs quotes": Broken(
        'alter table integrations_private.read_leases add column "Other" text;',
        "style/names",
        ("lower-case letters", "column Other of integrations_private.read_leases"),
        "tables/read_leases",
    ),
    "a reserved word": Broken(
        'alter table integrations_private.read_leases add column "user" text;',
        "style/names",
        ("reserved word", "column user of integrations_private.read_leases"),
        "tables/read_leases",
    ),
    "ciphertext out of the reach of rotation": Broken(
        "alter table integrations.integration_instances add column refresh_token bytea;",
        "style/rotation",
        ("is known to rotation", "integrations.integration_instances,refresh_token"),
        "tables/integration_instances",
    ),
    "ciphertext with statistics": Broken(
        "alter table integrations.integration_instances"
        " alter column credentials set statistics 100;",
        "style/statistics",
        ("integrations.integration_instances.credentials has no statistics",),
        "tables/integration_instances",
    ),
    "statistics of several columns": Broken(
        "create statistics integrations.more on tenant_id, credentials"
        " from integrations.integration_instances;",
        "style/statistics",
        ("there are no extended statistics", "integrations.integration_instances,more"),
    ),
    "credentials for administrators": Broken(
        Edit("deploy/grants/integrations_admin.sql", "   to integrations_admin;",
             "   to integrations_admin;\ngrant select (credentials)\n"
             "   on integrations.integration_instances\n   to integrations_admin;"),
        "style/privileges",
        ("credentials are for svc_integration alone", "integrations_admin"),
        "grants/integrations_admin",
    ),
    "a privilege that can be passed on": Broken(
        Edit("deploy/grants/integrations_admin.sql", "   to integrations_admin;",
             "   to integrations_admin with grant option;"),
        "style/privileges",
        ("nobody may pass a privilege on", "integration_definitions", "integrations_admin"),
        "grants/integrations_admin",
    ),
    "a privilege outside": Broken(
        "create table public.more (); grant select on public.more to svc_integration;",
        "style/privileges",
        ("nothing outside of both schemas", "table more", "svc_integration"),
    ),
    "a role that reads everything": Broken(
        "grant pg_read_all_data to svc_integration;",
        "style/privileges",
        ("the roles are members of no other", "svc_integration,pg_read_all_data"),
    ),
    "a role with a setting": Broken(
        "alter role svc_integration set row_security = off;",
        "style/privileges",
        ("no settings of their own", "svc_integration", "row_security=off"),
    ),
    "an owner above row-level security": Broken(
        "alter role integrations_owner bypassrls;",
        "style/row_security",
        ("row-level security holds for integrations_owner", "(f,t)"),
        "roles/integrations_owner",
    ),
    "default privileges": Broken(
        "alter default privileges for role integrations_owner grant execute on functions"
        " to svc_integration;",
        "style/ownership",
        ("there are no default privileges", "integrations_owner", "svc_integration=X"),
    ),
    "a foreign key without an index": Broken(
        "drop index integrations.integration_instances_integration_id_idx;",
        "style/constraints",
        ("an index serves the foreign key integration_instances_integration_id_fkey",),
        "tables/integration_instances",
    ),
    "the same index twice": Broken(
        "create index read_leases_tenant_id_idx on integrations_private.read_leases (tenant_id);",
        "style/tables",
        ("no index is the same as another one", "read_leases_tenant_id_idx"),
    ),
    "a constraint without a name": Broken(
        "alter table integrations_private.read_leases add check (opened_at is not null);",
        "style/constraints",
        ("every check was given a name", "read_leases_opened_at_check"),
    ),
    "a constraint that does not hold for what is there": Broken(
        "alter table integrations_private.read_leases"
        " add constraint read_leases_more check (id is not null) not valid;",
        "style/constraints",
        ("every constraint holds for every row", "read_leases_more"),
    ),
    "a unique key that tells of other tenants": Broken(
        "create unique index read_leases_id_key on integrations_private.read_leases (id);",
        "style/constraints",
        ("integrations_private.read_leases_id_key begins with the tenant", "id"),
    ),
    "a view with the rights of its owner": Broken(
        Edit(KEY_OVERVIEW, "security_invoker = true, ", ""),
        "style/row_security",
        ("the view integrations.key_overview shows what its caller may see",),
        "views/key_overview",
    ),
    "a trigger that replication passes by": Broken(
        "alter table integrations_private.audit_log enable trigger _110_no_truncate;",
        "style/row_security",
        ("integrations_private.audit_log has its own guard against TRUNCATE",),
        "triggers/audit_log_append_only",
    ),
    "a trigger that is not listed": Broken(
        "create trigger more before insert on integrations_private.audit_log for each statement"
        " execute function integrations_private.tg_audit_log__append_only();",
        "style/inventory",
        ("the triggers are these", "audit_log.more"),
    ),
    "a role without a comment": Broken(
        "comment on role svc_integration is null;",
        "style/comments",
        ("role svc_integration has a comment",),
    ),
    "a schema without a comment": Broken(
        "comment on schema integrations is null;",
        "style/comments",
        ("schema integrations has a comment",),
        "schemas/integrations",
    ),
    "a type without a comment": Broken(
        "comment on type integrations_private.tenant_key_state is null;",
        "style/comments",
        ("type integrations_private.tenant_key_state has a comment",),
        "types/tenant_key_state",
    ),
    "a table without a comment": Broken(
        "comment on table integrations_private.read_leases is null;",
        "style/comments",
        ("integrations_private.read_leases has a comment",),
        "tables/read_leases",
    ),
    "a function without a comment": Broken(
        "comment on function integrations.set_tenant(uuid) is null;",
        "style/comments",
        ("function integrations.set_tenant(uuid) has a comment",),
        "functions/set_tenant",
    ),
    "a constraint without a comment": Broken(
        "comment on constraint read_leases_ends_after_it_begins on"
        " integrations_private.read_leases is null;",
        "style/comments",
        ("constraint read_leases_ends_after_it_begins has a comment",),
        "tables/read_leases",
    ),
    "a trigger without a comment": Broken(
        "comment on trigger _110_no_truncate on integrations_private.audit_log is null;",
        "style/comments",
        ("trigger _110_no_truncate on integrations_private.audit_log has a comment",),
        "triggers/audit_log_append_only",
    ),
    "a comment that conceals an error": Broken(
        "comment on function integrations_private.require_tenant() is 'The tenant.';",
        "style/comments",
        ("the comment of require_tenant tells of IN001",),
    ),
    "a function without a search path": Broken(
        "alter function integrations_private.check_name(text, text) reset search_path;",
        "style/functions",
        ("check_name has a search path that nobody can write to",),
        "functions/check_name",
    ),
    "a function that writes in a parallel worker": Broken(
        "alter function integrations.set_tenant(uuid) parallel safe;",
        "style/functions",
        ("what writes is not parallel safe", "integrations.set_tenant(uuid)"),
    ),
    "a parameter without a name": Broken(
        "create function integrations.more(uuid) returns integer language sql begin atomic"
        " select 1; end;",
        "style/functions",
        ("every parameter has a name", "integrations.more(uuid)"),
    ),
    "a function in another language": Broken(
        "create function integrations.more() returns name language internal as"
        " 'current_user';",
        "style/functions",
        ("there are no other languages", "internal"),
    ),
    "a function of SQL that is parsed at each call": Broken(
        "create function integrations.more() returns integer language sql as 'select 1';",
        "style/functions",
        ("more is SQL that was parsed when it was made",),
    ),
    "a function that runs text": Broken(
        "create function integrations.more(what text) returns void language plpgsql set"
        " search_path = pg_catalog, pg_temp as $$ begin execute what; end $$;",
        "style/functions",
        ("run text that was put together", "more"),
    ),
    "an inner function that is not listed": Broken(
        "create function integrations_private.more() returns integer language sql begin"
        " atomic select 1; end;",
        "style/inventory",
        ("Schema integrations_private", "Extra functions", "more"),
    ),
    "an inner table that is not listed": Broken(
        "create table integrations_private.more (id uuid);",
        "style/inventory",
        ("Schema integrations_private", "Extra tables", "more"),
    ),
    "a view that is not listed": Broken(
        "create view integrations.more as select 1 as one;",
        "style/inventory",
        ("Schema integrations ", "Extra views", "more"),
    ),
    "an inner view that is not listed": Broken(
        "create view integrations_private.more as select 1 as one;",
        "style/inventory",
        ("Schema integrations_private", "Extra views", "more"),
    ),
    "a materialized view": Broken(
        "create materialized view integrations.more as select 1 as one;",
        "style/inventory",
        ("integrations has no materialized view", "more"),
    ),
    "a sequence": Broken(
        "create sequence integrations.more;",
        "style/inventory",
        ("integrations has no sequence", "more"),
    ),
    "a relation of another kind": Broken(
        "create sequence integrations.more;",
        "style/inventory",
        ("there are no relations of other kinds", "more"),
    ),
    "an enum that is not listed": Broken(
        "create type integrations.more as enum ('a');",
        "style/inventory",
        ("Schema integrations ", "Extra types", "more"),
    ),
    "an inner enum that is not listed": Broken(
        "create type integrations_private.more as enum ('a');",
        "style/inventory",
        ("Schema integrations_private", "Extra types", "more"),
    ),
    "a domain": Broken(
        "create domain integrations.more as text;",
        "style/inventory",
        ("there are no domains", "integrations.more"),
    ),
    "a cast": Broken(
        "create cast (integrations.integration_instance_status as text) with inout as"
        " implicit;",
        "style/inventory",
        ("cast to others in no way of their own", "integrations.integration_instance_status"),
    ),
    "a rule": Broken(
        "create rule more as on insert to integrations.integration_definitions do instead"
        " nothing;",
        "style/inventory",
        ("there are no rules", "more"),
    ),
    "an event trigger": Broken(
        "create function public.more() returns event_trigger language plpgsql as $$ begin end"
        " $$; create event trigger more on sql_drop execute function public.more();",
        "style/inventory",
        ("there are no event triggers", "more"),
    ),
    "a publication": Broken(
        "create publication more for table integrations.integration_definitions;",
        "style/inventory",
        ("no publication sends a table", "more,integrations,integration_definitions"),
    ),
    "a name that was cut off": Broken(
        "alter table integrations_private.read_leases add column"
        " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx text;",
        "style/names",
        ("no name was cut off", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "tables/read_leases",
    ),
    "an index that does not say what it is": Broken(
        "create index read_leases_more on integrations_private.read_leases (opened_at);",
        "style/names",
        ("integrations_private.read_leases_more says what it is",),
    ),
    "a policy whose name tells no command": Broken(
        "create policy owner on integrations_private.read_leases for select to"
        " integrations_keymaster using (true);",
        "style/names",
        ("the name of a policy ends in its command", "read_leases,owner"),
        "policies/read_leases",
    ),
    "a trigger whose name tells no order": Broken(
        "create trigger more before insert on integrations_private.audit_log for each"
        " statement execute function integrations_private.tg_audit_log__append_only();",
        "style/names",
        ("the name of a trigger says when it fires", "audit_log,more"),
    ),
    "a trigger function that is not called so": Broken(
        "create function integrations_private.more() returns trigger language plpgsql as $$"
        " begin end $$;",
        "style/names",
        ("are called tg_TABLE__TASK", "integrations_private.more()"),
    ),
    "a time that is not called so": Broken(
        "alter table integrations_private.read_leases add column seen timestamptz;",
        "style/names",
        ("a time is called so", "read_leases,seen"),
        "tables/read_leases",
    ),
    "a schema of the wrong role": Broken(
        "alter schema integrations_private owner to integrations_keymaster;",
        "style/ownership",
        ("both schemas belong to integrations_owner", "integrations_private"),
        "schemas/integrations_private",
    ),
    "a type of the wrong role": Broken(
        "alter type integrations_private.tenant_key_state owner to integrations_keymaster;",
        "style/ownership",
        ("types belong to integrations_owner", "tenant_key_state"),
        "types/tenant_key_state",
    ),
    "a service that owns something": Broken(
        "create table public.more (); alter table public.more owner to svc_integration;",
        "style/ownership",
        ("roles own nothing", "svc_integration"),
    ),
    "a privilege for a role of others": Broken(
        "grant select on integrations.audit_trail to pg_monitor;",
        "style/privileges",
        ("there are no other grantees", "pg_monitor"),
        "views/audit_trail",
    ),
    "a role that may write": Broken(
        "grant insert on integrations_private.read_leases to integrations_keymaster;",
        "style/privileges",
        ("nobody may write", "read_leases", "INSERT", "integrations_keymaster"),
    ),
    "a view for one role too many": Broken(
        "grant select on integrations.key_overview to integrations_auditor;",
        "style/privileges",
        ("privileges on whole tables and views", "key_overview,integrations_auditor"),
        "views/key_overview",
    ),
    "a service that comes into the inner schema": Broken(
        "grant usage on schema integrations_private to svc_integration;",
        "style/privileges",
        ("privileges on schemas", "integrations_private,svc_integration"),
        "schemas/integrations_private",
    ),
    "a service that makes schemas": Broken(
        "do $$ begin execute pg_catalog.format('grant create on database %I to"
        " svc_integration', pg_catalog.current_database()); end $$;",
        "style/privileges",
        ("svc_integration may not create schemas",),
    ),
    "a privilege on a type": Broken(
        "grant usage on type integrations_private.tenant_key_state to svc_integration;",
        "style/privileges",
        ("types have the privileges that they are born with", "tenant_key_state"),
    ),
    "a constraint with the name of another table": Broken(
        "alter table integrations_private.read_leases add constraint other_more check (id is"
        " not null);",
        "style/constraints",
        ("constraint other_more is named after its table",),
    ),
    "a foreign key that tells of other tenants": Broken(
        "alter table integrations_private.read_leases add constraint read_leases_more foreign"
        " key (instance_id, tenant_id) references integrations.integration_instances (id,"
        " tenant_id);",
        "style/constraints",
        ("the foreign key read_leases_more begins with the tenant on both sides",),
    ),
    "a row of no tenant": Broken(
        "create table integrations.more (tenant_id uuid);",
        "style/constraints",
        ("tenant_id of integrations.more is never null",),
    ),
    "a key that can go while it is needed": Broken(
        "alter table integrations.integration_instances"
        " drop constraint integration_instances_credentials_key_id_fkey;",
        "style/rotation",
        ("a row refers to its key",),
        "tables/integration_instances",
    ),
    "another document": Broken(
        "alter table integrations.integration_instances add column more jsonb;",
        "style/rotation",
        ("the other documents are plaintext", "integration_instances,more"),
        "tables/integration_instances",
    ),
    "ciphertext that nothing writes anew": Broken(
        "alter function integrations.reencrypt_batch(integer) rename to more;",
        "style/rotation",
        ("integrations.reencrypt_batch writes integrations.integration_instances.credentials",),
        "functions/reencrypt_batch",
    ),
    "a table that nobody can read": Broken(
        "drop policy tenant_all on integrations_private.read_leases;",
        "style/row_security",
        ("only a partition is closed to all", "read_leases"),
        "policies/read_leases",
    ),
    "a policy that does not count": Broken(
        "create policy more on integrations.integration_definitions using (true);",
        "style/row_security",
        ("no policy is on a table where it does not count", "integration_definitions,more"),
    ),
    "a log that can be changed": Broken(
        "alter table integrations_private.audit_log disable trigger _100_append_only;",
        "style/row_security",
        ("integrations_private.audit_log refuses UPDATE and DELETE, always",),
        "triggers/audit_log_append_only",
    ),
    "a trigger that does not always fire": Broken(
        "alter table integrations.integration_definitions enable trigger _100_immutable;",
        "style/row_security",
        ("every trigger fires always", "integration_definitions,_100_immutable"),
        "triggers/integration_definitions_immutable",
    ),
    "a view of credentials": Broken(
        "create view integrations.more as select credentials from"
        " integrations.integration_instances;",
        "style/row_security",
        ("no view reads credentials",),
    ),
    "key material in a new column": Broken(
        "alter table integrations_private.tenant_keys add column more bytea;",
        "style/statistics",
        ("these columns hold ciphertext", "tenant_keys,more"),
        "tables/tenant_keys",
    ),
    "a column that is never analyzed": Broken(
        "alter table integrations.integration_instances alter column name set statistics 0;",
        "style/statistics",
        ("ANALYZE has read the rows",),
    ),
    "a number that counts the rows": Broken(
        "alter table integrations_private.read_leases add column more integer generated"
        " always as identity;",
        "style/tables",
        ("no id is a number", "read_leases,more"),
        "tables/read_leases",
    ),
    "an index that was not finished": Broken(
        "update pg_catalog.pg_index set indisvalid = false where indexrelid ="
        " 'integrations_private.read_leases_tenant_id_expires_at_idx'::regclass;",
        "style/tables",
        ("read_leases_tenant_id_expires_at_idx was built to its end",),
    ),
}  # fmt: skip


STYLE = sorted((ROOT / "tests/pgtap/style").glob("*_test.sql"))
READ_LEASES_TEST = ROOT / "tests/pgtap/tables/read_leases_test.sql"


@pytest.mark.static
def test_every_mistake_is_tried() -> None:
    """No mistake names a pgTAP file that is not run here."""
    files = {f"{it.parent.name}/{it.name}" for it in (*STYLE, READ_LEASES_TEST)}
    assert {f"{broken.rule}_test.sql" for broken in RULES.values()} == files


def failures(results: list[Result]) -> Iterator[str]:
    """Gives each failed assertion with all that it says."""
    for result in results:
        if not result.assertion.ok:
            yield "\n".join([result.assertion.description, *result.diagnostics])
        yield from failures(result.children)


@pytest.mark.parametrize("path", [*STYLE, READ_LEASES_TEST], ids=lambda path: path.name)
def test_the_rules_find_it(worker_database: str, path: Path) -> None:
    """Each mistake is found, and each rule has a mistake that it finds."""
    file = path.read_text()
    rule = f"{path.parent.name}/{path.name.removesuffix('_test.sql')}"
    assert "\nbegin;\n" in file
    rules = {ran.statement.text for ran in run_file(file, worker_database).ran}
    assert rules
    for name, broken in RULES.items():
        if broken.rule != rule:
            continue
        text = file.replace("\nbegin;\n", f"\nbegin;\n{broken.statements}\n")
        done = run_file(text, worker_database)
        failed = list(failures([ran.result for ran in done.ran]))
        found = [text for text in failed if all(part in text for part in broken.told)]
        assert found, "\n".join([f"{name} was not found", str(done.died), *failed])
        rules -= {ran.statement.text for ran in done.ran if not ran.result.assertion.ok}
    if path in STYLE:
        assert not rules, "no mistake shows that these can fail:\n" + "\n".join(rules)


@pytest.mark.parametrize("path", STYLE, ids=lambda path: path.name)
def test_months_keep_the_rules(worker_database: str, path: Path) -> None:
    """The partitions that a service has, and the plan has not, are made by the same rules."""
    months = "do $$ begin perform integrations.maintain_audit(); end $$;"
    text = path.read_text().replace("\nbegin;\n", f"\nbegin;\n{months}\n")
    done = run_file(text, worker_database)
    failed = [text.splitlines()[0] for text in failures([ran.result for ran in done.ran])]
    assert (done.died, bool(done.ran)) == (None, True)
    # That there are more of them is all that there is to tell.
    told = ["Schema integrations_private should have the correct tables", "the triggers are these"]
    assert failed == (told if path.name == "inventory_test.sql" else [])


@pytest.mark.parametrize("name", [name for name, it in RULES.items() if it.change])
def test_so_does_the_verify_script(conn: Connection, name: str) -> None:
    broken = RULES[name]
    assert broken.change is not None
    conn.execute(broken.statements.encode())
    assert fails(conn, broken.change)


# -- what reverts leave ---------------------------------------------------------------------------


REVERTS = {
    "a revert that leaves a grant": (
        Edit(
            "revert/grants/svc_integration.sql",
            "revoke select on integrations.integration_definitions from svc_integration;",
            "",
        ),
        "table integrations.integration_definitions changed, privileges of svc_integration",
    ),
    "a revert that leaves the grant of a column": (
        Edit("revert/grants/svc_integration.sql", "  credentials,\n", ""),
        "column integrations.integration_instances.credentials changed, privileges of",
    ),
    "a revert that takes another grant": (
        Edit(
            "revert/grants/integrations_keymaster_002_refresh_leases.sql",
            "\ncommit;",
            "revoke all on integrations_private.tenant_keys from integrations_keymaster;\ncommit;",
        ),
        "table integrations_private.tenant_keys changed, privileges of integrations_keymaster",
    ),
    "a revert that leaves a policy": (
        Edit(
            "revert/policies/refresh_leases.sql",
            "drop policy tenant_all on integrations_private.refresh_leases;",
            "",
        ),
        "policy tenant_all on integrations_private.refresh_leases added",
    ),
    "a revert that leaves a function": (
        Edit("revert/triggers/audit_log_append_only.sql", "\ndrop function", "\n-- drop function"),
        "function integrations_private.tg_audit_log__append_only() added",
    ),
    "a revert that leaves default privileges": (
        Edit(
            KEY_OVERVIEW,
            "\ncommit;",
            "alter default privileges for role integrations_owner"
            " grant select on tables to integrations_admin;\ncommit;",
        ),
        "default privileges of integrations_owner for tables added",
    ),
    "a revert that leaves a comment": (
        Edit(KEY_OVERVIEW, "\ncommit;", "comment on type integrations_private.tenant_key_state is"
             " 'The states of key_overview.';\ncommit;"),
        "type integrations_private.tenant_key_state changed, comment",
    ),
    "a revert that leaves the comment of a role": (
        Edit(KEY_OVERVIEW, "\ncommit;", "comment on role integrations_admin is 'x';\ncommit;"),
        "role integrations_admin is left or changed",
    ),
    "a revert that leaves a setting": (
        Edit(KEY_OVERVIEW, "\ncommit;",
             "alter role svc_integration set lock_timeout = '1s';\ncommit;"),
        "role svc_integration is left or changed",
    ),
    "a revert that leaves row-level security off": (
        Edit("revert/policies/read_leases.sql", "\ncommit;",
             "alter table integrations_private.read_leases disable row level security;\ncommit;"),
        "table integrations_private.read_leases changed, row-level security",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REVERTS)
def test_the_check_of_reverts_finds_it(conn: Connection, name: str) -> None:
    edit, told = REVERTS[name]
    change = edit.file.partition("/")[2].removesuffix(".sql")
    if change == "triggers/audit_log_append_only":
        inner(conn, edit)("revert", "tables/audit_log_default")
    conn.execute(inside(script("revert", change, None)).encode())
    with pytest.raises(AssertionError, match=re.escape(f"the revert of {change}: ")) as failure:
        there_and_back(conn, inner(conn, edit), change, look(conn))
    assert told in str(failure.value)


def test_a_role_that_is_left_is_found(lent_database: str) -> None:
    change = "roles/svc_integration"
    edit = Edit(f"revert/{change}.sql", "drop role svc_integration;", "null;")
    with closing(connect(Target(lent_database), lambda _: None)) as conn:
        with pytest.raises(AssertionError, match="role svc_integration is left or changed"):
            there_and_back(conn, inner(conn, edit), change, look(conn))


def test_a_deployment_that_differs_each_time_is_found(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is shared: other tests make roles and drop them meanwhile.
    monkeypatch.setattr(test_migrations, "_ROLES", "select")
    change = "views/key_overview"
    edit = Edit(
        KEY_OVERVIEW,
        "\ncommit;",
        "do $$ begin execute pg_catalog.format('comment on view integrations.key_overview is %L',"
        " pg_catalog.clock_timestamp()); end $$;\ncommit;",
    )
    with closing(connect(Target(database), lambda _: None)) as conn:
        run = inner(conn, edit)
        run("revert", change)
        with pytest.raises(
            AssertionError,
            match=r"the second deployment: view integrations.key_overview changed, comment",
        ):
            up_down_and_up(conn, database, run, [change])


# -- verify scripts that tell nothing -------------------------------------------------------------


VERIFIES = {
    "a verify script that cannot fail": (
        Edit("verify/policies/read_leases.sql", "raise exception 'verify", "raise notice 'verify"),
        "passes before its deploy script ran",
    ),
    "a verify script that always fails": (
        Edit("verify/policies/read_leases.sql", "'tenant_all permissive", "'tenant_all other"),
        "fails after its deploy script ran: verify policies/read_leases: the policies differ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VERIFIES)
def test_the_check_of_verify_scripts_finds_it(conn: Connection, name: str) -> None:
    edit, told = VERIFIES[name]
    change = "policies/read_leases"
    conn.execute(inside(script("revert", change, None)).encode())
    with pytest.raises(pytest.fail.Exception, match=f"verify/{change}.sql {told}"):
        fails_before_and_passes_after(inner(conn, edit), change)


def test_a_property_that_a_verify_script_passes_over_is_found(conn: Connection) -> None:
    change = "tables/read_leases"
    edit = Edit(f"verify/{change}.sql", "and c.relforcerowsecurity", "")
    tried = [it for it in mutations(conn, "tables") if it[0] == change]
    assert unnoticed(conn, tried) == []
    assert unnoticed(conn, tried, script("verify", change, edit)) == [
        f"{change}: alter table integrations_private.read_leases no force row level security"
    ]
