"""The Trainer that explains shards, on the machines that a command asks for."""

import logging
import os
from typing import TYPE_CHECKING

from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError

try:
    import pytorch_lightning as pl
except ImportError:  # either name will do
    import lightning.pytorch as pl  # type: ignore[no-redef]

__all__ = ["make_trainer", "pl"]

if TYPE_CHECKING:
    from lightning_shap.command.job import Job


def make_trainer(job: "Job") -> pl.Trainer:
    """Returns a Trainer that does nothing but predict, and writes nothing of its own.

    Raises:
        ArgumentError: If there are no such machines, or more processes than cores.
    """
    machines, device = job.options.machines, job.device
    default = "auto" if device.index is None else [device.index]
    for copy in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(copy).setLevel(logging.WARNING)  # its advice is for those who train
    with blaming("devices, num_nodes, strategy", "Lightning cannot work with them"):
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
        _check_machines(trainer, device.type, machines.oversubscribe)
    return trainer


def _check_machines(trainer: pl.Trainer, kind: str, oversubscribe: bool) -> None:
    """Checks that the processes which this one will start have cores, and find one another."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if kind == "cpu" and trainer.num_devices > (cores or 1) and not oversubscribe:
        raise ArgumentError(
            "devices",
            f"asks for {trainer.num_devices} processes on {cores} cores, each with a model of its "
            f"own; give at most {cores}, or add --oversubscribe",
        )
    if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise ArgumentError(
            "num_nodes",
            f"got {trainer.num_nodes}, and nothing says where the others are; start each with "
            "torchrun, with SLURM, or with MASTER_ADDR, MASTER_PORT and NODE_RANK set",
        )
