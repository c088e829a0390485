"""Findings in words: what was seen, what is suspicious, and what was not tested."""

from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.class_summary.means import LEAST_IMAGES, find_tested
from lightning_shap.analysis.class_summary.places import STRONGEST
from lightning_shap.analysis.class_summary.power import CASES
from lightning_shap.analysis.class_summary.suspicions import LEVEL, Suspicion
from lightning_shap.analysis.class_summary.two_classes import Fact
from lightning_shap.explanation.phrases import whole_percent

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.findings import Findings

ENOUGH = 256  # images, of which most of what matters is found; see power
HINT = "look at these places; an object that is always there looks the same"


def write_lines(findings: "Findings") -> list[str]:
    """Returns what was seen, what is suspicious, and what is taken for what, a line each."""
    judged = [one for one in findings.right if one is not None]
    right = f", {sum(judged)} of {len(judged)} right" if judged else ""
    classes = _count(len(np.unique(findings.labels)), "class", "classes")
    found = [_write_suspicion(one, findings) for one in findings.suspicions]
    found += [HINT] if found else []
    facts = [write_fact(one, findings) for one in findings.facts]
    taken = [
        f"{findings.names[one.label]} taken for {findings.names[one.taken_for]}: "
        f"{_count(len(one.rows), 'image')}"
        for one in findings.pairs
    ]
    return [
        f"{_count(len(findings.labels), 'image')} of {classes}{right}",
        *(found + facts or [say_nothing_found(findings)]),
        *list_untested(findings),
        *taken,
    ]


def say_nothing_found(findings: "Findings") -> str:
    """Says that nothing was found, how it was looked for, and what would have been found."""
    count, power = len(findings.labels), findings.power
    if count < LEAST_IMAGES:
        return f"too few images to test, which takes {LEAST_IMAGES} at least"
    if power.share is None:
        return f"too few images to tell whether a place stands out: {_advise(findings)}"
    where = "" if len(find_tested(findings.labels)) else " in all images together"
    how = f"tested at {whole_percent(LEVEL)} over all {len(findings.shares.places)} places"
    known = int((~np.isnan(findings.shares.values).any(axis=1)).sum())
    unknown = f"; of swaps {known} of {count} images say something" if known < count else ""
    verb = "decides" if power.measure == "swap" else "carries the attribution of"
    whom = "all images" if None in power.shares else "a class"
    found = (
        f"; a corner or an edge that {verb} {whole_percent(power.share)} of {whom} would have "
        f"been found in {whole_percent(CASES)} of cases"
    )
    few = [str(findings.names[label]) for label in power.too_few if label is not None]
    lacking = f"; too few images of {', '.join(few)} to tell: {_advise(findings)}" if few else ""
    return f"no place stands out{where} ({how}{unknown}{found}{lacking})"


def _advise(findings: "Findings") -> str:
    """Returns how to have more images than there are."""
    more = max(ENOUGH, 2 * len(findings.labels))
    return f"give summary={more}, or --n_samples {more}"


def list_untested(findings: "Findings") -> list[str]:
    """Returns which classes are not compared with the others, a line each."""
    labels = findings.labels
    if len(labels) < LEAST_IMAGES:
        return []
    numbers, counts = np.unique(labels, return_counts=True)
    if len(numbers) == 1:
        return ["all images are of one class, which has no others to be compared with"]
    few = int((counts < LEAST_IMAGES).sum())
    lines = []
    if few:
        have = "have" if few > 1 else "has"
        are = "are not tested by themselves" if few > 1 else "is not tested by itself"
        lines.append(
            f"{few} of {len(numbers)} classes {have} fewer than {LEAST_IMAGES} images and {are}: "
            f"{_advise(findings)}"
        )
    alone = numbers[(counts >= LEAST_IMAGES) & (len(labels) - counts < LEAST_IMAGES)]
    lines += [
        f"{findings.names[one]} is not tested by itself: fewer than {LEAST_IMAGES} images are of "
        "other classes"
        for one in alone
    ]
    return lines


def _write_suspicion(one: Suspicion, findings: "Findings") -> str:
    who = "all classes" if one.label is None else str(findings.names[one.label])
    name = one.place.name
    if one.place.measure == "swap":
        what = f"swapped between images, {name} decides {whole_percent(one.share)} of the class"
    else:
        verb = "carry" if name.startswith("row") else "carries"
        what = f"{name} {verb} {whole_percent(one.share)} of the attribution on "
        what += f"{whole_percent(one.place.area)} of the area"
    others = "" if one.others is None else f", in other classes {whole_percent(one.others)}"
    mirror = "" if one.mirror is None else f", opposite it at most {whole_percent(one.mirror)}"
    tested = f"(p = {one.p:.3f} over all {len(findings.shares.places)} places and all classes"
    known = f"{one.known} of " if one.known < one.images else ""
    return f"{who}: {what}{others}{mirror} {tested}, {known}{_count(one.images, 'image')})"


def write_fact(one: Fact, findings: "Findings") -> str:
    """Returns what a part decides of two classes, and that it is not tested."""
    who = " and ".join(str(findings.names[label]) for label in np.unique(findings.labels))
    area = "" if one.area is None else f", on {whole_percent(one.area)} of the area"
    if one.place.name == STRONGEST and one.area is not None:
        area = f", on {whole_percent(one.area / 2)} of the area"
    count = len(findings.labels)
    known = f" ({one.known} of {count} images)" if one.known < count else ""
    return (
        f"{who}: swapped between images, {one.place.name} decides {whole_percent(one.share)} of "
        f"the class{area}{known}; untested, as each of two classes swaps with the other"
    )


def _count(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
