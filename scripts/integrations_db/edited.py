"""What was edited in the script of a deployed change.

The registry keeps only a hash of it, so the script as it was deployed is looked for: the same text
with other line ends, else the versions that git has of the file.
"""

from __future__ import annotations

import os
import re
import subprocess
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING

from integrations_db.lexer import tokens

if TYPE_CHECKING:
    from integrations_db.registry import Deployed

__all__ = ["difference", "same_code"]

_VERSIONS = 100  # of a file, at most
_SECONDS = 10  # for git, at most
# Its own configuration could name programs to be run: to verify signatures, to watch files; and to
# fetch what is missing (``_git`` forbids every protocol).
_CALM = ("-c", "log.showSignature=false", "-c", "core.fsmonitor=false")


def difference(root: Path, path: Path, there: Deployed) -> str:
    """Returns how a script differs from the one that was deployed, to continue a sentence.

    Args:
        root: the directory of the project, which may be in a git repository.
        path: the script.
        there: what the registry says of its change.
    """
    now = path.read_bytes()
    for other in _other_line_ends(now):
        if _hash(other) == there.script_hash:
            return "; only line ends differ (a checkout that converts them?)"
    found = _deployed_version(root, path, there)
    if found is None:
        return ""
    commit, before = found
    what = "; only comments and blanks differ" if same_code(before, now) else ""
    return f"{what}; as deployed it is in commit {commit}"


def same_code(one: bytes, other: bytes) -> bool:
    """Tells whether two scripts are the same but for comments and blanks between the words."""
    return _code(one) == _code(other)


def _code(script: bytes) -> list[str]:
    source = script.decode("utf-8", "surrogateescape")
    return [
        source[token.start : token.end]
        for token in tokens(source)
        if token.kind not in ("space", "comment")
    ]


def _hash(script: bytes) -> str:
    return sha1(script, usedforsecurity=False).hexdigest()


def _other_line_ends(script: bytes) -> list[bytes]:
    """Returns the script as it is on other systems, and without or with its last line end."""
    unix = script.replace(b"\r\n", b"\n")
    forms = [unix, unix.rstrip(b"\n"), unix.rstrip(b"\n") + b"\n"]
    return [form for unix in forms for form in (unix, unix.replace(b"\n", b"\r\n"))]


def _deployed_version(root: Path, path: Path, there: Deployed) -> tuple[str, bytes] | None:
    """Returns the commit that has a script as it was deployed, and the script."""
    # A change that was reworked since had its script under the plain name.
    plain = path.with_name(re.sub(r"@[^@]*(?=\.[^.]*$)", "", path.name))
    for file in dict.fromkeys((path, plain)):
        commits = _git(root, "log", f"--max-count={_VERSIONS}", "--format=%h", "--", str(file))
        for commit in (commits or b"").decode().split():
            # `./` makes the name relative to the directory that git was told to work in.
            script = _git(file.parent, "show", "--no-textconv", f"{commit}:./{file.name}")
            if script is not None and _hash(script) == there.script_hash:
                return commit, script
    return None


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Returns what git prints; None when it fails, is not installed, or knows nothing of this."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), "--no-pager", *_CALM, *arguments],  # noqa: S607
            env={**os.environ, "GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
