"""The page's data: facts to browse by, values to show, and what all explanations share."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.explanation.coarse_maps import find_limit, lay_out
from lightning_shap.explanation.empty_images import find_empty_images
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.file_format import FORMAT, pack_for_page, pack_samples
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.record import Record
from lightning_shap.page.embedding import place_maps
from lightning_shap.page.points import PIECE, cut, pack_points
from lightning_shap.pictures.captions import name_unit
from lightning_shap.pictures.photographs import Album

TRACKED = 24  # classes at most whose outputs are followed through the epochs


@dataclass(frozen=True)
class PageData:
    """Holds one explanation, as the page has it.

    Attributes:
        facts: What the page lists and draws curves of, without the values; JSON can say it.
        values: The explanation in few bytes, see :mod:`lightning_shap.explanation.file_format`;
            of many images, those of the first ones, and so on.
        samples: What all explanations of these images share, likewise.
        key: By which the facts name the samples.
    """

    facts: Mapping[str, Any]
    values: Sequence[bytes]
    samples: Sequence[bytes]
    key: str

    def add_numbers(self, numbers: Mapping[str, float]) -> dict[str, Any]:
        """Returns the facts, with numbers that were logged beside them."""
        kept = {name: _shorten(value) for name, value in numbers.items()}
        return {**self.facts, "numbers": {**self.facts.get("numbers", {}), **kept}}


def dump_json(content: Any) -> str:
    """Returns short JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


class PageWriter:
    """Makes the page's data, and what all epochs share only once.

    Args:
        album: Keeps the photographs, as for :func:`lightning_shap.plot`.
    """

    def __init__(self, album: Album | None = None) -> None:
        self._album = album or Album()
        self._made_of: tuple[Any, ...] = ()
        self._samples: tuple[Sequence[bytes], str] = ((), "")

    def make(
        self,
        explanation: ImageExplanation,
        *,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int | Sequence[int] | None = None,
        names: Sequence[str] = (),
        step: int = 0,
        epoch: int | None = None,
        title: str = "",
        classes: Mapping[str, Any] | None = None,
    ) -> PageData:
        """Makes the page's data of an explanation.

        Args:
            explanation: With the axes of its images and outputs.
            mean: What was subtracted from the pixels; see :func:`lightning_shap.plot`.
            std: What they were divided by.
            channels: The channel shown grey, or the three shown as red, green and blue.
            names: What the images are called, as by their files; those there are.
            step: Where on the run's axis it stands; -1 before the first training step.
            epoch: The epoch of that step.
            title: What it is of.
            classes: What is known of the classes, of these images and more; see
                :func:`lightning_shap.page.class_facts.list_classes`.
        """
        maps = read_maps(explanation)
        regions, cell = lay_out(maps)
        photographs = self._album.photographs(maps.images, mean=mean, std=std, channels=channels)
        samples, key = self._share(photographs.cells, explanation.record, names)
        moment = {"step": step, "epoch": epoch, "title": title}
        places, parts = place_maps(regions), cut(len(regions.labels))
        rows = _list_rows(explanation)
        facts: dict[str, Any] = {
            "format": FORMAT,
            "version": version("lightning-shap"),
            **moment,
            "samples": key,
            "limit": find_limit(regions),
            "unit": name_unit(explanation.record),
            "cell": cell,
            "area": maps.images.shape[1] * maps.images.shape[2],
            "has_errors": regions.error_std is not None,
            "notes": list(photographs.notes),
            **({} if classes is None else {"classes": classes}),
            **_list_settings(explanation.record),
            "most": {
                "evaluations": int(explanation.record.evaluations.max()),
                "regions": int(explanation.record.regions.max()),
                "gap": _shorten(explanation.record.additivity_gap.max()),
            },
        }
        is_whole = len(parts) == 1
        if is_whole:
            facts |= {} if places is None else {"places": places.round(3).tolist()}
            facts["rows"] = rows
        else:
            explained = np.array([row["explained"] for row in rows])
            facts |= {"piece": PIECE, "pieces": len(parts)}
            facts["points"] = pack_points(explanation.record, explained, places)
        values = [
            pack_for_page(
                explanation[part.start : part.stop],
                regions.pick(np.array(part), np.arange(regions.shape[-1])),
                cell,
                moment if is_whole else {**moment, "rows": rows[part.start : part.stop]},
            )
            for part in parts
        ]
        return PageData(facts, values, samples, key)

    def _share(
        self, cells: Sequence[Image.Image], record: Record, names: Sequence[str]
    ) -> tuple[Sequence[bytes], str]:
        made_of = (id(cells), record.class_names.tolist(), list(names))
        if made_of != self._made_of:
            photographs = np.stack([np.asarray(cell.convert("RGB")) for cell in cells])
            called = [*map(str, names)][: len(cells)]
            called += [""] * (len(cells) - len(called))
            packed = [
                pack_samples(
                    photographs[part.start : part.stop],
                    record.class_names,
                    np.array(called[part.start : part.stop]),
                )
                for part in cut(len(cells))
            ]
            self._samples = packed, hashlib.sha256(b"".join(packed)).hexdigest()[:16]
            self._made_of = made_of
            self._cells = cells  # an id is only one while its list is there
        return self._samples


def _list_settings(record: Record) -> dict[str, Any]:
    return {
        "method": record.method,
        "max_evals": record.max_evals,
        "grid": None if record.grid is None else list(record.grid),
        "masker": record.masker,
        "output": record.output,
        "seed": record.seed,
        "multi_label": record.multi_label,
        "isolation": record.isolation,
        "seconds": _shorten(record.seconds),
        "model_seconds": _shorten(record.model_seconds),
    }


def _list_rows(explanation: ImageExplanation) -> list[dict[str, Any]]:
    """Lists what is known of each image, classes by their numbers."""
    record = explanation.record
    classes, verdicts = record.classes, record.judge()
    explained = classes.find(np.asarray(explanation.output_indexes))
    predicted = np.zeros_like(verdicts.true) if verdicts.predicted is None else verdicts.predicted
    by_class = verdicts.probabilities
    numbers = classes.find(np.arange(record.outputs.shape[1]))
    # What is explained, true or predicted for one image is followed for all of them; of few classes
    # each is, since another epoch may explain it.
    of_interest = np.full(classes.count, classes.count <= TRACKED)
    of_interest[np.unique(explained)] = True
    of_interest |= verdicts.true.any(axis=0) | predicted.any(axis=0)
    if record.against is not None:
        of_interest[classes.find(record.against)] = True
    tracked = np.flatnonzero(of_interest)[:TRACKED]
    roles = verdicts.roles(np.asarray(explanation.output_indexes), record.kept)
    rows = []
    empty = find_empty_images(read_maps(explanation))
    for image, verdict in enumerate(verdicts):
        outputs = {
            int(number): _shorten(value)
            for number, value in zip(numbers, record.outputs[image], strict=True)
            if number in tracked
        }
        row = {
            "explained": explained[image].tolist(),
            "roles": roles[image],
            "true": [one.number for one in verdict.true],
            "predicted": [one.number for one in verdict.predicted or ()],
            "right": verdict.right,
            "verdict": verdict.words,
            "note": "; ".join(each.words for each in empty[image] if each is not None),
            "outputs": outputs,
            "base": [_shorten(value) for value in explanation.base_values[image]],
            "gap": [_shorten(value) for value in record.additivity_gap[image]],
            "evaluations": int(record.evaluations[image]),
            "regions": int(record.regions[image]),
        }
        if by_class is not None:
            row["probabilities"] = {int(k): _shorten(by_class[image, k]) for k in tracked}
        if record.against is not None:
            row["against"] = int(classes.find(record.against[image]))
        if record.clear is not None:
            row["clear"] = [_shorten(value) for value in record.clear[image]]
        rows.append(row)
    return rows


def _shorten(value: Any) -> float | None:
    """Returns a number short enough to send, None for what JSON has no number for."""
    number = float(value)
    return float(f"{number:.7g}") if np.isfinite(number) else None


def list_numbers(
    tag: str, record: Record, more: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Returns how far to trust an explanation: numbers, by the names they are logged under.

    Args:
        tag: Under which they are logged.
        record: Of the explanation.
        more: What else is known of it, by names without the tag.
    """
    known = {"seconds": record.seconds}
    method = METHODS.get(record.method)
    if method is None or not method.adds_up:
        known["additivity_gap"] = float(record.additivity_gap.max())
    return {f"{tag}/{name}": value for name, value in {**known, **(more or {})}.items()}
