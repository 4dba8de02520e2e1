"""The Docker image that runs deployments as a job: built, and run as docs/job.md says.

With ``SERVER=docker`` only. ``TEST_PYTHON_IMAGE`` is the image that it is built on, if not the one
in the Dockerfile; wheels in ``build/wheels`` are taken in place of a package index.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from small_project import Sql, recorded, table, write_project
from test_deployer import sleeping, wait_for

from integrations_db import __version__
from integrations_db.plan import read_plan
from integrations_db.testing import servers
from integrations_db.testing.servers import Server

ROOT = Path(__file__).parents[2]


@pytest.mark.static
def test_the_image_is_made_as_it_should_be() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE_IMAGE=\S+:\d\S*$", text, re.MULTILINE)  # not latest
    assert text.count("FROM ${BASE_IMAGE}") == text.count("FROM ") == 2
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["integrations-db"]' in last
    # Nothing of a secret is an argument of the build, or stays in the image.
    arguments = re.findall(r"^(?:ARG|ENV) (\w+)", text, re.MULTILINE)
    assert set(arguments) == {"BASE_IMAGE", "PACKAGES", "PATH", "PIP_INDEX_URL", "PIP_NO_INDEX"}


@pytest.mark.static
def test_the_context_is_what_the_wheel_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept - {"build/wheels"})
    assert "tests/docker/Dockerfile" in kept
    assert not kept & {".git", ".venv", ".env", "build", "docs", "tests"}


@dataclass(frozen=True, slots=True)
class Job:
    """The image, and where its database is.

    Attributes:
        client: of the engine.
        image: the image's id.
        server: the container of the test server, whose network jobs share.
        password: of the test server.
    """

    client: Any
    image: str
    server: str
    password: str

    def start(self, *arguments: str, **options: Any) -> Any:
        """Starts a container as docs/job.md says, with nothing that it does not need."""
        return self.client.containers.run(
            self.image,
            list(arguments),
            detach=True,
            network_mode=f"container:{self.server}",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            **options,
        )

    def run(self, *arguments: str, code: int = 0, **options: Any) -> str:
        """Runs a job to its end, and gives what it printed."""
        container = self.start(*arguments, **options)
        try:
            ended = container.wait(timeout=120)["StatusCode"]
            said: str = container.logs().decode()
        finally:
            container.remove(force=True)
        assert ended == code, said
        assert "Traceback" not in said
        if self.password:
            assert self.password not in said
        return said


@pytest.fixture(scope="module")
def image(server: Server) -> Iterator[tuple[Any, str]]:
    """A client of the engine, and the image's id."""
    if server.name != "docker":
        pytest.skip("images are for SERVER=docker")
    client = servers._docker()
    arguments = {}
    if base := os.environ.get("TEST_PYTHON_IMAGE"):
        arguments["BASE_IMAGE"] = base
    if any((ROOT / "build" / "wheels").glob("hatchling-*")):
        arguments["PIP_NO_INDEX"] = "1"
    built, _ = client.images.build(
        path=str(ROOT), tag="integrations-db:test", buildargs=arguments, rm=True
    )
    yield client, built.id


@pytest.fixture
def job(image: tuple[Any, str], cluster: Server) -> Job:
    """Jobs on a server of their own."""
    passfile = conninfo_to_dict(cluster.dsn).get("passfile")
    password = Path(str(passfile)).read_text().strip().rpartition(":")[2] if passfile else ""
    return Job(*image, cluster.container, password)


@pytest.mark.long
@pytest.mark.database
def test_a_job_deploys(job: Job, cluster: Server, tmp_path: Path) -> None:
    settings = job.client.images.get(job.image).attrs["Config"]
    assert settings["User"] == "10001:10001"
    assert job.run("--version") == f"integrations-db, version {__version__}\n"
    changes = [change.name for change in read_plan(ROOT / "sqitch.plan").changes]
    user = conninfo_to_dict(cluster.dsn)["user"]
    # The password by the environment, as from a Secret of Kubernetes.
    uri, secret = f"postgresql://{user}@127.0.0.1/postgres", {"PGPASSWORD": job.password}
    assert f"Deployed {len(changes)} changes" in job.run("deploy", uri, environment=secret)
    assert recorded(cluster.dsn) == changes
    # By a service file, which everybody in the container may read.
    service = tmp_path / "service"
    service.write_text(
        f"[app]\nhost=127.0.0.1\nuser={user}\npassword={job.password}\ndbname=postgres\n"
    )
    service.chmod(0o444)
    said = job.run(
        "status",
        "--check",
        "service=app",
        environment={"PGSERVICEFILE": "/run/service"},
        volumes=[f"{service}:/run/service:ro"],
    )
    assert f"Deployed: {len(changes)} of {len(changes)}" in said
    assert "local user with ID 10001 does not exist" in job.run(
        "verify", "postgresql://127.0.0.1/postgres", code=1
    )
    assert "pip install 'integrations-db[embedded]'" in job.run("deploy", code=1)
    assert "Reverted" in job.run("revert", uri, "--all", "-y", environment=secret)


@pytest.mark.long
@pytest.mark.database
def test_a_job_deploys_another_project_and_is_stopped(
    job: Job, cluster: Server, tmp_path: Path
) -> None:
    slow = Sql("begin;\ncreate table slow ();\nselect pg_sleep(60);\ncommit;\n")
    write_project(tmp_path, {"first": table("first"), "slow": slow})
    tmp_path.chmod(0o755)
    user = conninfo_to_dict(cluster.dsn)["user"]
    there: dict[str, Any] = {
        "environment": {
            "PGPASSWORD": job.password,
            "SQITCH_TARGET": f"postgresql://{user}@127.0.0.1/postgres",
            "SQITCH_FULLNAME": "Deployments",
            "SQITCH_EMAIL": "deployments@example.com",
        },
        "volumes": [f"{tmp_path}:/project:ro"],
    }
    container = job.start("deploy", **there)
    try:
        wait_for(lambda: sleeping(cluster.dsn))
        container.stop(timeout=60)  # SIGTERM, as when a pod is evicted
        ended = container.wait(timeout=60)["StatusCode"]
        said = container.logs().decode()
    finally:
        container.remove(force=True)
    assert (ended, "terminated" in said) == (1, True), said
    assert recorded(cluster.dsn) == ["first"]
    assert "by Deployments <deployments@example.com>" in job.run("status", **there)
