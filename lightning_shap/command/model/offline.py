"""No downloads: while a model is built, no connection can be opened."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REFUSED = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg")


class _Line:
    """The one audit hook, which Python cannot take away again, and its switch."""

    hooked = False
    cut = False


@contextmanager
def stay_offline() -> Iterator[None]:
    """Refuses every connection meanwhile, whichever library asks for it.

    Raises:
        ConnectionError: Where the code inside opens one.
    """
    if not _Line.hooked:
        sys.addaudithook(_refuse)
        _Line.hooked = True
    before, _Line.cut = _Line.cut, True
    try:
        yield
    finally:
        _Line.cut = before


def _refuse(event: str, arguments: tuple[Any, ...], line: type[_Line] = _Line) -> None:
    # The hook outlives this module's names when Python ends, but not its own arguments.
    if line.cut and event in REFUSED:
        raise ConnectionError("it would download something, and nothing is ever downloaded")
