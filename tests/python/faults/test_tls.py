"""TLS as a cautious DBA wants it: the server's name checked, a client certificate, its key locked.

With an authority of these tests' own; the programs of openssl make the certificates.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from small_project import Sql, recorded, require, rows, run, write_project

from integrations_db.server import start_cluster, stop_cluster, unprivileged
from integrations_db.testing.servers import Server

from .dumps import program

pytestmark = pytest.mark.database

SECRET = "hunter2 & sons"  # noqa: S105
# Fails in a session that has not shown the certificate of a role named deployer.
LOOK = (
    "select 1 / count(*) from pg_stat_ssl"
    " where pid = pg_backend_pid() and ssl and client_dn = '/CN=deployer';\n"
)


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that takes only TLS.

    Attributes:
        port: on which it listens.
        folder: certificates and keys: ca.crt, deployer.crt, deployer.key.
        admin: conninfo of the superuser, by socket.
    """

    port: int
    folder: Path
    admin: str

    @property
    def parameters(self) -> dict[str, str]:
        """What libpq needs to know."""
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.folder / "ca.crt"),
            "sslcert": str(self.folder / "deployer.crt"),
            "sslkey": str(self.folder / "deployer.key"),
            "sslpassword": SECRET,
        }

    def uri(self, head: str = "postgresql", host: str = "localhost", **more: str) -> str:
        """Returns a URI of the database."""
        query = urlencode(self.parameters | more).replace("+", "%20")
        return f"{head}://deployer@{host}:{self.port}/postgres?{query}"


def certify(folder: Path) -> None:
    """Makes an authority, and the certificates of the server localhost and of role deployer."""

    def openssl(arguments: str) -> None:
        subprocess.run(  # noqa: S603
            [require("openssl"), *shlex.split(arguments)],
            cwd=folder,
            env=os.environ | {"SECRET": SECRET},
            check=True,
            capture_output=True,
        )

    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key"
            " -out ca.crt")  # fmt: skip
    for name, lock in (("localhost", "-nodes"), ("deployer", "-passout env:SECRET")):
        openssl(f"req -newkey rsa:2048 {lock} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        openssl(f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
                f" -extfile names -out {name}.crt")  # fmt: skip
        (folder / f"{name}.key").chmod(0o600)


@pytest.fixture(scope="module")
def secured(own: Server, tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """A server of these tests, of the kind that the others are on where that is possible."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    data = Path(rows(own.dsn, "show data_directory")[0][0])
    bin_dir = program("pg_ctl", own.version // 10000).parent
    owner = unprivileged()
    stop_cluster(data, bin_dir, owner=owner)
    for name in ("ca.crt", "localhost.crt", "localhost.key"):
        shutil.copy(folder / name, data)
        if owner:
            os.chown(data / name, owner.uid, owner.gid)
    (data / "pg_hba.conf").write_text(
        "local all postgres trust\nhostssl all deployer 127.0.0.1/32 cert\n"
    )
    start_cluster(
        data,
        bin_dir,
        log=data.parent / "log",
        owner=owner,
        port=port,
        durable=False,
        settings={
            "unix_socket_directories": str(data.parent),
            "ssl": "on",
            "ssl_ca_file": "ca.crt",
            "ssl_cert_file": "localhost.crt",
            "ssl_key_file": "localhost.key",
        },
    )
    admin = f"host={data.parent} port={port} user=postgres dbname=postgres"
    with psycopg.connect(admin) as conn:
        conn.execute("create role deployer login superuser")
    return Secured(port, folder, admin)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose scripts look at their sessions; what psql is called with is written down."""
    by_psql = f"\\set x 1\n{LOOK}"
    write_project(
        tmp_path,
        {
            "ours": Sql(LOOK, LOOK, LOOK),
            "apart": Sql(f"vacuum pg_am;\n{LOOK}", LOOK, LOOK),
            "psql": Sql(by_psql, by_psql, by_psql),
        },
    )
    client = tmp_path / "client"
    psql = shlex.quote(require("psql"))
    client.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> heard\nexec {psql} "$@"\n')
    client.chmod(0o700)
    (tmp_path / "sqitch.conf").write_text('[engine "pg"]\nclient = ./client\n')
    return tmp_path


@pytest.mark.parametrize("given", ["URI", "db: URI", "service file", "service of db: URI"])
def test_everything_goes_by_tls_and_no_secret_is_shown(
    secured: Secured, project: Path, given: str
) -> None:
    service = project / "service.conf"
    lines = {"host": "localhost", "port": str(secured.port), "user": "deployer"}
    lines |= {"dbname": "postgres"} | secured.parameters
    service.write_text("[prod]\n" + "".join(f"{key}={value}\n" for key, value in lines.items()))
    target = {
        "URI": secured.uri(),
        "db: URI": secured.uri("db:pg"),
        "service file": "service=prod",
        "service of db: URI": "db:pg:?service=prod",
    }[given]

    def told(*arguments: str) -> str:
        done = run(project, *arguments, target, PGSERVICEFILE=str(service))
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    told("deploy")
    assert recorded(secured.admin) == ["ours", "apart", "psql"]
    told("verify")
    told("revert", "--all", "-y")
    heard = (project / "heard").read_text()
    assert heard.count("--no-password") == 4  # deployed, verified twice, reverted
    assert SECRET.split()[0] not in heard


def test_what_does_not_hold_is_told_without_the_secret(secured: Secured, project: Path) -> None:
    for target, why in (
        (secured.uri(host="127.0.0.1"), 'does not match host name "127.0.0.1"'),
        (secured.uri(sslpassword=f"not {SECRET}"), "could not load private key file"),
        (secured.uri(sslrootcert="/nowhere/ca.crt"), "does not exist"),
    ):
        done = run(project, "status", target)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
        assert "Check sslmode, sslrootcert, sslcert, sslkey and sslpassword" in done.stderr
        assert SECRET not in done.stderr
