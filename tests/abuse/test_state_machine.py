"""Two tenants do anything, in any order, well and badly, and the database does what a model says.

The attacker is whoever finds an order of calls that nobody thought of: a key that stays open where
it should not, a row that lands under the wrong key, an instance of somebody else that answers, a
rollback that leaves something. Against him stands a model of the functions in plain Python, without
cryptography and without SQL: after each step the answer and the visible rows are compared with it,
and at each commit everything that is stored.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import copy
import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from api.client import Client
from api.world import World
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.conninfo import conninfo_to_dict

from .effort import effort

COLUMNS = (
    "id, name, config, status::text, status_reason, credentials_version, credentials_key_id,"
    " credentials is not null"
)
MOVES: dict[str, set[str]] = {
    "pending": {"revoked"},
    "active": {"error", "disabled", "revoked"},
    "error": {"active", "disabled", "revoked"},
    "disabled": {"active", "error", "revoked"},
    "revoked": set(),
}

QUARANTINE = "quarantined: the credentials cannot be decrypted"
NAMES = st.sampled_from(["Sales", "Books", "first", "é'\"\\", " "])
CONFIGS = st.sampled_from([{}, {"a": [1, None]}, ["no object"]])
STATUSES = st.sampled_from(["pending", "active", "error", "disabled", "revoked"])
REASONS = st.sampled_from([None, "broken", QUARANTINE])
WHO = st.integers(0, 1)
WHICH_KEY = st.integers(0, 11)  # see Tenants.key_id
KEK = st.sampled_from([0, 0, 1, 1, 0, 1, 2, 3, 4])  # see Tenants.kek


class Refused(Exception):
    """The model says that a call ends with this SQLSTATE."""


@dataclass
class Key:
    """A data key; ``outside`` are its bytes if it came from outside."""

    version: int
    kek_id: str
    state: str = "active"
    outside: bytes | None = None

    @property
    def usable(self) -> bool:
        return self.state in ("active", "decrypt_only")


@dataclass
class Instance:
    """What is known of an instance; ``altered``: somebody changed the stored bytes."""

    name: str
    config: Any
    status: str = "pending"
    reason: str | None = None
    secret: Any = None
    version: int = 0
    key: UUID | None = None
    altered: bool = False
    refresh: Refresh | None = None


@dataclass
class Refresh:
    """How refreshes of an instance went; ``lease`` while one is going on.

    Attributes:
        holder: who claimed last.
        version: that of the credentials when they were claimed, or what came of the refresh.
        fresh: it was completed, and nobody claimed since.
    """

    holder: str
    version: int
    lease: UUID | None = None
    fresh: bool = False


@dataclass
class Tenant:
    instances: dict[UUID, Instance] = field(default_factory=dict)
    keys: dict[UUID, Key] = field(default_factory=dict)

    @property
    def active(self) -> tuple[UUID, Key] | None:
        return next(((id, key) for id, key in self.keys.items() if key.state == "active"), None)


def visible(instances: dict[UUID, Instance]) -> dict[UUID, tuple[Any, ...]]:
    """What a caller sees of instances, by id."""
    return {
        id: (i.name, i.config, i.status, i.reason, i.version, i.key, i.key is not None)
        for id, i in instances.items()
    }


@dataclass
class State:
    """Everything that a rollback takes back."""

    tenants: dict[UUID, Tenant]
    keks: dict[str, bytes | None] = field(default_factory=dict)  # None: it stays outside
    audited: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    read_leases: dict[UUID, tuple[UUID, UUID, int]] = field(default_factory=dict)
    transaction: int = 0
    tenant_id: UUID | None = None
    ring: tuple[UUID, frozenset[UUID]] | None = None

    @property
    def tenant(self) -> Tenant:
        if self.tenant_id is None:
            raise Refused("IN001")
        return self.tenants[self.tenant_id]

    def audit(self, event: str, tenant_id: UUID | None = None) -> None:
        tenant_id = tenant_id or self.tenant_id
        assert tenant_id is not None
        self.audited[tenant_id, event] += 1

    def is_open(self, key_id: UUID) -> bool:
        return self.ring is not None and self.ring[0] == self.tenant_id and key_id in self.ring[1]

    def open(self, *key_ids: UUID) -> None:
        assert self.tenant_id is not None
        before = self.ring[1] if self.ring and self.ring[0] == self.tenant_id else frozenset()
        self.ring = (self.tenant_id, before | {*key_ids})

    def instance(self, instance_id: UUID | None) -> Instance:
        tenant = self.tenant
        if instance_id is None:
            raise Refused("22023")
        if instance_id not in tenant.instances:
            raise Refused("IN201")
        return tenant.instances[instance_id]

    def usable(self, instance_id: UUID | None) -> Instance:
        instance = self.instance(instance_id)
        if instance.status in ("disabled", "revoked"):
            raise Refused("IN202")
        return instance

    def put(self, instance: Instance, secret: str, version: int | None) -> int:
        if version not in (None, instance.version):
            raise Refused("IN306")
        active = self.tenant.active
        if active is None:
            raise Refused("IN307" if self.ring and self.ring[0] == self.tenant_id else "IN302")
        self.open_key(*active)
        instance.secret, instance.key, instance.altered = secret, active[0], False
        instance.status, instance.reason = "active", None
        instance.version += 1
        self.audit("credentials_stored")
        return instance.version

    def get(self, instance_id: UUID | None) -> dict[str, Any]:
        instance = self.usable(instance_id)
        if instance.key is None:
            raise Refused("IN301")
        self.open_key(instance.key, self.tenant.keys[instance.key])
        if instance.altered:
            raise Refused("IN304")
        self.audit("credentials_read")
        return {"k": instance.secret}

    def leased(self, lease: UUID | None) -> tuple[Instance, Refresh]:
        tenant = self.tenant
        if lease is None:
            raise Refused("22023")
        for instance in tenant.instances.values():
            if instance.refresh and instance.refresh.lease == lease:
                return instance, instance.refresh
        raise Refused("IN402")

    def move(self, instance: Instance, status: str, reason: str | None = None) -> None:
        if status not in MOVES[instance.status]:
            raise Refused("IN104")
        instance.status = status
        instance.reason = reason if status != "active" else None
        if status == "revoked":
            instance.secret = instance.key = None
        self.audit("credentials_revoked" if status == "revoked" else "status_changed")

    def key(self, key_id: UUID | None) -> tuple[UUID, Key]:
        """Finds a key of whatever tenant, for those who work across tenants."""
        if key_id is None:
            raise Refused("22023")
        for tenant_id, tenant in self.tenants.items():
            if key_id in tenant.keys:
                return tenant_id, tenant.keys[key_id]
        raise Refused("IN307")

    def add_key(self, key_id: UUID, kek_id: str, outside: bytes | None = None) -> None:
        if active := self.tenant.active:
            active[1].state = "decrypt_only"
        self.tenant.keys[key_id] = Key(len(self.tenant.keys) + 1, kek_id, outside=outside)
        self.audit("tenant_key_created")

    def check_kek(self, kek_id: str, kek: bytes) -> None:
        if len(kek) != 32:
            raise Refused("22023")
        if kek_id in self.keks and self.keks[kek_id] != kek:
            raise Refused("IN303")

    def open_key(self, key_id: UUID, key: Key) -> None:
        if not key.usable:
            raise Refused("IN307")
        if not self.is_open(key_id):
            raise Refused("IN302")


class Tenants(RuleBasedStateMachine):
    """Calls, each with what the model says of it."""

    world: World
    client: Client  # its login is a member of all roles that call functions

    instances = Bundle("instances")
    leases = Bundle("leases")
    read_leases = Bundle("read_leases")

    def __init__(self) -> None:
        super().__init__()
        self.state = State({uuid4(): Tenant(), uuid4(): Tenant()})
        self.ids = [*self.state.tenants]
        self.saved: list[State] = []  # the first is what BEGIN found, the others savepoints
        self.keks = {f"kek {letter} {uuid4()}": secrets.token_bytes(32) for letter in "ab"}
        self.kms = f"kms {uuid4()}"

    def teardown(self) -> None:
        if self.saved:
            self.client.run("rollback")

    def kek(self, number: int) -> tuple[str, bytes]:
        """Gives one of two KEKs; beyond them, such as are wrong."""
        name, kek = list(self.keks.items())[number % 2]
        wrong = [(name, kek[::-1]), (self.kms, kek), (name, kek[1:])]
        return (name, kek) if number < 2 else wrong[number - 2]

    def key_id(self, number: int) -> UUID | None:
        """Gives one of all keys, or an id that is none, or null."""
        known: list[UUID | None] = [id for t in self.state.tenants.values() for id in t.keys]
        return [*known, uuid4(), None][number % (len(known) + 2)]

    def does(self, call: Callable[[], Any], model: Callable[[Any], Any]) -> Any:
        """Makes a call and compares what came of it.

        Args:
            call: what is done in the database, within a savepoint.
            model: what should come of it: it changes the state and returns the answer, given that
                of the database for the sake of ids; or raises Refused.
        """
        answer = sqlstate = expected = predicted = None
        try:
            with self.client.conn.transaction():
                answer = call()
        except psycopg.Error as error:
            sqlstate = error.sqlstate
        before = copy.deepcopy(self.state)
        try:
            expected = model(answer)
        except Refused as refused:
            self.state, predicted = before, str(refused)
        assert sqlstate == predicted
        assert answer == expected
        if not self.saved:  # it was a transaction of its own
            self.state.tenant_id = self.state.ring = None
        return answer

    # Transactions.

    @initialize(target=instances)
    def start(self) -> Any:
        """Each tenant has a key and two instances with credentials."""
        made = []
        for who in (0, 1):
            self.begin(who, [])
            self.create_tenant_key(0)
            self.unlock(0)
            for name in ("first", "second"):
                made.append(self.create_instance(name, {}))
                self.put_credentials(made[-1], name, 0)
            self.end(True)
        return multiple(*made)

    @precondition(lambda self: not self.saved)
    @rule(who=WHO, keks=st.sampled_from([[0, 1], [0], [1], []]))
    def begin(self, who: int, keks: list[int]) -> None:
        """Begins as a service does: with a tenant, and perhaps with its keys."""
        self.state.transaction += 1
        self.saved = [copy.deepcopy(self.state)]
        self.client.run("begin")
        self.set_tenant(who)
        for number in keks:
            self.unlock(number)

    @precondition(lambda self: self.saved)
    @rule()
    def savepoint(self) -> None:
        self.client.run(f"savepoint s{len(self.saved)}")
        self.saved.append(copy.deepcopy(self.state))

    @precondition(lambda self: len(self.saved) > 1)
    @rule(release=st.booleans())
    def end_savepoint(self, release: bool) -> None:
        before = self.saved.pop()
        if not release:
            self.client.run(f"rollback to savepoint s{len(self.saved)}")
            self.state = before
        self.client.run(f"release savepoint s{len(self.saved)}")

    @precondition(lambda self: self.saved)
    @rule(commit=st.sampled_from([True, True, True, False]))
    def end(self, commit: bool) -> None:
        self.client.run("commit" if commit else "rollback")
        if not commit:
            self.state = self.saved[0]
        self.saved = []
        self.state.tenant_id = self.state.ring = None
        self.compare_everything()

    @precondition(lambda self: not self.saved)
    @rule(instance_id=instances, what=st.integers(0, 4))
    def without_a_transaction(self, instance_id: UUID, what: int) -> None:
        """A tenant lasts one statement only: the next one has none."""
        calls: list[Callable[[], object]] = [
            lambda: self.get_credentials(instance_id),
            lambda: self.put_credentials(instance_id, "one", None),
            lambda: self.unlock(0),
            lambda: self.reencrypt_batch(1),
            lambda: self.create_tenant_key(0),
        ]
        self.set_tenant(0)
        calls[what]()

    @precondition(lambda self: self.saved)
    @rule(who=st.sampled_from([0, 1, 0, 1, None]))
    def set_tenant(self, who: int | None) -> None:
        tenant_id = None if who is None else self.ids[who]

        def model(_: Any) -> None:
            if tenant_id is None:
                raise Refused("22023")
            self.state.tenant_id = tenant_id

        self.does(lambda: self.client.set_tenant(tenant_id), model)

    # Instances.

    @precondition(lambda self: self.saved)
    @rule(target=instances, name=NAMES, config=CONFIGS)
    def create_instance(self, name: str, config: Any) -> Any:
        def model(answer: UUID) -> UUID:
            tenant = self.state.tenant
            if not name.strip() or len(name) > 200 or not isinstance(config, dict):
                raise Refused("22023")
            if name in (instance.name for instance in tenant.instances.values()):
                raise Refused("23505")
            tenant.instances[answer] = Instance(name, config)
            self.state.audit("instance_created")
            return answer

        call = lambda: self.client.create_instance(self.world.definition, name, config)  # noqa: E731
        answer = self.does(call, model)
        return multiple() if answer is None else answer

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances | st.none(), name=NAMES)
    def rename_instance(self, instance_id: UUID | None, name: str) -> None:
        def model(_: Any) -> None:
            if not name.strip() or len(name) > 200:
                raise Refused("22023")
            instance = self.state.instance(instance_id)
            others = [i for i in self.state.tenant.instances.values() if i is not instance]
            if name in (other.name for other in others):
                raise Refused("23505")
            instance.name = name
            self.state.audit("instance_renamed")

        self.does(lambda: self.client.rename_instance(instance_id, name), model)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances | st.none(), config=CONFIGS)
    def update_config(self, instance_id: UUID | None, config: Any) -> None:
        def model(_: Any) -> None:
            if not isinstance(config, dict):
                raise Refused("22023")
            self.state.usable(instance_id).config = config
            self.state.audit("config_updated")

        self.does(lambda: self.client.update_config(instance_id, config), model)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances, status=STATUSES, reason=REASONS)
    def set_instance_status(self, instance_id: UUID, status: str, reason: str | None) -> None:
        def model(_: Any) -> None:
            if reason == QUARANTINE:
                raise Refused("22023")
            self.state.move(self.state.instance(instance_id), status, reason)

        self.does(lambda: self.client.set_instance_status(instance_id, status, reason), model)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances, ok=st.sampled_from([True, False, None]), reason=REASONS)
    def record_connection(self, instance_id: UUID, ok: bool | None, reason: str | None) -> None:
        def model(_: Any) -> None:
            if ok is None or reason == QUARANTINE:
                raise Refused("22023")
            instance = self.state.usable(instance_id)
            if not ok and instance.status == "error":
                if instance.reason != QUARANTINE:
                    instance.reason = reason
            elif not ok:
                self.state.move(instance, "error", reason)
            elif instance.status == "error":
                self.state.move(instance, "active")

        self.does(lambda: self.client.record_connection(instance_id, ok, reason), model)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances)
    def delete_instance(self, instance_id: UUID) -> None:
        def model(_: Any) -> None:
            self.state.instance(instance_id)
            del self.state.tenant.instances[instance_id]
            self.state.audit("instance_deleted")

        self.does(lambda: self.client.delete_instance(instance_id), model)

    # Credentials.

    @precondition(lambda self: self.saved)
    @rule(
        instance_id=instances,
        secret=st.sampled_from(["one", "two", "é€", None]),
        version=st.sampled_from([None, None, 0, 1]),
    )
    def put_credentials(self, instance_id: UUID, secret: str | None, version: int | None) -> None:
        def model(_: Any) -> int:
            if secret is None:
                raise Refused("IN305")
            return self.state.put(self.state.usable(instance_id), secret, version)

        text = "[]" if secret is None else json.dumps({"k": secret})
        self.does(lambda: self.client.put_credentials(instance_id, text, version), model)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances | st.none())
    def get_credentials(self, instance_id: UUID | None) -> None:
        def model(_: Any) -> Any:
            return self.state.get(instance_id)

        self.does(lambda: self.client.get_credentials(instance_id), model)

    @precondition(lambda self: self.saved)
    @rule(target=read_leases, instance_id=instances, reason=st.sampled_from(["a test", " "]))
    def open_read_lease(self, instance_id: UUID, reason: str) -> Any:
        def model(answer: UUID) -> UUID:
            tenant_id = self.state.tenant_id
            _ = self.state.tenant
            if not reason.strip():
                raise Refused("22023")
            if self.state.usable(instance_id).version == 0:
                raise Refused("IN301")
            assert tenant_id
            self.state.read_leases[answer] = (tenant_id, instance_id, self.state.transaction)
            self.state.audit("read_lease_opened")
            return answer

        answer = self.does(lambda: self.client.open_read_lease(instance_id, reason), model)
        return multiple() if answer is None else answer

    @precondition(lambda self: self.saved)
    @rule(lease=read_leases | st.none())
    def read_with_lease(self, lease: UUID | None) -> None:
        def model(_: Any) -> Any:
            _ = self.state.tenant
            if lease is None:
                raise Refused("22023")
            whose, instance_id, opened = self.state.read_leases.get(lease, (None, None, 0))
            if whose != self.state.tenant_id or opened == self.state.transaction:
                raise Refused("IN402")
            answer = self.state.get(instance_id)
            del self.state.read_leases[lease]
            self.state.audit("read_lease_used")
            return answer

        self.does(lambda: self.client.read_with_lease(lease), model)

    @precondition(lambda self: not self.saved)
    @rule(who=WHO, instance_id=instances, commit=st.sampled_from([True, False, None]))
    def read_strictly(self, who: int, instance_id: UUID, commit: bool | None) -> None:
        """In two transactions, as is meant, and otherwise."""
        self.begin(who, [0])
        lease = self.open_read_lease(instance_id, "a test")
        if isinstance(lease, UUID):
            if commit is not None:
                self.end(commit)
                self.begin(who, [0])
            self.read_with_lease(lease)
        self.end(True)

    @precondition(lambda self: self.saved)
    @rule(instance_id=instances)
    def revoke_credentials(self, instance_id: UUID) -> None:
        def model(_: Any) -> None:
            instance = self.state.instance(instance_id)
            if instance.status == "revoked":
                raise Refused("IN202")
            self.state.move(instance, "revoked")

        self.does(lambda: self.client.revoke_credentials(instance_id), model)

    @precondition(lambda self: self.saved)
    @rule(target=leases, instance_id=instances, holder=st.sampled_from(["one", "two", " "]))
    def claim_refresh(self, instance_id: UUID, holder: str) -> Any:
        def model(answer: UUID) -> UUID:
            if not holder.strip():
                raise Refused("22023")
            instance = self.state.usable(instance_id)
            former = instance.refresh
            if former and former.lease:
                raise Refused("IN401")
            if former and former.fresh and former.holder != holder:
                if former.version == instance.version:  # and nothing here ever is due
                    raise Refused("IN401")
            fresh = former.fresh if former else False
            instance.refresh = Refresh(holder, instance.version, answer, fresh)
            self.state.audit("refresh_claimed")
            return answer

        call = lambda: self.client.claim_refresh(instance_id, holder, ttl="1 hour")  # noqa: E731
        answer = self.does(call, model)
        return multiple() if answer is None else answer

    @precondition(lambda self: self.saved)
    @rule(
        lease=leases | st.none(),
        secret=st.sampled_from(["fresh", "fresher", None]),
        version=st.sampled_from([None, 1, 2, 3]),
    )
    def complete_refresh(self, lease: UUID | None, secret: str | None, version: int | None) -> None:
        def model(_: Any) -> int:
            if version is None:
                raise Refused("22023")
            instance, refresh = self.state.leased(lease)
            if secret is None:
                raise Refused("IN305")
            if instance.status in ("disabled", "revoked"):
                raise Refused("IN202")
            refresh.version = self.state.put(instance, secret, version)
            refresh.lease, refresh.fresh = None, True
            self.state.audit("refresh_completed")
            return instance.version

        text = "[]" if secret is None else json.dumps({"k": secret})
        self.does(lambda: self.client.complete_refresh(lease, text, version), model)

    @precondition(lambda self: self.saved)
    @rule(target=leases, instance_id=instances, end=st.sampled_from(["complete", "fail", None]))
    def refresh(self, instance_id: UUID, end: str | None) -> Any:
        """Does it as a worker does; the lease that it used is of no use any more."""
        tenant = self.state.tenants.get(self.state.tenant_id) if self.state.tenant_id else None
        known = tenant.instances.get(instance_id) if tenant else None
        lease = self.claim_refresh(instance_id, "one")
        if isinstance(lease, UUID) and end == "complete":
            self.complete_refresh(lease, "fresh", known.version if known else 1)
        elif isinstance(lease, UUID) and end == "fail":
            self.fail_refresh(lease, "HTTP 503")
        return lease

    @precondition(lambda self: self.saved)
    @rule(lease=leases | st.none(), reason=REASONS)
    def fail_refresh(self, lease: UUID | None, reason: str | None) -> None:
        def model(_: Any) -> None:
            if reason in (None, QUARANTINE):
                raise Refused("22023")
            instance, refresh = self.state.leased(lease)
            if instance.status in ("disabled", "revoked"):
                raise Refused("IN202")
            if refresh.version == instance.version:
                if instance.status == "active":
                    self.state.move(instance, "error", reason)
                elif instance.status == "error" and instance.reason != QUARANTINE:
                    instance.reason = reason
            refresh.lease = None
            self.state.audit("refresh_failed")

        self.does(lambda: self.client.fail_refresh(lease, reason), model)

    @precondition(lambda self: not self.saved)
    @rule(instance_id=instances)
    def alter_envelope(self, instance_id: UUID) -> None:
        """Somebody who can write to the table does it."""
        self.world.superuser.run(
            "update integrations.integration_instances"
            " set credentials = credentials || jsonb_build_object("
            "   'mac', md5(credentials ->> 'mac')) where id = %s",
            instance_id,
        )
        for tenant in self.state.tenants.values():
            if instance_id in tenant.instances:
                tenant.instances[instance_id].altered = True

    # Keys.

    @precondition(lambda self: self.saved)
    @rule(number=KEK)
    def create_tenant_key(self, number: int) -> None:
        kek_id, kek = self.kek(number)

        def model(answer: UUID) -> UUID:
            _ = self.state.tenant
            self.state.check_kek(kek_id, kek)
            self.state.keks[kek_id] = kek
            self.state.add_key(answer, kek_id)
            return answer

        self.does(lambda: self.client.create_tenant_key(kek_id, kek), model)

    @precondition(lambda self: self.saved)
    @rule(number=st.sampled_from([0, None]))
    def add_tenant_key(self, number: int | None) -> None:
        kek_id = self.kms if number is None else self.kek(number)[0]
        data_key = secrets.token_bytes(32)

        def model(answer: UUID) -> UUID:
            _ = self.state.tenant
            if self.state.keks.setdefault(kek_id, None) is not None:
                raise Refused("IN303")
            self.state.add_key(answer, kek_id, data_key)
            return answer

        self.does(lambda: self.client.add_tenant_key(kek_id, data_key, b"wrapped outside"), model)

    @precondition(lambda self: self.saved)
    @rule(number=KEK)
    def unlock(self, number: int) -> None:
        kek_id, kek = self.kek(number)

        def model(_: Any) -> int:
            tenant = self.state.tenant
            self.state.check_kek(kek_id, kek)
            found = [id for id, key in tenant.keys.items() if key.kek_id == kek_id and key.usable]
            if not found:
                raise Refused("IN307")
            self.state.open(*found)
            return len(found)

        self.does(lambda: self.client.unlock(kek_id, kek), model)

    @precondition(lambda self: self.saved)
    @rule(key=WHICH_KEY)
    def unlock_key(self, key: int) -> None:
        key_id = self.key_id(key)
        known = [tenant.keys[key_id].outside for tenant in self.state.tenants.values()
                 if key_id in tenant.keys]  # fmt: skip
        data_key = (known[0] if known else None) or bytes(32)

        def model(_: Any) -> None:
            tenant = self.state.tenant
            if key_id is None:
                raise Refused("22023")
            if key_id not in tenant.keys or not tenant.keys[key_id].usable:
                raise Refused("IN307")
            if tenant.keys[key_id].outside != data_key:
                raise Refused("IN303")
            self.state.open(key_id)

        self.does(lambda: self.client.unlock_key(key_id, data_key), model)

    @precondition(lambda self: self.saved)
    @rule(max_rows=st.sampled_from([1, 2, 100, 0]))
    def reencrypt_batch(self, max_rows: int) -> None:
        def model(_: Any) -> tuple[int, int, int]:
            tenant = self.state.tenant
            if max_rows < 1:
                raise Refused("22023")
            if tenant.active is None:
                raise Refused("IN307")
            self.state.open_key(*tenant.active)
            active = tenant.active[0]
            done = quarantined = 0
            for _id, instance in [
                (id, instance)
                for id, instance in sorted(tenant.instances.items())
                if instance.key not in (None, active)
                and (instance.status, instance.reason) != ("error", QUARANTINE)
            ][:max_rows]:
                assert instance.key is not None
                if tenant.keys[instance.key].usable:
                    self.state.open_key(instance.key, tenant.keys[instance.key])
                if tenant.keys[instance.key].usable and not instance.altered:
                    instance.key = active
                    done += 1
                    continue
                if instance.status == "error":
                    instance.reason = QUARANTINE
                else:
                    self.state.move(instance, "error", QUARANTINE)
                self.state.audit("credentials_quarantined")
                quarantined += 1
            if done:
                self.state.audit("credentials_reencrypted")
            return done, 0, quarantined

        self.does(lambda: self.client.reencrypt_batch(max_rows), model)

    @precondition(lambda self: self.saved)
    @rule(old=KEK, new=KEK, max_keys=st.sampled_from([1, 100, 0]))
    def rewrap_keys(self, old: int, new: int, max_keys: int) -> None:
        (old_id, old_kek), (new_id, new_kek) = self.kek(old), self.kek(new)

        def model(_: Any) -> int:
            if max_keys < 1 or old_id == new_id:
                raise Refused("22023")
            self.state.check_kek(old_id, old_kek)
            if old_id not in self.state.keks:
                raise Refused("IN307")
            self.state.check_kek(new_id, new_kek)
            self.state.keks[new_id] = new_kek
            found = [
                (tenant_id, key)
                for tenant_id, tenant in sorted(self.state.tenants.items())
                for key in tenant.keys.values()
                if key.kek_id == old_id and key.state != "destroyed"
            ][:max_keys]
            for tenant_id, key in found:
                key.kek_id = new_id
                self.state.audit("tenant_key_rewrapped", tenant_id)
            return len(found)

        self.does(
            lambda: self.client.rewrap_keys(old_id, old_kek, new_id, new_kek, max_keys), model
        )

    @precondition(lambda self: self.saved)
    @rule(key=WHICH_KEY)
    def retire_key(self, key: int) -> None:
        key_id = self.key_id(key)

        def model(_: Any) -> None:
            tenant_id, found = self.state.key(key_id)
            if not found.usable:
                raise Refused("IN307")
            rows = self.state.tenants[tenant_id].instances.values()
            if any(instance.key == key_id for instance in rows):
                raise Refused("IN308")
            found.state = "retired"
            self.state.audit("tenant_key_retired", tenant_id)

        self.does(lambda: self.client.retire_key(key_id), model)

    @precondition(lambda self: self.saved)
    @rule(key=WHICH_KEY, sure=st.sampled_from([True, True, False]))
    def destroy_key(self, key: int, sure: bool) -> None:
        key_id = self.key_id(key)

        def model(_: Any) -> None:
            if not sure:
                raise Refused("22023")
            tenant_id, found = self.state.key(key_id)
            if found.state == "destroyed":
                raise Refused("IN307")
            found.state = "destroyed"
            self.state.audit("tenant_key_destroyed", tenant_id)

        self.does(lambda: self.client.destroy_key(key_id, str(key_id) if sure else "yes"), model)

    # Comparing.

    @invariant()
    def the_tenant_sees_what_is_its(self) -> None:
        """Exactly the tenant's rows are visible; without a tenant there are none."""
        tenant_id = self.state.tenant_id
        rows = self.client.rows(f"select {COLUMNS} from integrations.integration_instances")
        expected = self.state.tenants[tenant_id].instances if tenant_id else {}
        assert {row[0]: row[1:] for row in rows} == visible(expected)
        assert self.client.current_tenant() == tenant_id
        if tenant_id:
            assert [(id, kek, state) for id, kek, state, _ in self.client.wrapped_keys()] == [
                (id, key.kek_id, key.state)
                for id, key in reversed(self.state.tenants[tenant_id].keys.items())
                if key.state != "destroyed"
            ]

    def compare_everything(self) -> None:
        """All that is stored, as a superuser sees it, and every secret, with all keys open."""
        superuser = self.world.superuser
        for tenant_id, tenant in self.state.tenants.items():
            rows = superuser.rows(
                f"select {COLUMNS} from integrations.integration_instances where tenant_id = %s",
                tenant_id,
            )
            assert {row[0]: row[1:] for row in rows} == visible(tenant.instances)
            keys = superuser.rows(
                "select id, version, kek_id, state::text from integrations_private.tenant_keys"
                " where tenant_id = %s",
                tenant_id,
            )
            assert {id: tuple(more) for id, *more in keys} == {
                id: (key.version, key.kek_id, key.state) for id, key in tenant.keys.items()
            }
            audited = superuser.rows(
                "select event, count(*) from integrations_private.audit_log"
                " where tenant_id = %s group by event",
                tenant_id,
            )
            assert dict(audited) == {
                event: count for (whose, event), count in self.state.audited.items()
                if whose == tenant_id
            }  # fmt: skip
            with self.client.conn.transaction(force_rollback=True):
                self.client.set_tenant(tenant_id)
                for id, key in tenant.keys.items():
                    kek = self.state.keks[key.kek_id]
                    if key.usable and kek:
                        self.client.unlock(key.kek_id, kek)
                    elif key.usable:
                        self.client.unlock_key(id, key.outside)
                for id, instance in tenant.instances.items():
                    readable = (
                        instance.key
                        and tenant.keys[instance.key].usable
                        and instance.status in ("active", "error")
                        and not instance.altered
                    )
                    if readable:
                        assert self.client.get_credentials(id) == {"k": instance.secret}


def test_two_tenants(world: World, login: Callable[[str, str], str]) -> None:
    conninfo = login("svc_integration", world.dsn)
    user = str(conninfo_to_dict(conninfo)["user"])
    world.superuser.run(f'grant integrations_admin, integrations_tenant to "{user}"')
    Tenants.world, Tenants.client = world, world.log_in(conninfo)
    run_state_machine_as_test(Tenants, settings=effort(15, 40))
