"""Memory: what is too much for the machine is an error, before the system ends the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEAST = 2**30  # less than that is no limit to work under
PAGE_COUNTS = Path("/proc/self/statm")


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let the process ask for no more memory than the machine can give it.

    Where memory runs out, Linux ends some process without a word. Under a limit the request fails
    instead, as a ``MemoryError`` or torch's own words for it, which the engine answers with smaller
    batches and the command with a sentence. Elsewhere than on Linux there is no limit.
    """
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _in_use(resource.getpagesize()) + _available()
    except (ImportError, OSError, ValueError, AttributeError):
        yield
        return
    if limit < LEAST or (soft != resource.RLIM_INFINITY and soft <= limit):
        yield
        return
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _in_use(page: int) -> int:
    """Bytes of data that the process has already."""
    return int(PAGE_COUNTS.read_text().split()[5]) * page


def _available() -> int:
    """Bytes that the machine, or the container, has left."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    left = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text())
        return min(left, most - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return left
