"""Publishing: a set of files that appears, and replaces an older one, as a whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASIDE = ".explanation.old"


@contextmanager
def published(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write files into, which move to ``directory`` together at the end.

    Files of their names that are there are first all moved aside, so that old and new ones never
    stand beside one another, and come back if anything fails. Should the process be killed in that
    moment, they stay aside: :func:`standing` finds them there, and the next call puts them back.

    Args:
        directory: Made where it is missing.

    Yields:
        An empty folder on the same file system.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".explanation.", suffix=".part", dir=directory))
    try:
        yield staging
        _put_back(directory)
        _replace(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def standing(path: Path) -> Path:
    """Where a published file is: at its path, or aside where its replacement was cut off."""
    aside = path.parent / ASIDE / path.name
    return aside if aside.exists() else path


def check_writable(directory: str | os.PathLike[str]) -> None:
    """Make sure that files can be written, before any work is done for them.

    Raises:
        OSError: If they cannot.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def _replace(staging: Path, directory: Path) -> None:
    aside = directory / ASIDE
    names = sorted(path.name for path in staging.iterdir())
    moved: list[str] = []
    aside.mkdir()
    try:
        for name in names:
            if (directory / name).exists():
                os.replace(directory / name, aside / name)
        for name in names:
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
