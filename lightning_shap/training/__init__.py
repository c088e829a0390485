"""What the callback needs of a training: its samples, ranks, budget and bars."""
