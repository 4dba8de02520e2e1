"""When credentials expire is read from them; what makes no sense is none, and is never repeated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from .world import World

AT = datetime(2031, 5, 17, 10, 30, tzinfo=UTC)
EPOCH = int(AT.timestamp())

MOMENTS = {
    "RFC 3339 in UTC": "2031-05-17T10:30:00Z",
    "RFC 3339 with an offset": "2031-05-17T12:30:00+02:00",
    "RFC 3339 west of Greenwich": "2031-05-17T05:00:00-05:30",
    "RFC 3339 in lower case": "2031-05-17t10:30:00z",
    "RFC 3339 with a blank": "2031-05-17 10:30:00Z",
    "epoch": EPOCH,
    "epoch as text": str(EPOCH),
    "epoch with a fraction of nothing": float(EPOCH),
}


@pytest.mark.parametrize("form", MOMENTS)
def test_a_moment(world: World, form: str) -> None:
    world.svc.run("set timezone = 'America/St_Johns'")
    world.svc.run("set datestyle = 'SQL, DMY'")
    _, instance_id = world.new_stored(json.dumps({"expires_at": MOMENTS[form], "expires_in": 5}))
    assert world.instance(instance_id).credentials_expire_at == AT


@pytest.mark.parametrize("form", ["2031-05-17T10:30:00.25Z", EPOCH + 0.25, str(EPOCH + 0.25)])
def test_a_fraction_of_a_second(world: World, form: object) -> None:
    _, instance_id = world.new_stored(json.dumps({"expires_at": form}))
    moment = world.instance(instance_id).credentials_expire_at
    assert moment == AT + timedelta(milliseconds=250)


@pytest.mark.parametrize("seconds", [3600, "3600", 3600.0, 3600.4, 0])
@pytest.mark.parametrize("beside", [{}, {"expires_at": None}])
def test_a_duration_counts_from_now(
    world: World, seconds: float | str, beside: dict[str, None]
) -> None:
    before = datetime.now(UTC)
    _, instance_id = world.new_stored(json.dumps({"expires_in": seconds, **beside}))
    moment = world.instance(instance_id).credentials_expire_at - timedelta(seconds=float(seconds))
    # The server's clock may not be this one.
    assert before - timedelta(minutes=1) < moment < datetime.now(UTC) + timedelta(minutes=1)


NONSENSE = [
    "SENTINEL", "tomorrow", "now", "infinity", "-infinity", "Infinity", "NaN", "epoch", "", " ",
    "2031-05-17", "2031-05-17T10:30:00", "2031-05-17T10:30Z", "17.05.2031 10:30:00Z",
    "2031-02-30T10:30:00Z", "2031-13-01T10:30:00Z", "2031-05-17T25:00:00Z",
    "2031-05-17T10:30:00+99:99", "2031-05-17T10:30:00Z; select 1", "2031-05-17T10:30:00Z\n",
    "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:60Z", "1e9", "-1", "0x10", "1_000", "१२३४", -1, -0.5, EPOCH * 1000,
    10**300, "9" * 400,
    True, False, [], [EPOCH], {}, {"at": EPOCH},
]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_is_no_expiry(world: World, value: object) -> None:
    heard: list[str] = []
    world.svc.conn.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
    for credentials in ({"expires_at": value}, {"expires_in": value}):
        tenant_id, instance_id = world.new_stored(json.dumps(credentials))
        row = world.instance(instance_id)
        assert (row.status, row.credentials_expire_at) == ("active", None)
        assert world.read(tenant_id, instance_id) == credentials
    assert heard == []


@pytest.mark.parametrize("moment", ["0001-01-03T00:00:00Z", "9999-12-30T00:00:00Z"])
def test_a_moment_that_drivers_can_read(world: World, moment: str) -> None:
    """In any time zone: one tenant's must not end a list of all tenants'."""
    tenant_id, instance_id = world.new_stored(json.dumps({"expires_at": moment}))
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        world.svc.run(f"set timezone = '{zone}'")
        world.auditor.run(f"set timezone = '{zone}'")
        world.svc.list_refresh_due(1_000_000)
        world.auditor.rows("select credentials_expire_at from integrations.instance_overview")
    with world.svc.within(tenant_id):  # other tests expect theirs to be the first that are due
        world.svc.delete_instance(instance_id)


@pytest.mark.parametrize("document", ['{"expires_at": NaN}', '{"expires_in": Infinity}'])
def test_nan_is_not_json(world: World, document: str) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.refused("IN305"), world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, document)


def test_new_credentials_bring_their_own_expiry(world: World) -> None:
    tenant_id, instance_id = world.new_stored(json.dumps({"expires_at": EPOCH}))
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, "{}")
    assert world.instance(instance_id).credentials_expire_at is None
