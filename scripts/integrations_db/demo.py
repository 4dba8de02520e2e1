"""Plays one story through the stored functions, on a database where the model is deployed.

An administrator publishes ten connectors, two tenants install some of them and make mistakes in
their forms, the service stores credentials and reads them back, and each tenant sees only its own.
Every call is made the way an application makes it: under the role that may call it, in a
transaction that first sets the tenant, with values as bind parameters.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from integrations_db.config import Target
from integrations_db.connectors import Connector, Refused, load_all
from integrations_db.connectors.form import form_errors, locate
from integrations_db.database import connect
from integrations_db.errors import Failure
from integrations_db.registry import Connection

ROLES = ("integrations_admin", "integrations_tenant", "svc_integration", "integrations_auditor")


@dataclass(frozen=True, slots=True)
class Installation:
    """What one tenant installs: the connector, a name of its own, and which of its examples."""

    connector: str
    name: str
    example: int


TENANTS = {
    "Northwind": (
        Installation("Salesforce", "Sales EMEA", 0),
        Installation("Xero", "Bookkeeping", 0),
        Installation("GitHub App", "Shop", 0),
        Installation("Google Workspace", "Directory", 0),
        Installation("Stripe", "Payments", 0),
    ),
    "Contoso": (
        Installation("Salesforce", "Sales EMEA", 1),
        Installation("Zendesk", "Help desk", 1),
    ),
}


@dataclass(frozen=True, slots=True)
class Story:
    """The connection that plays all parts, where its lines go, and the key-encryption key."""

    connection: Connection
    echo: Callable[[str], None]
    kek_id: str
    kek: bytes = field(repr=False)

    @contextmanager
    def act(self, role: str, tenant: uuid.UUID | None = None) -> Iterator[None]:
        """Runs one transaction as a role, for a tenant if there is one."""
        with self.connection.transaction():
            self.connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            if tenant is not None:
                self.call("select integrations.set_tenant(tenant_id => %s)", tenant)
            yield

    def call(self, statement: LiteralString, *values: object) -> Any:
        """Executes a statement and returns the first column of its first row, if it has one."""
        row = self.connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def make_key(self) -> None:
        """Makes a data key for the tenant."""
        self.call(
            "select integrations.create_tenant_key(kek_id => %s, kek => %s)", self.kek_id, self.kek
        )

    def unlock(self) -> None:
        """Opens the tenant's keys for this transaction."""
        self.call("select integrations.unlock(kek_id => %s, kek => %s)", self.kek_id, self.kek)


def run(target: Target, echo: Callable[[str], None], definitions_only: bool = False) -> None:
    """Plays the story on a database and tells it; what it makes there stays, and it says so.

    Args:
        target: the database.
        echo: called with one line at a time.
        definitions_only: publish the connectors, as an administrator, and stop.

    Raises:
        Failure: no connection, the model is not deployed, or this login may not play the roles.
    """
    with connect(target, echo) as connection:
        story = Story(connection, echo, f"demo-{secrets.token_hex(4)}", secrets.token_bytes(32))
        require_model(story, ROLES[:1] if definitions_only else ROLES)
        connectors = load_all()
        definitions = publish(story, connectors)
        if definitions_only:
            echo("")
            echo(f"Left in the database: {len(definitions)} definitions.")
            return
        try_examples(story, connectors, definitions)
        known = {connector.name: connector for connector in connectors}
        tenants = {name: uuid.uuid4() for name in TENANTS}
        instances = {
            tenant: install(story, tenant, tenants[tenant], known, definitions)
            for tenant in TENANTS
        }
        stored: dict[uuid.UUID, Any] = {}
        for tenant, installed in instances.items():
            stored |= store(story, tenant, tenants[tenant], known, installed)
        wanted = next(iter(instances["Northwind"]))
        look(story, tenants, wanted, stored[wanted])
        audit(story, tenants)
    echo("")
    echo(f"Left in the database: {len(definitions)} definitions, {len(tenants)} made-up tenants.")
    echo("The key-encryption key lived in this process only: nobody can read those tokens again.")


def require_model(story: Story, roles: Sequence[str]) -> None:
    """Raises Failure unless the model is there and this login may play these roles."""
    deployed = story.call(
        "select exists (select from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname = 'integrations' and p.proname = 'upgrade_instance')"
    )
    if not deployed:
        raise Failure(
            "the Integrations model is not deployed on this database\n"
            "Run `integrations-db deploy` (or `make deploy`) first."
        )
    may_set = "set" if story.connection.info.server_version >= 160000 else "member"
    missing = [
        role for role in roles if not story.call("select pg_has_role(%s, %s)", role, may_set)
    ]
    if missing:
        raise Failure(
            "this login may not play the roles of the story\n"
            f"Run it as a superuser, or grant it for the demo: {', '.join(missing)}."
        )


def publish(story: Story, connectors: list[Connector]) -> dict[str, uuid.UUID]:
    """Registers and publishes the connectors that are not published yet; returns ids by name."""
    story.echo("An administrator describes the connectors:")
    definitions = {}
    for connector in connectors:
        with story.act("integrations_admin"):
            found = story.call(
                "select id from integrations.integration_definitions"
                " where name = %s and type = %s and docs_url = %s and description = %s"
                " and config_schema = %s and credentials_schema = %s and status = 'published'"
                " order by created_at limit 1",
                connector.name,
                connector.type,
                connector.docs_url,
                connector.description,
                Jsonb(connector.config_schema),
                Jsonb(connector.credentials_schema),
            )
            definitions[connector.name] = found or register(story, connector)
        known = "published already" if found else "registered and published"
        story.echo(f"  {connector.name} ({connector.type}): {known}")
    return definitions


def register(story: Story, connector: Connector) -> Any:
    """Registers and publishes a connector, under its version or the next one that is free."""
    version, minor = connector.version, 0
    while story.call(
        "select exists (select from integrations.integration_definitions"
        " where name = %s and version = %s)",
        connector.name,
        version,
    ):
        minor += 1
        version = f"{connector.version.partition('.')[0]}.{minor}.0"
    definition_id = story.call(
        "select integrations.register_definition("
        "name => %s, type => %s, version => %s, docs_url => %s, description => %s,"
        " credentials_schema => %s, config_schema => %s)",
        connector.name,
        connector.type,
        version,
        connector.docs_url,
        connector.description,
        Jsonb(connector.credentials_schema),
        Jsonb(connector.config_schema),
    )
    story.call(
        "select integrations.set_definition_status(definition_id => %s, status => 'published')",
        definition_id,
    )
    return definition_id


def try_examples(
    story: Story,
    connectors: list[Connector],
    definitions: dict[str, uuid.UUID],
) -> None:
    """Tries every example of every connector, for a tenant that is gone afterwards."""
    story.echo("Examples that fit their schemas, and mistakes that do not, are tried and undone:")
    with story.act("svc_integration", uuid.uuid4()):
        story.make_key()
        story.unlock()
        for connector in connectors:
            for number, right in enumerate(connector.accepted):
                name = f"{connector.name} {number}"
                instance_id = create(story, definitions[connector.name], name, right.config)
                put(story, instance_id, right.credentials)
            for wrong in connector.refused:
                refused(story, connector, wrong, instance_id)
            story.echo(
                f"  {connector.name}: {len(connector.accepted)} accepted,"
                f" {len(connector.refused)} refused, each for its reason"
            )
        raise psycopg.Rollback


def create(story: Story, definition_id: uuid.UUID, name: str, config: dict[str, Any]) -> uuid.UUID:
    """Creates an instance and returns its id."""
    return story.call(  # type: ignore[no-any-return]
        "select integrations.create_instance(integration_id => %s, name => %s, config => %s)",
        definition_id,
        name,
        Jsonb(config),
    )


def put(story: Story, instance_id: uuid.UUID, credentials: dict[str, Any]) -> int:
    """Stores credentials, as text, and returns their version."""
    return story.call(  # type: ignore[no-any-return]
        "select integrations.put_credentials(instance_id => %s, credentials => %s)",
        instance_id,
        json.dumps(credentials),
    )


def refused(
    story: Story, connector: Connector, wrong: Refused, instance_id: uuid.UUID
) -> list[str]:
    """Tries a wrong document on an instance; returns what a form shows beside its fields.

    Raises:
        Failure: it was accepted, or refused for another reason.
    """
    if wrong.code == "IN203":
        schema = connector.config_schema
        error = expect_error(
            story,
            "select integrations.update_config(instance_id => %s, config => %s)",
            instance_id,
            Jsonb(wrong.document),
        )
    else:
        schema = connector.credentials_schema
        error = expect_error(
            story,
            "select integrations.put_credentials(instance_id => %s, credentials => %s)",
            instance_id,
            json.dumps(wrong.document),
        )
    detail = error.diag.message_detail or ""
    place = locate(detail)
    if (error.sqlstate, place and place[:2]) != (wrong.code, (wrong.pointer, wrong.keyword)):
        raise Failure(
            f"{connector.name}, {wrong.because}: refused for another reason\n"
            f"{short(error)}: {detail}\n"
            "Run `integrations-db verify` and look for what differs."
        )
    return list(form_errors(detail, schema, wrong.document).values())


def install(
    story: Story,
    tenant: str,
    tenant_id: uuid.UUID,
    connectors: dict[str, Connector],
    definitions: dict[str, uuid.UUID],
) -> dict[uuid.UUID, Installation]:
    """Lets one tenant install its connectors; returns the instances by id."""
    story.echo(f"{tenant} ({tenant_id}) installs:")
    instances = {}
    with story.act("integrations_tenant", tenant_id):
        for installation in TENANTS[tenant]:
            connector = connectors[installation.connector]
            instance_id = create(
                story,
                definitions[installation.connector],
                installation.name,
                connector.accepted[installation.example].config,
            )
            instances[instance_id] = installation
            story.echo(f"  {installation.connector} as {installation.name!r}: {instance_id}")
            mistake(story, connector, "IN203", installation, instance_id)
    return instances


def mistake(
    story: Story,
    connector: Connector,
    code: str,
    installation: Installation,
    instance_id: uuid.UUID,
) -> None:
    """Lets somebody fill in the form wrong, and tells what it shows then."""
    wrong = [wrong for wrong in connector.refused if wrong.code == code][installation.example]
    story.echo(f"    {wrong.because}")
    for shown in refused(story, connector, wrong, instance_id):
        story.echo(f"      {code}, {wrong.keyword}: {shown}")


def store(
    story: Story,
    tenant: str,
    tenant_id: uuid.UUID,
    connectors: dict[str, Connector],
    instances: dict[uuid.UUID, Installation],
) -> dict[uuid.UUID, Any]:
    """Lets the service store credentials for a tenant's instances; returns them by instance."""
    story.echo(f"The service connects {tenant}:")
    with story.act("svc_integration", tenant_id):
        story.make_key()
    stored = {}
    for instance_id, installation in instances.items():
        connector = connectors[installation.connector]
        stored[instance_id] = connector.accepted[installation.example].credentials
        with story.act("svc_integration", tenant_id):
            story.unlock()
            story.echo(f"  {installation.name!r}:")
            mistake(story, connector, "IN204", installation, instance_id)
            version = put(story, instance_id, stored[instance_id])
            story.call(
                "select integrations.record_connection(instance_id => %s, ok => true)", instance_id
            )
        story.echo(
            f"    {len(json.dumps(stored[instance_id]))} bytes of credentials stored,"
            f" encrypted, version {version}"
        )
    return stored


def look(
    story: Story,
    tenants: dict[str, uuid.UUID],
    wanted: uuid.UUID,
    stored: dict[str, Any],
) -> None:
    """Lets the service read, and shows that neither tenant sees the other's or any credentials."""
    (ours, our_id), (theirs, their_id) = tenants.items()

    story.echo(f"The service reads {ours}'s credentials back:")
    with story.act("svc_integration", our_id):
        story.unlock()
        credentials = story.call("select integrations.get_credentials(instance_id => %s)", wanted)
    if credentials != stored:
        raise Failure("the credentials that came back are not those that were stored")
    story.echo(f"  exactly as stored: {', '.join(credentials)} (values not shown)")

    story.echo(f"{theirs} tries to see them:")
    with story.act("integrations_tenant", their_id):
        seen = story.call("select count(*) from integrations.instance_overview")
        foreign = story.call(
            "select count(*) from integrations.instance_overview where id = %s", wanted
        )
    story.echo(f"  its overview shows {seen} of its own, and {foreign} of {ours}'s")
    with story.act("integrations_tenant", their_id):
        answer = expect_error(
            story,
            "select integrations.rename_instance(instance_id => %s, name => 'ours now')",
            wanted,
        )
    story.echo(f"  renaming {ours}'s instance: {short(answer)}")
    with story.act("svc_integration", their_id):
        story.unlock()
        answer = expect_error(
            story, "select integrations.get_credentials(instance_id => %s)", wanted
        )
    story.echo(f"  the service, working for {theirs}, asks for {ours}'s: {short(answer)}")
    with story.act("integrations_tenant", our_id):
        answer = expect_error(story, "select credentials from integrations.integration_instances")
    story.echo(f"  {ours} itself reads the column: {short(answer)}")


def expect_error(story: Story, statement: LiteralString, *values: object) -> psycopg.Error:
    """Runs a statement that must fail, in a savepoint; returns its error.

    Raises:
        Failure: it succeeded, so what this story shows does not hold.
    """
    try:
        with story.connection.transaction():
            story.call(statement, *values)
    except psycopg.Error as error:
        return error
    raise Failure(
        "a call that must be refused was allowed\n"
        "Run `integrations-db verify` and look for what differs."
    )


def short(error: psycopg.Error) -> str:
    """Returns the code and the message of an error."""
    return f"{error.sqlstate}, {error.diag.message_primary}"


def audit(story: Story, tenants: dict[str, uuid.UUID]) -> None:
    """Shows what the audit trail kept of the story."""
    story.echo("An auditor reads the trail:")
    with story.act("integrations_auditor"):
        rows = story.connection.execute(
            "select event, count(*) from integrations.audit_trail"
            " where tenant_id = any (%s) group by event order by min(at)",
            [list(tenants.values())],
        ).fetchall()
    story.echo("  " + ", ".join(f"{event} {times}x" for event, times in rows))
