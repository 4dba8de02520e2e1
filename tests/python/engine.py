"""The engine called in this process, as the command line calls it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrations_db.config import Committer, Target
from integrations_db.database import connect
from integrations_db.deploy import Deployment
from integrations_db.deploy import deploy as engine_deploy
from integrations_db.plan import Change
from integrations_db.project import load_project
from integrations_db.revert import revert as engine_revert

WHO = Committer("Ada Lovelace", "ada@example.com")


@dataclass(slots=True)
class Heard:
    """A listener that keeps what it hears.

    Attributes:
        said: everything said besides the progress.
        steps: the titles of changes with how they ended.
        when: called with what is said, as it is said.
    """

    said: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    when: Callable[[str], None] = lambda _: None

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def started(self, action: str, count: int) -> None:
        pass

    def change(self, action: str, title: str) -> None:
        pass

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        self.steps.append((title, remark))

    def failed(self, title: str) -> None:
        self.steps.append((title, "FAILED"))

    def say(self, text: str) -> None:
        self.said.append(text)
        self.when(text)


def deploy(folder: Path, dsn: str, heard: Heard | None = None, **options: Any) -> Deployment:
    """Deploys a project."""
    target = Target(dsn)
    heard = heard or Heard()
    with closing(connect(target, heard.say)) as conn:
        return engine_deploy(conn, load_project(folder), target, WHO, heard, **options)


def revert(folder: Path, dsn: str, heard: Heard | None = None, **options: Any) -> list[Change]:
    """Reverts a project; all of it, unless ``to`` says otherwise."""
    target = Target(dsn)
    heard = heard or Heard()
    with closing(connect(target, heard.say)) as conn:
        project = load_project(folder)
        return engine_revert(
            conn, project, target, WHO, heard, lambda _: True, **{"to": None, **options}
        )
