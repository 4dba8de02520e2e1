"""Data keys are opened by the right KEK only, for one tenant and one transaction only.

The attacker can call as the service, or write to the table of keys. He wants to read without the
KEK, to keep a key open for longer or for another tenant, or, worst, that others encrypt under a key
that he brings in by the setting that holds open keys. Against him stands a check value for each
KEK and each data key, tried at every use.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import secrets
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from api.world import World


@pytest.mark.parametrize(
    ("kek_id", "kek"),
    [
        ("kek-2026", None),
        ("kek-2026", b""),
        ("kek-2026", bytes(16)),
        ("kek-2026", bytes(31)),
        ("kek-2026", bytes(33)),
        (None, bytes(32)),
        ("", bytes(32)),
        (" \n", bytes(32)),
        ("k" * 201, bytes(32)),
    ],
    ids=repr,
)
def test_a_malformed_kek_is_refused(world: World, kek_id: str | None, kek: bytes | None) -> None:
    tenant_id, _ = world.new_stored()
    for attempt in (world.svc.unlock, world.svc.create_tenant_key):
        with world.refused("22023"), world.svc.within(tenant_id):
            attempt(kek_id, kek)


def test_a_kek_id_names_one_kek_for_ever(world: World) -> None:
    tenant_id, _ = world.new_stored()
    wrong = world.kek[:-1] + bytes([world.kek[-1] ^ 1])
    for tenant in (tenant_id, uuid4()):
        for attempt in (world.svc.unlock, world.svc.create_tenant_key):
            with world.refused("IN303") as caught, world.svc.within(tenant):
                attempt(world.kek_id, wrong)
            assert caught.value.diag.message_detail == f"KEK {world.kek_id}."
    with world.refused("IN303"), world.admin.within(tenant_id):
        world.admin.create_tenant_key(world.kek_id, wrong)


def test_unlock_needs_a_key_under_the_kek(world: World) -> None:
    tenant_id, _ = world.new_stored()
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.unlock(f"kek {uuid4()}", secrets.token_bytes(32))
    with world.refused("IN307"), world.svc.within(uuid4()):
        world.svc.unlock(world.kek_id, world.kek)


def test_nothing_works_while_locked(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    svc = world.svc
    with world.unlocked(tenant_id):
        pass  # a transaction before does not count
    with world.refused("IN302") as caught, svc.within(tenant_id):
        svc.get_credentials(instance_id)
    assert "unlock" in str(caught.value.diag.message_hint)
    with world.refused("IN302"), svc.within(tenant_id):
        svc.put_credentials(instance_id, "{}")
    with world.refused("IN302"), svc.within(tenant_id):
        with svc.conn.transaction(force_rollback=True):
            svc.unlock(world.kek_id, world.kek)
        svc.get_credentials(instance_id)
    with world.refused("IN302"), world.unlocked(tenant_id):
        svc.create_tenant_key(world.kek_id, world.kek)  # not unlocked
        svc.put_credentials(instance_id, "{}")


def test_without_any_key_there_is_nothing_to_store_under(world: World) -> None:
    tenant_id = uuid4()
    instance_id = world.new_instance(tenant_id)
    with world.refused("IN302", "IN307"), world.svc.within(tenant_id):
        world.svc.put_credentials(instance_id, "{}")


def test_keys_are_for_the_tenant_that_unlocked_them(world: World) -> None:
    (one, of_one), (two, of_two) = world.new_stored('{"k": 1}'), world.new_stored('{"k": 2}')
    svc = world.svc
    for attempt in (svc.get_credentials, lambda id: svc.put_credentials(id, "{}")):
        with world.refused("IN302"), world.unlocked(one):
            svc.set_tenant(two)
            attempt(of_two)
        with world.refused("IN302"), world.unlocked(one):
            svc.set_tenant(two)
            svc.unlock(world.kek_id, world.kek)
            svc.set_tenant(one)  # its keys gave way to those of the other
            attempt(of_one)
    with world.unlocked(one):
        svc.set_tenant(two)
        svc.unlock(world.kek_id, world.kek)
        assert svc.get_credentials(of_two) == {"k": 2}


def test_rotation_keeps_old_credentials_readable(world: World) -> None:
    tenant_id, old = world.new_stored('{"k": "old"}')
    with world.svc.within(tenant_id):
        key = world.svc.create_tenant_key(world.kek_id, world.kek)
        assert world.svc.unlock(world.kek_id, world.kek) == 2
    new = world.new_instance(tenant_id, '{"k": "new"}')
    assert world.instance(new).credentials_key_id == key
    assert world.read(tenant_id, new) == {"k": "new"}
    assert world.read(tenant_id, old) == {"k": "old"}
    assert world.instance(old).credentials_key_id != key
    with world.unlocked(tenant_id):
        world.svc.put_credentials(old, '{"k": "moved"}')
    assert world.instance(old).credentials_key_id == key


def test_keys_under_two_keks_are_open_together(world: World) -> None:
    tenant_id, old = world.new_stored('{"k": "old"}')
    kek_id, kek = f"kek {uuid4()}", secrets.token_bytes(32)
    svc = world.svc
    with svc.within(tenant_id):
        svc.create_tenant_key(kek_id, kek)
        assert svc.unlock(kek_id, kek) == 1
        new = svc.create_instance(world.definition, "new")
        svc.put_credentials(new, '{"k": "new"}')
    with world.refused("IN302"), svc.unlocked(tenant_id, kek_id, kek):
        svc.get_credentials(old)
    with svc.unlocked(tenant_id, kek_id, kek):
        assert svc.unlock(world.kek_id, world.kek) == 1
        assert svc.unlock(kek_id, kek) == 1  # again: no harm
        assert svc.get_credentials(new) == {"k": "new"}
        assert svc.get_credentials(old) == {"k": "old"}


Forgery = Callable[[UUID, UUID, str], str]

FORGERIES: dict[str, tuple[Forgery, str]] = {
    "zeros": (lambda tenant, key, _: f"{tenant}|{key}={'0' * 64}", "IN303"),
    "another key": (lambda tenant, key, _: f"{tenant}|{key}={secrets.token_hex(32)}", "IN303"),
    "the true key with a bit changed": (
        lambda tenant, key, ring: ring[:-1] + ("0" if ring[-1] != "0" else "1"),
        "IN303",
    ),
    "another tenant's ring": (lambda tenant, key, ring: str(uuid4()) + ring[36:], "IN302"),
    "a short key": (lambda tenant, key, _: f"{tenant}|{key}={'0' * 63}", "IN302"),
    "capitals": (lambda tenant, key, ring: ring.upper(), "IN302"),
    "no key": (lambda tenant, key, _: f"{tenant}|{key}=", "IN302"),
    "the tenant alone": (lambda tenant, key, _: str(tenant), "IN302"),
    "garbage": (lambda tenant, key, _: "garbage|=\\x00' or true --", "IN302"),
    "nothing": (lambda tenant, key, _: "", "IN302"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_key_brought_in_by_a_setting_is_refused(world: World, forgery: str) -> None:
    tenant_id, instance_id = world.new_stored()
    forge, sqlstate = FORGERIES[forgery]
    key_id = world.instance(instance_id).credentials_key_id
    with world.unlocked(tenant_id):
        ring: str = world.svc.value("select current_setting('integrations.keyring')")
    forged = forge(tenant_id, key_id, ring)
    for attempt in (
        lambda: world.svc.get_credentials(instance_id),
        lambda: world.svc.put_credentials(instance_id, '{"k": "under a key of theirs"}'),
    ):
        with world.refused(sqlstate), world.svc.within(tenant_id):
            world.svc.run("select set_config('integrations.keyring', %s, true)", forged)
            attempt()
    with world.svc.within(tenant_id):
        world.svc.run("select set_config('integrations.keyring', %s, true)", forged)
        world.svc.unlock(world.kek_id, world.kek)
        assert world.svc.get_credentials(instance_id) == {"api_key": "k"}, "unlock starts afresh"


def test_a_batch_takes_no_key_from_a_setting(world: World) -> None:
    """Else re-encryption would move every row under a key of the attacker."""
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        key_id = world.svc.create_tenant_key(world.kek_id, world.kek)
    forged = f"{tenant_id}|{key_id}={'0' * 64}"
    with world.refused("IN303"), world.svc.within(tenant_id):
        world.svc.run("select set_config('integrations.keyring', %s, true)", forged)
        world.svc.reencrypt_batch()
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def tamper(world: World, tenant_id: UUID, change: str, *values: object) -> None:
    """Changes the keys of a tenant as a superuser."""
    world.superuser.run(
        f"update integrations_private.tenant_keys set {change} where tenant_id = %s",
        *values,
        tenant_id,
    )


@pytest.mark.parametrize(
    "change",
    [
        "wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)",
        "wrapped = set_byte(wrapped, length(wrapped) - 1,"
        " get_byte(wrapped, length(wrapped) - 1) # 1)",
        "wrapped = substr(wrapped, 1, length(wrapped) - 1)",
        "wrapped = ''",
        "wrapped = gen_random_uuid()::text::bytea",
        "check_value = set_byte(check_value, 0, get_byte(check_value, 0) # 1)",
    ],
)
def test_an_altered_key_does_not_open(world: World, change: str) -> None:
    tenant_id, _ = world.new_stored()
    tamper(world, tenant_id, change)
    with world.refused("IN304"), world.svc.within(tenant_id):
        world.svc.unlock(world.kek_id, world.kek)


def test_a_key_moved_to_another_tenant_or_key_does_not_open(world: World) -> None:
    one, two = world.new_tenant(), world.new_tenant()
    [key] = world.superuser.rows(
        "select wrapped, check_value, id from integrations_private.tenant_keys"
        " where tenant_id = %s",
        one,
    )
    for change, values in (
        ("wrapped = %s, check_value = %s", key[:2]),
        ("wrapped = %s, check_value = %s, id = %s", key),
    ):
        tamper(world, two, change, *values)
        with world.refused("IN304"), world.svc.within(two):
            world.svc.unlock(world.kek_id, world.kek)
    tamper(world, one, "id = gen_random_uuid()")
    with world.refused("IN304"), world.svc.within(one):
        world.svc.unlock(world.kek_id, world.kek)


def test_a_key_planted_on_another_tenant_stays_shut_for_him(world: World) -> None:
    """The same key, id and all: whoever has opened it for one stores nothing under it for two."""
    one, two = world.new_tenant(), world.new_tenant()
    instance_id = world.new_instance(two)
    [key] = world.superuser.rows(
        "select wrapped, check_value, id from integrations_private.tenant_keys"
        " where tenant_id = %s",
        one,
    )
    tamper(world, two, "wrapped = %s, check_value = %s, id = %s", *key)
    with world.refused("IN302"), world.unlocked(one):
        world.svc.set_tenant(two)
        world.svc.put_credentials(instance_id, "{}")


@pytest.mark.parametrize("state", ["retired", "destroyed"])
def test_a_key_out_of_use_opens_nothing(world: World, state: str) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.unlocked(tenant_id):
        ring: str = world.svc.value("select current_setting('integrations.keyring')")
    wrapped = ", wrapped = null" if state == "destroyed" else ""
    tamper(world, tenant_id, f"state = '{state}'{wrapped}")
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.unlock(world.kek_id, world.kek)
    for attempt in (
        lambda: world.svc.get_credentials(instance_id),
        lambda: world.svc.put_credentials(instance_id, "{}"),
    ):
        with world.refused("IN307") as caught, world.svc.within(tenant_id):
            world.svc.run("select set_config('integrations.keyring', %s, true)", ring)
            attempt()
        assert isinstance(caught.value, psycopg.Error)


def test_a_reader_with_a_key_that_was_destroyed_is_told_which(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    key_id = world.instance(instance_id).credentials_key_id
    tamper(world, tenant_id, "state = 'destroyed', wrapped = null")
    with world.refused("IN307") as caught, world.svc.within(tenant_id):
        world.svc.get_credentials(instance_id)
    assert str(key_id) in str(caught.value.diag.message_detail)
