"""Files: read only if they are regular, replaced whole or not at all, and nobody else's touched.

Everything the package writes goes through here: one file through :func:`replace_whole`, a set of
files that belong together through :func:`publish`. A name proves nothing: what it stands for is
looked at without following a link. Only a regular file is replaced, and of what else is there only
what carries our mark, or is a file that we have begun, is ever removed, file by file.
"""

import os
import re
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

WORK = ".explanation."  # how names of unfinished work begin
MARK = "made by lightning-shap"  # a file in a folder of unfinished work, all of which may go
BEGUN = re.compile(re.escape(WORK) + r"[0-9a-f]{32}\.part")

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_cleared: set[Path] = set()  # folders that this process has looked for leftovers in

Pathlike = str | os.PathLike[str]


def open_regular(path: Pathlike) -> BinaryIO:
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


def is_free(path: Pathlike) -> bool:
    """Returns whether there is nothing at a path, not even a link that leads nowhere."""
    return not os.path.lexists(path)


def check_replaceable(path: Pathlike) -> None:
    """Makes sure that a path is free, or a regular file's.

    Raises:
        OSError: If it is a folder's, a link's or anything else's, which is left as it is.
    """
    if not is_free(path):
        _check_regular(path, os.lstat(path))


def check_writable(directory: Pathlike, names: Sequence[str] = ()) -> None:
    """Makes sure that files can be written, before any work is done for them.

    Args:
        directory: Made where it is missing.
        names: Of the files.

    Raises:
        OSError: If they cannot.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        check_replaceable(directory / name)
    with tempfile.TemporaryFile(dir=directory):
        pass


@contextmanager
def replace_whole(path: Pathlike) -> Iterator[Path]:
    """Yields a file to write, which takes the place of another once it is whole.

    Args:
        path: Where it appears, in a folder that exists.

    Yields:
        Where to write it: in the same folder, under a name of its own.

    Raises:
        OSError: If there is something else than a regular file, or it cannot be written.
    """
    path = Path(path)
    check_replaceable(path)
    if (folder := path.parent.absolute()) not in _cleared:
        _cleared.add(folder)
        _clear_leftovers(folder)
    partial = path.with_name(f"{WORK}{uuid4().hex}.part")  # short, however long the name is
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        _lock(descriptor)  # so that nobody takes it for a leftover
        yield partial
        os.replace(partial, path)
    finally:
        os.close(descriptor)
        partial.unlink(missing_ok=True)


@contextmanager
def publish(directory: Pathlike, first: str, names: Sequence[str]) -> Iterator[Path]:
    """Yields a folder to write files into, which move to ``directory`` together at the end.

    Older files of their names are removed, the first is replaced, and the others follow. So old and
    new ones never stand beside one another, and the first is always there: should the process be
    killed in that moment, it still holds what the others are made of. Of several processes that
    publish at once, each waits for the other.

    Args:
        directory: Made where it is missing.
        first: The file from which the others are made. The folder must get one.
        names: All files that belong to the set. Older ones go even if the new set lacks them.

    Yields:
        An empty folder on the same file system.

    Raises:
        OSError: If something else than a regular file has such a name, or files cannot be written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with work_folder(directory, f"{uuid4().hex}.part") as staging:
        try:
            yield staging
            with _hold_lock(directory):
                others = [name for name in names if name != first]
                _replace(staging, directory, first, others)
                _clear_leftovers(directory)
        finally:
            remove_work(staging)


@contextmanager
def work_folder(directory: Path, name: str, *, shared: bool = False) -> Iterator[Path]:
    """Yields a folder for unfinished work, which is this process's alone while it lasts.

    It stays where it is. What is left of such folders by processes that ended early goes when the
    next file or set of files is written beside them.

    Args:
        directory: In which it is.
        name: By which it is found again.
        shared: Other processes may work in it too, all of which say so.

    Raises:
        BlockingIOError: If another process works in it.
        OSError: If something is there that is none of ours.
    """
    with ExitStack() as held:
        with _hold_lock(directory):  # so that nobody takes it for a leftover before it is locked
            folder = _make_work_folder(directory, name)
            held.enter_context(_hold_lock(folder, wait=False, shared=shared))
        yield folder


def _make_work_folder(directory: Path, name: str) -> Path:
    """Returns a folder for unfinished work, made and marked as ours.

    Raises:
        OSError: If something is there that is none of ours.
    """
    folder = directory / f"{WORK}{name}"
    with suppress(FileExistsError):
        folder.mkdir()
    if not _is_folder(folder) or not (_is_ours(folder) or not os.listdir(folder)):
        raise OSError(f"{str(folder)!r} is not of lightning-shap's making; move it away")
    with suppress(FileExistsError):
        os.close(os.open(folder / MARK, os.O_CREAT | os.O_EXCL))
    return folder


def remove_work(folder: Path) -> None:
    """Removes the files of a folder of ours, and the folder if that was all it held."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != MARK and stat.S_ISREG(path.lstat().st_mode):
                path.unlink()
        (folder / MARK).unlink()  # last: what is half removed is ours still
        folder.rmdir()


def _replace(staging: Path, directory: Path, first: str, others: Sequence[str]) -> None:
    for name in (first, *others):
        check_replaceable(directory / name)
    for name in others:
        (directory / name).unlink(missing_ok=True)
    os.replace(staging / first, directory / first)
    for name in others:
        if (staging / name).exists():
            os.replace(staging / name, directory / name)


def _clear_leftovers(directory: Path) -> None:
    """Removes the unfinished work that no process holds any more."""
    for path in directory.glob(f"{WORK}*"):
        with suppress(OSError):
            if _is_ours(path):
                with _hold_lock(path, wait=False) as held:
                    if held:
                        remove_work(path)
            elif BEGUN.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                with open_regular(path) as file:
                    if _lock(file.fileno(), wait=False):
                        path.unlink()


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _is_ours(folder: Path) -> bool:
    """Returns whether something is a folder that carries our mark."""
    mark = folder / MARK
    return _is_folder(folder) and not is_free(mark) and stat.S_ISREG(mark.lstat().st_mode)


@contextmanager
def _hold_lock(folder: Path, *, wait: bool = True, shared: bool = False) -> Iterator[bool]:
    """Holds a folder's lock, which the system frees when the process ends, however it ends.

    Yields:
        Whether there is a lock. Some network file systems have none.

    Raises:
        BlockingIOError: If another process holds it and this one is not to wait.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # and no pipe, which would wait
    try:
        yield _lock(descriptor, wait=wait, shared=shared)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = True, shared: bool = False) -> bool:
    """Locks an open file; returns whether there are such locks.

    Raises:
        BlockingIOError: If another process holds it and this one is not to wait.
    """
    if fcntl is None:
        return False
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _check_regular(path: Pathlike, found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "a device")
        raise OSError(f"{os.fspath(path)!r} is {what} and no file; move it away, or give another")
