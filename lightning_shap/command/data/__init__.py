"""From what ``--dataset`` names to tensors."""
