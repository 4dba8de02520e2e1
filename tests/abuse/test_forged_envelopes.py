"""Sealed credentials that were altered, moved or made up are refused, always with one answer.

The attacker can write anything into the tables (somebody who restores a backup, a superuser of a
replica that was promoted), but has no key. He wants credentials to open where they do not belong:
those of another instance or tenant, a version that was replaced, bytes of his own. Against him
stand the MAC, checked before anything is decrypted, under keys that are derived from the identity
of the row; and the check value of each data key.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any
from uuid import UUID

import psycopg
import pytest
from api.world import World
from hypothesis import given
from hypothesis import strategies as st

from .effort import effort

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
    with world.refused("IN304") as caught, world.unlocked(tenant_id):
        world.svc.get_credentials(instance_id)
    diag = caught.value.diag
    assert diag.message_primary == ANSWER
    assert diag.message_detail == f"Instance {instance_id}, key {key_id}."
    assert "Store the credentials anew." in str(diag.message_hint)
    assert diag.internal_query is None


def altered(envelope: Envelope, field: str, change: Callable[[bytes], bytes]) -> Envelope:
    """Gives the envelope with the bytes of one field changed."""
    data = change(base64.b64decode(envelope[field]))
    return envelope | {field: base64.b64encode(data).decode()}


@effort(40, 120)
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


@dataclass(frozen=True)
class Sealed:
    """A row as it was at some time."""

    tenant_id: UUID
    instance_id: UUID
    version: int
    key_id: UUID
    envelope: Envelope


@pytest.fixture
def stock(world: World) -> list[Sealed]:
    """All that can be swapped: two tenants, two instances each, two keys, two versions per key."""
    sealed = []
    for _ in range(2):
        tenant_id = world.new_tenant()
        instances = [world.new_instance(tenant_id) for _ in range(2)]
        for _ in range(2):
            with world.svc.within(tenant_id):
                world.svc.create_tenant_key(world.kek_id, world.kek)
            for instance_id in instances * 2:
                with world.unlocked(tenant_id):
                    world.svc.put_credentials(instance_id, '{"api_key": "k"}')
                row = world.instance(instance_id)
                sealed.append(
                    Sealed(tenant_id, instance_id, row.credentials_version,
                           row.credentials_key_id, row.credentials)
                )  # fmt: skip
    return sealed


def force(world: World, row: Sealed, envelope: Envelope, version: int) -> str:
    """Writes an envelope with the foreign key off, and gives it as it is stored."""
    with world.superuser.conn.transaction():
        world.superuser.run("set local session_replication_role = replica")
        return str(
            world.superuser.value(
                "update integrations.integration_instances"
                " set credentials = %s, credentials_version = %s where id = %s"
                " returning credentials::text",
                json.dumps(envelope),
                version,
                row.instance_id,
            )
        )


def test_nothing_that_was_sealed_elsewhere_opens(world: World, stock: list[Sealed]) -> None:
    """Any mixture of what was ever stored is refused, but for what the row itself was once."""
    accepted = 0

    @effort(50, 150)
    @given(
        row=st.sampled_from(stock),
        parts=st.fixed_dictionaries(
            {field: st.sampled_from(stock) for field in ("key", "version", "ct", "mac")}
        ),
        one=st.booleans(),
        column=st.sampled_from(stock),
    )
    def swap(row: Sealed, parts: dict[str, Sealed], one: bool, column: Sealed) -> None:
        nonlocal accepted
        if one:  # a whole envelope of somewhere else
            parts = dict.fromkeys(parts, parts["ct"])
        envelope = row.envelope | {field: whose.envelope[field] for field, whose in parts.items()}
        force(world, row, envelope, column.version)
        was_once = any(
            (old.instance_id, old.version, old.envelope)
            == (row.instance_id, column.version, envelope)
            for old in stock
        )
        if was_once:
            accepted += 1
            assert world.read(row.tenant_id, row.instance_id) == {"api_key": "k"}
        else:
            refuse(world, row.tenant_id, row.instance_id)

    swap()
    last = stock[-1]
    force(world, last, last.envelope, last.version)
    assert world.read(last.tenant_id, last.instance_id) == {"api_key": "k"}, "none opens at all"


def test_no_character_of_an_envelope_can_change(world: World) -> None:
    """One character of the stored text: it does not fit into the column, or it is refused."""
    tenant_id, instance_id = world.new_stored()
    row = world.instance(instance_id)
    sealed = Sealed(tenant_id, instance_id, 1, row.credentials_key_id, row.credentials)
    text = json.dumps(row.credentials)

    @effort(70, 200)
    @given(at=st.integers(0, len(text) - 1), other=st.characters(codec="utf-8"))
    def change(at: int, other: str) -> None:
        try:
            altered = json.loads(text[:at] + other + text[at + 1 :])
            stored = force(world, sealed, altered, 1)
        except ValueError:  # it is no JSON any more
            return
        except psycopg.Error as error:
            assert error.sqlstate in ("23514", "22P02", "22P05"), error  # it does not fit
            return
        if json.loads(stored) == row.credentials:
            return
        refuse(world, tenant_id, instance_id)

    change()


@pytest.mark.parametrize("column", ["wrapped", "check_value"])
def test_no_byte_of_a_stored_key_can_change(world: World, column: str) -> None:
    """The key does not open, or, where OpenPGP has a second form for its bytes, it is the same."""
    tenant_id, instance_id = world.new_stored()
    where = "where tenant_id = %s"
    stored: bytes = world.superuser.value(
        f"select {column} from integrations_private.tenant_keys {where}", tenant_id
    )

    @effort(40, 100)
    @given(at=st.integers(0, len(stored) - 1), mask=st.integers(1, 255))
    def change(at: int, mask: int) -> None:
        altered = stored[:at] + bytes([stored[at] ^ mask]) + stored[at + 1 :]
        world.superuser.run(
            f"update integrations_private.tenant_keys set {column} = %s {where}",
            altered,
            tenant_id,
        )
        try:
            assert world.read(tenant_id, instance_id) == {"api_key": "k"}
            assert column == "wrapped"
        except psycopg.Error as error:
            assert error.sqlstate == "IN304", error
            assert error.diag.message_primary == ANSWER

    change()


def test_keys_cannot_be_swapped(world: World) -> None:
    """What belongs to one key of one tenant does not open under another one's id."""
    tenants = [world.new_stored() for _ in range(2)]
    for tenant_id, _ in tenants:
        with world.svc.within(tenant_id):
            world.svc.create_tenant_key(world.kek_id, world.kek)
    columns = ["wrapped", "check_value", "id"]
    rows = world.superuser.rows(
        "select tenant_id, version, wrapped, check_value, id"
        " from integrations_private.tenant_keys where tenant_id = any (%s)",
        [tenant_id for tenant_id, _ in tenants],
    )
    for target, source in permutations(rows, 2):
        for chosen in (["wrapped"], ["check_value"], ["wrapped", "check_value"], columns):
            if chosen == columns and source[0] == target[0]:
                continue  # the whole key, with another number: it is the tenant's own
            with pytest.raises(psycopg.Error) as caught, world.superuser.conn.transaction():
                superuser = world.superuser
                superuser.run("set local session_replication_role = replica")
                # The one whose place is taken goes: two rows cannot have the same id.
                superuser.run("delete from integrations_private.tenant_keys where id = %s",
                              source[4])  # fmt: skip
                superuser.run(
                    "update integrations_private.tenant_keys"
                    f" set {', '.join(f'{name} = %s' for name in chosen)}"
                    " where tenant_id = %s and version = %s",
                    *[source[2 + columns.index(name)] for name in chosen],
                    *target[:2],
                )
                superuser.set_tenant(target[0])
                superuser.unlock(world.kek_id, world.kek)
            assert caught.value.sqlstate == "IN304", caught.value


def test_what_somebody_erased_is_not_there(world: World) -> None:
    """Without a trace of the erasure in the row; a read lease does not bring it back either."""
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        lease = world.svc.open_read_lease(instance_id, "a test")
    world.superuser.run(
        "update integrations.integration_instances set credentials = null where id = %s",
        instance_id,
    )
    with world.refused("IN301"), world.unlocked(tenant_id):
        world.svc.get_credentials(instance_id)
    with world.refused("IN301"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)
