"""Somebody runs SQL of his own as the service: an injection, a stolen password of the login.

He may choose any tenant, and holds no key but those that honest code opened in the transaction he
got into. He wants the credentials of other tenants, or that others encrypt under a key of his, or
to read without a trace. What holds: without the KEK nothing opens, and nothing is ever stored under
a key that the honest service did not open itself; each read is told. What does not: he can lock
tenants out, revoke and delete, and plant a key that a KMS has wrapped for nobody in particular;
docs/security.md says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from api.client import Client
from api.server_log import Log
from api.world import World

TABLE = "integrations.integration_instances"


@pytest.fixture
def thief(world: World) -> Client:
    """A connection as the service, without a KEK."""
    return world.client("svc_integration")


def test_he_gets_sealed_bytes_of_any_tenant_and_opens_none(world: World, thief: Client) -> None:
    tenant_id, instance_id = world.new_stored('{"api_key": "SENTINEL"}')
    with thief.within(tenant_id):
        [(envelope,)] = thief.rows(f"select credentials::text from {TABLE}")  # noqa: S608
        assert "SENTINEL" not in envelope
        [(_, _, _, wrapped)] = thief.wrapped_keys()
        assert len(wrapped) > 60
    for kek in (bytes(32), secrets.token_bytes(32), wrapped[:32]):
        with world.refused("IN303"), thief.within(tenant_id):
            thief.unlock(world.kek_id, kek)
    with world.refused("IN302"), thief.within(tenant_id):
        thief.get_credentials(instance_id)


def test_keys_of_another_session_are_out_of_reach(world: World, thief: Client) -> None:
    """Of the same login, of the same tenant, at the same time."""
    tenant_id, instance_id = world.new_stored()
    with world.unlocked(tenant_id):
        ring: str = world.svc.value("select current_setting('integrations.keyring')")
        pid = world.svc.conn.info.backend_pid
        with thief.within(tenant_id):
            told = str(
                [
                    thief.rows("select current_setting('integrations.keyring', true)"),
                    thief.rows("select name, setting from pg_settings"),
                    thief.rows("select * from pg_stat_activity where pid = %s", pid),
                    thief.rows("show all"),
                ]
            )
        assert ring.partition("=")[2] not in told
        with world.refused("IN302"), thief.within(tenant_id):
            thief.get_credentials(instance_id)


@pytest.mark.parametrize("kind", ["KEK", "KMS"])
def test_nobody_encrypts_under_a_key_of_his(world: World, thief: Client, kind: str) -> None:
    """He makes a key that he knows the active one: the honest service is locked out, no more."""
    tenant_id, instance_id = world.new_stored()
    honest = world.instance(instance_id).credentials_key_id
    with thief.within(tenant_id):
        name, key = f"evil {uuid4()}", secrets.token_bytes(32)
        if kind == "KEK":
            evil = thief.create_tenant_key(name, key)
        else:
            evil = thief.add_tenant_key(name, key, b"wrapped by nobody")
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}
    for act in (
        lambda: world.svc.put_credentials(instance_id, '{"api_key": "new"}'),
        lambda: world.svc.reencrypt_batch(),
    ):
        with world.refused("IN302"), world.unlocked(tenant_id):
            act()
    assert world.instance(instance_id).credentials_key_id == honest

    # The way back: a new key under the right KEK, and the end of his.
    with world.svc.within(tenant_id):
        mended = world.svc.create_tenant_key(world.kek_id, world.kek)
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, '{"api_key": "new"}')
    world.admin.retire_key(evil)
    world.admin.destroy_key(evil, str(evil))
    assert world.instance(instance_id).credentials_key_id == mended


class Kms:
    """Wraps keys outside of the database, for the context that it is told, and for no other."""

    def __init__(self) -> None:
        self.name = f"kms {uuid4()}"
        self.kept: dict[bytes, tuple[bytes, object]] = {}

    def wrap(self, context: object) -> tuple[bytes, bytes]:
        data_key, wrapped = secrets.token_bytes(32), secrets.token_bytes(48)
        self.kept[wrapped] = data_key, context
        return data_key, wrapped

    def unwrap(self, wrapped: bytes, context: object) -> bytes:
        data_key, of = self.kept[wrapped]
        if of != context:
            raise PermissionError("wrapped for another context")
        return data_key


@pytest.mark.parametrize("bound", [True, False])
def test_he_plants_a_key_that_the_kms_has_wrapped_for_another_tenant(
    world: World, thief: Client, bound: bool
) -> None:
    """He knows it from a transaction of that tenant. Where the KMS does not look, it opens."""
    kms, tenants, svc = Kms(), (uuid4(), uuid4()), world.svc
    context = dict.fromkeys(tenants) if not bound else dict(zip(tenants, tenants, strict=True))
    for tenant_id in tenants:
        with svc.within(tenant_id):
            svc.add_tenant_key(kms.name, *kms.wrap(context[tenant_id]))
    his, other = tenants
    with thief.within(his):
        [(_, _, _, wrapped)] = thief.wrapped_keys()
        data_key = kms.kept[wrapped][0]  # as it was open there
    with thief.within(other):
        planted = thief.add_tenant_key(kms.name, data_key, wrapped)

    def store() -> UUID:
        with svc.within(other):
            for key_id, _, _, key in svc.wrapped_keys():
                svc.unlock_key(key_id, kms.unwrap(key, context[other]))
            instance_id = svc.create_instance(world.definition, "crm")
            svc.put_credentials(instance_id, '{"api_key": "k"}')
        return instance_id

    if bound:
        with pytest.raises(PermissionError):
            store()
        return
    instance_id = store()
    with thief.within(other):
        thief.unlock_key(planted, data_key)
        assert thief.get_credentials(instance_id) == {"api_key": "k"}


def test_he_takes_a_name_that_a_kek_was_to_have(world: World, thief: Client) -> None:
    """Whoever rewraps is refused, nothing is wrapped under his key, and another name will do."""
    kek_id, kek = f"kek {uuid4()}", secrets.token_bytes(32)
    tenant_id = uuid4()
    with world.svc.within(tenant_id):
        world.svc.create_tenant_key(kek_id, kek)
    new_kek = secrets.token_bytes(32)
    squats: list[Callable[[str], UUID]] = [
        lambda name: thief.create_tenant_key(name, secrets.token_bytes(32)),
        lambda name: thief.add_tenant_key(name, secrets.token_bytes(32), b"wrapped"),
    ]
    for squat in squats:
        taken = f"kek {uuid4()}"
        with thief.within(uuid4()):
            squat(taken)
        with world.refused("IN303"):
            world.admin.rewrap_keys(kek_id, kek, taken, new_kek)
    assert world.admin.rewrap_keys(kek_id, kek, f"kek {uuid4()}", new_kek) == 1


def test_every_read_is_told_however_it_is_done(world: World, thief: Client, log: Log) -> None:
    """Many in one statement, in a cursor, in a transaction that is taken back to a savepoint."""
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, '{"k": 1}') for _ in range(3)]
    one = f"integrations.get_credentials('{instances[0]}')"
    with thief.unlocked(tenant_id, world.kek_id, world.kek):
        thief.rows(f"select integrations.get_credentials(id) from {TABLE}")  # noqa: S608
        thief.run(f"declare c cursor with hold for select {one}")
        thief.run(f"create temp table loot as select {one} as credentials")
        thief.run(f"do $$ begin perform {one}; end $$")
        thief.run(f"prepare p as select {one}")
        thief.rows("execute p")
        thief.rows(f"select 1 where {one} is not null")
        with thief.conn.cursor().copy(f"copy (select {one}) to stdout".encode()) as copy:
            assert b"".join(copy)
    lines = f"integrations: credentials_read tenant={tenant_id}"
    assert world.events(tenant_id).count("credentials_read") == 3 + 6
    assert log.text().count(lines) == 3 + 6

    before = log.text().count(lines)
    with thief.unlocked(tenant_id, world.kek_id, world.kek):
        for end in ("rollback to savepoint s", "release savepoint s"):
            thief.run("savepoint s")
            thief.rows(f"select {one}")
            thief.run(end)
        thief.run(f"do $$ begin perform {one}; raise division_by_zero;"
                  " exception when division_by_zero then null; end $$")  # fmt: skip
    assert world.events(tenant_id).count("credentials_read") == 3 + 6 + 1
    assert log.text().count(lines) == before + 3


def test_he_cannot_forge_or_hide_by_the_name_of_his_program(
    world: World, thief: Client, log: Log
) -> None:
    """It stands in the audit trail and perhaps in the log; no line can be broken by it."""
    tenant_id, instance_id = world.new_stored()
    forged = "x\n2031-01-01 LOG:  integrations: credentials_read tenant=nobody\0"[:-1]
    thief.run("select set_config('application_name', %s, false)", forged)
    with thief.unlocked(tenant_id, world.kek_id, world.kek):
        thief.get_credentials(instance_id)
    [(application,)] = world.auditor.rows(
        "select application from integrations.audit_trail"
        " where tenant_id = %s and event = 'credentials_read'",
        tenant_id,
    )
    assert "\n" not in application
    assert "\n2031-01-01" not in log.text()


def test_a_flaw_of_his_query_never_opens_anything(world: World, thief: Client) -> None:
    """SQL in the arguments is data: there is no statement that it could become part of."""
    tenant_id, instance_id = world.new_stored()
    attempts: list[str] = [
        "' or true --",
        "'; select set_config('integrations.tenant_id', '" + str(tenant_id) + "', true) --",
        "\\'); drop table integrations.integration_instances; --",
        "$$; select 1; $$",
        "%s%n%%",
        "\u2028\u202e",
    ]
    with thief.within(tenant_id):
        for text in attempts:
            made = thief.create_instance(world.definition, text + str(uuid4()), {text: text})
            thief.rename_instance(made, text + "renamed")
            thief.update_config(made, {"k": [text]})
            thief.delete_instance(made)
    refusals: list[tuple[Callable[[str], object], str]] = [
        (lambda text: thief.create_tenant_key(text, bytes(31)), "22023"),
        (lambda text: thief.unlock(text, bytes(32)), "IN307"),
        (lambda text: thief.put_credentials(instance_id, text), "IN305"),
    ]
    for text in attempts:
        for call, sqlstate in refusals:
            with pytest.raises(psycopg.Error) as caught, thief.within(tenant_id):
                call(text)
            assert caught.value.sqlstate == sqlstate
        with pytest.raises(psycopg.Error) as caught:
            thief.value("select integrations.set_tenant(%s)", text)
        assert caught.value.sqlstate == "22P02"
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_what_does_not_hold_lockout_and_deletion(world: World, thief: Client) -> None:
    """He may end what he cannot read, of any tenant; the audit trail tells of it."""
    tenant_id, instance_id = world.new_stored()
    with thief.within(tenant_id):
        thief.revoke_credentials(instance_id)
        thief.delete_instance(instance_id)
    assert world.events(tenant_id)[-2:] == ["credentials_revoked", "instance_deleted"]
