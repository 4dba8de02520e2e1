"""upgrade_instance beside others, and what it leaves when it fails."""

from __future__ import annotations

from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from .client import Client
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture

OPEN: dict[str, object] = {}
REGION = {"required": ["region"], "properties": {"region": {"enum": ["eu", "us"]}}}
TOKEN = {"properties": {"token": {"pattern": "^t"}}, "additionalProperties": False}


def versions(world: World, *schemas: tuple[object, object]) -> list[UUID]:
    """Gives published versions of one new connector, by their schemas: credentials, config."""
    name, ids = f"connector {uuid4()}", []
    for number, (credentials, config) in enumerate(schemas):
        ids.append(
            world.admin.register_definition(
                name,
                version=f"1.{number}.0",
                credentials_schema=Jsonb(credentials),
                config_schema=Jsonb(config),
            )
        )
        world.admin.set_definition_status(ids[-1], "published")
    return ids


def installed(world: World, definition: UUID, credentials: str | None = None) -> tuple[UUID, UUID]:
    """Gives a new tenant and an instance of a definition, with its region in the configuration."""
    tenant_id = world.new_tenant()
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "n", {"region": "eu"})
        if credentials is not None:
            world.svc.put_credentials(instance_id, credentials)
    return tenant_id, instance_id


def definition_of(world: World, instance_id: UUID) -> UUID:
    """Gives the definition that an instance is of."""
    id: UUID = world.instance(instance_id).integration_id
    return id


def test_there_and_back(world: World) -> None:
    former, next_ = versions(world, (OPEN, OPEN), (TOKEN, REGION))
    tenant_id, instance_id = installed(world, former, '{"token": "t1"}')
    before = world.instance(instance_id)
    with world.unlocked(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)
    after = world.instance(instance_id)
    assert after.integration_id == next_
    assert after.updated_at > before.updated_at
    assert after._replace(integration_id=former, updated_at=before.updated_at) == before
    with world.tenant.within(tenant_id):  # what any credentials fit, anybody may choose
        world.tenant.upgrade_instance(instance_id, former)
    assert world.events(tenant_id)[-2:] == ["instance_upgraded"] * 2
    assert world.read(tenant_id, instance_id) == {"token": "t1"}


def test_neither_config_nor_credentials_may_be_left_unfit(world: World) -> None:
    former, config, credentials = versions(world, (OPEN, OPEN), (OPEN, REGION), (TOKEN, OPEN))
    tenant_id, instance_id = installed(world, former, '{"token": "other"}')
    with world.svc.within(tenant_id):
        world.svc.update_config(instance_id, {"region": "mars"})
    for definition, sqlstate, pointer in (
        (config, "IN203", "/region"),
        (credentials, "IN204", "/token"),
    ):
        with world.refused(sqlstate) as caught, world.unlocked(tenant_id):
            world.svc.upgrade_instance(instance_id, definition)
        assert f'Pointer "{pointer}"' in (caught.value.diag.message_detail or "")
    with world.refused("IN302"), world.svc.within(tenant_id):
        world.svc.upgrade_instance(instance_id, credentials)


def test_a_rotated_key_is_found(world: World) -> None:
    """The key of the envelope counts, active or not."""
    former, next_ = versions(world, (OPEN, OPEN), (TOKEN, OPEN))
    tenant_id, instance_id = installed(world, former, '{"token": "t1"}')
    with world.svc.within(tenant_id):
        world.svc.create_tenant_key(world.kek_id, world.kek)
    with world.unlocked(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)
    assert definition_of(world, instance_id) == next_


def test_an_altered_envelope_is_refused(world: World) -> None:
    former, next_ = versions(world, (OPEN, OPEN), (TOKEN, OPEN))
    tenant_id, instance_id = installed(world, former, '{"token": "t1"}')
    world.superuser.run(
        "update integrations.integration_instances"
        " set credentials = jsonb_set(credentials, '{mac}', '\"AAAA\"') where id = %s",
        instance_id,
    )
    with world.refused("IN304"), world.unlocked(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)


def test_a_configuration_that_changes_meanwhile(world: World, pool: Pool) -> None:
    """Whoever comes second is held to what the first one left."""
    former, next_ = versions(world, (OPEN, OPEN), (OPEN, REGION))
    other = world.client("svc_integration")

    def late(tenant_id: UUID, client: Client, instance_id: UUID, config: object) -> None:
        with client.within(tenant_id):
            client.update_config(instance_id, config)

    def upgrade(tenant_id: UUID, client: Client, instance_id: UUID) -> None:
        with client.within(tenant_id):
            client.upgrade_instance(instance_id, next_)

    tenant_id, instance_id = installed(world, former)
    with world.svc.within(tenant_id):
        world.svc.update_config(instance_id, {"region": "mars"})
        second = behind(world, pool, other, lambda: upgrade(tenant_id, other, instance_id))
    assert answer(second) == "IN203"
    assert definition_of(world, instance_id) == former

    tenant_id, instance_id = installed(world, former)
    with world.svc.within(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)
        second = behind(
            world, pool, other, lambda: late(tenant_id, other, instance_id, {"region": "mars"})
        )
    assert answer(second) == "IN203"
    assert world.instance(instance_id).config == {"region": "eu"}


def test_credentials_that_change_meanwhile(world: World, pool: Pool) -> None:
    former, next_ = versions(world, (OPEN, OPEN), (TOKEN, OPEN))
    tenant_id, instance_id = installed(world, former, '{"token": "t1"}')
    other = world.client("svc_integration")

    def store() -> None:
        with other.unlocked(tenant_id, world.kek_id, world.kek):
            other.put_credentials(instance_id, '{"token": "x"}')

    with world.unlocked(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)
        second = behind(world, pool, other, store)
    assert answer(second) == "IN204"
    assert world.read(tenant_id, instance_id) == {"token": "t1"}


def test_instances_that_nobody_moves_keep_their_schemas(world: World) -> None:
    former, next_ = versions(world, (TOKEN, REGION), (OPEN, OPEN))
    tenant_id, instance_id = installed(world, former, '{"token": "t1"}')
    world.admin.set_definition_status(former, "retired")
    for sqlstate, call in (
        ("IN203", lambda: world.svc.update_config(instance_id, {})),
        ("IN204", lambda: world.svc.put_credentials(instance_id, '{"x": 1}')),
    ):
        with world.refused(sqlstate), world.unlocked(tenant_id):
            call()
    with world.unlocked(tenant_id):
        world.svc.create_tenant_key(world.kek_id, world.kek)
        world.svc.unlock(world.kek_id, world.kek)
        assert world.svc.reencrypt_batch() == (1, 0, 0)  # rotation checks no schema
    with world.unlocked(tenant_id):
        world.svc.upgrade_instance(instance_id, next_)
        world.svc.put_credentials(instance_id, "{}")
