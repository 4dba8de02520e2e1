"""A project: the directory with its plan, its configuration and its scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from integrations_db.config import Config, load_config
from integrations_db.errors import Failure, Usage
from integrations_db.plan import Plan, read_plan, rework_tags, script_hash
from integrations_db.script import Kind, Script, read_script, shown

__all__ = ["Project", "find_root", "load_project"]

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Project:
    """What is to be deployed.

    Attributes:
        root: the directory of the plan.
        config: the settings that apply there.
        plan: the changes.
    """

    root: Path
    config: Config
    plan: Plan

    @property
    def registry(self) -> str:
        """The schema of the registry."""
        return self.config.get("engine.pg.registry") or self.config.get("core.registry") or "sqitch"

    def _directory(self, kind: Kind, reworked: bool) -> Path:
        """Returns where the scripts of a kind are, as Sqitch's settings have it."""

        def setting(name: str) -> str | None:
            return self.config.get(f"engine.pg.{name}") or self.config.get(f"core.{name}")

        top = Path(setting("top_dir") or ".")
        plain = Path(setting(f"{kind}_dir") or top / kind)
        if not reworked:
            return self.root / plain
        base = setting("reworked_dir")
        return self.root / (
            setting(f"reworked_{kind}_dir") or (Path(base) / kind if base else plain)
        )

    def path(self, index: int, kind: Kind) -> Path:
        """Returns the path of a change's script; a reworked change has one that names a tag."""
        tags = rework_tags(self.plan, index)
        name = self.plan.changes[index].name
        suffix = self.config.get("engine.pg.extension") or self.config.get("core.extension", "sql")
        deploy = self._directory("deploy", bool(tags))
        there = [tag for tag in tags if (deploy / f"{name}@{tag}.{suffix}").exists()]
        at = f"@{(there or tags)[0]}" if tags else ""
        return self._directory(kind, bool(tags)) / f"{name}{at}.{suffix}"

    def script(self, index: int, kind: Kind) -> Script:
        """Reads a change's script.

        Raises:
            ScriptError: it is missing, or cannot be run in one transaction.
        """
        return read_script(self.path(index, kind), kind)

    def hash(self, index: int) -> str | None:
        """Returns the hash of a change's deploy script, None when the file is missing."""
        return script_hash(self.path(index, "deploy"))

    def unique_scripts(self) -> None:
        """Demands that no two deploy scripts are the same: the registry holds each hash once.

        Raises:
            Failure: naming both files.
        """
        seen: dict[str, int] = {}
        for index in range(len(self.plan.changes)):
            digest = self.hash(index)
            if digest is None:
                continue
            if digest in seen:
                raise Failure(
                    f"{shown(self.path(index, 'deploy'))} is byte for byte the same as "
                    f"{shown(self.path(seen[digest], 'deploy'))}, and the registry records each "
                    "script only once. Add a comment to the one that is not deployed yet."
                )
            seen[digest] = index


def find_root(given: Path | None = None) -> Path:
    """Returns the project's directory: the given one, the current one, else the packaged copy.

    Raises:
        Usage: the given directory has no plan.
    """
    if given is not None:
        root = given.resolve()
        if not _has_plan(root):
            raise Usage(f"{given} has no sqitch.plan")
        return root
    # The last is the repository of an editable installation.
    for root in (Path.cwd(), _PACKAGE / "project", _PACKAGE.parent.parent):
        if _has_plan(root):
            return root
    raise Usage("there is no sqitch.plan here; name the project's directory with --chdir")


def _has_plan(root: Path) -> bool:
    """Tells whether a directory is a project; its plan may be kept elsewhere."""
    return (root / "sqitch.plan").is_file() or (root / "sqitch.conf").is_file()


def load_project(root: Path) -> Project:
    """Reads configuration and plan of a directory.

    Raises:
        Failure: either cannot be read, or the configuration is for another database system.
    """
    config = load_config(root)
    engine = config.get("core.engine", "pg")
    if engine != "pg":
        raise Failure(f"sqitch.conf: core.engine is {engine}; this tool knows only pg (PostgreSQL)")
    file = config.get("engine.pg.plan_file") or config.get("core.plan_file")
    top = config.get("engine.pg.top_dir") or config.get("core.top_dir") or "."
    path = root / (file or Path(top) / "sqitch.plan")
    return Project(root, config, read_plan(path))
