"""Refreshes as a worker does them, for their tests."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from .world import World

DUE = '{"token": "old", "expires_in": 60}'

FRESH = '{"token": "new", "expires_in": 3600}'

SHORT = timedelta(milliseconds=50)

NOW = timedelta(0)


def due_of(world: World, *tenants: UUID) -> list[UUID]:
    """Gives the listed instances of these tenants, the earliest first, in each of both parts."""
    listed = world.svc.list_refresh_due(100_000)
    times = [at for _, _, at in listed]
    turns = [n for n in range(1, len(times)) if times[n] < times[n - 1]]
    assert len(turns) <= 1, "each of both parts has its order"
    return [instance_id for tenant_id, instance_id, _ in listed if tenant_id in tenants]


def claim(
    world: World, tenant_id: UUID, instance_id: UUID, holder: str = "worker", **more: object
) -> UUID:
    with world.svc.within(tenant_id):
        return world.svc.claim_refresh(instance_id, holder, **more)


def complete(
    world: World, tenant_id: UUID, lease: UUID, version: int, credentials: str = FRESH
) -> int:
    with world.unlocked(tenant_id):
        return world.svc.complete_refresh(lease, credentials, version)


def fail(world: World, tenant_id: UUID, lease: UUID, reason: str = "HTTP 503", **more: Any) -> None:
    with world.svc.within(tenant_id):
        world.svc.fail_refresh(lease, reason, **more)


def store(world: World, tenant_id: UUID, instance_id: UUID, credentials: str = FRESH) -> int:
    with world.unlocked(tenant_id):
        return world.svc.put_credentials(instance_id, credentials)


def lease_of(world: World, instance_id: UUID) -> Any:
    """Gives the stored row of leases as it is, or None."""
    with world.superuser.conn.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        cursor.execute(
            "select * from integrations_private.refresh_leases where instance_id = %s",
            [instance_id],
        )
        return cursor.fetchone()


def shift(world: World, instance_id: UUID, by: timedelta) -> None:
    """Lets time pass for a lease: moves what is stored of it into the past."""
    world.superuser.run(
        "update integrations_private.refresh_leases as l"
        "   set leased_until = leased_until - p.by, retry_at = retry_at - p.by,"
        "       refreshed_at = refreshed_at - p.by"
        "  from (select %s::interval) as p (by) where l.instance_id = %s",
        by,
        instance_id,
    )


PAGE = (Path(__file__).parents[3] / "docs/refresh.md").read_text()


def versions(world: World, tenants: list[UUID]) -> Counter[int]:
    """Counts the instances of these tenants by the version of their credentials."""
    rows = world.superuser.rows(
        "select credentials_version, count(*) from integrations.integration_instances"
        " where tenant_id = any (%s) group by 1",
        tenants,
    )
    return Counter(dict(rows))
