"""Deploying and reverting by a superuser and by an ordinary login, on clusters in every condition.

The server has no role of the package when a test begins: they belong to the whole cluster.
"""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from small_project import run

from size import size

from .cluster import ORDINARY, OWNERS, POWERS, ROLES, Cluster
from .deployment import CHANGES, ROOT, catalogue, deploy, revert, run_script, verify


def advised(error: psycopg.Error) -> str:
    """Gives the command that an error's hint has for the DBA."""
    found = re.fullmatch(r"A DBA must run: (.+);", str(error.diag.message_hint))
    assert found, error.diag.message_hint
    return found[1]


@pytest.mark.parametrize("powers", [ORDINARY, "superuser"])
def test_deploy_and_revert_leave_nothing(bare: Cluster, powers: str) -> None:
    conninfo, conn = bare.deployer(powers)
    before = catalogue(conn)
    for _ in range(size(1, 2)):
        deploy(conn)
        verify(conn)
        assert bare.roles() == set(ROLES)
        assert revert(conn) == []
        assert catalogue(conn) == before
    deploy(conn, verified=False)
    bare.works(conninfo)


def test_the_settings_of_the_deployer_do_not_matter(bare: Cluster) -> None:
    """What is deployed is the same, and whoever verifies sees the same."""
    conninfo, conn = bare.deployer()
    for setting in (
        "quote_all_identifiers = on",
        "intervalstyle = iso_8601",
        "datestyle = 'German, DMY'",
        "timezone = 'Asia/Kathmandu'",
        "bytea_output = escape",
        "standard_conforming_strings = off",
        "array_nulls = off",
        "transform_null_equals = on",
        "row_security = off",
        "default_transaction_isolation = serializable",
    ):
        conn.execute(b"set " + setting.encode())
    deploy(conn)
    verify(bare.connect(conninfo))
    bare.works(conninfo)


def test_a_deployer_without_the_power_to_make_roles_leaves_nothing(bare: Cluster) -> None:
    _, conn = bare.deployer("nocreaterole")
    before = catalogue(conn)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        deploy(conn)
    assert catalogue(conn) == before


def test_two_databases_share_the_roles(bare: Cluster) -> None:
    first_conninfo, first = bare.deployer()
    user = sql.Identifier(str(conninfo_to_dict(first_conninfo)["user"]))
    second_conninfo = psycopg.conninfo.make_conninfo(
        first_conninfo, dbname=conninfo_to_dict(bare.database())["dbname"]
    )
    name = sql.Identifier(str(conninfo_to_dict(second_conninfo)["dbname"]))
    bare.superuser().execute(sql.SQL("alter database {} owner to {}").format(name, user))
    second = bare.connect(second_conninfo)
    deploy(first)
    deploy(second)
    notices = revert(first)
    stay = "objects or privileges, perhaps in another database, depend on it"
    assert sorted(notices) == sorted(f'role "{role}" stays: {stay}' for role in ROLES)
    verify(second)
    assert revert(second) == []
    assert bare.roles() == set()


def test_a_second_deployer_is_told_which_grant_is_missing(bare: Cluster) -> None:
    _, first = bare.deployer()
    deploy(first, verified=False)
    conninfo, second = bare.deployer("nocreaterole")
    user = conninfo_to_dict(conninfo)["user"]
    dba = bare.superuser()
    advice = []
    for role in OWNERS:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            run_script(second, "deploy", f"roles/{role}")
        assert role in str(caught.value.diag.message_primary)
        advice.append(advised(caught.value))
        assert f"grant {role} to {user}" in advice[-1]
        dba.execute(advice[-1].encode())
    deploy(second)
    bare.works(conninfo)


def test_a_role_that_is_too_powerful_is_refused(bare: Cluster) -> None:
    conn = bare.superuser(bare.database())
    for role in ROLES:
        for power in POWERS:
            conn.execute(f"create role {role} {power}".encode())
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
                run_script(conn, "deploy", f"roles/{role}")
            assert power.upper() in str(caught.value.diag.message_primary)
            conn.execute(f"drop role {role}".encode())


def test_revert_leaves_the_roles_of_others_and_says_why(bare: Cluster) -> None:
    _, conn = bare.deployer("superuser")
    conn.execute("create role svc_integration login")
    conn.execute("create role integrations_auditor")
    conn.execute("comment on role integrations_auditor is 'Those of the audit department.'")
    conn.execute("create role somebody")
    deploy(conn)
    conn.execute("grant integrations_tenant to somebody")
    conn.execute("create table mine ()")
    conn.execute("grant select on mine to integrations_admin")
    assert sorted(revert(conn)) == [
        'role "integrations_admin" stays: objects or privileges, perhaps in another database,'
        " depend on it",
        'role "integrations_auditor" stays: this package did not create it',
        'role "integrations_tenant" stays: it has members',
        'role "svc_integration" stays: this package did not create it',
    ]
    assert bare.roles() == {
        "integrations_admin", "integrations_auditor", "integrations_tenant", "svc_integration",
    }  # fmt: skip
    deploy(conn)


@pytest.mark.parametrize("powers", [ORDINARY, "superuser"])
def test_pgcrypto_is_used_where_it_is(bare: Cluster, powers: str) -> None:
    conninfo, conn = bare.deployer(powers)
    dba = bare.superuser(conninfo)
    dba.execute('create schema "My Crypto"')
    dba.execute('create extension pgcrypto schema "My Crypto"')
    dba.execute('grant usage on schema "My Crypto" to public')
    before = catalogue(conn)
    deploy(conn)
    bare.works(conninfo)
    revert(conn)
    left = catalogue(conn) - before
    assert {row[0] for row in left} <= {"role", "member of"}, "only the logins that worked"


def test_pgcrypto_out_of_reach_is_told_with_the_grant(bare: Cluster) -> None:
    conninfo, conn = bare.deployer()
    dba = bare.superuser(conninfo)
    dba.execute('create schema "My Crypto"')
    dba.execute('create extension pgcrypto schema "My Crypto"')
    dba.execute('revoke execute on all functions in schema "My Crypto" from public')
    at = CHANGES.index("extensions/pgcrypto")
    for change in CHANGES[:at]:
        run_script(conn, "deploy", change)
    advice: list[str] = []
    while len(advice) < 20:
        try:
            run_script(conn, "deploy", CHANGES[at])
            break
        except psycopg.errors.InsufficientPrivilege as error:
            with pytest.raises(psycopg.Error):
                run_script(conn, "verify", CHANGES[at])
            advice.append(advised(error))
            dba.execute(advice[-1].encode())
    assert advice[0] == (
        'grant usage on schema "My Crypto" to integrations_owner, integrations_keymaster'
    )
    assert all(
        command.startswith('grant execute on function "My Crypto".') for command in advice[1:]
    )
    assert 2 <= len(advice) == len(set(advice)) < 20
    for change in CHANGES[at + 1 :]:
        run_script(conn, "deploy", change)
    bare.works(conninfo)


_GRANTEES = """
select c.oid::regclass::text, a.grantee::regrole::text
  from pg_class as c, aclexplode(c.relacl) as a
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select p.oid::regprocedure::text, a.grantee::regrole::text
  from pg_proc as p, aclexplode(p.proacl) as a
 where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select n.nspname::text, a.grantee::regrole::text
  from pg_namespace as n, aclexplode(n.nspacl) as a
 where n.nspname in ('integrations', 'integrations_private')
"""


@pytest.mark.parametrize("powers", [ORDINARY, "superuser"])
def test_default_privileges_for_public_open_nothing(bare: Cluster, powers: str) -> None:
    """Many a database grants SELECT on new tables to all; the auditor is in PUBLIC too."""
    _, conn = bare.deployer(powers)
    conn.execute("alter default privileges grant select on tables to public")
    conn.execute("alter default privileges grant execute on functions to public")
    conn.execute("alter default privileges grant usage on schemas to public")
    deploy(conn)
    grants = conn.execute(_GRANTEES).fetchall()
    assert [grant for grant in grants if grant[1] not in ROLES] == []


@pytest.mark.parametrize("kind", ["select on tables", "execute on functions", "usage on schemas"])
def test_default_privileges_for_somebody_are_refused(bare: Cluster, kind: str) -> None:
    """Nobody but the package's roles may get anything, and it cannot know whom to take it from."""
    conninfo, conn = bare.deployer(ORDINARY)
    bare.superuser(conninfo).execute("create role somebody")
    conn.execute(f"alter default privileges grant {kind} to somebody".encode())
    with pytest.raises(psycopg.Error) as refused:
        deploy(conn)
    assert refused.value.sqlstate == "55000"
    assert "somebody" in str(refused.value.diag.message_primary)
    assert conn.execute("select to_regnamespace('integrations')").fetchone() == (None,)


def test_default_privileges_of_a_schema_of_others_do_not_matter(bare: Cluster) -> None:
    conninfo, conn = bare.deployer(ORDINARY)
    bare.superuser(conninfo).execute("create role somebody")
    conn.execute("create schema elsewhere")
    conn.execute("alter default privileges in schema elsewhere grant select on tables to somebody")
    deploy(conn)
    grants = conn.execute(_GRANTEES).fetchall()
    assert [grant for grant in grants if grant[1] not in ROLES] == []


def test_pgcrypto_that_others_use_by_now_stays(bare: Cluster) -> None:
    _, conn = bare.deployer()
    deploy(conn, verified=False)
    conn.execute(
        "create function public.digest_of(text) returns bytea language sql"
        " return pgcrypto.digest($1, 'sha256')"
    )
    assert revert(conn) == [
        'extension "pgcrypto" stays: other objects depend on it',
        'schema "pgcrypto" stays: it is not empty',
    ]
    assert conn.execute("select public.digest_of('x')").fetchone()
    assert bare.roles() == set()


def by_hand(bare: Cluster, conninfo: str, *arguments: str) -> str:
    """Runs our command as a deployer does."""
    done = run(bare.folder, "--chdir", str(ROOT), *arguments, conninfo)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_of_an_ordinary_deployer(bare: Cluster) -> None:
    """CREATEROLE and a database of his own are enough."""
    conninfo, conn = bare.deployer("createrole nocreatedb nosuperuser")
    before = catalogue(conn)
    by_hand(bare, conninfo, "deploy")
    assert f"{len(CHANGES)} changes" in by_hand(bare, conninfo, "verify")
    by_hand(bare, conninfo, "revert", "--all", "--yes")
    left = {row for row in catalogue(conn) - before if row[0] != "comments on"}
    assert {row for row in left if "sqitch" not in str(row)} == set(), "more than the registry"
    assert bare.roles() == set()
    by_hand(bare, conninfo, "deploy")
    bare.works(conninfo)


@pytest.mark.parametrize("powers", ["createrole", ORDINARY])
def test_roles_that_a_dba_has_made_before(bare: Cluster, powers: str) -> None:
    """An ordinary deployer uses them as they are, and leaves them."""
    conninfo, conn = bare.deployer(powers)
    dba = bare.superuser(conninfo)
    user = sql.Identifier(str(conninfo_to_dict(conninfo)["user"]))
    for role in ROLES:
        dba.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
    inherit = " with inherit true, set true" if bare.server.version >= 160000 else ""
    for role in OWNERS:
        dba.execute(sql.SQL("grant {} to {}" + inherit).format(sql.Identifier(role), user))
    dba.execute("alter role svc_integration login")
    deploy(conn)
    verify(conn)
    bare.works(conninfo)
    dba.execute("comment on role svc_integration is null")
    notices = revert(conn)
    assert bare.roles() == set(ROLES)
    assert all("did not create it" in notice or "has members" in notice for notice in notices)
    assert len(notices) == len(ROLES)


def test_pgcrypto_elsewhere_in_both_databases_of_a_cluster(bare: Cluster) -> None:
    """In different schemas, in one that the deployer made and in public."""
    first_conninfo, first = bare.deployer()
    user = sql.Identifier(str(conninfo_to_dict(first_conninfo)["user"]))
    second_conninfo = psycopg.conninfo.make_conninfo(
        first_conninfo, dbname=conninfo_to_dict(bare.database())["dbname"]
    )
    name = sql.Identifier(str(conninfo_to_dict(second_conninfo)["dbname"]))
    bare.superuser().execute(sql.SQL("alter database {} owner to {}").format(name, user))
    second = bare.connect(second_conninfo)
    first.execute("create schema crypto")
    first.execute("create extension pgcrypto schema crypto")
    first.execute("grant usage on schema crypto to public")
    bare.superuser(second_conninfo).execute("create extension pgcrypto schema public")
    for conninfo, conn in ((first_conninfo, first), (second_conninfo, second)):
        deploy(conn)
        verify(conn)
        bare.works(conninfo)
    for conn, schema in ((first, "crypto"), (second, "public")):
        revert(conn)
        assert conn.execute(
            "select extnamespace::regnamespace::text from pg_extension where extname = 'pgcrypto'"
        ).fetchall() == [(schema,)]
