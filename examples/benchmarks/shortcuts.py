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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from shortcut_data import FRESH, HELD, SEEN, SIDE, UNSEEN, Data
from shortcut_late import LATE
from shortcut_marks import MARKS, Where, backbone, trained
from shortcut_peers import Named, name_all, write_table

from lightning_shap import explain
from lightning_shap.analysis.class_summary.data_alone import find_telling, read_features
from lightning_shap.analysis.class_summary.power import is_hopeless
from lightning_shap.analysis.class_summary.proof import Rate
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.suspicions import Suspicion
from lightning_shap.analysis.class_summary.swaps import choose_partners, measure_swaps
from lightning_shap.analysis.class_summary.words import write_suspicion
from lightning_shap.engine.question import Question

USED = 0.5  # of decisions that a mark must make, or else nothing is planted
Train = Callable[[torch.Tensor, torch.Tensor, int], torch.nn.Module]
HELD_OUT = 192  # images of a summary
SETS = {"seen": SEEN, "unseen": UNSEEN, "fresh": FRESH, "held": HELD, "late": LATE}
STOPS: list[
    tuple[bool, bool]
] = []  # whether half of the images would have done, all found anything
EVALUATIONS = 4  # model rows of each image's map, which is not what is measured


def summarise(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> ClassSummary:
    """What the class summary says of some images, and whether half of them would have done."""
    found = explain(net, images, labels=labels, topk=2, max_evals=EVALUATIONS)
    others = images[torch.from_numpy(choose_partners(labels.numpy(), len(images), 0))]
    measure_swaps(net, found, images, others, Question())
    summary = ClassSummary([found])
    stops = is_hopeless(summary.shares.pick(np.arange(HELD_OUT // 2)))
    STOPS.append((stops, bool(summary.suspicions or summary.facts)))
    return summary


@torch.no_grad()
def uses(
    net: torch.nn.Module,
    clean: torch.Tensor,
    marked: torch.Tensor,
    own: torch.Tensor,
    label: int,
) -> float:
    """How much of its decisions a network takes from a mark: the mark's Shapley value in them.

    Args:
        net: That was trained.
        clean: Images without the mark.
        marked: All of them with it.
        own: Which of them are of the class, bool (N,).
        label: The class.
    """
    with_it, without = (net(some).argmax(dim=1) == label for some in (marked, clean))
    gained = with_it.float() - without.float()
    return float((gained[own].mean() + gained[~own].mean()) / 2)


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


@dataclass(frozen=True)
class Planted:
    """What was planted in some images: in which class, how, and where that is to be found."""

    label: int
    where: Where
    everywhere: torch.Tensor
    """All images with the mark, (N, C, H, W)."""


def plant(
    data: Data, kinds: Sequence[str], random: np.random.Generator, share: float = 1.0
) -> tuple[torch.Tensor, list[Planted]]:
    """Returns images with a mark of each kind in a share of a class of its own."""
    clean, labels = data
    images, planted = clean.clone(), []
    chosen = random.permutation(int(labels.max()) + 1)[: len(kinds)]
    for kind, label in zip(kinds, chosen.tolist(), strict=True):
        marked = clean.clone()
        where = MARKS[kind](marked, random)
        own = (labels == label) & torch.from_numpy(random.random(len(labels)) < share)
        images[own] = marked[own]
        planted.append(Planted(label, where, marked))
    return images, planted


@dataclass(frozen=True)
class Learnt:
    """A network, and what it has not seen: images as they are, with their marks, their labels."""

    net: torch.nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    planted: list[Planted]


def learn(
    data: Data, kinds: Sequence[str], seed: int, share: float = 1.0, train: Train = trained
) -> Learnt | None:
    """Returns a network that learnt images with marks; None where it does not use each."""
    clean, labels = data
    random = np.random.default_rng(seed)
    held_out, rest = np.split(random.permutation(len(clean)), [HELD_OUT])
    images, planted = plant(data, kinds, random, share)
    net = train(images[rest], labels[rest], seed)
    for one in planted:
        own = labels[held_out] == one.label
        if uses(net, clean[held_out], one.everywhere[held_out], own, one.label) < USED:
            return None
    return Learnt(net, images[held_out], labels[held_out], planted)


def try_planted(
    data: Data, kinds: Sequence[str], seed: int, share: float = 1.0, train: Train = trained
) -> list[bool] | None:
    """What is found of marks; None where the network does not use each.

    Returns:
        Whether what is named first is a mark, in its class, whether what is named first has the
        class of one, whether all are named, and whether another class is accused.
    """
    learnt = learn(data, kinds, seed, share, train)
    if learnt is None:
        return None
    summary = summarise(learnt.net, learnt.images, learnt.labels)
    found = [*summary.suspicions, *summary.facts]
    for one in found:
        print(f"    {write_suspicion(one, summary)}")
    classes = int(data[1].max()) + 1
    true = [
        [is_true(one, mark.label, mark.where, classes) for one in found] for mark in learnt.planted
    ]
    guilty = {None, *(mark.label for mark in learnt.planted)}
    return [
        bool(found) and any(of_mark[0] for of_mark in true),
        bool(found) and found[0].label in guilty,
        all(any(of_mark) for of_mark in true),
        any(one.label not in guilty for one in found),
    ]


def try_clean(data: Data, seed: int, train: Train = trained) -> list[str]:
    """What a network is accused of that learned nothing planted."""
    learnt = learn(data, (), seed, train=train)
    assert learnt is not None
    summary = summarise(learnt.net, learnt.images, learnt.labels)
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
    images, (mark,) = plant(data, [kind], random)
    own = (labels == mark.label)[:, None, None, None]
    swapped = torch.where(own, clean, mark.everywhere)
    net = trained(images[rest], labels[rest], seed)
    inside = labels[held_out] == mark.label
    if uses(net, clean[held_out], mark.everywhere[held_out], inside, mark.label) < USED:
        return None
    summary = summarise(net, images[held_out], labels[held_out])
    first = [*summary.suspicions, *summary.facts][:1]
    if not (first and is_true(first[0], mark.label, mark.where, classes)):
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
    """Prints what the cure does to networks whose mark was named first, by kinds of marks.

    The last column is what a cured network has of images with marks swapped, less what one has that
    saw no mark, of the same data.
    """
    heads = (
        "networks | marks swapped, before | after | clean, before | after | never | after - never"
    )
    print(f"| shortcut | {heads} |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for turn, kind in enumerate(kinds):
        rows: list[list[float]] = []
        for attempt in range(3 * networks):
            if len(rows) == networks:
                break
            seed += 1
            data = [*made.values()][(turn + attempt) % len(made)]
            rows += [found] if (found := try_cure(data, kind, seed)) else []
        table = np.array(rows).reshape(-1, 5)[:, [0, 2, 1, 3, 4]]
        table = np.hstack([table, table[:, 1:2] - table[:, 4:]])
        cells = [
            f"{column.mean():.0%} ({column.min():.0%} to {column.max():.0%})" for column in table.T
        ]
        print(f"| {kind} | {len(rows)} | " + " | ".join(cells) + " |", flush=True)


def compare_peers(
    made: dict[str, Data], kinds: Sequence[str], networks: int, seed: int, share: float
) -> None:
    """Prints what other tools find of the same marks in the same networks, and in clean ones."""
    marks, planted, clean = [], [], []
    for turn, kind in enumerate(kinds):
        used = 0
        for attempt in range(3 * networks):
            if used == networks:
                break
            seed += 1
            learnt = learn([*made.values()][(turn + attempt) % len(made)], [kind], seed, share)
            if learnt is not None:
                used += 1
                marks += [(one.label, one.where) for one in learnt.planted]
                planted.append(_ask_all(learnt))
                said = {tool: bool(named) for tool, named in planted[-1].items()}
                print(f"{kind}, {seed}: {said}", flush=True)
    for data in made.values():
        seed += 1
        learnt = learn(data, (), seed)
        assert learnt is not None
        clean.append(_ask_all(learnt))
    write_table(marks, planted, clean)


def _ask_all(learnt: Learnt) -> dict[str, list[Named]]:
    """What each tool names of a network, the worst first."""
    summary = summarise(learnt.net, learnt.images, learnt.labels)
    ours = {
        "class summary": [*summary.suspicions, *summary.facts],
        "its data alone": summary.in_data,
    }
    named = {tool: [_name(one) for one in found] for tool, found in ours.items()}
    return named | name_all(learnt.net, learnt.images, learnt.labels)


def _name(found: Suspicion) -> Named:
    """What the class summary suspects, as other tools' words."""
    place = None if found.part.mask is None else found.part.mask(SIDE, SIDE)
    return Named(found.label, place, (found.part.name,), found.surprise)


def ask_data(made: dict[str, Data], kinds: Sequence[str], networks: int, seed: int) -> None:
    """Prints what the data alone says of each kind of mark, and of each data set without any."""

    def ask(images: torch.Tensor, labels: torch.Tensor) -> list[Suspicion]:
        return find_telling(read_features(images.movedim(1, -1).numpy()), labels.numpy())

    for name, (images, labels) in made.items():
        rows = np.random.default_rng(seed).permutation(len(images))[:HELD_OUT]
        said = [(one.label, one.part.name) for one in ask(images[rows], labels[rows])]
        print(f"nothing, {name}: {said}", flush=True)
    counts = np.zeros(3, int)
    for turn, kind in enumerate(kinds * networks):
        name = [*made][turn % len(made)]
        clean, labels = made[name]
        random = np.random.default_rng(seed + turn)
        rows = random.permutation(len(clean))[:HELD_OUT]
        images, (mark,) = plant((clean[rows], labels[rows]), [kind], random)
        found = ask(images, labels[rows])
        classes = int(labels.max()) + 1
        true = [is_true(one, mark.label, mark.where, classes) for one in found]
        counts += [true[:1] == [True], any(true), bool(found)]
        print(f"{kind}, {name}: {[(one.label, one.part.name) for one in found]}", flush=True)
    first, named, anything = counts
    print(f"of {len(kinds) * networks} marks {first} are named first, {named} at all; something is")
    print(f"named in {anything}")


def main(given: Sequence[str] | None = None) -> None:
    """Trains, explains, prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=3, help="of each kind that use the mark")
    parser.add_argument("--clean", type=int, default=5, help="clean networks of each data set")
    parser.add_argument("--seed", type=int, default=1000, help="of the first network")
    parser.add_argument("--data", nargs="+", default=["all"], help=f"{[*SETS]}, all, or their sets")
    parser.add_argument("--kinds", nargs="*", default=[*MARKS], choices=[*MARKS])
    parser.add_argument("--share", type=float, default=1.0, help="of the class that has the mark")
    parser.add_argument("--second", choices=[*MARKS], help="planted in another class as well")
    parser.add_argument("--backbone", action="store_true", help="a pretrained one, frozen")
    parser.add_argument("--data-alone", action="store_true", help="ask no model")
    parser.add_argument("--peers", action="store_true", help="other tools on the same networks")
    parser.add_argument("--cure", action="store_true", help="train again with what was found")
    args = parser.parse_args(given)
    every = {name: make for some in SETS.values() for name, make in some.items()}
    groups = {**SETS, "all": SEEN | UNSEEN | FRESH}
    sets = [name for one in args.data for name in groups.get(one, [one])]
    made = {name: every[name]() for name in sets}
    if args.data_alone:
        ask_data(made, args.kinds, args.networks, args.seed)
        return
    if args.peers:
        compare_peers(made, args.kinds, args.networks, args.seed, args.share)
        return
    if args.cure:
        cure_all(made, args.kinds, args.networks, args.seed)
        return
    counts, seed, names = defaultdict(lambda: np.zeros(6, int)), args.seed, [*made]
    train = backbone if args.backbone else trained
    for turn, kind in enumerate(args.kinds):
        for attempt in range(3 * args.networks):
            if counts[kind][4] == args.networks:
                break
            seed += 1
            name = names[(turn + attempt) % len(names)]
            kinds = [kind, args.second] if args.second else [kind]
            found = try_planted(made[name], kinds, seed, args.share, train)
            print(f"{kind}, {name}, {seed}: {'not used' if found is None else found}", flush=True)
            counts[kind] += [0, 0, 0, 0, 0, 1] if found is None else [*found, 1, 0]
    accused = tried = 0
    for _ in range(args.clean):
        for name, data in made.items():
            seed += 1
            said = try_clean(data, seed, train)
            tried, accused = tried + 1, accused + bool(said)
            print(f"nothing, {name}, {seed}: {said}", flush=True)
    print("| shortcut | first | class first | named | innocent accused | use it | do not |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in (*counts.items(), ("all", sum(counts.values(), np.zeros(6, int)))):
        print(f"| {kind} | " + " | ".join(map(str, row)) + " |")
    for is_named, words in ((False, "nothing"), (True, "something")):
        half = [stops for stops, named in STOPS if named == is_named]
        print(
            f"of {len(half)} summaries that name {words}, {sum(half)} stop at half of their images"
        )
    low, high = Rate(accused, tried).interval
    print(f"{accused} of {tried} clean networks are accused ({low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main()
