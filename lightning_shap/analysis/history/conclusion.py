"""The end of a training in words: did maps settle, did they change, where do they lie, how sure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightning_shap.analysis.history.numbers import ALONE, measure_maps
from lightning_shap.analysis.history.snapshot import Snapshot, pick_first_maps
from lightning_shap.analysis.metrics.similarity import Similarity, errs_by_chance
from lightning_shap.analysis.metrics.where import CORNERS, border_mask, corner_mask
from lightning_shap.explanation.empty_images import find_empty_images
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.phrases import MINUS, whole_percent, write_fixed

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

# A similarity to the control from which on maps hardly changed, unless noise alone leaves less.
# Small networks that get a fifth right lie above, those that get half below: see
# examples/benchmarks/resembles.py.
RESEMBLES = 0.75
NOISY = 0.5  # of a floor below this, nothing can be compared
MOST_MISTAKES = 3  # that are named


@dataclass(frozen=True)
class Summary:
    """Says what the explanations of a training show together.

    Similarities are those of :class:`lightning_shap.Similarity`: cosines between the maps of each
    sample's true class, or its highest, 1 where they are the same, as means over samples.

    Attributes:
        titles: Of the explained epochs.
        to_final: How similar each epoch's maps are to the final ones.
        floor: How similar explanations of the final model are to each other, noise or a small
            budget being all that differs; None where that is not known.
        control: How similar the final maps are to those of the untrained model, or None.
        settled_at: Which of the epochs is the first from which on all are at the floor or above;
            None if none is but the last, which has nothing after it, or without a floor.
        final: What the final explanation says by itself.
    """

    titles: tuple[str, ...]
    to_final: tuple[float, ...]
    floor: float | None
    control: float | None
    settled_at: int | None
    final: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """Six lines at most."""
        result, *others = self.final
        return [result, *self._settled, *self._changed, *others]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    @property
    def markdown(self) -> str:
        """The lines, and a table of the epochs."""
        rows = [
            f"| {title} | {alike:.3f} |"
            for title, alike in zip(self.titles, self.to_final, strict=True)
        ]
        table = ["| epoch | similarity to the final maps |", "| --- | --- |", *rows]
        listed = "\n".join(f"- {line}" for line in self.lines)
        return f"{listed}\n\n" + "\n".join(table) if rows else listed

    @property
    def plain(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {
            "lines": self.lines,
            "epochs": list(self.titles),
            "similarity_to_final": list(self.to_final),
            "noise_floor": self.floor,
            "settled_at": None if self.settled_at is None else self.titles[self.settled_at],
            "similarity_to_untrained": self.control,
        }

    @property
    def warning(self) -> str | None:
        """A warning for who is about to believe the final maps, None if there is nothing."""
        if not self._resembles_control:
            return None
        return (
            "the final maps still resemble those of the untrained model "
            f"(similarity {_say(self.control)}): unless that began with trained weights, they "
            "show the network's shape, or the images', and not what this training did"
        )

    @property
    def _is_noise(self) -> bool:
        """True if maps of one and the same model are too unlike for any to be compared."""
        return self.floor is not None and self.floor < NOISY

    @property
    def _resembles_control(self) -> bool:
        if self.control is None or self._is_noise:
            return False
        return self.control >= (RESEMBLES if self.floor is None else min(self.floor, RESEMBLES))

    @property
    def _settled(self) -> list[str]:
        """Returns the verdict, then what it is taken from; none of a single epoch."""
        if not self.titles:
            return []
        if len(self.titles) == 1:
            return [f"settled: unknown, no epoch but {self.titles[0]} was explained"]
        noise = f"noise alone leaves {_say(self.floor)}"
        if self.floor is None:
            similar = f"similarity {_say(self.to_final[-2])} to the final ones"
            return [
                f"settled: unknown, the maps of {self.titles[-2]} have a {similar}, and nobody "
                "knows what noise alone leaves"
            ]
        if self._is_noise:
            return [f"settled: unknown, maps differ by noise alone ({noise}); raise max_evals"]
        if self.settled_at is None:
            last = max(
                place for place, alike in enumerate(self.to_final) if not alike >= self.floor
            )
            similar = f"a similarity of {_say(self.to_final[last])} to the final ones"
            return [
                "settled: no, maps still change when training ends: those of "
                f"{self.titles[last]} have {similar}, {noise}"
            ]
        least = min(self.to_final[self.settled_at :])
        bound = f"{_say(least)}{' or more' * (least < 1)}"
        return [
            f"settled: yes, from {self.titles[self.settled_at]} on: similarity to the final maps "
            f"{bound}, {noise}"
        ]

    @property
    def _changed(self) -> list[str]:
        if self.control is None:
            return []
        verdict = "hardly" if self._resembles_control else "yes"
        if self._is_noise:
            verdict = "unknown, maps differ by noise alone"
        return [
            f"changed: {verdict}: the final maps have a similarity of {_say(self.control)} to "
            f"the untrained model's (1 the same, 0 nothing in common, {MINUS}1 the reverse), which "
            "says nothing of what was learnt"
        ]


def summarize_history(
    control: Snapshot | None,
    epochs: Sequence[Snapshot],
    final: "ImageExplanation",
    half: "ImageExplanation | None" = None,
) -> Summary:
    """Returns how a training ended; see :class:`.history.History`."""
    maps = pick_first_maps(final)
    compared = [_compare(maps, snapshot.maps) for snapshot in epochs]
    alike = [similarity for similarity, _ in compared]
    by_chance = errs_by_chance(read_maps(final))
    known = [floor for _, floor in compared if by_chance and math.isfinite(floor)]
    floor = min(known) if known else None
    if floor is None and half is not None:
        found = _compare(maps, pick_first_maps(half))[0]
        floor = found if math.isfinite(found) else None
    settled_at = None
    if floor is not None:
        below = [number for number, one in enumerate(alike) if not one >= floor]
        first = below[-1] + 1 if below else 0
        settled_at = first if first < len(epochs) - 1 else None
    against_control = None if control is None else _compare(maps, control.maps)[0]
    return Summary(
        tuple(snapshot.title for snapshot in epochs),
        tuple(alike),
        floor,
        None if against_control is None or math.isnan(against_control) else against_control,
        settled_at,
        tuple(write_lines(final)),
    )


def summarize(explanation: "ImageExplanation") -> str:
    """Says in a few lines what is right, where the model looks, and how sure that is.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or the final one of a training:
            its lines also say how the training got there.
    """
    training = explanation.training
    return "\n".join(write_lines(explanation) if training is None else training.lines)


def write_lines(explanation: "ImageExplanation") -> list[str]:
    """Returns what one explanation says: what is right, where it looks, how sure it is."""
    numbers = measure_maps(explanation, None, None, ("where", "sure"))
    size = read_maps(explanation).images.shape[1:3]
    return [
        _write_result(explanation),
        _write_where(numbers, size),
        *_write_sure(numbers, explanation),
        *_write_empty(explanation),
    ]


def _write_empty(explanation: "ImageExplanation") -> list[str]:
    """Says that empty images are taken for their classes already, which makes maps blue."""
    found = {
        image: first
        for image, (first, *_) in enumerate(find_empty_images(read_maps(explanation)))
        if first is not None
    }
    if not found:
        return []
    image, first = next(iter(found.items()))
    more = len(found) - 1
    also = f", and so in {more} more image{'s' * (more > 1)}" if more else ""
    return [f"empty: {first.words} (image {image}{also})"]


def _say(similarity: float | None) -> str:
    """Returns a similarity in words, cut off: what is said to be so much or more must be that."""
    if similarity is None:
        return "unknown"
    return write_fixed(math.trunc(100 * similarity + 1e-4) / 100, 2)


def _compare(maps: Maps, other: Maps) -> tuple[float, float]:
    metric = Similarity(**ALONE)
    metric.update(maps, other)
    return float(metric.compute()), float(metric.floor)


def _write_result(explanation: "ImageExplanation") -> str:
    record = explanation.record
    count = f"{len(record.outputs)} image{'s' * (len(record.outputs) != 1)} by {record.method}"
    verdicts = record.judge()
    judged = [right for right in verdicts.right if right is not None]
    if not judged:
        return f"explained: {count}"
    wrong = [image for image, right in enumerate(verdicts.right) if right is False]
    named = [f"image {image} {verdicts[image].words}" for image in wrong[:MOST_MISTAKES]]
    more = [f"{len(wrong) - len(named)} more"] if len(wrong) > len(named) else []
    mistakes = f"; wrong: {'; '.join([*named, *more])}" if wrong else ""
    return f"explained: {count}, {sum(judged)} of {len(judged)} right{mistakes}"


def _write_where(numbers: dict[str, float], size: tuple[int, ...]) -> str:
    """Says where maps of a height and a width lie, and how much of the image that is."""
    if "where_border" not in numbers:
        return "where: nowhere, all maps are zero"
    corner = max(CORNERS, key=lambda one: numbers[f"where_{one.replace(' ', '_')}"])
    share = numbers[f"where_{corner.replace(' ', '_')}"]
    height, width = size
    # Widths are whole pixels, so that of small images these places are larger than is usual.
    border, square = border_mask(height, width).mean(), corner_mask(height, width, corner).mean()
    return (
        f"where: {whole_percent(numbers['where_border'])} along the border, which is "
        f"{whole_percent(border)} of the image; {whole_percent(share)} in the {corner} corner, "
        f"which is {whole_percent(square)}; "
        f"{whole_percent(numbers['where_top_tenth'])} on the strongest tenth"
    )


def _write_sure(numbers: dict[str, float], explanation: "ImageExplanation") -> list[str]:
    record = explanation.record
    evaluations = f"{record.evaluations.mean():.0f} evaluations an image"
    parts = []
    if "regions" in numbers:
        parts.append(f"{numbers['regions']:.0f} regions resolved")
    if "clear" in numbers:
        parts.append(f"{whole_percent(numbers['clear'])} of them clear of zero")
    if "error" in numbers:
        parts.append(f"error {numbers['error']:.2f} of the largest value")
    if "missing" in numbers:
        parts.append(f"{whole_percent(numbers['missing'])} of the change is missing")
    return [f"sure: {', '.join([*parts, evaluations])}"]
