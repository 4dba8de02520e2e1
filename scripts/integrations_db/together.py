"""Writes several files so that all of them are there, or none.

Each is written whole under another name, beside its place, and then given its name; the plan comes
last. A process that is killed in between leaves no half file, and no line of a plan without its
scripts. What it leaves is found again: a file that is there with the same bytes counts as written.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from integrations_db.errors import Failure
from integrations_db.script import shown

__all__ = ["collisions", "locked", "write_together"]

# A file system that has no hard links says one of these.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of this program from writing a folder's plan; waits for them first."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Failure(f"{shown(folder)}: cannot be opened: {error.strerror}") from None
    try:
        with suppress(OSError):  # there are file systems without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def collisions(new: Mapping[Path, bytes]) -> list[Path]:
    """Returns those of some files that are there already with other content."""
    return [path for path, data in new.items() if os.path.lexists(path) and not _is(path, data)]


def _is(path: Path, data: bytes) -> bool:
    """Tells whether a file has this content."""
    try:
        return path.is_file() and path.read_bytes() == data
    except OSError:
        return False


def write_together(new: Mapping[Path, bytes], replaced: Mapping[Path, bytes]) -> None:
    """Writes new files, and then replaces others, in their order; on a failure all is undone.

    Args:
        new: what no file may have the name of, but with the same content.
        replaced: files that are there.

    Raises:
        Failure: naming the file that could not be written; then nothing was.
    """
    work = _Work()
    try:
        for path, data in new.items():
            if _is(path, data):
                _forget(path)
            else:
                work.prepare(path, data, None)
        former = {path: path.read_bytes() for path in replaced}
        for path, data in replaced.items():
            work.prepare(path, data, path.stat().st_mode & 0o7777)
        for path in [*new, *replaced]:
            work.name(path, former.get(path))
    except BaseException as error:
        left = work.undo()
        said = "Nothing was written." if not left else f"These are left: {', '.join(left)}."
        if isinstance(error, OSError):
            where = shown(Path(error.filename2 or error.filename or "?"))
            raise Failure(f"{where}: cannot be written: {error.strerror}. {said}") from None
        error.add_note(said)
        raise
    work.clean()


def _forget(path: Path) -> Path:
    """Returns the name under which a file is written first, and removes what a kill left there."""
    place = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError, NotADirectoryError):
        place.unlink()
    return place


class _Work:
    """What was done so far, so that it can be undone."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.prepared: dict[Path, Path] = {}
        self.named: list[Path] = []
        self.former: dict[Path, bytes] = {}

    def prepare(self, path: Path, data: bytes, mode: int | None) -> None:
        """Writes a file under another name."""
        missing = [it for it in (path.parent, *path.parent.parents) if not it.exists()]
        for folder in reversed(missing):
            self.folders.append(folder)
            with suppress(FileExistsError):
                folder.mkdir()
        place = _forget(path)
        self.prepared[path] = place
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # it names no file
            error.filename = str(path)
            raise

    def name(self, path: Path, former: bytes | None) -> None:
        """Gives a file its name; ``former``: what another one of that name has in it."""
        place = self.prepared.get(path)
        if place is None:
            return
        if former is not None:
            self.former[path] = former
            os.replace(place, path)
            return
        self.named.append(path)
        try:
            os.link(place, path)  # where rename would take the place of a file that has just come
        except OSError as error:
            if error.errno not in _NO_LINKS or os.path.lexists(path):
                self.named.remove(path)
                raise
            os.rename(place, path)

    def undo(self) -> list[str]:
        """Takes everything back; returns the files for which that failed."""
        left = []
        for path in reversed(self.named):
            try:
                place = self.prepared[path]
                if not place.exists() or place.samefile(path):
                    path.unlink()
            except FileNotFoundError:
                pass
            except OSError:
                left.append(shown(path))
        for path, data in reversed(self.former.items()):
            if not _is(path, data):
                try:
                    place = self.prepared[path]
                    place.write_bytes(data)
                    place.chmod(path.stat().st_mode & 0o7777)
                    os.replace(place, path)
                except OSError:
                    left.append(shown(path))
        self.clean()
        for folder in reversed(self.folders):
            with suppress(OSError):  # something else is in it
                folder.rmdir()
        return left

    def clean(self) -> None:
        """Removes what has its name now, or never will."""
        for place in self.prepared.values():
            with suppress(OSError):
                place.unlink()
