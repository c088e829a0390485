"""The report of a training, which grows with it.

It belongs to its run by the id that it carries, not by its path: of several runs that are given one
folder, each has a file of its own there, and no run goes on with another's.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import is_free, open_regular
from lightning_shap.page.bundle import HEAD_BYTES, find_owner
from lightning_shap.page.data import PageData
from lightning_shap.page.report import Pages

GROWTH = 1.1  # a report is written anew once it has so many times the explanations
RUN_ID = re.compile(r"[0-9a-f]{32}")
LOCAL = re.compile(r"^(file|local):(//)?")  # Lightning normalises file:///logs to file:/logs


class RunReport:
    """Collects a run's explanations in one file.

    It is written anew when it has grown by a tenth, so that a run that is killed leaves nearly all
    of it, and all of its writing together costs what ten of its final size do.

    Args:
        tag: The callback's, by which the file is called.
        say: Is told where the file is, once it is there.
        resumed: The state of the report of a run that this one resumes.

    Attributes:
        run: The run's id, which a resumed one keeps.
        place: Where the file is; None before it is written.
    """

    def __init__(
        self,
        tag: str,
        say: Callable[[str], None] = lambda message: None,
        resumed: Mapping[str, str] | None = None,
    ) -> None:
        self.tag = tag
        self._say = say
        self._resumed = dict(resumed or {})
        known = self._resumed.get("run", "")
        self.run = known if RUN_ID.fullmatch(known) else uuid4().hex
        self.place: Path | None = None
        self._title = ""
        self._pages = Pages()
        self._written = 0
        self._is_stale = False

    def state_dict(self) -> dict[str, str]:
        """Returns what a run that resumes this one finds the file by."""
        return self._resumed if self.place is None else {"path": str(self.place), "run": self.run}

    def add(
        self, *, folder: str, name: str, tag: str, page: PageData, numbers: Mapping[str, float]
    ) -> None:
        """Adds an explanation.

        Args:
            folder: Where the run keeps its files.
            name: The run's.
            tag: Under which it is logged.
            page: What is shown of the explanation.
            numbers: What is known of it and of the training then, by the names to log it under.

        Raises:
            ArgumentError: If the folder is the address of another machine.
        """
        place = find_local_path(folder)
        if place is None:
            raise ArgumentError("report", f"{folder} is no folder of this machine; give save_dir=")
        self._folder, self._title = place, name
        if "path" in self._resumed and self.place is None:
            self._go_on(name, page.facts["step"])
        self._pages.add(name, tag, page, numbers)
        self._is_stale = True
        if len(self._pages) >= GROWTH * self._written:
            self.finish()

    def finish(self) -> None:
        """Writes what is not written yet."""
        if not self._is_stale:
            return
        place = self._choose_place()
        self._pages.write(place, f"SHAP · {self._title}", self.run)
        if place != self.place:
            self._say(f"ShapCallback writes its report to {place}")
        self.place, self._written, self._is_stale = place, len(self._pages), False

    def _go_on(self, name: str, before: int) -> None:
        """Begins with what the resumed run's report holds, if that is still its own."""
        place = self._resumed.pop("path")
        with suppress(OSError, ValueError, LookupError, TypeError):
            if _read_owner(Path(place)) == self.run:
                self._pages.read(_read(Path(place)), name, before)
                return
        self._say(
            f"ShapCallback begins its report anew: {place} is not that of the run that is resumed"
        )

    def _choose_place(self) -> Path:
        """Returns the first name in the folder that is free, or this run's already."""
        number = 0
        while True:
            version = f"-v{number}" if number else ""  # as Lightning names a second checkpoint
            place = self._folder / f"{self.tag}{version}.html"
            if is_free(place) or _read_owner(place) == self.run:
                return place
            number += 1


def find_local_path(place: str) -> Path | None:
    """Returns the path of a place on this machine, None for an address of elsewhere."""
    place = LOCAL.sub("", place)
    return None if "://" in place else Path(place)


def _read_owner(place: Path) -> str | None:
    """Returns the id of the run that a report is of, None for what is no run's report."""
    with suppress(OSError):  # what cannot be read is nobody's, and is left alone
        return find_owner(_read(place, HEAD_BYTES))
    return None


def _read(place: Path, most: int = -1) -> str:
    with open_regular(place) as file:
        return file.read(most).decode("utf-8", errors="replace")
