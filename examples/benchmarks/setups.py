"""Is a training the same to the bit with the callback: so many set-ups, each trained twice.

A set-up is a model, its data, a trainer's options and callbacks, and what is asked of ours. The
models, data and trainers are those of ``tests/isolation``, each alone and in seeded combinations
of all of them. Compared are weights, gradients, modes, optimizers, batches in their order, random
states after each of them, metrics, checkpoints, and whatever the module, its data and their classes
hold, at any depth. How a set-up ends:

- same: trained to the same bits, and explained
- refused: trained to the same bits, and a sentence says why nothing was explained
- not explained: trained to the same bits, without an explanation and without a word
- DIFFERENT, LOST: trained to other bits, or not to its end, which it is without the callback
- does not train: without the callback either; counts for nothing

Parts that differ between two trainings without the callback are left out.

About a quarter of an hour of one core:

    python examples/benchmarks/setups.py
    python examples/benchmarks/setups.py --only "a count"
"""

import argparse
import itertools
import logging
import os
import random
import sys
import tempfile
import time
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from held import held

TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "isolation")]

import test_copies_that_are_none as none  # noqa: E402
import test_training_untouched as untouched  # noqa: E402
import test_unusual_models as unusual  # noqa: E402
import test_what_models_remember as remembered  # noqa: E402
import test_what_prepares_the_data as prepared  # noqa: E402
from tiny_training import TinyClassifier, same, tiny_data  # noqa: E402

from lightning_shap import ShapCallback  # noqa: E402

QUICK = {"n_samples": 3, "max_evals": 10, "batch_size": 8, "progress": False}
ASKED: list[dict[str, Any]] = [
    {},
    {"method": "kernel"},
    {"method": "gradient"},
    {"regions": "boxes", "masker": 0.0},
    {"samples": "mistakes"},
    {"samples": "mixed"},
    {"samples": [1, 5, 2]},
    {"samples": tiny_data(3).tensors},
    {"module": "net"},
    {"output": "probability", "topk": 2},
    {"every_n_epochs": 2, "explain_untrained": False},
    {"metrics": ["settled", "changed", "where", "sure", "faithful"], "evolution": "animated"},
    {"save_dir": "pictures", "per_sample": True},
    {"summary": 32},
    {"explain_checkpoint": "best"},
    {"time_budget": "50%"},
]
Setup = untouched.Situation


# --- models and data -----------------------------------------------------------------------------


def remembers(place: str, thing: str) -> type:
    """Returns a model that remembers its calls in a thing that it keeps in some place."""

    class Remembers(TinyClassifier):
        def __init__(self) -> None:
            super().__init__(dropout=0.0)
            make, self.change = remembered.THINGS[thing]
            put, self.find = remembered.PLACES[place]
            put(self, make())

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net(images) * (1 + 1e-2 * self.change(self.find(self)))

    return Remembers


def holds(make: Callable[[], Any], change: Callable[[Any, Any], float]) -> type:
    """Returns a model that holds and changes what a deep copy would share."""

    class Holds(TinyClassifier):
        def __init__(self) -> None:
            super().__init__(dropout=0.0)
            none.Cycling.order = itertools.cycle(range(1000, 1500))
            none.Cycling.seen, none.Cycling.calls = [], 0
            none.Nested.Inner.rates, none.Nested.Inner.calls = [], 0
            none.THE_ONE.calls = 0
            self.thing, self.change = make(), change

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net(images) * (1 + 1e-3 * self.change(self, self.thing))

    return Holds


def counted(model: Any, thing: Any) -> int:
    """Changes whatever a refused model holds."""
    return thing.count() if hasattr(thing, "count") and not isinstance(thing, list) else len(thing)


def shared_value() -> Any:
    """Returns a number that processes share."""
    return prepared.multiprocessing.get_context("fork").Value("i", 0)


def shared_counted(model: Any, value: Any) -> int:
    """Counts in it."""
    value.value += 1
    return value.value


MODELS: dict[str, type] = {
    **{kind.__name__: kind for kind in unusual.MODELS},
    **{f"{thing} in {place}": remembers(place, thing) for place, thing in remembered.TABLE},
    **{name: holds(*kind) for name, kind in none.COPIED.items()},
    **{name: holds(make, counted) for name, (make, _) in none.REFUSED.items()},
    "a value of several processes on the module": holds(shared_value, shared_counted),
}


def of_module(kind: type) -> Callable[[Any, Any, Any], None]:
    """Returns how a training with a data module is run."""

    def fit(trainer: Any, module: Any, loaders: Any) -> None:
        takes = kind.__init__.__code__.co_argcount > 1
        module.data_kept = [kind(Path.cwd()) if takes else kind()]
        trainer.fit(module, datamodule=module.data_kept[0])

    return fit


DATA = {name: (of_module(kind), options) for name, (kind, options) in prepared.KINDS.items()}
DATA["a data module that counts"] = (of_module(unusual.CountedData), {})


def alone() -> Iterator[tuple[str, Any]]:
    """Yields each model, each training and each kind of data by itself."""
    yield from untouched.SITUATIONS.items()
    for name, more in untouched.CHOSEN.items():
        yield (
            f"{name}, for its mistakes",
            replace(untouched.SITUATIONS[name], shap=[{"samples": "mistakes", **more}]),
        )
    yield from ((name, Setup(kind)) for name, kind in MODELS.items())
    for name, (run, options) in DATA.items():
        for more in ({}, {"num_sanity_val_steps": 0}, {"check_val_every_n_epoch": 2}):
            asked = [{"samples": [1, 5]}] if "num_sanity_val_steps" in more else [{}]
            title = f"{name}, {more or 'plainly'}"
            yield title, Setup(run=run, trainer={**options, **more}, shap=asked)
    yield "transfers that are counted", Setup(unusual.CountsTransfers, shap=[{"samples": [1, 5]}])
    for number, asked in enumerate(ASKED):
        yield f"asked {number}, for {[*asked]}", Setup(shap=[asked])


def combined(number: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Yields set-ups of which each part is dealt out in turns, in an order that is drawn."""
    draw = random.Random(seed)
    trainings = {name: s for name, s in untouched.SITUATIONS.items() if s.module is TinyClassifier}
    decks = [[*MODELS.items()], [*trainings.items()], [*enumerate(ASKED)], [*DATA.items()]]
    for deck in decks:
        draw.shuffle(deck)
    turns = [itertools.cycle(deck) for deck in decks]
    for place in range(number):
        (model, kind), (training, setup), (number, asked) = (next(turn) for turn in turns[:3])
        setup = replace(setup, module=kind, shap=[asked])
        title = f"{model} + {training} + asked {number}"
        if place % 3 == 0 and setup.run is untouched.fit:
            data, (run, options) = next(turns[3])
            title += f" + {data}"
            setup = replace(setup, run=run, trainer={**options, **setup.trainer})
        yield title, setup


# --- trainings ------------------------------------------------------------------------------------

IN_IT = types.SimpleNamespace(chdir=os.chdir)  # as pytest's fixture


def trained(setup: Any, folder: Path, shap: list[ShapCallback]) -> dict[str, Any]:
    """Returns all that a training leaves behind."""
    kept: list[Any] = []

    def run(trainer: Any, module: Any, loaders: Any) -> None:
        kept.extend((module, loaders))
        setup.run(trainer, module, loaders)

    left = untouched.trained(replace(setup, run=run), folder, IN_IT, shap)
    data = kept[0].__dict__.pop("data_kept", None)
    left["held"] = held([kept[0], kept[1], data], {})
    return left


def end_of(setup: Any, place: Path) -> str:
    """Trains with and without, and returns how that ends."""
    torch.use_deterministic_algorithms(False)
    try:
        without = trained(setup, place / "without", [])
    except Exception as error:
        return f"does not train: {type(error).__name__}: {error}"
    torch.use_deterministic_algorithms(False)
    ours = [ShapCallback(**{**QUICK, **asked}) for asked in setup.shap]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with_it = trained(setup, place / "with", ours)
        except Exception as error:
            return f"LOST: {type(error).__name__}: {error}"
    said = [str(one.message) for one in caught if "ShapCallback" in str(one.message)]
    different = [part for part in without if not same(without[part], with_it[part])]
    if different:  # in what is the same in any two trainings without it
        twice = trained(setup, place / "twice", [])
        different = [part for part in different if same(without[part], twice[part])]
    if different:
        return f"DIFFERENT in {', '.join(different)}; said: {said[:1]}"
    if all(callback.explanation is not None for callback in ours):
        return "same"
    return f"refused: {said[0]}" if said else "not explained"


def main() -> None:
    """Trains, counts and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--combinations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="set-ups whose names hold this text")
    parser.add_argument("--part", default="0/1", help="such as 1/2: the second half")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning_shap", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    place, parts = map(int, args.part.split("/"))
    setups = dict(itertools.chain(alone(), combined(args.combinations, args.seed)))
    chosen = {name: one for name, one in setups.items() if args.only in name}
    ends: Counter[str] = Counter()
    started, home = time.monotonic(), Path.cwd()
    for name, setup in [*chosen.items()][place::parts]:
        with tempfile.TemporaryDirectory() as folder:
            end = end_of(setup, Path(folder))
            os.chdir(home)
        ends[end.partition(":")[0].partition(" in ")[0]] += 1
        if end != "same":
            print(f"{name}\n    {end[:300]}", flush=True)
    print(f"{sum(ends.values())} set-ups in {time.monotonic() - started:.0f} s: {dict(ends)}")
    sys.exit(bool(ends["DIFFERENT"] + ends["LOST"]))


if __name__ == "__main__":
    main()
