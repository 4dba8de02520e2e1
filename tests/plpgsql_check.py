"""Looks into the bodies of our functions with the extension plpgsql_check: part of ``make lint``.

It deploys the plan on a throw-away server (``TEST_SERVER``, else a local PostgreSQL) and lets the
extension say all that it has to say: errors, warnings, performance, security, compatibility. What
is not among the exceptions below ends it with status 1, and so does an exception of which there is
no longer a case.

Where no server has the extension a line says so, and the status is 0; in CI it is 1 where the
extension is installed on the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from integrations_db.database import explain
from integrations_db.testing import bodies, databases, servers
from integrations_db.testing.findings import EXTENSION, findings

ROOT = Path(__file__).parents[1]

_NOT_SIMPLER = (
    "as STABLE the planner might run it to estimate a row count, with a key in its hands, and"
    " nothing would be faster: it is called alone, never in a condition"
)
_OWN_SNAPSHOTS = (
    "as VOLATILE each of its queries sees what others have committed by then, which is wanted of"
    " what looks at keys and at a running server; nothing would be faster"
)
EXCEPTIONS = {
    ("integrations.create_tenant_key", 'never read variable "v_known"'): (
        "a KEK stands in assignments only: PERFORM would make it part of a query"
    ),
    ("integrations.get_credentials", 'never read variable "v_stamped"'): (
        "an assignment is an expression, PERFORM a query: each read that stamps would cost more"
    ),
    ("integrations.unlock", 'never read variable "v_known"'): (
        "a KEK stands in assignments only: PERFORM would make it part of a query"
    ),
} | {
    (name, "routine is marked as VOLATILE, should be STABLE"): reason
    for name, reason in (
        ("integrations_private.open_credentials", _NOT_SIMPLER),
        ("integrations_private.unwrap_key", _NOT_SIMPLER),
        ("integrations_private.list_keys", _OWN_SNAPSHOTS),
        ("integrations.wrapped_keys", _OWN_SNAPSHOTS),
        ("integrations.doctor", _OWN_SNAPSHOTS),
        (
            "integrations_private.add_audit_partition",
            "it makes a table, with statements that are not known before they run",
        ),
    )
}
"""What is found and stays: the function and the message, and why."""


def main() -> int:
    """Prints what is found, each with its file and line, and gives the exit status."""
    os.chdir(ROOT)
    functions = bodies.written(sorted(Path("deploy").rglob("*.sql")))
    kind = os.environ.get("TEST_SERVER") or "local"
    dockerfile = Path("tests/docker/Dockerfile")
    try:
        with (
            servers.running(kind, dockerfile, print) as server,
            databases.clone(server.dsn, "template0") as conninfo,
        ):
            _deploy(conninfo)
            found = findings(conninfo, functions)
    except (servers.Unobtainable, psycopg.errors.FeatureNotSupported) as error:
        return _not_run(str(error).splitlines()[0])
    except (psycopg.Error, LookupError) as error:
        print(f"plpgsql_check: {explain(error) if isinstance(error, psycopg.Error) else error}")
        return 1
    wrong = [one for one in found if (one.function, one.message) not in EXCEPTIONS]
    stale = EXCEPTIONS.keys() - {(one.function, one.message) for one in found}
    for finding in wrong:
        print(finding)
    for name, message in sorted(stale):
        print(f"{Path(__file__).relative_to(ROOT)}: no longer found in {name}: {message}")
    if wrong or stale:
        return 1
    print(
        f"plpgsql_check: nothing found in {len(functions)} PL/pgSQL functions;"
        f" {len(EXCEPTIONS)} exceptions in {Path(__file__).relative_to(ROOT)}"
    )
    return 0


def _deploy(conninfo: str) -> None:
    """Deploys the plan; our own command says what goes wrong, and ends the run."""
    command = [sys.executable, "-m", "integrations_db", "deploy", "--no-verify", conninfo]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"plpgsql_check: the plan does not deploy:\n{done.stdout}{done.stderr}")


def _not_run(reason: str) -> int:
    """Says that nothing was looked at, and gives the exit status."""
    print(
        f"plpgsql_check: NOT RUN, no function body was looked at: {reason.rstrip('.')}."
        " On Debian and Ubuntu: apt-get install postgresql-15-pgtap postgresql-15-plpgsql-check,"
        " of the version of your server"
    )
    here = list(Path("/usr/share/postgresql").glob(f"*/extension/{EXTENSION}.control"))
    return 1 if os.environ.get("CI") and here else 0


if __name__ == "__main__":
    sys.exit(main())
