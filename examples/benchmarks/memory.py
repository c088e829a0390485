"""How much memory an explanation takes beyond the samples and the model.

For each size, three processes, so that none inherits another's peak: one that holds the samples and
runs the model's rows, as many at once as an explanation does; one that explains and draws them; and
one in which that happens within a fit, after another epoch, so that two explanations are held. The
network is small, so that what is measured is ours.

What to expect, for samples of S bytes in single precision: one background of S bytes, one copy of
the samples of S bytes that the explanation keeps, four bytes a pixel that say which region it is
in, and what is made of one image at a time; a tree that follows an image takes 3 MB, or less, of
each. Nothing grows with the evaluations or with the classes.

A minute or two, and as much memory as the model itself takes for such images:

    python examples/benchmarks/memory.py
    python examples/benchmarks/memory.py --sides 2048 --method kernel --evals 64
"""

import argparse
import logging
import platform
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

MIB = 2**20


def samples_of(args: argparse.Namespace, side: int) -> Any:
    """The samples (N, 3, side, side)."""
    import torch

    return torch.rand(args.images, 3, side, side, generator=torch.Generator().manual_seed(0))


def network() -> Any:
    """A small convolutional classifier, whose activations are a quarter of its input."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 8, stride=8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(8),
        nn.Flatten(),
        nn.LazyLinear(10),
    ).eval()


def model_alone(args: argparse.Namespace, side: int) -> float:
    """The peak of a process that runs the model."""
    import torch
    from engine import peak_memory

    from lightning_shap import explain, plot
    from lightning_shap.engine.game import CoalitionGame

    model, images = network(), samples_of(args, side)
    with torch.no_grad():
        model(images[:1])
        plot(explain(model, images[:1, :, :64, :64].clone(), max_evals=4))  # for its imports
        rows = CoalitionGame(model, images, images).batch_size
        for _ in range(2):
            model(images[torch.arange(rows) % len(images)])
    return peak_memory("cpu")


def explained(args: argparse.Namespace, side: int) -> float:
    """The peak of a process that explains the samples and draws them."""
    import torch
    from engine import peak_memory

    from lightning_shap import explain, plot

    model, images = network(), samples_of(args, side)
    with torch.no_grad():
        model(images[:1])
    plot(
        explain(
            model,
            images,
            method=args.method,
            max_evals=args.evals,
            topk=args.topk,
            regions=args.regions,
        )
    )
    return peak_memory("cpu")


def fitted(args: argparse.Namespace, side: int, callback: bool) -> float:
    """The peak of a process that trains, with the callback or without."""
    import torch
    from engine import peak_memory
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.loggers import TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

    from lightning_shap import ShapCallback

    class Classifier(LightningModule):
        """The network, trained."""

        def __init__(self) -> None:
            super().__init__()
            self.net = network()
            with torch.no_grad():
                self.net(torch.zeros(1, 3, 64, 64))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net(images)

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
            self(batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-3)

    data = TensorDataset(samples_of(args, side), torch.arange(args.images) % 10)
    ours = ShapCallback(
        args.images,
        method=args.method,
        max_evals=args.evals,
        topk=args.topk,
        regions=args.regions,
        on_error="raise",
    )
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            accelerator="cpu",
            max_epochs=2,
            callbacks=[ours] if callback else [],
            logger=TensorBoardLogger(folder),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        ).fit(Classifier(), DataLoader(data, 1, shuffle=True), DataLoader(data, 1))
    return peak_memory("cpu")


def apart(task: Any, *arguments: Any) -> float:
    """A task's result, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=quieten) as pool:
        return pool.submit(task, *arguments).result()


def quieten() -> None:
    """No words of Lightning's between the rows."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def row(args: argparse.Namespace, side: int) -> str:
    """A line of the table."""
    samples = args.images * 3 * side**2 * 4 / MIB
    alone, ours = apart(model_alone, args, side), apart(explained, args, side)
    without, with_it = (apart(fitted, args, side, callback) for callback in (False, True))
    dense = 8 * args.images * 3 * side**2 * args.topk / MIB
    return (
        f"| {side} | {samples:.0f} | {alone:.0f} | {ours:.0f} | {ours - alone:.0f}, "
        f"{(ours - alone) / samples:.1f} x | {without:.0f} | {with_it:.0f} "
        f"| {with_it - without:.0f}, {(with_it - without) / samples:.1f} x | {dense:.0f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--method", default="partition")
    parser.add_argument("--evals", type=int, default=12, help="max_evals")
    parser.add_argument("--topk", type=int, default=3, help="classes")
    parser.add_argument("--regions", default="image", help="image or boxes")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}; {args.images} images, {args.method},")
    print(f"{args.regions} regions, {args.evals} evaluations, {args.topk} classes;")
    print("peaks of memory in MiB,")
    print("what is ours also as a multiple of the samples\n")
    print("| side | samples | model | explained | ours | fit | with callback | ours | values |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for side in args.sides:
        print(row(args, side), flush=True)


if __name__ == "__main__":
    main()
