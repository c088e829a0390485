"""Draws the partners with which a job's images are swapped, the same on all machines.

They are drawn for the whole data set. So the partner of an image depends on the seed alone, and not
on the shard that it is in, or on how many are explained.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from lightning_shap.analysis.class_summary.swaps import partners
from lightning_shap.command.data.files import Picture
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.reading import PreparedImages, read_samples


class Partners:
    """The partner of each image.

    Args:
        images: The data set.
        order: All its images by number, in the order in which they are explained.
        seed: Draws the partners.
    """

    def __init__(self, images: ImageSet, order: Sequence[int], seed: int) -> None:
        labels = None if images.labels is None else np.asarray(images.labels)[np.array(order)]
        chosen = partners(labels, len(order), seed)
        self._images = images
        self._partner = {number: int(order[chosen[n]]) for n, number in enumerate(order)}

    def of(self, number: int) -> int:
        """Returns an image's partner; itself where there is no image of another class."""
        return self._partner[number]

    def read(
        self,
        images: PreparedImages,
        prepare: Callable[[Picture], torch.Tensor],
        *,
        threads: int = 0,
    ) -> torch.Tensor:
        """Reads the partners of N images, (N, C, H, W).

        In place of one that cannot be read stands the image itself, of which swaps say nothing.

        Args:
            images: The images.
            prepare: Makes others as the model takes them.
            threads: As many read at a time.
        """
        wanted = sorted({self.of(number) for number in images.indices})
        read = read_samples(self._images, wanted, len(wanted), prepare, threads=threads)
        found = dict(zip(read.indices, read.images, strict=True))
        pairs = zip(images.indices, images.images, strict=True)
        return torch.stack([found.get(self.of(number), image) for number, image in pairs])
