"""The page as one HTML file, which needs no server and no network."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import replace_whole
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.bundle import find_blobs, find_data, make_html
from lightning_shap.page.data import PageData, PageWriter, dump_json, list_numbers

ARCHIVE = "explanation"  # the name of the run and of the tag where there is no training


class Pages:
    """Explanations of any number of runs, as the page has them."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, dict[int, Any]]] = {}
        self._samples: dict[str, str] = {}
        self._blobs: dict[str, str] = {}  # pieces of many images but the first

    def __len__(self) -> int:
        return sum(len(steps) for tags in self._runs.values() for steps in tags.values())

    def add(self, run: str, tag: str, page: PageData, numbers: Mapping[str, float]) -> None:
        """Adds an explanation; one of the same run, tag and step goes."""
        values, *further = map(_encode, page.values)
        shown = {"facts": page.add_numbers(numbers), "values": values}
        if further:
            shown["name"] = hashlib.sha256(values.encode()).hexdigest()[:16]
            self._blobs |= {f"{shown['name']}-{i}": text for i, text in enumerate(further, 1)}
        if page.key not in self._samples:
            self._samples[page.key], *further = map(_encode, page.samples)
            self._blobs |= {f"{page.key}-{i}": text for i, text in enumerate(further, 1)}
        self._find_steps(run, tag)[page.facts["step"]] = shown

    def read(self, page: str, run: str, before: int) -> None:
        """Adds what the page of a run holds that another one resumes at a step.

        Args:
            page: The text of its file.
            run: The name of the run that resumes it.
            before: The step.

        Raises:
            ValueError: If the page is none of ours.
        """
        data = json.loads(find_data(page))
        for known in data["runs"].values():
            for tag, explanations in known.items():
                for shown in explanations:
                    step = shown["facts"]["step"]
                    if step < before:
                        self._find_steps(run, tag)[step] = shown
        self._samples = {**data["samples"], **self._samples}
        self._blobs = {**find_blobs(page), **self._blobs}

    def write(self, path: str | os.PathLike[str], title: str, run: str | None = None) -> Path:
        """Writes them as one HTML file, which appears whole or not at all.

        Args:
            path: Where to.
            title: Of the page.
            run: The id of the run that they are of, if they are one's.
        """
        path = Path(path)
        runs = {
            name: {tag: [*steps.values()] for tag, steps in tags.items()}
            for name, tags in self._runs.items()
        }
        data = dump_json({"runs": runs, "samples": self._samples})
        text = make_html(data, title, run, self._blobs)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as partial:
            partial.write_bytes(text.encode("utf-8", "backslashreplace"))
        return path

    def _find_steps(self, run: str, tag: str) -> dict[int, Any]:
        return self._runs.setdefault(run, {}).setdefault(tag, {})


def report(
    explanations: Any,
    path: str | os.PathLike[str],
    *,
    title: str = "SHAP explanations",
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: int | Sequence[int] | None = None,
    names: Sequence[str] = (),
) -> Path:
    """Writes explanations as one interactive HTML file, to be opened in any browser.

    Args:
        explanations: One that :func:`lightning_shap.explain` returned, or the path of an archive
            that the command wrote; a list of these, which stand one after the other on the slider;
            or a dictionary of them, by the names under which they are compared.
        path: Where to; the file appears whole or not at all.
        title: Of the page.
        mean: What was subtracted from the pixels, a number or one per channel; an archive of the
            command's knows it.
        std: What the pixels were divided by, likewise.
        channels: The channel shown grey, or the three shown as red, green and blue.
        names: What the images are called; an archive of the command's knows it.

    Returns:
        The path.

    Raises:
        ArgumentError: If something is no explanation.
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile, torch, lightning_shap
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lightning_shap.report(explanation, f"{folder}/report.html").name
        'report.html'
    """
    runs = explanations if isinstance(explanations, Mapping) else {ARCHIVE: explanations}
    pages = Pages()
    for run, given in runs.items():
        writer = PageWriter()
        steps = given if isinstance(given, (list, tuple)) else [given]
        for step, item in enumerate(steps):
            explanation, known = _read_explanation(item)
            look: dict[str, Any] = {"mean": mean, "std": std, "channels": channels, "names": names}
            look |= {key: value for key, value in known.items() if not _is_given(look[key])}
            classes = read_classes(explanation)
            page = writer.make(explanation, **look, step=step, title=str(run), classes=classes)
            pages.add(str(run), ARCHIVE, page, list_numbers("shap", explanation.record))
    if not len(pages):
        raise ArgumentError("explanations", "there are none; give at least one")
    return pages.write(path, title)


def read_classes(explanation: ImageExplanation) -> dict[str, Any] | None:
    """Returns what the page says of the classes where parts of images were swapped, else None."""
    record = explanation.record
    if record.swap_parts is None:
        return None
    from lightning_shap.analysis.class_summary.parts import list_parts
    from lightning_shap.analysis.class_summary.summary import ClassSummary
    from lightning_shap.page.class_facts import list_classes

    tested = {part.name for part in list_parts()}
    watched = [name for name in record.swap_parts if name not in tested]
    try:
        return list_classes(ClassSummary([explanation], seed=record.seed, watched=watched))
    except ArgumentError:  # parts were watched of a model without classes
        return None


def _read_explanation(given: Any) -> tuple[ImageExplanation, dict[str, Any]]:
    """Returns an explanation, and what an archive knows of how it looks."""
    known: dict[str, Any] = {}
    if isinstance(given, (str, os.PathLike)):
        from lightning_shap.explanation.archive import load, read_look

        given, known = load(given), read_look(given)
    if not isinstance(given, ImageExplanation):
        raise ArgumentError(
            "explanations",
            f"got {type(given).__name__}; give what explain() returned, or paths of archives",
        )
    return given.whole, known


def _is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, (tuple, list)) and not len(value))


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
