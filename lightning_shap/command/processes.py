"""The processes that torchrun or SLURM started to share a command's work."""

import os

# How torchrun and SLURM's srun number processes, those of all machines and those of this one.
NAMES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
)


def find_rank() -> tuple[int, int, int]:
    """Returns this process's number, how many there are, and its number on this machine."""
    for names in NAMES:
        if all(name in os.environ for name in names):
            rank, count, local = (int(os.environ[name]) for name in names)
            return rank, count, local
    return 0, 1, 0
