"""The worker of docs/refresh.md: fifty refresh each once, and lose nothing when they die."""

from __future__ import annotations

import importlib.util
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg
import pytest

from size import size

from .refreshes import (
    DUE,
    FRESH,
    PAGE,
    due_of,
    lease_of,
    shift,
    versions,
)
from .world import World


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The worker of docs/refresh.md, as it stands there."""
    [text] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path_factory.mktemp("worker") / "worker.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_worker_leaves_credentials_alone_that_somebody_stored_meanwhile(
    world: World, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its claim and its reading: a refresh would use up a token that it cannot replace."""
    tenant_id, instance_id = world.new_stored(DUE)
    other, call = world.client("svc_integration"), worker.call

    def interfere(conn: Any, function: str, **arguments: Any) -> Any:
        if function == "get_credentials":
            with other.unlocked(tenant_id, world.kek_id, world.kek):
                other.put_credentials(instance_id, FRESH)
        return call(conn, function, **arguments)

    def ask(credentials: object) -> None:
        pytest.fail(f"asked with {credentials}")

    monkeypatch.setattr(worker, "call", interfere)
    conn = world.svc.conn
    assert not worker.refresh_one(conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id)
    row = world.instance(instance_id)
    assert (row.status, row.credentials_version) == ("active", 2)
    assert lease_of(world, instance_id).lease is None


def test_the_worker_refreshes_what_was_refused_and_nothing_newer(
    world: World, worker: ModuleType
) -> None:
    tenant_id, instance_id = world.new_stored(FRESH)

    def refresh(refused: int | None) -> bool:
        return bool(
            worker.refresh_one(
                world.svc.conn, world.kek_id, world.kek, "w", lambda _: {"token": "newer"},
                tenant_id, instance_id, refused,
            )
        )  # fmt: skip

    assert not refresh(None), "it is not due"
    assert refresh(1)
    assert world.read(tenant_id, instance_id) == {"token": "newer"}, "without the old expiry"
    assert not refresh(1), "that version is gone"
    assert world.instance(instance_id).credentials_version == 2


def test_the_worker_that_is_too_late_saves_its_tokens(world: World, worker: ModuleType) -> None:
    tenant_id, instance_id = world.new_stored(DUE)

    def ask(credentials: object) -> dict[str, str]:
        shift(world, instance_id, timedelta(minutes=1))
        return {"token": "late"}

    assert worker.refresh_one(
        world.svc.conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id
    )
    assert world.read(tenant_id, instance_id) == {"token": "late"}


def test_the_worker_tells_what_kind_of_error_it_met(world: World, worker: ModuleType) -> None:
    tenant_id, instance_id = world.new_stored(DUE)

    def ask(credentials: object) -> None:
        raise ValueError("the response was SENTINEL")

    assert not worker.refresh_one(
        world.svc.conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id
    )
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", "ValueError")


class Died(BaseException):
    """The end of a worker's process, which nothing in it catches."""


MANY = size(60, 1000)


def many_due(world: World) -> list[UUID]:
    """Gives five tenants that share so many due instances, a token of its own in each."""
    tenants = [world.new_tenant() for _ in range(5)]
    for tenant_id in tenants:
        with world.unlocked(tenant_id):
            world.svc.rows(
                "select integrations.put_credentials("
                "         integrations.create_instance(%s, n::text),"
                "         jsonb_build_object('token', %s || ' ' || n, 'expires_in', 60)::text)"
                "  from generate_series(1, %s) as n",
                world.definition,
                str(tenant_id),
                MANY // len(tenants),
            )
    return tenants


def run_workers(
    world: World, worker: ModuleType, tenants: list[UUID], ask: Callable[[Any], Any], count: int
) -> int:
    """Lets workers run until all is refreshed, each starting anew when it dies; counts deaths."""
    deaths = [0] * count
    until = time.monotonic() + 300
    finished = threading.Event()

    def work(number: int) -> None:
        while not finished.is_set():
            assert time.monotonic() < until, "it does not end"
            try:
                with psycopg.connect(
                    world.logins["svc_integration"],
                    autocommit=True,
                    application_name="refresh worker",
                ) as conn:
                    while not finished.is_set():
                        worker.refresh_due(conn, world.kek_id, world.kek, f"w{number}", ask)
                        finished.wait(0.05)  # who finds nothing need not ask at once again
            except (Died, psycopg.OperationalError):
                deaths[number] += 1

    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(work, number) for number in range(count)]
        try:
            while versions(world, tenants)[1]:
                assert time.monotonic() < until, "it does not end"
                for future in futures:
                    assert not future.done() or future.result()
                time.sleep(0.05)
        finally:
            finished.set()
        for future in futures:
            future.result()
    return sum(deaths)


@pytest.mark.long
def test_fifty_workers_refresh_each_once(world: World, worker: ModuleType) -> None:
    tenants, asked, lock = many_due(world), Counter[str](), threading.Lock()

    def ask(credentials: dict[str, Any]) -> dict[str, Any]:
        with lock:
            asked[credentials["token"]] += 1
        return {"expires_in": 3600}

    assert run_workers(world, worker, tenants, ask, 50) == 0
    assert versions(world, tenants) == {2: MANY}
    prefixes = tuple(map(str, tenants))
    ours = {token: n for token, n in asked.items() if token.startswith(prefixes)}
    assert len(ours) == MANY
    assert set(ours.values()) == {1}, "no token is used twice"
    assert due_of(world, *tenants) == []


@pytest.mark.long
def test_fifty_workers_that_die_lose_nothing(
    world: World, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They die while they ask, and their sessions are killed at any moment, also in a commit."""
    tenants, call = many_due(world), worker.call

    def impatient(conn: Any, function: str, **arguments: Any) -> Any:
        if function == "claim_refresh":
            arguments["ttl"] = "2 seconds"  # so that the test need not wait for a minute
        return call(conn, function, **arguments)

    monkeypatch.setattr(worker, "call", impatient)

    def ask(credentials: dict[str, Any]) -> dict[str, Any]:
        if random.random() < 0.05:  # noqa: S311
            raise Died
        return {"expires_in": 3600}

    stop = threading.Event()

    def kill() -> int:
        killed = 0
        with psycopg.connect(world.dsn, autocommit=True) as conn:
            while not stop.wait(0.05):
                killed += conn.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'refresh worker' and datname = current_database()"
                    " order by random() limit 1"
                ).rowcount
        return killed

    with ThreadPoolExecutor(1) as thread:
        killer = thread.submit(kill)
        try:
            deaths = run_workers(world, worker, tenants, ask, 50)
        finally:
            stop.set()
        assert killer.result() > 0
    assert deaths > MANY / 50
    assert versions(world, tenants) == {2: MANY}, "each is stored once"
    assert due_of(world, *tenants) == []
    stored = "select count(*) from integrations_private.audit_log where event = %s"
    mine = stored + " and tenant_id = any (%s)"
    assert world.superuser.value(mine, "credentials_stored", tenants) == 2 * MANY
