"""A server without the package's roles, and ways into it as a superuser and as others."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .client import Client
from .deployment import Connection, smoke
from .world import connect

__all__ = ["ORDINARY", "OWNERS", "POWERS", "ROLES", "Cluster"]

OWNERS = ["integrations_owner", "integrations_keymaster"]
ROLES = [*OWNERS, "svc_integration", "integrations_tenant", "integrations_admin",
         "integrations_auditor"]  # fmt: skip
POWERS = ["superuser", "bypassrls", "createrole", "createdb", "replication"]
ORDINARY = "createrole createdb"
"""What a deployer may have who is no superuser."""


@dataclass
class Cluster:
    """A server without the package's roles, and ways into it."""

    server: Server
    folder: Path
    stack: ExitStack

    def connect(self, conninfo: str) -> Connection:
        return self.stack.enter_context(connect(conninfo))

    def superuser(self, conninfo: str | None = None) -> Connection:
        """Gives a superuser's connection, to the database of a conninfo."""
        database = conninfo_to_dict(conninfo or self.server.dsn)["dbname"]
        return self.connect(psycopg.conninfo.make_conninfo(self.server.dsn, dbname=database))

    def member(self, role: str, conninfo: str) -> str:
        """Makes a login in a role and gives its conninfo, to the same database."""
        database = conninfo_to_dict(conninfo)["dbname"]
        dsn = psycopg.conninfo.make_conninfo(self.server.dsn, dbname=database)
        return databases.create_login(role, dsn, self.folder)

    def database(self) -> str:
        """Makes an empty database and gives its conninfo, as superuser."""
        return self.stack.enter_context(databases.clone(self.server.dsn, "template0"))

    def deployer(self, powers: str = ORDINARY) -> tuple[str, Connection]:
        """Makes a login with these powers that owns a new database, and connects there."""
        conninfo = self.database()
        group, dba = databases.new_name("group"), self.superuser(conninfo)
        dba.execute(sql.SQL("create role {}").format(sql.Identifier(group)))
        own = self.member(group, conninfo)
        user = sql.Identifier(str(conninfo_to_dict(own)["user"]))
        dba.execute(sql.SQL("alter role {} " + powers).format(user))
        name = sql.Identifier(str(conninfo_to_dict(own)["dbname"]))
        dba.execute(sql.SQL("alter database {} owner to {}").format(name, user))
        return own, self.connect(own)

    def works(self, conninfo: str) -> None:
        """Sees that members of the roles can work with what is deployed."""
        admin = Client(self.connect(self.member("integrations_admin", conninfo)))
        smoke(admin, Client(self.connect(self.member("svc_integration", conninfo))))

    def roles(self) -> set[str]:
        """Gives which of the package's roles there are."""
        query = "select rolname::text from pg_roles where rolname = any (%s)"
        return {name for (name,) in self.superuser().execute(query, [ROLES]).fetchall()}
