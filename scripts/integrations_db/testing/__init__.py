"""A pytest plugin for PostgreSQL: pgTAP files as tests, test servers, and databases by cloning.

``pip install 'integrations-db[test]'`` brings it; ``pgtap_paths`` in pytest's ini file turns it on.

Modules:
    entry: what pytest loads; the settings.
    tap: reads and writes TAP, subtests included.
    collector: pgTAP files in pytest, each assertion a result of its own.
    servers: where the server comes from: a DSN, Docker, local binaries, the embedded server.
    databases: the template database, its clones, and logins that live as long as a test.
    plugin: the fixtures, and the life of the server in a session.
    hooks: what a project tells the plugin.
    rehearsal: a plan up, down and up again, with its pgTAP files and what is left behind.
"""

from __future__ import annotations
