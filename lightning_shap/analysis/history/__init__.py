"""The history of a training: what its explanations say one after the other, in numbers."""
