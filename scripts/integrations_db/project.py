"""A project: the directory with its plan, its configuration and its scripts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

from integrations_db.config import Config, Target, load_config
from integrations_db.errors import Failure, Usage
from integrations_db.plan import Plan, read_plan, rework_tags, script_hash
from integrations_db.script import Kind, Script, read_script, shown

__all__ = ["Project", "find_root", "load_project"]

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Project:
    """What is to be deployed.

    Attributes:
        root: the directory of the plan.
        config: the settings that apply there.
        plan: the changes.
        target_name: of the ``[target "NAME"]`` whose settings apply, if one does.
    """

    root: Path
    config: Config
    plan: Plan
    target_name: str | None = None
    _hashes: dict[Path, tuple[tuple[int, ...], str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _setting(self, name: str) -> str | None:
        """Returns a setting of the target, else of the engine, else of everything."""
        return _setting(self.config, self.target_name, name)

    @property
    def registry(self) -> str:
        """The schema of the registry."""
        return self._setting("registry") or "sqitch"

    @property
    def client(self) -> str | None:
        """The psql program that the configuration names, if it does; a path begins at ``root``."""
        client = self._setting("client")
        return str(self.root / client) if client and os.sep in client else client

    def variables(self, kind: Kind, given: Mapping[str, str]) -> dict[str, str]:
        """Returns the psql variables of a kind of script; the last of these that has one counts.

        ``core``, ``deploy``, ``revert`` or ``verify`` (for their own scripts), ``engine.pg``, the
        target, and ``given`` (``--set``): the order of Sqitch's commands.
        """
        sections = ["core", "deploy", kind, "engine.pg"]
        if self.target_name is not None:
            sections.append(f"target.{self.target_name}")
        found: dict[str, str] = {}
        for section in sections:
            found |= self.config.section(f"{section}.variables")
        return found | dict(given)

    @cached_property
    def _extension(self) -> str:
        """What the names of scripts end with."""
        return self._setting("extension") or "sql"

    @cached_property
    def _directories(self) -> dict[tuple[Kind, bool], Path]:
        """Where the scripts of each kind are, and those of reworked changes.

        Sqitch before 1.5.2 takes no notice of ``deploy_dir`` and the like for reworked changes.
        """
        top = Path(self._setting("top_dir") or ".")
        base = self._setting("reworked_dir")
        found: dict[tuple[Kind, bool], Path] = {}
        for kind in get_args(Kind):
            plain = Path(self._setting(f"{kind}_dir") or top / kind)
            reworked = self._setting(f"reworked_{kind}_dir") or (
                Path(base) / kind if base else plain
            )
            found[kind, False] = self.root / plain
            found[kind, True] = self.root / reworked
        return found

    def path(self, index: int, kind: Kind) -> Path:
        """Returns the path of a change's script; a reworked change has one that names a tag."""
        tags, name = rework_tags(self.plan, index), self.plan.changes[index].name
        there = (tag for tag in tags if self.place(name, "deploy", tag).exists())
        return self.place(name, kind, next(there, tags[0]) if tags else None)

    def place(self, name: str, kind: Kind, tag: str | None = None) -> Path:
        """Returns where a script belongs; ``tag``: of a change that was reworked after it."""
        base: Path = self._directories[kind, tag is not None]
        return base / f"{name}{f'@{tag}' if tag else ''}.{self._extension}"

    def pgtap_place(self, name: str) -> Path:
        """Returns where the pgTAP file of a change belongs: in ``add.pgtap_dir``."""
        folder = self.config.get("add.pgtap_dir") or "tests/pgtap"
        return Path(self.root, folder, f"{name}_test.sql")

    def script(self, index: int, kind: Kind, variables: Mapping[str, str] | None = None) -> Script:
        """Reads a change's script.

        Args:
            index: of the change in the plan.
            kind: which of its scripts.
            variables: psql's, to put in.

        Raises:
            ScriptError: it is missing, or cannot be run in one transaction.
        """
        return read_script(self.path(index, kind), kind, variables)

    def hash(self, index: int) -> str | None:
        """Returns the hash of a change's deploy script, None when the file is missing.

        The file is read again only after it has changed.

        Raises:
            Failure: it cannot be read.
        """
        path = self.path(index, "deploy")
        try:
            now = path.stat()
            state = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
            before, digest = self._hashes.get(path, (None, None))
            if state != before:
                digest = script_hash(path)
                if digest is not None:
                    self._hashes[path] = (state, digest)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Failure(f"{shown(path)}: cannot be read: {error.strerror}") from None
        return digest

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


def find_root(given: Path | None = None, *, packaged: bool = True) -> Path:
    """Returns the project's directory: the given one, the current one, else the packaged copy.

    Args:
        given: by the user.
        packaged: whether the copy that came with this program will do.

    Raises:
        Usage: the given directory has no plan, or the current one was removed.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise Usage("the current directory was removed; go to another one") from None
    if given is not None:
        root = given.resolve()
        if not _has_plan(root):
            raise Usage(f"{given} has no sqitch.plan")
        return root
    # The last of ours is the repository of an editable installation.
    ours: tuple[Path, ...] = (_PACKAGE / "project", _PACKAGE.parent.parent) if packaged else ()
    for root in (here, *ours):
        if _has_plan(root):
            return root
    raise Usage(
        "there is no sqitch.plan here; name the project's directory with --chdir. A new project "
        "begins with two lines in that file: %syntax-version=1.0.0 and %project=NAME"
    )


def _has_plan(root: Path) -> bool:
    """Tells whether a directory is a project; its plan may be kept elsewhere."""
    names = ("sqitch.plan", "sqitch.conf", os.environ.get("SQITCH_CONFIG"))
    # A current directory that is closed to this user (sudo -u, from one's home) has none.
    return any(os.path.isfile(root / name) for name in names if name)


def _setting(config: Config, target_name: str | None, name: str) -> str | None:
    """Returns what Sqitch takes for a setting: of the target, else of the engine, else of core.

    An empty value and ``0`` count as none (Perl's truth).
    """
    places = ["engine.pg", "core"]
    if target_name is not None:
        places.insert(0, f"target.{target_name}")
    values = (config.get(f"{place}.{name}") for place in places)
    return next((value for value in values if value and value != "0"), None)


def load_project(root: Path, target: Target | None = None) -> Project:
    """Reads configuration and plan of a directory.

    Args:
        root: the directory.
        target: what the project is used on; a target of the configuration has settings of its own.

    Raises:
        Failure: either cannot be read, or the configuration is for another database system.
    """
    config = load_config(root)
    engine = (config.get("core.engine") or "pg").rstrip()
    if engine != "pg":
        where = config.place("core.engine")
        raise Failure(f"{where}: core.engine is {engine}; this tool knows only pg (PostgreSQL)")
    name = target.name if target else None
    top = _setting(config, name, "top_dir") or "."
    path = root / (_setting(config, name, "plan_file") or Path(top) / "sqitch.plan")
    return Project(root, config, read_plan(path), name)
