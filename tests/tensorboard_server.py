"""TensorBoard as a process of its own, for the tests that ask it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.error import URLError


@contextmanager
def serving(
    logdir: object, ready: Callable[[str], object], *options: str, path: str | None = None
) -> Iterator[str]:
    """TensorBoard's address, once it has something to show.

    Args:
        logdir: What it shows.
        ready: Asks the address, and returns whether that is so.
        options: Further ones of its command line.
        path: Python's path for it, its own where None.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), *options]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ if path is None else {**os.environ, "PYTHONPATH": path},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                if ready(address):
                    break
            except (URLError, ConnectionError):
                pass
            assert process.poll() is None, "TensorBoard ended by itself"
            assert time.monotonic() < deadline, "TensorBoard has nothing to show"
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)
