"""Migrations that are broken on purpose: each one must be found, by name and for its reason.

What finds them here is what finds them in a run of the tests: ``check``, the rules in
``tests/pgtap/style``, verify scripts, and the checks of verify and revert scripts. Scripts are
edited in memory, or in a copy of the project; what is run in a database is rolled back.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from api.deployment import ROOT
from api.test_verify_scripts import fails, fails_before_and_passes_after, mutations, unnoticed
from small_project import run
from test_migrations import Run, look, there_and_back, up_down_and_up

from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.registry import Connection
from integrations_db.testing.collector import run_file
from integrations_db.testing.servers import Server
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
        ("without it are only the two tables", "integrations.more"),
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
}  # fmt: skip


def failures(results: list[Result]) -> Iterator[str]:
    """Gives each failed assertion with all that it says."""
    for result in results:
        if not result.assertion.ok:
            yield "\n".join([result.assertion.description, *result.diagnostics])
        yield from failures(result.children)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_it(worker_database: str, name: str) -> None:
    broken = RULES[name]
    file = (ROOT / "tests/pgtap" / f"{broken.rule}_test.sql").read_text()
    assert "\nbegin;\n" in file
    ran = run_file(file.replace("\nbegin;\n", f"\nbegin;\n{broken.statements}\n"), worker_database)
    failed = list(failures(ran.document.results))
    found = [text for text in failed if all(part in text for part in broken.told)]
    assert found, f"{ran.died}\n" + "\n".join(failed)


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


def test_a_role_that_is_left_is_found(cluster: Server) -> None:
    change = "roles/svc_integration"
    edit = Edit(f"revert/{change}.sql", "drop role svc_integration;", "null;")
    with closing(connect(Target(cluster.dsn), lambda _: None)) as conn:
        with pytest.raises(AssertionError, match="role svc_integration is left or changed"):
            there_and_back(conn, inner(conn, edit), change, look(conn))


def test_a_deployment_that_differs_each_time_is_found(database: str) -> None:
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
