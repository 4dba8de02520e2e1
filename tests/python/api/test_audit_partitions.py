"""The audit log in months: no entry moves, none is lost, no reader of credentials waits long."""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import psycopg
import pytest

from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .client import Client
from .deployment import run_script
from .world import ROLES, World, connect

LOG = "integrations_private.audit_log"
DEFAULT = "integrations_private.audit_log_default"
NOBODY = UUID(int=0)
PATIENT = "set lock_timeout = '60s'"  # on a busy machine the usual 2 seconds may pass

Actions = list[tuple[str, str]]


@pytest.fixture(scope="module")
def roles_logins(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A login of each role; logins are of the whole server."""
    assert template, "with it come the roles"
    folder = tmp_path_factory.mktemp("logins")
    with ExitStack() as stack:
        logins = {}
        for role in ROLES:
            logins[role] = databases.create_login(role, server.dsn, folder)
            user = psycopg.conninfo.conninfo_to_dict(logins[role])["user"]
            stack.callback(databases.drop_login, str(user), server.dsn)
        yield logins


@pytest.fixture
def world(database: str, roles_logins: dict[str, str]) -> Iterator[World]:
    """A database of its own: other tests expect the partitions of a new one."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    logins = {
        role: psycopg.conninfo.make_conninfo(login, dbname=name)
        for role, login in roles_logins.items()
    }
    with ExitStack() as clients:
        with connect(logins["integrations_admin"]) as conn:
            definition = Client(conn).register_definition("Salesforce", "oauth2", "59.0.0")
            Client(conn).set_definition_status(definition, "published")
        world = World(database, logins, definition, "kek", bytes(range(32)), clients)
        world.admin.run(PATIENT)
        yield world


def maintain(client: Client, keep: str | None = None) -> Actions:
    """Calls the function as it is called; the names come without their schema."""
    rows = client.rows(
        "select action, partition from integrations.maintain_audit(keep => %s::interval)", keep
    )
    return [(action, name.removeprefix("integrations_private.")) for action, name in rows]


def first_of(day: datetime, months: int = 0) -> datetime:
    """Gives the first moment of a month."""
    month = day.year * 12 + day.month - 1 + months
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def named(month: datetime) -> str:
    return f"audit_log_{month:%Y_%m}"


def now(world: World) -> datetime:
    """Gives the server's time."""
    value = world.superuser.value("select clock_timestamp()")
    assert isinstance(value, datetime)
    return value.astimezone(UTC)


def coming(world: World, since: int = 0) -> Actions:
    """Gives what is created when there is nothing: this month and three more."""
    return [("created", named(first_of(now(world), n))) for n in range(since, 4)]


def bounds(world: World) -> dict[str, tuple[datetime, datetime]]:
    """Gives the partitions that have bounds."""
    rows = world.superuser.rows(
        "select partition::text, since, until from integrations_private.list_audit_partitions()"
        " where since is not null"
    )
    return {
        name.removeprefix("integrations_private."): (since, until) for name, since, until in rows
    }


def add_entry(world: World, at: datetime, event: str = "an_old_one") -> None:
    """Adds an entry of another time, as only a superuser can."""
    world.superuser.run(
        f"insert into {LOG} (tenant_id, at, event, actor, session_actor)"
        " values (%s, %s, %s, '', '')",
        uuid4(),
        at,
        event,
    )


def rows_of(world: World, table: str = LOG) -> set[tuple[object, ...]]:
    """Gives the entries with the places where they are stored."""
    return set(
        world.superuser.rows(
            f"select t.id, t.ctid::text, pg_relation_filenode(t.tableoid) from {table} as t"
            " where event !~ '^audit_partition'"
        )
    )


def catalogue(world: World) -> list[tuple[object, ...]]:
    """Gives all that maintenance may change."""
    return world.superuser.rows(
        "select c.relname, c.relkind, c.relfilenode, c.relpartbound::text, c.relacl::text,"
        " (select count(*) from pg_trigger as t where t.tgrelid = c.oid),"
        " (select count(*) from pg_constraint as k where k.conrelid = c.oid)"
        " from pg_class as c where relnamespace = 'integrations_private'::regnamespace order by 1"
    )


def test_a_new_log_gets_the_coming_months(world: World) -> None:
    assert maintain(world.admin) == coming(world)
    assert maintain(world.admin) == []
    assert bounds(world) == {
        named(first_of(now(world), n)): (first_of(now(world), n), first_of(now(world), n + 1))
        for n in range(4)
    }
    tenant_id, instance_id = world.new_stored()
    world.read(tenant_id, instance_id)
    places = world.superuser.rows(
        f"select distinct tableoid::regclass::text from {LOG} where tenant_id = %s", tenant_id
    )
    assert places == [(f"integrations_private.{named(first_of(now(world)))}",)]


def test_a_filled_default_partition_is_bounded_and_no_row_moves(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    world.read(tenant_id, instance_id)
    this_month = first_of(now(world))
    before = rows_of(world)
    assert before
    assert maintain(world.admin) == [("bounded", named(this_month)), *coming(world, 1)]
    assert rows_of(world) == before
    assert rows_of(world, f"integrations_private.{named(this_month)}") == before
    assert rows_of(world, DEFAULT) == set()
    world.read(tenant_id, instance_id)
    assert len(rows_of(world, f"integrations_private.{named(this_month)}")) == len(before) + 1
    assert maintain(world.admin) == []


def test_a_default_partition_of_several_months(world: World) -> None:
    this_month = first_of(now(world))
    for months in (-14, -3):
        add_entry(world, first_of(now(world), months) + timedelta(days=2))
    world.new_stored()
    before = rows_of(world)
    name = f"{named(first_of(now(world), -14))}_to_{this_month:%Y_%m}"
    assert maintain(world.admin) == [("bounded", name), *coming(world, 1)]
    assert bounds(world)[name] == (first_of(this_month, -14), first_of(this_month, 1))
    assert rows_of(world) == before


def test_entries_of_the_time_before_the_first_partition(world: World) -> None:
    maintain(world.admin)
    old = first_of(now(world), -20)
    add_entry(world, old)
    before = rows_of(world)
    assert maintain(world.admin) == [("bounded", named(old))]
    assert bounds(world)[named(old)] == (old, first_of(old, 1))
    assert rows_of(world) == before


@pytest.mark.parametrize(
    ("at", "since", "until"),
    [
        ("2024-12-31 23:59:59.999999+00", "2024-12-01", "2025-01-01"),
        ("2025-01-01 00:00:00+00", "2025-01-01", "2025-02-01"),
        ("2024-02-29 12:00:00+00", "2024-02-01", "2024-03-01"),
        ("2024-03-31 23:30:00-05", "2024-04-01", "2024-05-01"),
    ],
)
@pytest.mark.parametrize(
    ("zone", "style"),
    [
        ("UTC", "ISO, YMD"),
        ("America/New_York", "SQL, DMY"),
        ("Pacific/Kiritimati", "German"),
        ("Asia/Kolkata", "SQL, MDY"),  # written as IST, which is read as the time of Israel
        ("America/New_York", "Postgres, MDY"),
    ],
)
def test_months_are_those_of_utc(
    world: World, at: str, since: str, until: str, zone: str, style: str
) -> None:
    add_entry(world, datetime.fromisoformat(at))
    world.admin.run(f"set timezone = '{zone}'")
    world.admin.run(f"set datestyle = '{style}'")
    world.superuser.run(  # so that there is nothing to do but this
        f"create table {LOG}_now partition of {LOG}"
        " for values from ('2026-01-01Z') to ('2126-01-01Z')"
    )
    day = datetime.fromisoformat(since).replace(tzinfo=UTC)
    assert maintain(world.admin) == [("bounded", named(day))]
    assert bounds(world)[named(day)] == (day, datetime.fromisoformat(until).replace(tzinfo=UTC))
    assert maintain(world.admin) == []


@pytest.mark.parametrize(
    ("zone", "style"),
    [
        ("UTC", "ISO, YMD"),
        ("America/New_York", "SQL, DMY"),
        ("Pacific/Kiritimati", "German"),
        ("Asia/Kolkata", "SQL, MDY"),  # written as IST, which is read as the time of Israel
        ("America/New_York", "Postgres, MDY"),
    ],
)
def test_coming_months_are_those_of_utc_too(world: World, zone: str, style: str) -> None:
    world.admin.run(f"set timezone = '{zone}'")
    world.admin.run(f"set datestyle = '{style}'")
    assert maintain(world.admin) == coming(world)
    spans = list(bounds(world).values())
    assert spans[0][0] == first_of(now(world))
    assert all(one[1] == other[0] for one, other in pairwise(spans))


def test_what_is_older_than_keep_is_dropped(world: World) -> None:
    maintain(world.admin)
    months = [first_of(now(world), -n) for n in (14, 13, 12, 2)]
    for month in months:
        add_entry(world, month)
        assert maintain(world.admin) == [("bounded", named(month))]
    kept = {named(months[2]), named(months[3])}
    assert maintain(world.admin) == [], "without keep nothing is dropped"
    assert maintain(world.admin, "1 year") == [
        ("dropped", named(months[0])),
        ("dropped", named(months[1])),
    ]
    assert kept <= set(bounds(world))
    assert maintain(world.admin, "1 year") == []
    assert rows_of(world) == rows_of(world, f"integrations_private.{named(months[2])}") | rows_of(
        world, f"integrations_private.{named(months[3])}"
    )


def test_what_is_bounded_may_be_dropped_at_once(world: World) -> None:
    maintain(world.admin)
    old = first_of(now(world), -30)
    add_entry(world, old)
    assert maintain(world.admin, "2 years") == [("bounded", named(old)), ("dropped", named(old))]
    assert rows_of(world) == set()


@pytest.mark.parametrize("keep", ["1 day", "1000 years"])
def test_this_month_is_never_dropped(world: World, keep: str) -> None:
    world.new_stored()
    before = rows_of(world)
    assert [action for action, _ in maintain(world.admin, keep)] == ["bounded", *["created"] * 3]
    assert rows_of(world) == before


@pytest.mark.parametrize(
    "keep",
    [
        "0",
        "-1 day",
        "-178000000 years",
        "23:59:59",
        "1 month -40 days",
        "-1200 months 36001 days",  # compares as a day: 523 days in the future
        "1001 years",
        "178000000 years",
    ],
)
def test_a_bad_keep_is_refused(world: World, keep: str) -> None:
    world.new_stored()
    before = catalogue(world)
    with world.refused("22023") as caught:
        maintain(world.admin, keep)
    assert "keep must be" in str(caught.value)
    assert catalogue(world) == before


def test_a_clock_that_ran_ahead_does_not_swallow_the_coming_months(world: World) -> None:
    world.new_stored()
    add_entry(world, first_of(now(world), 900))
    before = rows_of(world)
    assert maintain(world.admin) == [("kept", "audit_log_default"), *coming(world, 1)]
    assert maintain(world.admin) == [("kept", "audit_log_default")]
    assert rows_of(world) == before


def new_log(world: World, *months: datetime) -> None:
    """Gives the log an empty default partition, and one for each of these months only."""
    world.superuser.run(f"drop table {DEFAULT}")
    world.superuser.run("select integrations_private.add_audit_partition(null, null)")
    for month in months:
        until = first_of(month, 1)
        world.superuser.run("select integrations_private.add_audit_partition(%s, %s)", month, until)


def test_an_old_month_before_the_first_entry_of_this_one(world: World) -> None:
    """The entry about its end goes into the partition of this month, not into the default one."""
    old = first_of(now(world), -5)
    new_log(world, old)
    assert maintain(world.admin, "1 month") == [("dropped", named(old)), *coming(world)]
    assert rows_of(world, DEFAULT) == set()
    assert maintain(world.admin, "1 month") == []


def test_old_entries_beside_a_month_that_has_its_partition(world: World) -> None:
    """As after an import: they do not stretch over it to this month."""
    old = first_of(now(world), -2)
    new_log(world, first_of(now(world), -1))
    add_entry(world, old)
    before = rows_of(world)
    assert maintain(world.admin) == [("bounded", named(old)), *coming(world)]
    assert rows_of(world) == before


def test_old_entries_up_to_this_month(world: World) -> None:
    """This month goes with them: entries of it come until the last moment, and would not fit."""
    new_log(world)
    old = first_of(now(world), -1)
    add_entry(world, old)
    both = f"{named(old)}_to_{first_of(now(world)):%Y_%m}"
    assert maintain(world.admin) == [("bounded", both), *coming(world, 1)]


def test_old_entries_on_both_sides_of_a_partition_stay(world: World) -> None:
    new_log(world, first_of(now(world), -5))
    for months in (-6, -4):
        add_entry(world, first_of(now(world), months))
    before = rows_of(world)
    assert maintain(world.admin) == [("kept", "audit_log_default"), *coming(world)]
    assert rows_of(world) == before


def test_it_waits_for_two_seconds_where_no_lock_timeout_is_set(world: World) -> None:
    world.new_stored()
    before = catalogue(world)
    world.admin.run("set lock_timeout = 0")
    world.admin.run("set statement_timeout = '60s'")  # another error, where it would wait for ever
    with world.auditor.conn.transaction():
        world.auditor.rows("select count(*) from integrations.audit_trail")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            maintain(world.admin)
    assert catalogue(world) == before


def test_a_month_that_was_detached_is_in_the_way_until_it_is_renamed(world: World) -> None:
    maintain(world.admin)
    last = named(first_of(now(world), 3))
    world.superuser.run(f"alter table {LOG} detach partition integrations_private.{last}")
    with world.refused("42P07") as caught:
        maintain(world.admin)
    assert last in str(caught.value)
    world.superuser.run(f"alter table integrations_private.{last} rename to kept_by_hand")
    assert maintain(world.admin) == [("created", last)]


def test_entries_on_both_sides_of_a_partition_stay_where_they_are(world: World) -> None:
    maintain(world.admin)
    add_entry(world, first_of(now(world), -20))
    add_entry(world, first_of(now(world), 900))
    before = rows_of(world)
    assert maintain(world.admin) == [("kept", "audit_log_default")]
    assert rows_of(world) == before


def test_it_audits_itself(world: World) -> None:
    maintain(world.admin)
    old = first_of(now(world), -30)
    add_entry(world, old)
    maintain(world.admin, "2 years")
    user = world.admin.value("select session_user::text")
    entries = world.auditor.rows(
        "select event, detail ->> 'partition', (detail ->> 'since')::timestamptz, actor,"
        " instance_id from integrations.audit_trail where tenant_id = %s order by at",
        NOBODY,
    )
    told = [
        ("created", named(first_of(now(world), n)), first_of(now(world), n)) for n in range(4)
    ] + [("bounded", named(old), old), ("dropped", named(old), old)]
    assert entries == [
        (f"audit_partition_{action}", f"integrations_private.{name}", since, user, None)
        for action, name, since in told
    ]


def guarded(world: World) -> list[str]:
    """Gives every partition, once one is bounded and others are created."""
    world.new_stored()
    maintain(world.admin)
    return [
        name
        for (name,) in world.superuser.rows(
            "select partition::text from integrations_private.list_audit_partitions()"
        )
    ]


def test_every_partition_is_append_only_for_every_role(
    world: World, login: Callable[[str, str], str]
) -> None:
    clients = [
        world.superuser,
        world.svc,
        world.tenant,
        world.admin,
        world.auditor,
        world.log_in(login("integrations_owner", world.dsn)),
        world.log_in(login("integrations_keymaster", world.dsn)),
    ]
    for table in guarded(world):
        add = (
            f"insert into {table} (tenant_id, event, actor, session_actor)"
            " values (gen_random_uuid(), 'forged', '', '')"
        )
        for client in clients:
            for change in (
                f"truncate {table}",
                f"delete from {table}",
                f"update {table} set id = id",
            ):
                for replication in ("origin", "replica"):
                    if client is world.superuser:
                        client.run(f"set session_replication_role = {replication}")
                    elif replication == "replica":
                        continue
                    try:
                        assert client.run(change) == 0, "a row was changed"  # it saw none
                    except psycopg.Error as error:
                        assert error.sqlstate == "42501", error
            if client is not world.superuser:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    client.run(add)
                if client not in clients[-2:-1]:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        client.rows(f"select * from {table}")
                else:
                    assert client.rows(f"select * from {table}") == []  # row-level security
    assert rows_of(world)


def test_every_partition_is_like_the_default_one(world: World) -> None:
    world.superuser.run(
        "alter default privileges for role integrations_owner in schema integrations_private"
        " grant all on tables to public, integrations_tenant"
    )
    template = None
    for table in sorted(guarded(world), key=lambda name: name != DEFAULT):
        name = table.partition(".")[2]
        [found] = world.superuser.rows(
            "select c.relowner::regrole::text, c.relrowsecurity, c.relforcerowsecurity, c.relacl,"
            " obj_description(c.oid) is not null,"
            " (select array_agg(replace(x.relname::text, %s, '?') order by x.relname)"
            "    from pg_index as i join pg_class as x on x.oid = i.indexrelid"
            "   where i.indrelid = c.oid and i.indisvalid and x.relispartition),"
            " (select array_agg(row(tgname, tgenabled, tgtype, tgfoid)::text order by tgname)"
            "    from pg_trigger where tgrelid = c.oid),"
            " (select array_agg(conname order by conname) from pg_constraint"
            "   where conrelid = c.oid and contype = 'c' and convalidated and coninhcount = 1),"
            " (select array_agg(col_description(c.oid, attnum) order by attnum)"
            "    from pg_attribute where attrelid = c.oid and attnum > 0),"
            " (select count(*) from pg_policy where polrelid = c.oid)"
            " from pg_class as c where c.oid = %s::regclass",
            name,
            table,
        )
        owner, enabled, forced, acl, commented, *_ = found
        assert (owner, enabled, forced, commented) == ("integrations_owner", True, True, True)
        assert acl is None or {"integrations_owner"} == {
            grantee
            for (grantee,) in world.superuser.rows(
                "select grantee::regrole::text from pg_class, aclexplode(relacl)"
                " where oid = %s::regclass",
                table,
            )
        }
        template = template or found[5:]
        assert found[5:] == template, table
        assert all(found[5:9])


def test_the_scripts_still_verify_and_revert(world: World) -> None:
    guarded(world)
    with connect(world.dsn) as conn:
        for change in (
            "tables/audit_log",
            "tables/audit_log_default",
            "triggers/audit_log_append_only",
        ):
            run_script(conn, "verify", change)
        run_script(conn, "revert", "views/audit_trail")
        run_script(conn, "revert", "tables/audit_log_default")
        run_script(conn, "revert", "triggers/audit_log_append_only")


def test_two_at_once(world: World) -> None:
    world.new_stored()
    expected = [("bounded", named(first_of(now(world)))), *coming(world, 1)]
    clients = [world.client("integrations_admin") for _ in range(4)]
    barrier = threading.Barrier(len(clients))
    done: list[Actions] = []

    def run(client: Client) -> None:
        client.run(PATIENT)
        barrier.wait(30)
        done.append(maintain(client))

    threads = [threading.Thread(target=run, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [[], [], [], expected]


def test_a_long_read_makes_it_give_up_and_readers_go_on(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    before = catalogue(world)
    world.admin.run("set lock_timeout = '500ms'")
    reads: list[object] = []
    with world.auditor.conn.transaction():
        world.auditor.rows("select count(*) from integrations.audit_trail")
        refused: list[str | None] = []

        def give_up() -> None:
            try:
                maintain(world.admin)
            except psycopg.Error as error:
                refused.append(error.sqlstate)

        thread = threading.Thread(target=give_up)
        thread.start()
        while thread.is_alive():  # before it asks for its lock, behind it, and after it gave up
            reads.append(world.read(tenant_id, instance_id))
        thread.join()
        assert refused == ["55P03"]
    assert reads and all(read == {"api_key": "k"} for read in reads)
    assert catalogue(world) == before
    assert maintain(world.admin)[0][0] == "bounded"


def test_coming_months_are_created_beside_open_transactions_of_the_service(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    maintain(world.admin)
    last = named(first_of(now(world), 3))
    world.superuser.run(f"drop table integrations_private.{last}")
    with world.unlocked(tenant_id):
        world.svc.get_credentials(instance_id)
        assert maintain(world.admin) == [("created", last)]
        world.svc.get_credentials(instance_id)


def test_an_open_maintenance_does_not_keep_readers_waiting(world: World) -> None:
    """As long as this month has its partition, and nothing is dropped."""
    tenant_id, instance_id = world.new_stored()
    maintain(world.admin)
    world.superuser.run(f"drop table integrations_private.{named(first_of(now(world), 3))}")
    world.svc.run("set lock_timeout = '20s'")  # an error, where it would wait for ever
    with world.admin.conn.transaction():
        assert maintain(world.admin)
        world.read(tenant_id, instance_id)


def test_a_default_partition_too_large_for_the_patience_is_left_alone(world: World) -> None:
    world.superuser.run(
        f"insert into {LOG} (tenant_id, event, actor, session_actor)"
        " select gen_random_uuid(), 'many', '', '' from generate_series(1, 100000)"
    )
    before = catalogue(world)
    world.admin.run("set lock_timeout = '1ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
        maintain(world.admin)
    assert "lock_timeout" in str(caught.value.diag.message_primary)
    assert catalogue(world) == before
    world.admin.run("set lock_timeout = '20s'")
    assert maintain(world.admin)[0][0] == "bounded"
    assert world.admin.value("show lock_timeout") == "20s", "the setting is as it was"


def test_readers_all_the_while(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    stop, failures, counts = threading.Event(), [], [0, 0, 0]

    def read(number: int) -> None:
        with connect(world.logins["svc_integration"]) as conn:
            client = Client(conn)
            while not stop.is_set():
                try:
                    with client.unlocked(tenant_id, world.kek_id, world.kek):
                        client.get_credentials(instance_id)
                    counts[number] += 1
                except psycopg.Error as error:
                    failures.append(error)

    threads = [threading.Thread(target=read, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    maintain(world.admin)
    for _ in range(5):
        add_entry(world, first_of(now(world), -30))
        assert [action for action, _ in maintain(world.admin, "1 year")] == ["bounded", "dropped"]
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures and all(counts)
    assert world.events(tenant_id).count("credentials_read") == sum(counts)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_an_old_snapshot_is_refused(world: World, level: str) -> None:
    with world.refused("25001"), world.admin.conn.transaction():
        world.admin.run(f"set transaction isolation level {level}")
        maintain(world.admin)


def test_it_can_be_rolled_back(world: World) -> None:
    world.new_stored()
    before, rows = catalogue(world), rows_of(world)
    with world.admin.conn.transaction(force_rollback=True):
        assert maintain(world.admin)
    assert (catalogue(world), rows_of(world)) == (before, rows)


def test_only_whole_past_months_of_the_log_can_be_dropped(
    world: World, login: Callable[[str, str], str]
) -> None:
    maintain(world.admin)
    keymaster = world.log_in(login("integrations_keymaster", world.dsn))
    for table in (
        DEFAULT,
        f"integrations_private.{named(first_of(now(world)))}",
        f"integrations_private.{named(first_of(now(world), 2))}",
        "integrations_private.tenant_keys",
        LOG,
    ):
        oid = world.superuser.value("select %s::regclass::oid", table)
        with world.refused("22023"):
            keymaster.run(
                "select integrations_private.drop_audit_partition(%s::oid::regclass)", oid
            )


def test_a_partition_that_has_just_ended_is_not_dropped(
    world: World, login: Callable[[str, str], str]
) -> None:
    """Nor can be in a time zone where its last day is not over; a day later it can."""
    new_log(world)
    keymaster = world.log_in(login("integrations_keymaster", world.dsn))
    drop = "select integrations_private.drop_audit_partition(%s::text::regclass)"
    add = "select integrations_private.add_audit_partition(%s, %s)::text"
    ended = [(-40, -25, True), (-2, -1, False)]  # hours, before now; each named after its month
    for since, until, may_go in ended:
        partition = world.superuser.value(
            add, now(world) + timedelta(hours=since), now(world) + timedelta(hours=until)
        )
        if may_go:
            keymaster.run(drop, partition)
        else:
            with world.refused("22023"):
                keymaster.run(drop, partition)
