"""Plays one story through the stored functions, on a database where the model is deployed.

An administrator publishes two connectors, two tenants install them, the service stores OAuth
credentials and reads them back, and each tenant sees only its own. Every call is made the way an
application makes it: under the role that may call it, in a transaction that first sets the tenant,
with values as bind parameters.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.errors import Failure
from integrations_db.registry import Connection

ROLES = ("integrations_admin", "integrations_tenant", "svc_integration", "integrations_auditor")


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector as an administrator describes it."""

    name: str
    docs_url: str
    description: str


@dataclass(frozen=True, slots=True)
class Installation:
    """What one tenant installs: the connector, a name of its own, and plain configuration."""

    connector: str
    name: str
    config: dict[str, Any]


CONNECTORS = (
    Connector(
        "Salesforce",
        "https://developer.salesforce.com/docs/apis",
        "Accounts, contacts and opportunities of a Salesforce org.",
    ),
    Connector(
        "Xero",
        "https://developer.xero.com/documentation/",
        "Contacts, invoices and payments of a Xero organisation.",
    ),
)

TENANTS = {
    "Northwind": (
        Installation("Salesforce", "Sales EMEA", {"api_version": "v62.0", "sandbox": False}),
        Installation("Xero", "Bookkeeping", {"scopes": ["accounting.transactions.read"]}),
    ),
    "Contoso": (
        Installation("Salesforce", "Sales EMEA", {"api_version": "v62.0", "sandbox": True}),
    ),
}


def oauth_credentials(connector: str, tenant: str) -> dict[str, Any]:
    """Returns made-up OAuth 2.0 credentials in the shape that the service's token endpoint returns.

    Sources: the OAuth flows of Salesforce (access token `00D<org>!…`, `instance_url`, no
    `expires_in`) and of Xero (a JWT access token, 30 minutes, `offline_access` refresh token).
    """
    if connector == "Salesforce":
        org = "00D" + secrets.token_hex(6).upper()
        return {
            "access_token": f"{org}!{secrets.token_urlsafe(66)}",
            "refresh_token": f"5Aep861{secrets.token_urlsafe(60)}",
            "instance_url": f"https://{tenant.lower()}.my.salesforce.com",
            "id": f"https://login.salesforce.com/id/{org}/005{secrets.token_hex(6).upper()}",
            "token_type": "Bearer",
            "issued_at": str(int(datetime.now(UTC).timestamp() * 1000)),
            "scope": "refresh_token api",
            "expires_at": (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="seconds"),
        }
    return {
        "access_token": ".".join(secrets.token_urlsafe(n) for n in (60, 400, 256)),
        "refresh_token": secrets.token_urlsafe(32),
        "id_token": ".".join(secrets.token_urlsafe(n) for n in (60, 240, 256)),
        "token_type": "Bearer",
        "expires_in": 1800,
        "scope": "openid offline_access accounting.transactions",
    }


@dataclass(frozen=True, slots=True)
class Story:
    """The connection that plays all parts, and where its lines go."""

    connection: Connection
    echo: Callable[[str], None]

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


def run(target: Target, echo: Callable[[str], None]) -> None:
    """Plays the story on a database and tells it; what it makes there stays, and it says so.

    Args:
        target: the database.
        echo: called with one line at a time.

    Raises:
        Failure: no connection, the model is not deployed, or this login may not play the roles.
    """
    with connect(target, echo) as connection:
        story = Story(connection, echo)
        require_model(story)
        definitions = publish(story)
        tenants = {name: uuid.uuid4() for name in TENANTS}
        kek_id, kek = f"demo-{secrets.token_hex(4)}", secrets.token_bytes(32)
        instances = {
            tenant: install(story, tenant, tenants[tenant], definitions) for tenant in TENANTS
        }
        stored: dict[uuid.UUID, Any] = {}
        for tenant, installed in instances.items():
            stored |= store(story, tenant, tenants[tenant], installed, kek_id, kek)
        wanted = next(iter(instances["Northwind"]))
        look(story, tenants, wanted, stored[wanted], kek_id, kek)
        audit(story, tenants)
    echo("")
    echo(f"Left in the database: {len(definitions)} definitions, {len(tenants)} made-up tenants.")
    echo("The key-encryption key lived in this process only: nobody can read those tokens again.")


def require_model(story: Story) -> None:
    """Raises Failure unless the model is there and this login may play every role."""
    deployed = story.call(
        "select exists (select from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname = 'integrations' and p.proname = 'get_credentials')"
    )
    if not deployed:
        raise Failure(
            "the Integrations model is not deployed on this database\n"
            "Run `integrations-db deploy` (or `make deploy`) first."
        )
    may_set = "set" if story.connection.info.server_version >= 160000 else "member"
    missing = [
        role for role in ROLES if not story.call("select pg_has_role(%s, %s)", role, may_set)
    ]
    if missing:
        raise Failure(
            "this login may not play the roles of the story\n"
            f"Run it as a superuser, or grant it for the demo: {', '.join(missing)}."
        )


def publish(story: Story) -> dict[str, uuid.UUID]:
    """Registers and publishes the connectors that are not published yet; returns ids by name."""
    story.echo("An administrator describes the connectors:")
    definitions = {}
    for connector in CONNECTORS:
        with story.act("integrations_admin"):
            found = story.call(
                "select id from integrations.integration_definitions"
                " where name = %s and status = 'published' order by created_at limit 1",
                connector.name,
            )
            definitions[connector.name] = found or register(story, connector)
        known = "published already" if found else "registered and published"
        story.echo(f"  {connector.name} (oauth2): {known}")
    return definitions


def register(story: Story, connector: Connector) -> Any:
    """Registers and publishes a connector, as the next version after those there are."""
    count = story.call(
        "select count(*) from integrations.integration_definitions where name = %s", connector.name
    )
    definition_id = story.call(
        "select integrations.register_definition("
        "name => %s, type => 'oauth2', version => %s, docs_url => %s, description => %s)",
        connector.name,
        f"1.{count}.0",
        connector.docs_url,
        connector.description,
    )
    story.call(
        "select integrations.set_definition_status(definition_id => %s, status => 'published')",
        definition_id,
    )
    return definition_id


def install(
    story: Story, tenant: str, tenant_id: uuid.UUID, definitions: dict[str, uuid.UUID]
) -> dict[uuid.UUID, Installation]:
    """Lets one tenant install its connectors; returns the instances by id."""
    story.echo(f"{tenant} ({tenant_id}) installs:")
    instances = {}
    with story.act("integrations_tenant", tenant_id):
        for installation in TENANTS[tenant]:
            instance_id = story.call(
                "select integrations.create_instance("
                "integration_id => %s, name => %s, config => %s::jsonb)",
                definitions[installation.connector],
                installation.name,
                json.dumps(installation.config),
            )
            instances[instance_id] = installation
            story.echo(f"  {installation.connector} as {installation.name!r}: {instance_id}")
    return instances


def store(
    story: Story,
    tenant: str,
    tenant_id: uuid.UUID,
    instances: dict[uuid.UUID, Installation],
    kek_id: str,
    kek: bytes,
) -> dict[uuid.UUID, Any]:
    """Lets the service store credentials for a tenant's instances; returns them by instance."""
    story.echo(f"The service connects {tenant}:")
    with story.act("svc_integration", tenant_id):
        story.call("select integrations.create_tenant_key(kek_id => %s, kek => %s)", kek_id, kek)
    stored = {}
    for instance_id, installation in instances.items():
        stored[instance_id] = oauth_credentials(installation.connector, tenant)
        credentials = json.dumps(stored[instance_id])
        with story.act("svc_integration", tenant_id):
            story.call("select integrations.unlock(kek_id => %s, kek => %s)", kek_id, kek)
            version = story.call(
                "select integrations.put_credentials(instance_id => %s, credentials => %s)",
                instance_id,
                credentials,
            )
            story.call(
                "select integrations.record_connection(instance_id => %s, ok => true)", instance_id
            )
        story.echo(
            f"  {installation.name!r}: {len(credentials)} bytes of OAuth tokens stored,"
            f" encrypted, version {version}"
        )
    return stored


def look(
    story: Story,
    tenants: dict[str, uuid.UUID],
    wanted: uuid.UUID,
    stored: dict[str, Any],
    kek_id: str,
    kek: bytes,
) -> None:
    """Lets the service read, and shows that neither tenant sees the other's or any credentials."""
    (ours, our_id), (theirs, their_id) = tenants.items()

    story.echo(f"The service reads {ours}'s credentials back:")
    with story.act("svc_integration", our_id):
        story.call("select integrations.unlock(kek_id => %s, kek => %s)", kek_id, kek)
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
    story.echo(f"  renaming {ours}'s instance: {answer}")
    with story.act("svc_integration", their_id):
        story.call("select integrations.unlock(kek_id => %s, kek => %s)", kek_id, kek)
        answer = expect_error(
            story, "select integrations.get_credentials(instance_id => %s)", wanted
        )
    story.echo(f"  the service, working for {theirs}, asks for {ours}'s: {answer}")
    with story.act("integrations_tenant", our_id):
        answer = expect_error(story, "select credentials from integrations.integration_instances")
    story.echo(f"  {ours} itself reads the column: {answer}")


def expect_error(story: Story, statement: LiteralString, *values: object) -> str:
    """Runs a statement that must fail, in a savepoint; returns its code and message.

    Raises:
        Failure: it succeeded, so the isolation that this story shows does not hold.
    """
    try:
        with story.connection.transaction():
            story.call(statement, *values)
    except psycopg.Error as error:
        return f"{error.sqlstate}, {error.diag.message_primary}"
    raise Failure(
        "a call that must be refused was allowed\n"
        "Run `integrations-db verify` and look for what differs."
    )


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
