"""The Trainer that explains shards, on the machines that a command asks for."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lightning_shap.command.processes import check_processes
from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError
from lightning_shap.training.lightning import pl

if TYPE_CHECKING:
    from lightning_shap.command.job import Job


def trainer_of(job: "Job") -> pl.Trainer:
    """A Trainer that does nothing but predict, and writes nothing of its own.

    Raises:
        ArgumentError: If there are no such machines, or more processes than cores.
    """
    machines, device = job.options.machines, job.device
    default = "auto" if device.index is None else [device.index]
    with (
        quiet_lightning(),
        blaming("devices, num_nodes, strategy", "Lightning cannot work with them"),
    ):
        trainer = pl.Trainer(
            accelerator=device.type,
            devices=default if machines.devices is None else machines.devices,
            num_nodes=1 if machines.num_nodes is None else machines.num_nodes,
            strategy=machines.strategy or "auto",
            enable_progress_bar=job.options.explanation.progress,
            enable_model_summary=False,
            enable_checkpointing=False,
            inference_mode=False,
            logger=False,
        )
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if environment is not None and not environment.creates_processes_externally:
        if device.type == "cpu":
            check_processes(trainer.num_devices, machines.oversubscribe)
        if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise ArgumentError(
                "num_nodes",
                f"got {trainer.num_nodes}, and nothing says where the others are; start each with "
                "torchrun, with SLURM, or with MASTER_ADDR, MASTER_PORT and NODE_RANK set",
            )
    return trainer


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Log nothing of Lightning's advice on accelerators, which is for those who train."""
    names = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
