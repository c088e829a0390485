"""Read what ``--dataset`` names, as tensors."""
