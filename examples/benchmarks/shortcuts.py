"""Does the class summary name a planted shortcut, and does it name anything where there is none?

    OMP_NUM_THREADS=1 python examples/benchmarks/shortcuts.py  # 20 minutes on a core

In the images of one class, in training and validation alike, there is something that gives it
away; networks that do not use it are not counted: of the class's images without it they still know
half. Counted are the networks whose first suspicion is the planted class and part, those that name
it at all, those that accuse another class of anything, and clean networks that are accused. Data,
marks and networks are those of ``shortcut_data.py`` and ``shortcut_marks.py``.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from shortcut_data import FRESH, SEEN, SIDE, UNSEEN, Data
from shortcut_marks import MARKS, Where, trained

from lightning_shap import explain
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.suspicions import Suspicion
from lightning_shap.analysis.class_summary.swaps import measure_swaps_among
from lightning_shap.engine.question import Question

HELD_OUT = 192  # images of a summary
SETS = {"seen": SEEN, "unseen": UNSEEN, "fresh": FRESH}
EVALUATIONS = 16  # model rows of each image's map, which is not what is measured


def summarise(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> ClassSummary:
    """What the class summary says of some images."""
    found = explain(net, images, labels=labels, topk=2, max_evals=EVALUATIONS)
    measure_swaps_among(net, found, images, Question())
    return ClassSummary([found])


@torch.no_grad()
def uses(net: torch.nn.Module, clean: torch.Tensor, label: int) -> bool:
    """Whether a network needs what was planted: without it, it misses half of the class."""
    return bool((net(clean).argmax(dim=1) != label).float().mean() > 0.5)


def lies(found: Suspicion, where: Where) -> bool:
    """Whether a named part is what was planted: by its name, or for the most part where it is."""
    if isinstance(where, tuple):
        return any(word in found.part.name for word in where)
    if found.part.mask is None:
        return False
    cells = found.part.mask(SIDE, SIDE)
    return bool((cells & where).sum() >= cells.sum() / 2)


def is_true(found: Suspicion, label: int, where: Where, classes: int) -> bool:
    """Whether a suspicion is the planted one; of two classes both decide by what one has."""
    return (found.label == label or (found.label is None and classes == 2)) and lies(found, where)


def try_planted(data: Data, kind: str, seed: int, share: float) -> list[bool] | None:
    """Whether the mark is named first, named at all, and another class accused; None if unused."""
    clean, labels = data
    random, classes = np.random.default_rng(seed), int(labels.max()) + 1
    held_out, rest = np.split(random.permutation(len(clean)), [HELD_OUT])
    label = int(random.integers(classes))
    rows = (labels == label).nonzero()[:, 0].numpy()
    rows = rows[random.random(len(rows)) < share]
    images = clean.clone()
    own = images[rows]
    where = MARKS[kind](own, random)
    images[rows] = own
    net = trained(images[rest], labels[rest], seed)
    marked = held_out[np.isin(held_out, rows)]
    if not uses(net, clean[marked], label):
        return None
    summary = summarise(net, images[held_out], labels[held_out])
    found = [*summary.suspicions, *summary.facts]
    true = [is_true(one, label, where, classes) for one in found]
    return [bool(true and true[0]), any(true), any(one.label not in (label, None) for one in found)]


def try_clean(data: Data, seed: int) -> list[str]:
    """What a network is accused of that learned nothing planted."""
    images, labels = data
    held_out, rest = np.split(np.random.default_rng(seed).permutation(len(images)), [HELD_OUT])
    net = trained(images[rest], labels[rest], seed)
    summary = summarise(net, images[held_out], labels[held_out])
    return [
        f"{one.label}: {one.part.name}, {one.share:.2f}, surprise {one.surprise:.2f}"
        for one in (*summary.suspicions, *summary.facts)
    ]


def try_cure(data: Data, kind: str, seed: int) -> list[float] | None:
    """Accuracies before the cure and after it; None where the mark is not used or not named.

    Each is of the class without its mark and of all others with it, where the mark must not decide,
    and of all images without any. Last comes what a network has of those that saw no mark at all.
    """
    clean, labels = data
    random, classes = np.random.default_rng(seed), int(labels.max()) + 1
    held_out, rest = np.split(random.permutation(len(clean)), [HELD_OUT])
    label = int(random.integers(classes))
    marked = clean.clone()
    where = MARKS[kind](marked, random)
    own = (labels == label)[:, None, None, None]
    images, swapped = torch.where(own, marked, clean), torch.where(own, clean, marked)
    net = trained(images[rest], labels[rest], seed)
    if not uses(net, clean[held_out][labels[held_out] == label], label):
        return None
    summary = summarise(net, images[held_out], labels[held_out])
    first = [*summary.suspicions, *summary.facts][:1]
    if not (first and is_true(first[0], label, where, classes)):
        return None
    cure = summary.cure()
    cured = trained(images[rest], labels[rest], seed, lambda shown, _: cure(shown))
    never = trained(clean[rest], labels[rest], seed)

    @torch.no_grad()
    def rate(model: torch.nn.Module, shown: torch.Tensor) -> float:
        right = model(shown[held_out]).argmax(1) == labels[held_out]
        return float(right.float().mean())

    tried = [rate(model, shown) for model in (net, cured) for shown in (swapped, clean)]
    return [*tried, rate(never, clean)]


def cure_all(made: dict[str, Data], kinds: Sequence[str], networks: int, seed: int) -> None:
    """Prints what the cure does to networks whose mark was named first, by kinds of marks."""
    print("| shortcut | networks | marks swapped, before | after | clean, before | after | never |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for turn, kind in enumerate(kinds):
        rows: list[list[float]] = []
        for attempt in range(3 * networks):
            if len(rows) == networks:
                break
            seed += 1
            data = [*made.values()][(turn + attempt) % len(made)]
            rows += [found] if (found := try_cure(data, kind, seed)) else []
        table = np.array(rows).reshape(-1, 5)
        cells = [
            f"{column.mean():.0%} ({column.min():.0%} to {column.max():.0%})"
            for column in table[:, [0, 2, 1, 3, 4]].T
        ]
        print(f"| {kind} | {len(rows)} | " + " | ".join(cells) + " |", flush=True)


def main(given: Sequence[str] | None = None) -> None:
    """Trains, explains, prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=3, help="of each kind that use the mark")
    parser.add_argument("--clean", type=int, default=5, help="clean networks of each data set")
    parser.add_argument("--seed", type=int, default=1000, help="of the first network")
    parser.add_argument("--data", choices=[*SETS, "all"], default="all")
    parser.add_argument("--kinds", nargs="*", default=[*MARKS], choices=[*MARKS])
    parser.add_argument("--share", type=float, default=1.0, help="of the class that has the mark")
    parser.add_argument("--cure", action="store_true", help="train again with what was found")
    args = parser.parse_args(given)
    sets = {**SETS, "all": SEEN | UNSEEN | FRESH}[args.data]
    made = {name: make() for name, make in sets.items()}
    if args.cure:
        cure_all(made, args.kinds, args.networks, args.seed)
        return
    counts, seed, names = defaultdict(lambda: np.zeros(4, int)), args.seed, [*made]
    for turn, kind in enumerate(args.kinds):
        for attempt in range(3 * args.networks):
            if counts[kind][3] == args.networks:
                break
            seed += 1
            name = names[(turn + attempt) % len(names)]
            found = try_planted(made[name], kind, seed, args.share)
            print(f"{kind}, {name}, {seed}: {'not used' if found is None else found}", flush=True)
            counts[kind] += 0 if found is None else [*found, 1]
    accused = 0
    for name, data in made.items():
        for _ in range(args.clean):
            seed += 1
            said = try_clean(data, seed)
            accused += bool(said)
            print(f"nothing, {name}, {seed}: {said}", flush=True)
    print("| shortcut | named first | named | another class accused | networks that use it |")
    print("| --- | --- | --- | --- | --- |")
    for kind, row in (*counts.items(), ("all", sum(counts.values(), np.zeros(4, int)))):
        print(f"| {kind} | " + " | ".join(map(str, row)) + " |")
    print(f"{accused} of {len(made) * args.clean} clean networks are accused of something")


if __name__ == "__main__":
    main()
