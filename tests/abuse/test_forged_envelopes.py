"""Sealed credentials that were altered, moved or made up are refused, always with one answer.

The tamperer is a superuser: it can write anything into the table, but has no key.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from api.world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Envelope = dict[str, Any]

ANSWER = "integrity check failed"
SEALED_DATA_WITH_MDC, SEALED_DATA = 18, 9  # packet tags of OpenPGP (RFC 4880, 5.13 and 5.7)


def store(world: World, instance_id: UUID, envelope: Envelope, **columns: object) -> None:
    """Writes an envelope, and other columns, as a superuser."""
    names = "".join(f", {name} = %s" for name in columns)
    world.superuser.run(
        f"update integrations.integration_instances set credentials = %s{names} where id = %s",
        json.dumps(envelope),
        *columns.values(),
        instance_id,
    )


def refuse(world: World, tenant_id: UUID, instance_id: UUID) -> None:
    """Expects the one answer."""
    key_id = world.instance(instance_id).credentials_key_id
    with world.refused("IN304") as caught:
        world.read(tenant_id, instance_id)
    diag = caught.value.diag
    assert diag.message_primary == ANSWER
    assert diag.message_detail == f"Instance {instance_id}, key {key_id}."
    assert "Store the credentials anew." in str(diag.message_hint)
    assert diag.internal_query is None


def altered(envelope: Envelope, field: str, change: Callable[[bytes], bytes]) -> Envelope:
    """Gives the envelope with the bytes of one field changed."""
    data = change(base64.b64decode(envelope[field]))
    return envelope | {field: base64.b64encode(data).decode()}


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), field=st.sampled_from(["ct", "mac"]))
def test_any_change_of_the_bytes_is_refused(world: World, data: st.DataObject, field: str) -> None:
    tenant_id, instance_id = world.new_stored()
    envelope = world.instance(instance_id).credentials
    size = len(base64.b64decode(envelope[field]))
    change = data.draw(
        st.one_of(
            st.builds(
                lambda at, mask: lambda b: b[:at] + bytes([b[at] ^ mask]) + b[at + 1 :],
                st.integers(0, size - 1),
                st.integers(1, 255),
            ),
            st.builds(lambda at: lambda b: b[:at], st.integers(0, size - 1)),
            st.builds(lambda more: lambda b: b + more, st.binary(min_size=1, max_size=20)),
            st.builds(lambda made_up: lambda b: made_up, st.binary(max_size=300)),
        )
    )
    store(world, instance_id, altered(envelope, field, change))
    refuse(world, tenant_id, instance_id)


def test_every_byte_counts(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    envelope = world.instance(instance_id).credentials
    for field in ("ct", "mac"):
        for at in range(len(base64.b64decode(envelope[field]))):
            data = bytearray(base64.b64decode(envelope[field]))
            data[at] ^= 1
            store(world, instance_id, envelope | {field: base64.b64encode(data).decode()})
            with pytest.raises(psycopg.Error) as caught:
                world.read(tenant_id, instance_id)
            assert caught.value.sqlstate == "IN304", f"{field} byte {at}"
    store(world, instance_id, envelope)
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


@pytest.mark.parametrize(
    "change",
    [
        {"ct": ""},
        {"mac": ""},
        {"ct": "not base64!"},
        {"mac": "not base64!"},
        {"version": 2},
        {"version": 1.5},
        {"version": 1e99},
        {"version": -1},
    ],
    ids=str,
)
def test_an_envelope_that_makes_no_sense_is_refused(world: World, change: Envelope) -> None:
    tenant_id, instance_id = world.new_stored()
    store(world, instance_id, world.instance(instance_id).credentials | change)
    refuse(world, tenant_id, instance_id)


@pytest.mark.parametrize("column", ["credentials_version", "id"])
def test_the_row_is_part_of_the_seal(world: World, column: str) -> None:
    tenant_id, instance_id = world.new_stored()
    value = {"credentials_version": "2", "id": "gen_random_uuid()"}[column]
    instance_id = world.superuser.value(
        f"update integrations.integration_instances set {column} = {value}"
        " where id = %s returning id",
        instance_id,
    )
    refuse(world, tenant_id, instance_id)


def test_two_rows_of_a_tenant_cannot_be_swapped(world: World) -> None:
    tenant_id, one = world.new_stored()
    two = world.new_instance(tenant_id, '{"api_key": "two"}')
    envelopes = {id: world.instance(id).credentials for id in (one, two)}
    store(world, one, envelopes[two])
    store(world, two, envelopes[one])
    refuse(world, tenant_id, one)
    refuse(world, tenant_id, two)


def test_an_older_version_does_not_come_back(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    old = world.instance(instance_id).credentials
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, '{"api_key": "new"}')
    new = world.instance(instance_id).credentials
    for replay in (old, old | {"version": 2}, new | {"ct": old["ct"]}, new | {"mac": old["mac"]}):
        store(world, instance_id, replay)
        refuse(world, tenant_id, instance_id)


def test_another_key_of_the_tenant_does_not_open(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        other = world.svc.create_tenant_key(world.kek_id, world.kek)
    store(world, instance_id, world.instance(instance_id).credentials | {"key": str(other)})
    refuse(world, tenant_id, instance_id)


def test_another_tenants_row_does_not_fit(world: World) -> None:
    (tenant_id, instance_id), (_, foreign) = world.new_stored(), world.new_stored()
    mine, theirs = world.instance(instance_id).credentials, world.instance(foreign).credentials
    with world.refused("23503"):
        store(world, instance_id, theirs)
    store(world, instance_id, theirs | {"key": mine["key"]})
    refuse(world, tenant_id, instance_id)


def test_another_tenants_envelope_is_refused_without_the_foreign_key(world: World) -> None:
    """A tamperer who is a superuser can switch the guard off."""
    (tenant_id, instance_id), (_, foreign) = world.new_stored(), world.new_stored()
    with world.superuser.conn.transaction():
        world.superuser.run("set local session_replication_role = replica")
        store(world, instance_id, world.instance(foreign).credentials)
    refuse(world, tenant_id, instance_id)


def unprotected(message: bytes) -> bytes:
    """Rewrites an OpenPGP message to one whose data packet has no integrity protection.

    pgcrypto then decrypts it without any check. The version octet of the packet goes, its length
    shrinks; lengths are those of the new format (RFC 4880, 4.2.2).
    """
    skipped = 2 + message[1]  # the packet with the session key stays as it is
    tag, length = message[skipped], message[skipped + 1]
    assert tag == 0xC0 | SEALED_DATA_WITH_MDC
    assert length < 192
    body = message[skipped + 2 : skipped + 2 + length]
    return message[:skipped] + bytes([0xC0 | SEALED_DATA, length - 1]) + body[1:]


def test_a_message_without_its_own_protection_is_refused(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    store(world, instance_id, altered(world.instance(instance_id).credentials, "ct", unprotected))
    refuse(world, tenant_id, instance_id)


@pytest.mark.parametrize(
    "envelope",
    [
        '{"api_key": "SENTINEL"}',
        '"SENTINEL"',
        '["SENTINEL"]',
        "{}",
        '{"v": 2, "key": "SENTINEL", "version": 1, "ct": "", "mac": ""}',
        '{"v": 1, "key": "SENTINEL", "version": 1, "ct": "", "mac": ""}',
        '{"v": 1, "key": 1, "version": 1, "ct": "", "mac": ""}',
        '{"v": 1, "version": 1, "ct": "SENTINEL", "mac": ""}',
        '{"v": 1, "key": null, "version": 1, "ct": "SENTINEL", "mac": ""}',
        '{"v": 1, "key": "%(key)s", "version": "1", "ct": "", "mac": ""}',
        '{"v": 1, "key": "%(key)s", "version": 1, "ct": null, "mac": ""}',
        '{"v": 1, "key": "%(key)s", "version": 1, "ct": "", "mac": {}}',
        '{"v": 1, "key": "%(key)s", "version": 1, "ct": "", "mac": "", "api_key": "SENTINEL"}',
        '{"v": [1], "key": "%(key)s", "version": 1, "ct": "", "mac": ""}',
    ],
)
def test_plaintext_does_not_fit_into_the_column(world: World, envelope: str) -> None:
    _, instance_id = world.new_stored()
    key = str(world.instance(instance_id).credentials_key_id)
    with world.refused("23514"):
        world.superuser.run(
            "update integrations.integration_instances set credentials = %s where id = %s",
            envelope.replace("%(key)s", key),
            instance_id,
        )


def test_the_same_secret_never_looks_the_same(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    texts = set()
    for _ in range(10):
        with world.unlocked(tenant_id):
            world.svc.put_credentials(instance_id, '{"api_key": "k"}')
        texts.add(world.instance(instance_id).credentials["ct"])
    assert len(texts) == 10


def loosened(envelope: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Other texts for the same bytes: decode() takes them, and to jsonb 1.0 equals 1."""
    ct, mac = envelope["ct"], envelope["mac"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    # 32 bytes leave two bits of the last letter unused.
    other = alphabet[alphabet.index(mac[42]) ^ 1]
    return {
        "a newline in ct": envelope | {"ct": ct[:4] + "\n" + ct[4:]},
        "a newline after ct": envelope | {"ct": ct + "\n"},
        "a blank before mac": envelope | {"mac": " " + mac},
        "unused bits of mac": envelope | {"mac": mac[:42] + other + "="},
        "a fraction as version": envelope | {"version": 1.0},
        "a fraction as format": envelope | {"v": 1.0},
    }


@pytest.mark.parametrize("how", loosened({"ct": "", "mac": "A" * 43 + "="}))
def test_another_text_for_the_same_envelope_is_refused(world: World, how: str) -> None:
    tenant_id, instance_id = world.new_stored()
    store(world, instance_id, loosened(world.instance(instance_id).credentials)[how])
    refuse(world, tenant_id, instance_id)
