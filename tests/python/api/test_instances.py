"""The life of an instance, by each role that may touch it, and the arguments it refuses."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from .client import Client
from .world import World

WRITERS = ["svc_integration", "integrations_tenant"]


@pytest.mark.parametrize("role", WRITERS)
def test_an_installation_from_beginning_to_end(world: World, role: str) -> None:
    client, tenant_id = world.client(role), world.new_tenant()
    with client.within(tenant_id):
        assert client.current_tenant() == tenant_id
        instance_id = client.create_instance(world.definition, "Sales", {"region": "eu"})
        client.update_config(instance_id, {"region": "us"})
        client.rename_instance(instance_id, "Sales US")
        [row] = client.rows(
            "select tenant_id, name, status::text, config, credentials_version, has_credentials"
            " from integrations.instance_overview where id = %s",
            instance_id,
        )
        assert row == (tenant_id, "Sales US", "pending", {"region": "us"}, 0, False)
        client.set_instance_status(instance_id, "revoked", "not needed")
        client.delete_instance(instance_id)
    assert world.instance(instance_id) is None
    assert world.events(tenant_id) == [
        "tenant_key_created", "instance_created", "config_updated", "instance_renamed",
        "credentials_revoked", "instance_deleted",
    ]  # fmt: skip


def test_credentials_from_beginning_to_end(world: World) -> None:
    tenant_id, svc = world.new_tenant(), world.svc
    instance_id = world.new_instance(tenant_id)
    with world.unlocked(tenant_id):
        assert svc.put_credentials(instance_id, '{"token": "one"}') == 1
        assert svc.put_credentials(instance_id, '{"token": "two"}', 1) == 2
        assert svc.get_credentials(instance_id) == {"token": "two"}
    row = world.instance(instance_id)
    assert (row.status, row.credentials_version) == ("active", 2)
    assert row.credentials.keys() == {"v", "key", "version", "ct", "mac"}
    assert "\n" not in row.credentials["ct"]
    assert row.credentials["key"] == str(row.credentials_key_id)
    with svc.within(tenant_id):
        svc.revoke_credentials(instance_id)
    row = world.instance(instance_id)
    assert (row.status, row.credentials, row.credentials_version) == ("revoked", None, 2)
    assert (row.credentials_key_id, row.credentials_expire_at) == (None, None)
    with world.refused("IN202"), svc.within(tenant_id):
        svc.revoke_credentials(instance_id)


def test_an_administrator_makes_keys_and_sees_their_use(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.admin.within(tenant_id):
        world.admin.create_tenant_key(world.kek_id, world.kek)
    keys = world.admin.rows(
        "select version, kek_id, state, instance_count from integrations.key_overview"
        " where tenant_id = %s order by version",
        tenant_id,
    )
    assert keys == [(1, world.kek_id, "decrypt_only", 1), (2, world.kek_id, "active", 0)]
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


# The statuses that an instance can be brought to, and how. "pending" needs nothing.
BRINGS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "pending": [],
    "active": [("put", {})],
    "error": [("put", {}), ("record_connection", {"ok": False, "reason": "401"})],
    "disabled": [("put", {}), ("set_instance_status", {"status": "disabled"})],
    "revoked": [("put", {}), ("set_instance_status", {"status": "revoked"})],
}
MOVES = {
    "pending": {"revoked"},
    "active": {"error", "disabled", "revoked"},
    "error": {"active", "disabled", "revoked"},
    "disabled": {"active", "error", "revoked"},
    "revoked": set(),
}


def instance_in(world: World, status: str) -> tuple[UUID, UUID]:
    """Gives a new tenant and its instance in a status."""
    tenant_id = world.new_tenant()
    instance_id = world.new_instance(tenant_id)
    with world.unlocked(tenant_id):
        for step, arguments in BRINGS[status]:
            if step == "put":
                world.svc.put_credentials(instance_id, "{}")
            else:
                world.svc.call(step, instance_id=instance_id, **arguments)
    assert world.instance(instance_id).status == status
    return tenant_id, instance_id


@pytest.mark.parametrize("role", WRITERS)
@pytest.mark.parametrize("old", BRINGS)
@pytest.mark.parametrize("new", BRINGS)
def test_life(world: World, old: str, new: str, role: str) -> None:
    client = world.client(role)
    tenant_id, instance_id = instance_in(world, old)
    if new in MOVES[old]:
        with client.within(tenant_id):
            client.set_instance_status(instance_id, new, "because")
        row = world.instance(instance_id)
        assert (row.status, row.status_reason) == (new, None if new == "active" else "because")
        assert (row.credentials is None) == (new == "revoked")
        assert row.credentials_version == 1 - (old == "pending")
    else:
        with world.refused("IN104"), client.within(tenant_id):
            client.set_instance_status(instance_id, new)


@pytest.mark.parametrize("status", ["disabled", "revoked"])
def test_a_disabled_or_revoked_instance_is_out_of_use(world: World, status: str) -> None:
    tenant_id, instance_id = instance_in(world, status)
    for attempt in (
        lambda: world.svc.get_credentials(instance_id),
        lambda: world.svc.put_credentials(instance_id, "{}"),
        lambda: world.svc.update_config(instance_id, {}),
        lambda: world.svc.upgrade_instance(instance_id, world.definition),
        lambda: world.svc.record_connection(instance_id, True),
        lambda: world.svc.record_connection(instance_id, False),
    ):
        with world.refused("IN202"), world.unlocked(tenant_id):
            attempt()


def test_connections(world: World) -> None:
    tenant_id, instance_id = instance_in(world, "active")
    svc = world.svc
    with svc.within(tenant_id):
        svc.record_connection(instance_id, False, "x" * 5000)
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", "x" * 1000)
    with svc.within(tenant_id):
        svc.record_connection(instance_id, False, "again")
    assert world.instance(instance_id).status_reason == "again"
    with svc.within(tenant_id):
        svc.record_connection(instance_id, True)
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("active", None)
    assert row.last_connected_at is not None
    assert row.last_used_at is None


def test_new_credentials_end_an_error(world: World) -> None:
    tenant_id, instance_id = instance_in(world, "error")
    with world.unlocked(tenant_id):
        assert world.svc.put_credentials(instance_id, "{}") == 2
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("active", None)


def test_a_pending_instance_cannot_fail(world: World) -> None:
    tenant_id, instance_id = instance_in(world, "pending")
    with world.refused("IN104"), world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, False)
    with world.refused("IN301"), world.unlocked(tenant_id):
        world.svc.get_credentials(instance_id)


BAD_NAMES = [None, "", "  \n", "x" * 201]
BAD_CONFIGS = [[], "text", 1, True, {"k": "x" * 65536}]


@pytest.mark.parametrize("role", WRITERS)
def test_bad_arguments(world: World, role: str) -> None:
    client: Client = world.client(role)
    tenant_id, instance_id = instance_in(world, "active")
    taken = world.instance(world.new_instance(tenant_id)).name
    attempts: list[tuple[str, str, dict[str, object]]] = [
        ("22023", "create_instance", {"integration_id": None, "name": "n"}),
        ("IN101", "create_instance", {"integration_id": uuid4(), "name": "n"}),
        ("23505", "rename_instance", {"instance_id": instance_id, "name": taken}),
        ("22023", "set_instance_status", {"instance_id": instance_id, "status": None}),
        ("22P02", "set_instance_status", {"instance_id": instance_id, "status": "gone"}),
        ("22023", "set_instance_status", {"instance_id": None, "status": "disabled"}),
        ("22023", "delete_instance", {"instance_id": None}),
        ("22023", "rename_instance", {"instance_id": None, "name": "n"}),
        ("22023", "update_config", {"instance_id": None, "config": "{}"}),
        ("22023", "update_config", {"instance_id": instance_id, "config": None}),
    ]
    for name in BAD_NAMES:
        attempts.append(("22023", "rename_instance", {"instance_id": instance_id, "name": name}))
        attempts.append(
            ("22023", "create_instance", {"integration_id": world.definition, "name": name})
        )
    for sqlstate, function, arguments in attempts:
        with world.refused(sqlstate), client.within(tenant_id):
            client.call(function, **arguments)
    for config in BAD_CONFIGS:
        with world.refused("22023"), client.within(tenant_id):
            client.update_config(instance_id, config)
        with world.refused("22023"), client.within(tenant_id):
            client.create_instance(world.definition, "n", config)


BAD_CREDENTIALS = {
    "NULL": (None, "22023"),
    "empty": ("", "IN305"),
    "not JSON": ("{k: 1}", "IN305"),
    "two documents": ("{} {}", "IN305"),
    "array": ("[]", "IN305"),
    "string": ('"text"', "IN305"),
    "number": ("1", "IN305"),
    "JSON null": ("null", "IN305"),
    "U+0000": ('{"k": "\\u0000"}', "IN305"),
    "half a surrogate pair": ('{"k": "\\ud800"}', "IN305"),
    "a number without end": ('{"k": 1e999999}', "IN305"),
    "nested beyond the stack": ('{"k": ' + "[" * 60000, "IN305"),
    "a byte over 64 KiB": ('{"k": "' + "x" * (65537 - 9) + '"}', "IN305"),
    "over 64 KiB in bytes only": ('{"k": "' + "é" * 32764 + '"}', "IN305"),
}


def test_a_config_that_some_could_not_read_is_refused(world: World) -> None:
    """One such row would break the list of all tenants for them."""
    tenant_id = world.new_tenant()
    for config, sqlstate in {
        '{"n": 1e200000}': "22003",
        '{"n": "\\u0000"}': "22P05",
        f'{{"n": {"[" * 30_000}{"]" * 30_000}}}': "54001",
        f'{{"n": {"[" * 2000}{"]" * 2000}}}': "22023",
        f'{{"n": {"[" * 101}{"]" * 101}}}': "22023",
    }.items():
        with world.refused(sqlstate), world.svc.within(tenant_id):
            instance_id = world.svc.create_instance(world.definition, "crm")
            world.svc.value("select integrations.update_config(%s, %s)", instance_id, config)


@pytest.mark.parametrize("case", BAD_CREDENTIALS)
def test_bad_credentials_are_refused(world: World, case: str) -> None:
    credentials, sqlstate = BAD_CREDENTIALS[case]
    tenant_id, instance_id = instance_in(world, "active")
    with world.refused(sqlstate) as caught, world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, credentials)
    assert caught.value.diag.message_detail is None


def test_the_largest_credentials_come_back_whole(world: World) -> None:
    secret = "é" * 32763 + "x"
    tenant_id, instance_id = world.new_stored('{"k": "' + secret + '"}')
    assert world.read(tenant_id, instance_id) == {"k": secret}


def test_null_ids_of_the_service(world: World) -> None:
    tenant_id, _ = instance_in(world, "active")
    svc = world.svc
    for attempt in (
        lambda: svc.get_credentials(None),
        lambda: svc.put_credentials(None, "{}"),
        lambda: svc.revoke_credentials(None),
        lambda: svc.record_connection(None, True),
        lambda: svc.record_connection(uuid4(), None),
        lambda: svc.set_tenant(None),
    ):
        with world.refused("22023"), world.unlocked(tenant_id):
            attempt()


@pytest.mark.parametrize("version", [0, 2, -1, 2147483647])
def test_a_stale_version_does_not_overwrite(world: World, version: int) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.refused("IN306"), world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, "{}", version)
