"""Claims: which of several processes does a piece of work, by locks on the bytes of one file.

The system frees a process's locks when it ends, however it ends, on all machines that share the
file. Some network file systems have no such locks: there, nothing can be claimed.
"""

from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Claims:
    """Takes pieces of work for this process, one of several, for as long as it is at work.

    Args:
        file: The same in all processes; made where it is missing.
        rank: This process's number.
        processes: How many there are.
    """

    def __init__(self, file: Path, rank: int, processes: int) -> None:
        self._file = file.open("ab")
        self._processes = processes
        self._lock(rank, wait=True)

    def __enter__(self) -> "Claims":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def is_at_work(self, rank: int) -> bool:
        """Returns whether another process is at work, as far as locks tell."""
        is_free = self._lock(rank)
        if is_free:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, rank)
        return is_free is False

    def take(self, piece: int) -> bool | None:
        """Takes a piece; False if another process has it, None where there are no locks."""
        return self._lock(self._processes + piece)

    def _lock(self, byte: int, *, wait: bool = False) -> bool | None:
        if fcntl is None:
            return None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except (BlockingIOError, PermissionError):  # either, says POSIX
            return False
        except OSError:
            return None
        return True
