"""Atomic writes: files that appear, and replace older ones, whole or not at all.

Everything the package writes goes through here: one file through :func:`replacing`, a set of files
that belong together through :func:`published`.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, only one process may publish at a time
    fcntl = None  # type: ignore[assignment]

WORK = ".explanation."  # how folders of unfinished work begin
ASIDE = f"{WORK}old"


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file to read it, and nothing that waits, acts or never ends.

    Raises:
        FileNotFoundError: If there is nothing.
        OSError: If it is no regular file, such as a folder, a pipe or a device, or unreadable.
    """
    _check_regular(path, os.stat(path))  # before it is opened, which is an act on a device
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        _check_regular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def is_free(path: str | os.PathLike[str]) -> bool:
    """Returns whether there is nothing at a path, not even a link that leads nowhere."""
    return not os.path.lexists(path)


def _check_regular(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{os.fspath(path)!r} is no regular file")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write, which takes the place of another once it is whole.

    Args:
        path: Where it appears, in a folder that exists.

    Yields:
        Where to write it: in the same folder, under a name of its own.
    """
    path = Path(path)
    partial = path.with_name(f".{uuid4().hex}.part")  # short, however long the name is
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def published(directory: str | os.PathLike[str], names: Sequence[str] = ()) -> Iterator[Path]:
    """A folder to write files into, which move to ``directory`` together at the end.

    Files of their names that are there are first all moved aside, so that old and new ones never
    stand beside one another, and come back if anything fails. Should the process be killed in that
    moment, they stay aside: :func:`standing` finds them there, and the next call puts them back.
    Of several processes that publish at once, each waits for the other.

    Args:
        directory: Made where it is missing.
        names: Files that belong to the set. Older ones go even if the new set lacks them.

    Yields:
        An empty folder on the same file system.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with work_folder(directory, f"{uuid4().hex}.part") as staging:
        try:
            yield staging
            with _locked(directory):
                _put_back(directory)
                _replace(staging, directory, names)
                _clear_leftovers(directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def standing(path: Path) -> Path:
    """Where a published file is: at its path, or aside where its replacement was cut off."""
    aside = path.parent / ASIDE / path.name
    return aside if aside.exists() else path


@contextmanager
def work_folder(directory: Path, name: str) -> Iterator[Path]:
    """A folder for unfinished work, which is this process's alone while it lasts.

    It stays where it is. Whatever is left of such folders by processes that ended early goes when
    the next set of files is published beside them.

    Args:
        directory: In which it is.
        name: By which it is found again.

    Raises:
        BlockingIOError: If another process works in it.
    """
    folder = directory / f"{WORK}{name}"
    with ExitStack() as held:
        with _locked(directory):  # so that nobody takes it for a leftover before it is locked
            folder.mkdir(exist_ok=True)
            held.enter_context(_locked(folder, wait=False))
        yield folder


def check_writable(directory: str | os.PathLike[str]) -> None:
    """Make sure that files can be written, before any work is done for them.

    Raises:
        OSError: If they cannot.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a folder's lock, which the system frees when the process ends, however it ends.

    Yields:
        Whether there is a lock. Some network file systems have none.

    Raises:
        BlockingIOError: If another process holds it and this one is not to wait.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)


def _replace(staging: Path, directory: Path, names: Sequence[str]) -> None:
    aside = directory / ASIDE
    new = sorted(path.name for path in staging.iterdir())
    moved: list[str] = []
    aside.mkdir()
    try:
        for name in sorted({*new, *names}):
            if (directory / name).exists():
                os.replace(directory / name, aside / name)
        for name in new:
            moved.append(name)
            os.replace(staging / name, directory / name)
        os.replace(aside, staging / ASIDE)  # from here on, the new set stands
    except BaseException:
        for name in moved:
            (directory / name).unlink(missing_ok=True)
        _put_back(directory)
        raise


def _put_back(directory: Path) -> None:
    """Undo a replacement that was cut off."""
    aside = directory / ASIDE
    if aside.is_dir():
        for path in aside.iterdir():
            os.replace(path, directory / path.name)
        aside.rmdir()


def _clear_leftovers(directory: Path) -> None:
    """Remove the work folders that no process holds any more."""
    for folder in directory.glob(f"{WORK}*"):
        with suppress(OSError), _locked(folder, wait=False) as held:
            if held and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
