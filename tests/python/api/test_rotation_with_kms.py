"""Keys that a key management service (KMS) wraps, outside of the database."""

from __future__ import annotations

import secrets
from uuid import UUID, uuid4

import pytest

from .client import Client
from .keys import (
    keys_in_use,
)
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture


class Kms:
    """Wraps keys outside of the database: here by a one-time pad that it keeps."""

    def __init__(self) -> None:
        self.name = f"kms {uuid4()}"
        self.pads: dict[bytes, bytes] = {}

    def new_data_key(self) -> tuple[bytes, bytes]:
        data_key, pad = secrets.token_bytes(32), secrets.token_bytes(32)
        wrapped = bytes(a ^ b for a, b in zip(data_key, pad, strict=True))
        self.pads[wrapped] = pad
        return data_key, wrapped

    def unwrap(self, wrapped: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(wrapped, self.pads[wrapped], strict=True))

    def open(self, client: Client) -> int:
        """Opens all keys of the transaction's tenant that are its own."""
        keys = [key for key in client.wrapped_keys() if key[1] == self.name]
        for key_id, _, state, wrapped in keys:
            if state in ("active", "decrypt_only"):
                client.unlock_key(key_id, self.unwrap(wrapped))
        return len(keys)

    def add_key(self, client: Client) -> UUID:
        return client.add_tenant_key(self.name, *self.new_data_key())


def test_a_service_with_a_kms(world: World) -> None:
    kms, tenant_id, svc = Kms(), uuid4(), world.svc
    with svc.within(tenant_id):
        first = kms.add_key(svc)
        assert kms.open(svc) == 1
        instance_id = svc.create_instance(world.definition, "crm")
        svc.put_credentials(instance_id, '{"api_key": "k"}')
    with world.refused("IN302"), svc.within(tenant_id):
        svc.get_credentials(instance_id)
    with svc.within(tenant_id):
        kms.open(svc)
        assert svc.get_credentials(instance_id) == {"api_key": "k"}
    # Between keys of the KMS.
    with svc.within(tenant_id):
        second = kms.add_key(svc)
        assert [key[0] for key in svc.wrapped_keys()] == [second, first]
        assert [key[2] for key in svc.wrapped_keys()] == ["active", "decrypt_only"]
        assert kms.open(svc) == 2
        assert svc.reencrypt_batch() == (1, 0, 0)
    world.admin.retire_key(first)
    # To a KEK, and back.
    with svc.within(tenant_id):
        third = svc.create_tenant_key(world.kek_id, world.kek)
        kms.open(svc)
        svc.unlock(world.kek_id, world.kek)
        assert svc.reencrypt_batch() == (1, 0, 0)
    assert keys_in_use(world, tenant_id) == {third}
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}
    with svc.within(tenant_id):
        kms.add_key(svc)
        kms.open(svc)
        svc.unlock(world.kek_id, world.kek)
        assert svc.reencrypt_batch() == (1, 0, 0)
    with svc.within(tenant_id):
        kms.open(svc)
        assert svc.get_credentials(instance_id) == {"api_key": "k"}
    world.admin.destroy_key(first, str(first))
    with svc.within(tenant_id):
        assert first not in [key[0] for key in svc.wrapped_keys()]


def test_the_name_of_a_kms_key_is_no_kek(world: World) -> None:
    kms, tenant_id = Kms(), uuid4()
    with world.svc.within(tenant_id):
        kms.add_key(world.svc)
    for attempt in (world.svc.unlock, world.svc.create_tenant_key):
        with world.refused("IN303"), world.svc.within(tenant_id):
            attempt(kms.name, secrets.token_bytes(32))
    with world.refused("IN303"), world.svc.within(tenant_id):
        world.svc.add_tenant_key(world.kek_id, *kms.new_data_key())


@pytest.mark.parametrize("kms_first", [True, False])
def test_a_name_that_is_given_to_a_kek_and_to_a_kms_key_at_once(
    world: World, pool: Pool, kms_first: bool
) -> None:
    name, other = f"kek {uuid4()}", world.client("svc_integration")

    def bring(client: Client) -> None:
        with client.within(uuid4()):
            client.add_tenant_key(name, secrets.token_bytes(32), b"wrapped")

    def make(client: Client) -> None:
        with client.within(uuid4()):
            client.create_tenant_key(name, secrets.token_bytes(32))

    first, second = (bring, make) if kms_first else (make, bring)
    with world.svc.conn.transaction():
        first(world.svc)
        late = behind(world, pool, other, lambda: second(other))
    assert answer(late) == "IN303"


BAD_KEYS: dict[str, tuple[str | None, bytes | None, bytes | None]] = {
    "null name": (None, bytes(32), b"w"),
    "blank name": (" \t", bytes(32), b"w"),
    "long name": ("k" * 201, bytes(32), b"w"),
    "null key": ("kms", None, b"w"),
    "no key": ("kms", b"", b"w"),
    "short key": ("kms", bytes(31), b"w"),
    "long key": ("kms", bytes(33), b"w"),
    "nothing wrapped": ("kms", bytes(32), None),
    "no bytes wrapped": ("kms", bytes(32), b""),
    "too many bytes": ("kms", bytes(32), bytes(16385)),
    "not wrapped": ("kms", bytes(32), bytes(32)),
}


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_add_tenant_key_refuses(world: World, bad: str) -> None:
    with world.refused("22023"), world.svc.within(uuid4()):
        world.svc.add_tenant_key(*BAD_KEYS[bad])


def test_unlock_key_refuses(world: World) -> None:
    kms, tenant_id, other = Kms(), uuid4(), uuid4()
    data_key, wrapped = kms.new_data_key()
    with world.svc.within(tenant_id):
        key_id = world.svc.add_tenant_key(kms.name, data_key, wrapped)
    for id, key, sqlstate in (
        (None, data_key, "22023"),
        (key_id, None, "22023"),
        (key_id, data_key[1:], "22023"),
        (key_id, data_key + b"\0", "22023"),
        (key_id, data_key[::-1], "IN303"),
        (key_id, wrapped, "IN303"),
        (uuid4(), data_key, "IN307"),
    ):
        with world.refused(sqlstate), world.svc.within(tenant_id):
            world.svc.unlock_key(id, key)
    with world.refused("IN307"), world.svc.within(other):
        world.svc.unlock_key(key_id, data_key)
    for call in (
        lambda: world.svc.unlock_key(key_id, data_key),
        lambda: world.svc.add_tenant_key(kms.name, data_key, wrapped),
        world.svc.wrapped_keys,
    ):
        with world.refused("IN001"), world.svc.conn.transaction():
            call()
    world.admin.retire_key(key_id)
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.unlock_key(key_id, data_key)


def test_a_kms_key_is_open_for_its_tenant_only(world: World) -> None:
    kms, one = Kms(), uuid4()
    two, of_two = world.new_stored()
    with world.svc.within(one):
        kms.add_key(world.svc)
    with world.refused("IN302"), world.svc.within(one):
        kms.open(world.svc)
        world.svc.set_tenant(two)
        world.svc.get_credentials(of_two)
