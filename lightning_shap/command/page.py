"""The interactive page of an archive: of one just written, or of one from anywhere."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming, existing
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import load, look_of, read_more, shapes_in
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.report import report

if TYPE_CHECKING:
    from lightning_shap.command.options import Options

PICTURE_ROWS = 64  # more would make a picture that no viewer opens
PICTURE_BYTES = 2**30  # of attributions that are drawn


def given_archive(options: "Options") -> Path | None:
    """The archive whose page is asked for, where it stands in place of a model.

    Raises:
        ArgumentError: If an archive is given, but not for its page.
    """
    place = Path(str(options.model.model_output_dir))
    if place.suffix != ".npz":
        return None
    if not options.results.report:
        raise ArgumentError(
            "model_output_dir", "is an archive of an explanation; add --report to have its page"
        )
    return place


def write_given_page(archive: Path, channels: int | list[int] | None) -> Path:
    """Write the page of an archive that may come from anywhere.

    Raises:
        ArgumentError: If it is none, or damaged.
    """
    existing("model_output_dir", str(archive), "give the explanation.npz of a command")
    try:
        with blaming("path", f"{readable(archive.name)} has no page"):
            return write_page(archive, channels)
    except ArgumentError as error:
        argument = "model_output_dir" if error.argument == "path" else error.argument
        raise ArgumentError(argument, error.problem) from error


def write_page(archive: Path, channels: int | list[int] | None) -> Path:
    """Write the page of an archive beside it."""
    explanation, look = shown(archive)
    path = archive.with_suffix(".html")
    name = str(read_more(archive).get("model", {}).get("name", "")).strip()
    title = readable(name or archive.name)
    return report({title: explanation}, path, title=title, channels=channels, **look)


def shown(archive: Path) -> tuple[ImageExplanation, dict[str, Any]]:
    """The images of an archive that are shown, and how they look."""
    sizes = shapes_in(archive).get("values", (1,))[1:]
    rows = min(PICTURE_ROWS, max(1, PICTURE_BYTES // (8 * math.prod(sizes))))
    return load(archive, rows=rows), look_of(archive)
