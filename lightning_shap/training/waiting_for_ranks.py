"""Know which ranks are still there, so that none waits for one that never comes.

A rank that is asked to end (SIGTERM, SLURM's signal) answers with a collective, for which all ranks
must be free: so it leaves word before it answers, whenever it is asked. One that alone sets
``trainer.should_stop`` ends its epoch while the others train on. Either would leave explanations
and training waiting for each other until a time-out.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from torch.distributed import distributed_c10d

# Seconds that a rank which stops before the epoch is over waits for the others to come as well.
PATIENCE = 15.0

ENDED = "ended"


class PartedError(RuntimeError):
    """Says that the ranks have parted, and never meet again in this fit."""


class Peers:
    """Knows which ranks are on their way to the next meeting.

    They leave word in the store through which the process group itself was made, which needs no
    rank to be free.

    Args:
        rank: This one's number.
        size: How many there are.
        name: The same on all ranks, and another in each fit.
        trainer: The trainer.
    """

    def __init__(self, rank: int, size: int, name: str, trainer: Any) -> None:
        self._rank, self._size, self._trainer = rank, size, trainer
        known = distributed_c10d._get_default_store()
        self._store = distributed_c10d.PrefixStore(f"lightning_shap/{name}", known)
        self._epochs = self._meetings = 0
        self._holds = False
        self._came: list[int] = []  # signals that are held back
        self._handlers: dict[int, Any] = {}  # of Lightning's
        self._since = 0.0
        self._tell()

    def begin_epoch(self) -> None:
        """Tells the others that this rank trains on."""
        self._epochs += 1
        self._tell()

    def arrive(self) -> None:
        """Tells the others that this rank is there for a meeting.

        Raises:
            PartedError: If there will be none.
        """
        self.check()
        self._meetings += 1
        self._since = time.monotonic()
        self._tell()

    def check(self) -> None:
        """Looks for ranks that will not come.

        Raises:
            PartedError: If there is one, on this rank and, at their next look, on all others.
        """
        if self._came:
            self._part(f"rank {self._rank} was asked to end")
        if self._store.check([ENDED]):
            raise PartedError(self._store.get(ENDED).decode())
        others = [other for other in range(self._size) if other != self._rank]
        known = [other for other in others if self._store.check([f"{other}"])]
        for other in known:
            epochs, meetings = map(int, self._store.get(f"{other}").split())
            late = meetings < self._meetings and time.monotonic() - self._since > PATIENCE
            if epochs > self._epochs or (late and self._trainer.should_stop):
                self._part(f"rank {self._rank} stops, and rank {other} trains on")

    @contextmanager
    def hold_signals(self) -> Iterator[None]:
        """Holds back the signals that Lightning answers, until no other rank waits for this one.

        From the first block on they are answered through this object. Lightning puts back what was
        in its own handlers' place when the fit ends.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in signal.valid_signals():
            if handler := _find_handler(number):
                self._handlers[number] = handler
                signal.signal(number, self._answer)
        held, self._holds = self._holds, True
        try:
            yield
        finally:
            self._holds = held
            if not held:
                came, self._came = self._came, []
                for each in dict.fromkeys(came):
                    signal.raise_signal(each)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._came.append(number)
            return
        with suppress(Exception):  # the store may be gone, and the signal is to be answered
            self._store.set(ENDED, f"rank {self._rank} was asked to end")
        self._handlers[number](number, frame)

    def _part(self, reason: str) -> None:
        self._store.set(ENDED, reason)
        raise PartedError(reason)

    def _tell(self) -> None:
        self._store.set(f"{self._rank}", f"{self._epochs} {self._meetings}")


def _find_handler(number: int) -> Any:
    """Returns the handler of a signal if it is Lightning's, under either of its names."""
    handler = signal.getsignal(number)
    package = type(handler).__module__.partition(".")[0]
    return handler if package in ("pytorch_lightning", "lightning") else None
