"""The processes that torchrun or SLURM started to share a command's work."""

import os

from lightning_shap.errors import ArgumentError

# How torchrun and SLURM's srun number processes, those of all machines and those of this one.
NAMES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
)


def find_rank() -> tuple[int, int, int]:
    """Returns this process's number, how many there are, and its number on this machine.

    Raises:
        ArgumentError: If the environment has something else than numbers.
    """
    for names in NAMES:
        found = [os.environ[name] for name in names if name in os.environ]
        if len(found) == len(names):
            try:
                rank, count, local = map(int, found)
            except ValueError:
                wrong = f"got {', '.join(map(repr, found))}; torchrun and srun set whole numbers"
                raise ArgumentError(", ".join(names), wrong) from None
            return rank, count, local
    return 0, 1, 0
