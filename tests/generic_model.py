"""A small generic model and its images: what tests of the engine share."""

import torch


class Generic(torch.nn.Module):
    """A small network without symmetries, so that no two of its regions are worth the same."""

    def __init__(self, shape, classes=3, seed=0, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        pixels = int(torch.tensor(shape).prod())
        self.hidden = torch.nn.Linear(pixels, 8, dtype=dtype)
        self.scores = torch.nn.Linear(8, classes, dtype=dtype)
        with torch.no_grad():
            for parameter in self.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(drawn * parameter.shape[-1] ** -0.5)

    def forward(self, images):
        return self.scores(torch.tanh(3 * self.hidden(images.flatten(1))))


def generic_images(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
