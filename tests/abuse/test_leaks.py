"""No secret and no key leaves by another way than the answer of get_credentials.

The attacker reads logs, statistics or error reports: a monitoring system, a support mailbox, a
login of pg_monitor. Or he is a caller who may set whatever a user may set, and wants to see the
keys that a function works with. Against them stand the functions: secrets come as bind parameters
and stand in assignments only, functions switch off what would print their plans and parameters, and
errors are raised by hand. The whole API is run, well and badly, with secrets that are recognised
wherever they turn up. What leaks under settings that docs/security.md warns of is shown, too.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import psycopg
import pytest
from api.client import Client
from api.server_log import Log
from api.world import World
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from .sieve import Sieve, derived, keys_of

Login = Callable[[str, str], str]


Step = tuple[str | None, Callable[[], object]]


def story(world: World, svc: Client, instance_id: UUID, secret: str) -> Iterator[Step]:
    """Everything the service does with secrets, with what it is answered; None is success."""
    good = f'{{"api_key": "{secret}", "expires_at": "{secret}"}}'
    kek_id, kek = world.kek_id, world.kek

    def unlock() -> int:
        return svc.unlock(kek_id, kek)

    def put(credentials: str | None = good, **more: int) -> Callable[[], object]:
        return lambda: (unlock(), svc.put_credentials(instance_id, credentials, **more))

    def refresh(credentials: str | None, version: int | None = None) -> Callable[[], object]:
        def step() -> None:
            unlock()
            stored = "select credentials_version from integrations.instance_overview where id = %s"
            version_ = svc.value(stored, instance_id) if version is None else version
            svc.complete_refresh(svc.claim_refresh(instance_id), credentials, version_)

        return step

    yield None, put()
    yield None, lambda: (unlock(), svc.get_credentials(instance_id))
    leases: list[UUID] = []
    yield None, lambda: leases.append(svc.open_read_lease(instance_id, "an audit"))
    yield None, lambda: (unlock(), svc.read_with_lease(leases[0]))
    yield "IN402", lambda: (unlock(), svc.read_with_lease(leases[0]))
    yield None, lambda: svc.create_tenant_key(kek_id, kek)
    yield None, put(expected_version=2)
    yield "IN306", put(expected_version=99)
    yield "IN201", lambda: (unlock(), svc.put_credentials(uuid4(), good))
    yield "22023", lambda: (unlock(), svc.put_credentials(None, good))
    yield "IN302", lambda: svc.put_credentials(instance_id, good)
    yield "22023", put(None)
    for bad in (
        f"{{api_key: {secret}}}",
        f'{{"api_key": {secret}}}',
        f'{{"api_key": "{secret}"}} {secret}',
        f'{{"api_key": "{secret}\\u0000"}}',
        f'{{"{secret}": 1',
        f'["{secret}"]',
        f'"{secret}"',
        secret,
        f'{{"api_key": "{secret * 5000}"}}',
    ):
        yield "IN305", put(bad)
    for when in ("expires_at", "expires_in"):
        yield None, put(f'{{"{when}": ["{secret}"], "api_key": "{secret}"}}')
    yield "IN307", lambda: svc.unlock(f"kek {uuid4()}", kek)
    yield "22023", lambda: svc.unlock(kek_id, kek + b"\0")
    yield "IN303", lambda: svc.unlock(kek_id, kek[::-1])
    yield "IN303", lambda: svc.create_tenant_key(kek_id, kek[::-1])
    yield None, lambda: (unlock(), svc.reencrypt_batch())
    yield None, svc.wrapped_keys
    yield "22023", lambda: (unlock(), svc.reencrypt_batch(0))
    yield "IN302", svc.reencrypt_batch
    yield None, refresh(good)
    yield "IN305", refresh(f'{{"api_key": {secret}}}')
    yield "IN306", refresh(good, 99)
    yield "22023", refresh(None)
    yield "IN402", lambda: svc.complete_refresh(uuid4(), good, 1)
    yield "IN402", lambda: svc.fail_refresh(uuid4(), "refused")
    yield None, lambda: svc.fail_refresh(svc.claim_refresh(instance_id), "refused")
    yield None, lambda: svc.list_refresh_due(1)
    yield None, lambda: svc.create_tenant_key(f"kek {uuid4()}", kek)
    yield "IN302", put()
    yield "IN302", refresh(good)
    yield None, lambda: svc.revoke_credentials(instance_id)
    yield "IN202", lambda: (unlock(), svc.get_credentials(instance_id))
    yield "IN202", put()


# Whatever a schema can say of a secret, so that each way of refusing it is gone.
STRICT: dict[str, object] = {
    "properties": {
        "type": {"type": ["integer", "null"]},
        "const": {"const": "other"},
        "enum": {"enum": ["other", ["another"]]},
        "minLength": {"minLength": 50},
        "maxLength": {"maxLength": 5},
        "pattern": {"pattern": "^[a-z]{5}$"},
        "long": {"pattern": "^[a-z]{5}"},
        "items": {"items": {"type": "null"}},
        "prefixItems": {"prefixItems": [{"maxLength": 1}]},
        "contains": {"contains": {"const": 1}},
        "uniqueItems": {"uniqueItems": True},
        "maxItems": {"maxItems": 0},
        "propertyNames": {"propertyNames": {"maxLength": 3}},
        "patternProperties": {"patternProperties": {"^SENTINEL": {"type": "null"}}},
        "additionalProperties": {"properties": {"a": True}, "additionalProperties": False},
        "inner": {"additionalProperties": {"properties": {"x": {"type": "null"}}}},
        "dependentRequired": {"dependentRequired": {"a": ["b"]}},
        "maxProperties": {"maxProperties": 0},
        "minimum": {"minimum": 10},
        "multipleOf": {"multipleOf": 10},
        "large": {"multipleOf": 7},
        "not": {"not": {"pattern": "SENTINEL"}},
        "anyOf": {"anyOf": [{"type": "null"}, {"maxLength": 5}]},
        "oneOf": {"oneOf": [True, True]},
        "if": {"if": {"type": "string"}, "then": {"maxLength": 5}},
        "many": {"items": {"items": {"items": {"allOf": [True] * 5}}}},
    }
}


# What a secret fits, as the value of any property, an item of any array, or a name.
LENIENT: dict[str, object] = {
    "type": "object",
    "required": ["api_key"],
    "properties": {
        "api_key": {"type": ["string", "integer"], "minLength": 1, "pattern": "^SENTINEL"},
        "scopes": {"items": {"$ref": "#/$defs/text"}, "contains": {"minLength": 1},
                   "uniqueItems": True, "prefixItems": [{"not": {"const": 1}}]},
        "number": {"minimum": 1, "multipleOf": 1},
    },
    "patternProperties": {"^SENTINEL": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/text"}]}},
    "propertyNames": {"minLength": 1},
    "minProperties": 1,
    "additionalProperties": {"oneOf": [{"type": "null"}, {"pattern": "SENTINEL"}]},
    "dependentRequired": {"api_key": ["scopes"]},
    "dependentSchemas": {"api_key": {"if": {"maxProperties": 100}, "then": {"minProperties": 1}}},
    "$defs": {"text": {"allOf": [{"type": "string"}, {"maxLength": 1000}]}},
}  # fmt: skip


def fitting(secret: str) -> str:
    """Credentials that LENIENT takes, with a secret wherever one can be."""
    return json.dumps(
        {
            "api_key": secret,
            "scopes": [secret, secret + "2"],
            "number": int(secret.encode().hex(), 16),
            secret: secret,
            "other": secret,
        }
    )


def lenient_instance(world: World, tenant_id: UUID) -> UUID:
    """Gives an instance of a definition with that schema."""
    definition = world.admin.register_definition(
        f"lenient {uuid4()}", credentials_schema=Jsonb(LENIENT)
    )
    world.admin.set_definition_status(definition, "published")
    with world.svc.within(tenant_id):
        return world.svc.create_instance(definition, f"lenient {uuid4()}")


def refusals(secret: str) -> dict[str, str]:
    """Credentials that STRICT refuses, by the name of the property that it is for."""
    text = f'"{secret}"'
    number = str(int(secret.encode().hex(), 16))
    values = {
        **dict.fromkeys(STRICT["properties"], text),  # type: ignore[call-overload]
        "long": f'"{secret * 400}"',
        **dict.fromkeys(["items", "prefixItems", "contains", "maxItems"], f"[{text}]"),
        "uniqueItems": f"[{text}, {text}]",
        **dict.fromkeys(
            ["propertyNames", "patternProperties", "additionalProperties", "maxProperties"],
            f'{{"{secret}": {text}}}',
        ),
        "inner": f'{{"{secret}": {{"x": {text}}}}}',
        "dependentRequired": f'{{"a": {text}}}',
        **dict.fromkeys(["minimum", "multipleOf"], f"-{number}1"),
        "large": f"{number}{'0' * 1000}",
        "many": f"[{','.join(['[[' + ','.join(['0'] * 500) + ']]'] * 60)}, {text}]",
    }
    return {name: f'{{"{name}": {value}, "other": {text}}}' for name, value in values.items()}


def refused_story(
    world: World, svc: Client, definitions: tuple[UUID, UUID], secret: str
) -> Iterator[Step]:
    """Credentials that do not fit the schema of their definition, in every way.

    Each step is done before the next one is asked for.
    """
    strict, plain = definitions
    made: list[UUID] = []
    yield None, lambda: made.append(svc.create_instance(strict, f"strict {uuid4()}"))
    yield None, lambda: made.append(svc.create_instance(plain, f"plain {uuid4()}"))
    for name, credentials in refusals(secret).items():
        yield "IN204", lambda: put_unlocked(world, svc, credentials, made[0])  # noqa: B023
        if name in ("type", "pattern", "long", "additionalProperties"):
            yield "IN204", lambda: refresh_unlocked(world, svc, credentials, made[0])  # noqa: B023
            yield None, lambda: put_unlocked(world, svc, credentials, made[1])  # noqa: B023
            yield "IN204", lambda: upgrade_unlocked(world, svc, made[1], strict)


def put_unlocked(world: World, svc: Client, credentials: str, instance_id: UUID) -> None:
    """Stores credentials, in a transaction that is open."""
    svc.unlock(world.kek_id, world.kek)
    svc.put_credentials(instance_id, credentials)


def refresh_unlocked(world: World, svc: Client, credentials: str, instance_id: UUID) -> None:
    """Stores the credentials of a refresh, in a transaction that is open."""
    svc.unlock(world.kek_id, world.kek)
    svc.complete_refresh(svc.claim_refresh(instance_id), credentials, 0)


def upgrade_unlocked(world: World, svc: Client, instance_id: UUID, definition: UUID) -> None:
    """Moves an instance to another version, in a transaction that is open."""
    svc.unlock(world.kek_id, world.kek)
    svc.upgrade_instance(instance_id, definition)


def strict_definitions(world: World) -> tuple[UUID, UUID]:
    """Gives two published versions of a connector: one with a strict schema, one without any."""
    name = f"strict {uuid4()}"
    ids = []
    for version, schema in (("2.0.0", STRICT), ("1.0.0", {})):
        ids.append(
            world.admin.register_definition(name, version=version, credentials_schema=Jsonb(schema))
        )
        world.admin.set_definition_status(ids[-1], "published")
    return ids[0], ids[1]


def kms_story(world: World, svc: Client, tenant_id: UUID, data_key: bytes) -> Iterator[Step]:
    """What a service does with a key that it wraps outside."""
    kms, wrapped = f"kms {uuid4()}", secrets.token_bytes(60)

    def key_id() -> UUID:
        [(id, *_)] = svc.rows("select * from integrations.wrapped_keys() limit 1")
        return UUID(str(id))

    yield None, lambda: svc.add_tenant_key(kms, data_key, wrapped)
    yield None, lambda: svc.unlock_key(key_id(), data_key)

    def rotate() -> None:
        svc.unlock(world.kek_id, world.kek)
        svc.unlock_key(key_id(), data_key)
        assert svc.reencrypt_batch() == (1, 0, 0)

    yield None, rotate
    yield "22023", lambda: svc.add_tenant_key(kms, data_key, data_key)
    yield "22023", lambda: svc.add_tenant_key(kms, data_key + b"\0", wrapped)
    yield "22023", lambda: svc.add_tenant_key(" ", data_key, wrapped)
    yield "IN303", lambda: svc.add_tenant_key(world.kek_id, data_key, wrapped)
    yield "IN303", lambda: svc.unlock_key(key_id(), data_key[::-1])
    yield "IN307", lambda: svc.unlock_key(uuid4(), data_key)
    yield "22023", lambda: svc.unlock_key(key_id(), data_key[:31])
    yield "22023", lambda: svc.unlock_key(None, data_key)
    yield "42501", lambda: svc.rewrap_keys(world.kek_id, data_key, kms, data_key)


def admin_story(
    admin: Client, old: tuple[str, bytes], new: tuple[str, bytes], key_id: UUID
) -> Iterator[Step]:
    """What an administrator does with KEKs."""
    yield "IN303", lambda: admin.rewrap_keys(old[0], old[1][::-1], *new)
    yield "22023", lambda: admin.rewrap_keys(*old, new[0], new[1] + b"\0")
    yield "22023", lambda: admin.rewrap_keys(*old, old[0], new[1])
    yield "22023", lambda: admin.rewrap_keys(*old, *new, 0)
    yield "IN307", lambda: admin.rewrap_keys(f"kek {uuid4()}", old[1], *new)
    yield None, lambda: admin.rewrap_keys(*old, *new)
    yield "IN303", lambda: admin.rewrap_keys(*new, old[0], old[1][::-1])
    yield "22023", lambda: admin.destroy_key(key_id, "yes")
    yield None, lambda: admin.destroy_key(key_id, str(key_id))
    yield "IN307", lambda: admin.retire_key(key_id)


def play(
    world: World, svc: Client, sieve: Sieve, tenant_id: UUID, instance_id: UUID, secret: str
) -> None:
    """Runs the story and hears what the client, and in the meantime monitoring, are told."""
    play_steps(world, svc, sieve, tenant_id, story(world, svc, instance_id, secret))
    assert any("put_credentials" in text for text in sieve.heard)


def with_settings(world: World, login: Login, role: str, **settings: str) -> Client:
    """Gives a connection of a new login, for which a DBA has set something."""
    conninfo = login(role, world.dsn)
    user = sql.Identifier(str(conninfo_to_dict(conninfo)["user"]))
    for name, value in settings.items():
        world.superuser.conn.execute(
            sql.SQL("alter role {} set {} = {}").format(
                user, sql.SQL(".").join(map(sql.Identifier, name.split("__"))), value
            )
        )
    return world.log_in(conninfo)


def play_steps(
    world: World, client: Client, sieve: Sieve, tenant_id: UUID, steps: Iterator[Step]
) -> None:
    """Runs steps, each in a transaction, and hears what the client and monitoring are told."""
    sieve.listen(client)
    monitored = "select query from pg_stat_activity where pid = %s"
    for expected, step in steps:
        answer = None
        try:
            with client.within(tenant_id):
                try:
                    step()
                finally:
                    pid = client.conn.info.backend_pid
                    sieve.heard.append(str(world.superuser.value(monitored, pid)))
        except psycopg.Error as error:
            sieve.hear(error.diag)
            answer = error.sqlstate
        assert answer == expected


SETTINGS: dict[str, dict[str, str]] = {
    "by default": {},
    "verbose errors": {"log_error_verbosity": "verbose"},
    "every statement": {"log_statement": "all", "log_parameter_max_length": "0"},
    "every duration": {"log_min_duration_statement": "0", "log_parameter_max_length": "0"},
    "everything the server can tell": {
        "log_min_messages": "debug5",
        "log_statement": "all",
        "log_duration": "on",
        "log_parser_stats": "on",
        "log_planner_stats": "on",
        "log_executor_stats": "on",
        "log_lock_waits": "on",
        "log_temp_files": "0",
        "log_min_error_statement": "debug5",
        "log_parameter_max_length": "0",
    },
    "everything a client may set": {
        "plpgsql__print_strict_params": "on",
        "client_min_messages": "log",
        "debug_print_parse": "on",
        "debug_print_rewritten": "on",
        "debug_pretty_print": "off",
    },
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_nothing_tells_a_secret(world: World, login: Login, log: Log, settings: str) -> None:
    tenant_id, instance_id = world.new_stored()
    secret = f"SENTINEL{secrets.token_hex(16)}"
    sieve = Sieve(
        keys_of(world, tenant_id, instance_id) | {"secret": secret.encode(), "KEK": world.kek}
    )
    svc = with_settings(world, login, "svc_integration", **SETTINGS[settings])
    play(world, svc, sieve, tenant_id, instance_id, secret)
    assert sieve.in_heard() == set()
    text = log.text()
    assert str(instance_id) in text, "the log was not read"
    assert sieve.found_in(text) == set()
    audit = "select * from integrations_private.audit_log where tenant_id = %s"
    assert sieve.found_in(str(world.superuser.rows(audit, tenant_id))) == set()


@pytest.mark.parametrize(
    "settings", ["by default", "everything the server can tell", "everything a client may set"]
)
def test_no_refusal_tells_a_secret(world: World, login: Login, log: Log, settings: str) -> None:
    """Neither what was checked nor the name of a property that only the customer wrote."""
    secret = f"SENTINEL{secrets.token_hex(8)}"
    number = str(int(secret.encode().hex(), 16))
    sieve = Sieve({"secret": secret.encode(), "number": number.encode()})
    definitions, tenant_id = strict_definitions(world), world.new_tenant()
    svc = with_settings(world, login, "svc_integration", **SETTINGS[settings])
    play_steps(world, svc, sieve, tenant_id, refused_story(world, svc, definitions, secret))
    told = "\n".join(sieve.heard)
    for keyword in STRICT["properties"]:  # type: ignore[attr-defined]
        if keyword not in ("long", "large", "many", "inner", "if"):
            assert f'keyword "{keyword}"' in told or f'Pointer "/{keyword}' in told, keyword
    assert "meets a pattern" in told and "meets multipleOf" in told
    assert sieve.in_heard() == set()
    assert sieve.found_in(log.text()) == set()
    audit = "select * from integrations_private.audit_log where tenant_id = %s"
    assert sieve.found_in(str(world.superuser.rows(audit, tenant_id))) == set()


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_rotation_tells_a_key(world: World, login: Login, log: Log, settings: str) -> None:
    """Data keys that the service brings, and KEKs that an administrator changes."""
    old, new = [(f"kek {uuid4()}", secrets.token_bytes(32)) for _ in range(2)]
    tenant_id, instance_id = world.new_stored()
    data_key = secrets.token_bytes(32)
    sieve = Sieve(
        keys_of(world, tenant_id, instance_id)
        | {"brought key": data_key, "KEK": world.kek, "old KEK": old[1], "new KEK": new[1]}
    )
    svc = with_settings(world, login, "svc_integration", **SETTINGS[settings])
    admin = with_settings(world, login, "integrations_admin", **SETTINGS[settings])
    play_steps(world, svc, sieve, tenant_id, kms_story(world, svc, tenant_id, data_key))
    row = world.instance(instance_id)
    identity = (tenant_id, instance_id, row.credentials_key_id, row.credentials_version)
    sieve.needles |= {
        "brought encryption key": derived("enc", data_key, *identity),
        "brought MAC key": derived("mac", data_key, *identity),
    }
    with svc.within(tenant_id):
        key_id = svc.create_tenant_key(*old)
    sieve.needles |= {
        "old wrapping key": derived("wrap", old[1], tenant_id, key_id),
        "new wrapping key": derived("wrap", new[1], tenant_id, key_id),
    }
    with svc.unlocked(tenant_id, *old):
        ring: str = svc.value("select current_setting('integrations.keyring')")
    sieve.needles["rewrapped key"] = bytes.fromhex(ring[-64:])
    play_steps(world, admin, sieve, tenant_id, admin_story(admin, old, new, key_id))
    assert any("rewrap_keys" in text for text in sieve.heard)
    assert sieve.in_heard() == set()
    text = log.text()
    assert str(key_id) in text, "the log was not read"
    assert sieve.found_in(text) == set()
    audit = "select * from integrations_private.audit_log where tenant_id = %s"
    assert sieve.found_in(str(world.superuser.rows(audit, tenant_id))) == set()


def test_plans_of_inner_statements_hold_no_key(world: World, login: Login, log: Log) -> None:
    """A caller sees the plan of its own call, its arguments included, and no more."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored(f'{{"api_key": "{secret}"}}')
    sieve = Sieve(keys_of(world, tenant_id, instance_id) | {"secret": secret.encode()})
    svc = world.log_in(login("svc_integration", world.dsn))
    sieve.listen(svc)
    for setting in ("debug_print_plan", "debug_print_parse", "debug_print_rewritten"):
        svc.run(f"set {setting} = on")
    svc.run("set debug_pretty_print = off")  # which breaks lines within a number
    svc.run("set client_min_messages = log")
    svc.run("set plpgsql.print_strict_params = on")
    svc.value("select %s::text", str(instance_id))
    assert Sieve({"id": str(instance_id).encode()}).found_in("\n".join(sieve.heard)) == {"id"}, (
        "constants in plans are not recognised"
    )
    lenient = lenient_instance(world, tenant_id)
    with world.unlocked(tenant_id):
        world.svc.put_credentials(lenient, fitting(secret))
    sharper = world.admin.register_definition(
        world.superuser.value(
            "select integration_name from integrations.instance_overview where id = %s", lenient
        ),
        version="2.0.0",
        credentials_schema=Jsonb({**LENIENT, "maxProperties": 100}),
    )
    world.admin.set_definition_status(sharper, "published")
    with svc.unlocked(tenant_id, world.kek_id, world.kek):
        svc.upgrade_instance(lenient, sharper)  # which reads what is stored, and no argument has
    sieve.needles["number"] = str(int(secret.encode().hex(), 16)).encode()
    for mode in ("force_custom_plan", "force_generic_plan"):
        svc.run(f"set plan_cache_mode = {mode}")
        with svc.unlocked(tenant_id, world.kek_id, world.kek):
            assert svc.get_credentials(instance_id) == {"api_key": secret}
            svc.put_credentials(instance_id, '{"api_key": "other"}')
            version = svc.put_credentials(instance_id, "{}")
            svc.complete_refresh(svc.claim_refresh(instance_id), '{"api_key": "third"}', version)
            svc.create_tenant_key(world.kek_id, world.kek)
        with world.unlocked(tenant_id):
            world.svc.put_credentials(instance_id, f'{{"api_key": "{secret}"}}')
        sieve.needles |= keys_of(world, tenant_id, instance_id)
    assert sieve.in_heard() == set()
    assert sieve.found_in(log.text()) == set()


@pytest.mark.parametrize("verbose", ["off", "on"])
def test_auto_explain_of_nested_statements_shows_no_key(
    world: World, login: Login, log: Log, verbose: str
) -> None:
    """Verbose, it shows the arguments of the call itself, but nothing of what is done."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored()
    sieve = Sieve({"secret": secret.encode(), "KEK": world.kek})
    settings = {
        "session_preload_libraries": "auto_explain",
        "auto_explain__log_min_duration": "0",
        "auto_explain__log_nested_statements": "on",
        "auto_explain__log_verbose": verbose,
    }
    if world.superuser.conn.info.server_version >= 160000:
        settings["auto_explain__log_parameter_max_length"] = "0"
    try:
        # Not over one that later tests have, too: it would stay there.
        world.log_in(world.dsn).run("load 'auto_explain'")
    except psycopg.Error:
        pytest.fail("this server lacks auto_explain of PostgreSQL's contrib", pytrace=False)
    svc = with_settings(world, login, "svc_integration", **settings)
    lenient = lenient_instance(world, tenant_id)
    sieve.needles["number"] = str(int(secret.encode().hex(), 16)).encode()
    with svc.unlocked(tenant_id, world.kek_id, world.kek):
        svc.put_credentials(lenient, fitting(secret))
        svc.put_credentials(instance_id, f'{{"api_key": "{secret}"}}')
        svc.complete_refresh(svc.claim_refresh(instance_id), f'{{"api_key": "{secret}"}}', 2)
        svc.get_credentials(instance_id)
        svc.create_tenant_key(world.kek_id, world.kek)
    sieve.needles |= keys_of(world, tenant_id, instance_id)
    text = log.text()
    assert "Insert on " in text, "nested statements were not explained"
    inner = re.sub(r"  Output: integrations\.\w+\(.*", "", text)
    assert sieve.found_in(inner) == set()


def test_the_error_of_a_check_shows_no_row(world: World, login: Login, log: Log) -> None:
    """Forced row-level security keeps the failing row out of the error, for the owner too."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored()
    sieve = Sieve({"secret": secret.encode()})
    owner = world.log_in(login("integrations_owner", world.dsn))
    for column in ("credentials", "config"):
        with world.refused("23514") as caught, owner.within(tenant_id):
            owner.run(
                f"update integrations.integration_instances set {column} = %s where id = %s",
                f'["{secret}"]',
                instance_id,
            )
        sieve.hear(caught.value.diag)
    assert sieve.in_heard() == set()
    assert sieve.found_in(log.text()) == set()


# What docs/security.md and docs/calling.md warn of: own arguments get into the log. Nothing else
# does, whatever is set: no data key, and no key that is derived from one.
ARGUMENTS = {"secret", "KEK"}


@dataclass(frozen=True)
class Unsafe:
    """A way to get arguments into the log, and who else sees them."""

    settings: dict[str, str] = field(default_factory=dict)  # of the login, by a superuser
    session: tuple[str, ...] = ()  # by the caller himself
    fails: bool = False  # the calls end with an error
    literals: bool = False  # values stand in the text of statements
    client_is_told: bool = False
    since: int = 0


UNSAFE = {
    "log_statement = all": Unsafe({"log_statement": "all"}),
    "log_min_duration_statement = 0": Unsafe({"log_min_duration_statement": "0"}),
    "log_min_duration_sample": Unsafe(
        {"log_min_duration_sample": "0", "log_statement_sample_rate": "1"}
    ),
    "log_transaction_sample_rate = 1": Unsafe({"log_transaction_sample_rate": "1"}),
    "log_parameter_max_length_on_error = -1": Unsafe(
        session=("set log_parameter_max_length_on_error = -1",), fails=True, client_is_told=True
    ),
    "debug_print_plan = on": Unsafe(
        session=("set debug_print_plan = on", "set debug_pretty_print = off")
    ),
    "literals, and log_statement": Unsafe(
        {"log_statement": "all", "log_parameter_max_length": "0"}, literals=True
    ),
    "literals, and an error": Unsafe(literals=True, fails=True),
    "auto_explain": Unsafe(
        {"session_preload_libraries": "auto_explain", "auto_explain__log_min_duration": "0"},
        since=160000,
    ),
    "auto_explain.log_verbose": Unsafe(
        {
            "session_preload_libraries": "auto_explain",
            "auto_explain__log_min_duration": "0",
            "auto_explain__log_verbose": "on",
        },
    ),
}


@pytest.mark.parametrize("how", UNSAFE)
def test_what_unsafe_settings_tell(world: World, login: Login, log: Log, how: str) -> None:
    unsafe = UNSAFE[how]
    if world.superuser.conn.info.server_version < unsafe.since:
        pytest.skip(f"PostgreSQL {unsafe.since // 10000} was the first to do it")
    tenant_id, instance_id = world.new_stored()
    secret = f"SENTINEL{secrets.token_hex(16)}"
    sieve = Sieve(
        keys_of(world, tenant_id, instance_id) | {"secret": secret.encode(), "KEK": world.kek}
    )
    svc = with_settings(world, login, "svc_integration", **unsafe.settings)
    sieve.listen(svc)
    for command in unsafe.session:
        svc.run(command)
    if unsafe.literals:  # as psycopg does it on request, and the drivers of others by themselves
        svc.conn.cursor_factory = psycopg.ClientCursor
    kek_id = f"kek {uuid4()}" if unsafe.fails else world.kek_id
    for call in (
        lambda: svc.unlock(kek_id, world.kek),
        lambda: (
            unsafe.fails or svc.unlock(kek_id, world.kek),
            svc.put_credentials(uuid4() if unsafe.fails else instance_id, f'{{"k": "{secret}"}}'),
        ),
    ):
        try:
            with svc.within(tenant_id):
                call()
            assert not unsafe.fails
        except psycopg.Error as error:
            assert unsafe.fails, error
            sieve.hear(error.diag)
    assert sieve.found_in(log.text()) == ARGUMENTS
    assert sieve.in_heard() == (ARGUMENTS if unsafe.client_is_told else set())
