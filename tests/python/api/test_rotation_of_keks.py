"""A new key-encryption key (KEK) for all tenants, while the service uses both."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from .keys import (
    new_kek,
    terminate,
)
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture


def of_kek(world: World, kek: tuple[str, bytes], tenants: int = 3) -> dict[UUID, UUID]:
    """Gives new tenants under a KEK, each with an instance."""
    made = {}
    for _ in range(tenants):
        tenant_id = uuid4()
        with world.svc.within(tenant_id):
            world.svc.create_tenant_key(*kek)
            world.svc.unlock(*kek)
            made[tenant_id] = world.svc.create_instance(world.definition, "crm")
            world.svc.put_credentials(made[tenant_id], '{"api_key": "k"}')
    return made


def opened_by(world: World, kek: tuple[str, bytes], instances: dict[UUID, UUID]) -> int:
    """Counts the instances that can be read with a KEK."""
    count = 0
    for tenant_id, instance_id in instances.items():
        try:
            with world.svc.unlocked(tenant_id, *kek):
                assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
            count += 1
        except psycopg.Error as error:
            assert error.sqlstate == "IN307"
    return count


def test_a_new_kek_for_all_tenants(world: World) -> None:
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 5)
    envelopes = [world.instance(id).credentials for id in instances.values()]
    for moved, expected in ((2, 2), (4, 2), (5, 1), (5, 0)):
        assert world.admin.rewrap_keys(*old, *new, 2) == expected
        assert opened_by(world, new, instances) == moved
        assert opened_by(world, old, instances) == 5 - moved, "both are usable meanwhile"
    assert [world.instance(id).credentials for id in instances.values()] == envelopes
    for tenant_id, instance_id in instances.items():
        assert world.events(tenant_id).count("tenant_key_rewrapped") == 1
        with world.svc.unlocked(tenant_id, *new):
            world.svc.put_credentials(instance_id, '{"api_key": "k"}')
    assert world.admin.rewrap_keys(*new, *old) == 5, "and back"
    assert opened_by(world, old, instances) == 5


def test_a_key_wrapped_anew_between_two_unlocks_is_open(world: World) -> None:
    """With the old KEK first: in the other order both calls may miss it."""
    old, new = new_kek(), new_kek()
    [(tenant_id, instance_id)] = of_kek(world, old, 1).items()
    with world.svc.within(tenant_id):
        world.svc.unlock(*old)
        assert world.admin.rewrap_keys(*old, *new) == 1
        assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
        world.svc.unlock(*new)
        assert world.svc.get_credentials(instance_id) == {"api_key": "k"}


def test_the_rest_stays_under_its_kek(world: World) -> None:
    old, new = new_kek(), new_kek()
    of_kek(world, old, 1)
    tenant_id, instance_id = world.new_stored()
    assert world.admin.rewrap_keys(*old, *new) == 1
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_destroyed_keys_are_not_wrapped_anew(world: World) -> None:
    old, new = new_kek(), new_kek()
    [instance_id] = of_kek(world, old, 1).values()
    key_id = world.instance(instance_id).credentials_key_id
    world.admin.destroy_key(key_id, str(key_id))
    assert world.admin.rewrap_keys(*old, *new) == 0


def test_rewrapping_that_was_killed_is_taken_up_again(world: World) -> None:
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 4)
    admin = world.client("integrations_admin")
    assert admin.rewrap_keys(*old, *new, 1) == 1
    with pytest.raises(psycopg.OperationalError):
        with admin.conn.transaction():
            assert admin.rewrap_keys(*old, *new, 2) == 2
            terminate(world, admin)
            admin.value("select 1")
    assert (opened_by(world, old, instances), opened_by(world, new, instances)) == (3, 1)
    assert world.admin.rewrap_keys(*old, *new) == 3
    assert opened_by(world, new, instances) == 4


@pytest.mark.parametrize("known", [False, True], ids=["its name is new", "it is in use"])
def test_two_who_rewrap_at_once(world: World, pool: Pool, known: bool) -> None:
    """The second one waits for the name of the new KEK, or else for the keys."""
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 6)
    if known:
        of_kek(world, new, 1)
    other = world.client("integrations_admin")
    with world.admin.conn.transaction():
        assert world.admin.rewrap_keys(*old, *new, 3) == 3
        second = behind(world, pool, other, lambda: other.rewrap_keys(*old, *new, 3))
    assert answer(second) is None
    assert second.result() == 3, "the other three"
    assert opened_by(world, new, instances) == 6


def test_an_altered_key_is_not_wrapped_anew(world: World) -> None:
    old, new = new_kek(), new_kek()
    [tenant_id] = of_kek(world, old, 1)
    world.superuser.run(
        "update integrations_private.tenant_keys set wrapped = set_byte(wrapped, 40,"
        " get_byte(wrapped, 40) # 1) where tenant_id = %s",
        tenant_id,
    )
    with world.refused("IN304"):
        world.admin.rewrap_keys(*old, *new)


BAD_KEKS: dict[str, tuple[Callable[[str, bytes, str, bytes], tuple[object, ...]], str]] = {
    "wrong old KEK": (lambda a, x, b, y: (a, x[::-1], b, y), "IN303"),
    "wrong new KEK": (lambda a, x, b, y: (a, x, b, y[::-1]), "IN303"),
    "old KEK of a KMS": (lambda a, x, b, y: ("kms-of-tests", x, b, y), "IN303"),
    "new KEK of a KMS": (lambda a, x, b, y: (a, x, "kms-of-tests", y), "IN303"),
    "unknown old KEK": (lambda a, x, b, y: (f"kek {uuid4()}", x, b, y), "IN307"),
    "one id": (lambda a, x, b, y: (a, x, a, x), "22023"),
    "one id, two KEKs": (lambda a, x, b, y: (a, x, a, y), "22023"),
    "null old id": (lambda a, x, b, y: (None, x, b, y), "22023"),
    "null new id": (lambda a, x, b, y: (a, x, None, y), "22023"),
    "blank new id": (lambda a, x, b, y: (a, x, " \n", y), "22023"),
    "null old KEK": (lambda a, x, b, y: (a, None, b, y), "22023"),
    "null new KEK": (lambda a, x, b, y: (a, x, b, None), "22023"),
    "short old KEK": (lambda a, x, b, y: (a, x[1:], b, y), "22023"),
    "long new KEK": (lambda a, x, b, y: (a, x, b, y + b"\0"), "22023"),
    "null limit": (lambda a, x, b, y: (a, x, b, y, None), "22023"),
    "zero": (lambda a, x, b, y: (a, x, b, y, 0), "22023"),
    "negative": (lambda a, x, b, y: (a, x, b, y, -1), "22023"),
}


@pytest.mark.parametrize("bad", BAD_KEKS)
def test_rewrap_refuses(world: World, bad: str) -> None:
    old, new = new_kek(), new_kek()
    for kek in (old, new):
        of_kek(world, kek, 1)
    tenant_id = uuid4()
    with world.svc.within(tenant_id):
        world.svc.add_tenant_key("kms-of-tests", secrets.token_bytes(32), b"wrapped")
    arguments, sqlstate = BAD_KEKS[bad]
    names = ("old_kek_id", "old_kek", "new_kek_id", "new_kek", "max_keys")
    values = arguments(*old, *new)
    with world.refused(sqlstate):
        world.admin.call("rewrap_keys", **dict(zip(names, values, strict=False)))
