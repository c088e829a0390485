"""Findings in words: what was seen, what is suspicious, and what was not tested."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.class_summary.means import LEAST_IMAGES, find_tested
from lightning_shap.analysis.class_summary.power import CASES, expect_power
from lightning_shap.analysis.class_summary.proof import Proof, Rate
from lightning_shap.analysis.class_summary.suspicions import LEVEL, Suspicion
from lightning_shap.explanation.phrases import whole_percent

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.findings import Findings

ENOUGH = 256  # images, of which most of what matters is found; see power
ONE_CLASS = "all images are of one class, which has no others to be compared with"
HINT = "look at these; an object that is always there looks the same"


@dataclass(frozen=True)
class Told:
    """Says of a part what is known of it.

    Attributes:
        part: Its name.
        label: The class, None for all of them.
        claim: What it decides, in words.
        proof: What depends on it.
        words: All of that in words.
        holds: It was not withdrawn.
        is_watched: It is told because somebody asked for it.
    """

    part: str
    label: int | None
    claim: str
    proof: Proof
    words: str
    holds: bool = True
    is_watched: bool = False


def list_told(findings: "Findings") -> list[Told]:
    """Returns the suspicious parts, those withdrawn, and those that were watched."""
    told = []
    for one in (*findings.suspicions, *findings.facts, *findings.withdrawn):
        assert one.proof is not None  # findings have all been proved
        holds = one not in findings.withdrawn
        end = "" if holds else "; withdrawn, as hardly a decision depends on it"
        words = [f"{write(one, findings)}{end}" for write in (write_claim, write_suspicion)]
        told.append(Told(one.part.name, one.label, words[0], one.proof, words[1], holds))
    for name, proofs in findings.watched.items():
        for label, proof in proofs.items():
            if label is None or proof.holds:
                claim = f"{name}, as asked, of {_name(label, findings)}"
                said = f"{claim}: {write_proof(proof, label, findings)}"
                told.append(Told(name, label, claim, proof, said, is_watched=True))
    return told


def write_lines(findings: "Findings") -> list[str]:
    """Returns what was seen, what is suspicious, and what is taken for what, a line each."""
    judged = [one for one in findings.right if one is not None]
    right = f", {sum(judged)} of {len(judged)} right" if judged else ""
    classes = _count(len(np.unique(findings.labels)), "class", "classes")
    told = list_told(findings)
    found = [one.words for one in told if one.holds and not one.is_watched]
    found += [HINT] if found else [say_nothing_found(findings)]
    others = [one.words for one in told if one.is_watched or not one.holds]
    taken = [
        f"{findings.names[one.label]} taken for {findings.names[one.taken_for]}: "
        f"{_count(len(one.rows), 'image')}"
        for one in findings.pairs
    ]
    return [
        f"{_count(len(findings.labels), 'image')} of {classes}{right}",
        *found,
        *others,
        *[write_in_data(one, findings) for one in findings.in_data],
        *list_untested(findings),
        *taken,
    ]


def say_nothing_found(findings: "Findings") -> str:
    """Says that nothing was found, how it was looked for, and what would have been found."""
    count, power = len(findings.labels), findings.power
    if count < LEAST_IMAGES:
        return f"too few images to test, which takes {LEAST_IMAGES} at least"
    if not findings.shares.parts:
        return "nothing is tested where no parts were swapped"
    if len(np.unique(findings.labels)) == 1:
        return ONE_CLASS
    if power.share is None:
        return f"too few images to tell whether a part stands out: {_advise(len(findings.labels))}"
    where = "" if len(find_tested(findings.labels)) else " in all images together"
    how = f"tested at {whole_percent(LEVEL)} over all {len(findings.shares.parts)} parts"
    known = int((~np.isnan(findings.shares.values).any(axis=1)).sum())
    unknown = f"; of swaps {known} of {count} images say something" if known < count else ""
    whom = "all images" if None in power.shares else "a class"
    found = (
        f"; a corner or an edge that decides {whole_percent(power.share)} of {whom} would have "
        f"been found in {whole_percent(CASES)} of cases"
    )
    few = [str(findings.names[label]) for label in power.too_few if label is not None]
    lacking = (
        f"; too few images of {', '.join(few)} to tell: {_advise(len(findings.labels))}"
        if few
        else ""
    )
    return f"no part stands out{where} ({how}{unknown}{found}{lacking})"


def write_expectation(labels: np.ndarray | None, count: int) -> str:
    """Returns what so many images can show, before any is explained.

    Args:
        labels: int (N,), below 0 where unknown, or None for that everywhere.
        count: How many images, N.
    """
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        labels = np.full(count, -1)
    if count and (labels == labels[0]).all() and labels[0] >= 0:
        return ONE_CLASS
    share = expect_power(labels).share if count >= LEAST_IMAGES else None
    classes = _count(len(np.unique(labels[labels >= 0])), "class", "classes")
    of_what = f"{_count(count, 'image')} of {classes}" if (labels >= 0).any() else f"{count} images"
    if share is None:
        return f"{of_what} are too few to tell whether a part stands out: {_advise(count)}"
    return (
        f"with {of_what} only a corner or an edge that decides {whole_percent(share)} or more "
        f"would be named, in {whole_percent(CASES)} of cases"
    )


def _advise(count: int) -> str:
    """Returns how to have more images than so many."""
    more = max(ENOUGH, 2 * count)
    return f"give summary={more}, or --n_samples {more}"


def list_untested(findings: "Findings") -> list[str]:
    """Returns which classes are not compared with the others, a line each."""
    labels = findings.labels
    if len(labels) < LEAST_IMAGES:
        return []
    numbers, counts = np.unique(labels, return_counts=True)
    if len(numbers) == 1:
        return []  # which is said where nothing was found
    few = int((counts < LEAST_IMAGES).sum())
    lines = []
    if few:
        have = "have" if few > 1 else "has"
        are = "are not tested by themselves" if few > 1 else "is not tested by itself"
        lines.append(
            f"{few} of {len(numbers)} classes {have} fewer than {LEAST_IMAGES} images and {are}: "
            f"{_advise(len(findings.labels))}"
        )
    alone = numbers[(counts >= LEAST_IMAGES) & (len(labels) - counts < LEAST_IMAGES)]
    lines += [
        f"{findings.names[one]} is not tested by itself: fewer than {LEAST_IMAGES} images are of "
        "other classes"
        for one in alone
    ]
    return lines


def write_suspicion(one: Suspicion, findings: "Findings") -> str:
    """Returns what a part decides, how sure that is, and what becomes of decisions without it."""
    proof = "" if one.proof is None else f"; {write_proof(one.proof, one.label, findings)}"
    return f"{write_claim(one, findings)}{proof}"


def write_claim(one: Suspicion, findings: "Findings") -> str:
    """Returns what a part decides, and how sure that is."""
    everyone = " and ".join(str(findings.names[label]) for label in np.unique(findings.labels))
    who = everyone if one.p is None else _name(one.label, findings)
    area = "" if one.part.mask is None else f" on {whole_percent(one.part.area)} of the area"
    what = f"swapped between images, {one.part.name} decides {whole_percent(one.share)}{area}"
    others = "" if one.others is None else f", between other classes {whole_percent(one.others)}"
    mirror = "" if one.mirror is None else f", opposite it at most {whole_percent(one.mirror)}"
    tested = "untested, as each of two classes swaps with the other"
    if one.p is not None:
        tested = f"p = {one.p:.3f} over all {len(findings.shares.parts)} parts and all classes"
    return f"{who}: {what}{others}{mirror} ({tested}, {_count(one.known, 'swap')})"


def write_in_data(one: Suspicion, findings: "Findings") -> str:
    """Returns what tells a class in the data alone, and whether the model was found to use it."""
    others = "" if one.others is None else f", and of other classes {whole_percent(one.others)}"
    used = "the model uses it" if findings.uses(one) else "the model was not found to use it"
    return (
        f"the data has it: {one.part.name} alone tells {_name(one.label, findings)} "
        f"{whole_percent(one.share)} of the way from chance to certainty{others}; {used}"
    )


def write_proof(proof: Proof, label: int | None, findings: "Findings") -> str:
    """Returns how many images are known without a part, and how many are taken for it."""
    if not proof.before.images:
        return "no image was swapped with one of another class"
    *known, carried = [said for _, said in list_rates(proof, label, findings)]
    return f"of {_count(proof.before.images, 'image')} {', '.join(known)}; {carried}"


def list_rates(proof: Proof, label: int | None, findings: "Findings") -> list[tuple[Rate, str]]:
    """Returns what is known of images with a part as it is and changed, and that in words."""
    target = "what it came from" if label is None else str(findings.names[label])
    rates = [
        (proof.before, f"{_write_rate(proof.before)} right as they are"),
        (proof.exchanged, f"{_write_rate(proof.exchanged)} with it exchanged"),
        (proof.removed, f"{_write_rate(proof.removed)} with it removed"),
        (proof.carried, f"it alone makes {_write_rate(proof.carried)} of others {target}"),
    ]
    return [(rate, said) for rate, said in rates if rate.images]


def _write_rate(rate: Rate) -> str:
    low, high = (whole_percent(end) for end in rate.interval)
    return f"{whole_percent(rate.share)} ({low} to {high})"


def _name(label: int | None, findings: "Findings") -> str:
    return "all classes" if label is None else str(findings.names[label])


def _count(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
