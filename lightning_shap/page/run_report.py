"""The report of a training, which grows with it.

It belongs to its run by the id that it carries, not by its path: of several runs that are given one
folder, each has a file of its own there, and no run goes on with another's.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from fsspec.core import url_to_fs

from lightning_shap.explanation.atomic import is_free, open_regular, replace_whole
from lightning_shap.page.bundle import HEAD_BYTES, owner_in
from lightning_shap.page.data import PageData
from lightning_shap.page.report import Pages

GROWTH = 1.1  # a report is written anew once it has so many times the explanations
RUN_ID = re.compile(r"[0-9a-f]{32}")


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
        place: Where the file is, a path or an address; None before it is written.
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
        self.place: str | None = None
        self._title = ""
        self._pages = Pages()
        self._written = 0

    def state_dict(self) -> dict[str, str]:
        """Returns what a run that resumes this one finds the file by."""
        return self._resumed if self.place is None else {"path": self.place, "run": self.run}

    def add(
        self, *, folder: str, name: str, tag: str, page: PageData, numbers: Mapping[str, float]
    ) -> None:
        """Adds an explanation.

        Args:
            folder: Where the run keeps its files, a path or an address.
            name: The run's.
            tag: Under which it is logged.
            page: What is shown of the explanation.
            numbers: What is known of it and of the training then, by the names to log it under.
        """
        self._folder, self._title = folder, name
        if "path" in self._resumed and self.place is None:
            self._go_on(name, page.facts["step"])
        self._pages.add(name, tag, page, numbers)
        if len(self._pages) >= GROWTH * self._written:
            self.finish()

    def finish(self) -> None:
        """Writes what is not written yet."""
        if len(self._pages) == self._written:
            return
        place = self._own_place()
        _write(place, self._pages.html(f"SHAP · {self._title}", self.run))
        if place != self.place:
            self._say(f"ShapCallback writes its report to {place}")
        self.place, self._written = place, len(self._pages)

    def _go_on(self, name: str, before: int) -> None:
        """Begins with what the resumed run's report holds, if that is still its own."""
        place = self._resumed.pop("path")
        with suppress(OSError, ValueError, LookupError, TypeError, ImportError):
            if _owner_of(place) == self.run:
                self._pages.read(_read(place), name, before)
                return
        self._say(
            f"ShapCallback begins its report anew: {place} is not that of the run that is resumed"
        )

    def _own_place(self) -> str:
        """Returns the first name in the folder that is free, or this run's already."""
        folder, number = self._folder.rstrip("/"), 0
        while True:
            version = f"-v{number}" if number else ""  # as Lightning names a second checkpoint
            place = f"{folder}/{self.tag}{version}.html"
            if _is_free(place) or _owner_of(place) == self.run:
                return place
            number += 1


def _is_free(place: str) -> bool:
    path = path_of(place)
    if path is not None:
        return is_free(path)
    files, name = url_to_fs(place)
    return not files.exists(name)


def _owner_of(place: str) -> str | None:
    """Returns the id of the run that a report is of, None for what is no run's report."""
    with suppress(OSError):  # what cannot be read is nobody's, and is left alone
        return owner_in(_read(place, HEAD_BYTES))
    return None


def _read(place: str, most: int | None = None) -> str:
    path = path_of(place)
    if path is None:
        files, name = url_to_fs(place)
        content = files.cat_file(name, start=0, end=most)
    else:
        with open_regular(path) as file:
            content = file.read(-1 if most is None else most)
    return content.decode("utf-8", errors="replace")


def _write(place: str, text: str) -> None:
    content, path = text.encode("utf-8", errors="replace"), path_of(place)
    if path is None:
        files, name = url_to_fs(place)
        files.makedirs(name.rpartition("/")[0], exist_ok=True)
        files.pipe_file(name, content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_whole(path) as partial:
        partial.write_bytes(content)


def path_of(place: str) -> Path | None:
    """Returns the path of a place on this machine, None for an address of elsewhere."""
    if place.startswith(("file:", "local:")):  # Lightning normalises file:///logs to file:/logs
        return Path(url_to_fs(place)[1])
    return None if "://" in place else Path(place)
