"""Measures images in two processes and leaves what each found; run by ``test_torchmetrics.py``."""

import sys
from pathlib import Path

import torch
from torch.multiprocessing.spawn import start_processes
from torchmetrics import MetricCollection

from lightning_shap import DeletionAUC, InsertionAUC


def measure(rank: int, folder: Path) -> None:
    """The first process has all images but one, the second that one."""
    address = f"file://{folder / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    given = torch.load(folder / "given.pt", weights_only=False)
    rows = slice(0, -1) if rank == 0 else slice(-1, None)
    mine = {name: part if name == "model" else part[rows] for name, part in given.items()}
    collection = MetricCollection([InsertionAUC(steps=4), DeletionAUC(steps=4)])
    collection.update(**mine)
    metric = InsertionAUC(steps=4)
    metric.update(**mine)
    found = {
        "collection": collection.compute(),
        "areas": metric.areas(),
        "value": metric.compute(),
        "curve": metric.curve,  # of this process, before as after
    }
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    start_processes(measure, (Path(sys.argv[1]),), nprocs=2, start_method="fork")
