"""The page as one HTML file, which needs no server and no network."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import replace_whole
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.bundle import data_in, html
from lightning_shap.page.data import PageData, PageWriter, numbers_of

ARCHIVE = "explanation"  # the name of the run and of the tag where there is no training


class Pages:
    """Explanations of any number of runs, as the page has them.

    Each is kept as text of JSON, which is put together when a file is written.
    """

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, dict[int, str]]] = {}
        self._samples: dict[str, str] = {}

    def __len__(self) -> int:
        return sum(len(steps) for tags in self._runs.values() for steps in tags.values())

    def add(self, run: str, tag: str, page: PageData, numbers: Mapping[str, float]) -> None:
        """Adds an explanation; one of the same run, tag and step goes."""
        self._samples.setdefault(page.key, _text(page.samples))
        values = json.dumps(_text(page.values))
        one = f'{{"facts":{page.facts_with(numbers).decode()},"values":{values}}}'
        self._keep(run, tag, page.facts["step"], one)

    def read(self, page: str, run: str, before: int) -> None:
        """Adds what the page of a run holds that another one resumes at a step.

        Args:
            page: The text of its file.
            run: The name of the run that resumes it.
            before: The step.

        Raises:
            ValueError: If the page is none of ours.
        """
        data = json.loads(data_in(page))
        for known in data["runs"].values():
            for tag, explanations in known.items():
                for one in explanations:
                    step = one["facts"]["step"]
                    if step < before:
                        self._keep(run, tag, step, json.dumps(one, ensure_ascii=False))
        self._samples = {**data["samples"], **self._samples}

    def _keep(self, run: str, tag: str, step: int, text: str) -> None:
        self._runs.setdefault(run, {}).setdefault(tag, {})[step] = text

    def html(self, title: str, run: str | None = None) -> str:
        """Returns them as one HTML page.

        Args:
            title: Of the page.
            run: The id of the run that they are of, if they are one's.
        """
        runs = _object(
            {
                name: _object({tag: f"[{','.join(steps.values())}]" for tag, steps in tags.items()})
                for name, tags in self._runs.items()
            }
        )
        return html(f'{{"runs":{runs},"samples":{json.dumps(self._samples)}}}', title, run)

    def write(self, path: str | os.PathLike[str], title: str) -> Path:
        """Writes them as one HTML file, which appears whole or not at all."""
        path = Path(path)
        text = self.html(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as partial:
            partial.write_text(text, encoding="utf-8", errors="replace")
        return path


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
        for step, one in enumerate(steps):
            explanation, known = _explanation_of(one)
            look: dict[str, Any] = {"mean": mean, "std": std, "channels": channels, "names": names}
            look |= {key: value for key, value in known.items() if not _is_given(look[key])}
            page = writer.data(explanation, **look, step=step, title=str(run))
            pages.add(str(run), ARCHIVE, page, numbers_of("shap", explanation.record))
    if not len(pages):
        raise ArgumentError("explanations", "there are none; give at least one")
    return pages.write(path, title)


def _explanation_of(given: Any) -> tuple[ImageExplanation, dict[str, Any]]:
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


def _object(texts: Mapping[str, str]) -> str:
    """Joins values that are JSON already to a JSON object."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
