"""Partners: with which images of a data set those of a job are swapped, the same on all machines.

They are drawn for the whole data set. So which one an image gets depends on the seed alone, and not
on the shard that it is in, or on how many are explained.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from lightning_shap.analysis.class_summary.swaps import partners
from lightning_shap.command.data.files import Picture
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.reading import read_samples


class Partners:
    """The partner of each image.

    Args:
        images: The data set.
        order: All its images by number, in the order in which they are explained.
        seed: Draws the partners.
    """

    def __init__(self, images: ImageSet, order: Sequence[int], seed: int) -> None:
        self._images, self._order = images, np.array(order)
        self._labels = None if images.labels is None else np.asarray(images.labels)[self._order]
        self._chosen = partners(self._labels, len(order), seed)
        self._place = {number: place for place, number in enumerate(order)}

    def of(self, number: int) -> int:
        """The number of an image's partner; its own where there is no image of another class."""
        return int(self._order[self._chosen[self._place[number]]])

    def read(
        self,
        numbers: Sequence[int],
        images: torch.Tensor,
        prepare: Callable[[Picture], torch.Tensor],
        *,
        threads: int = 0,
    ) -> torch.Tensor:
        """The partners of some images, (N, C, H, W).

        For one that cannot be read the next that could be drawn stands in, and for want of any the
        image itself, of which swaps say nothing.

        Args:
            numbers: N of them.
            images: These images, as the model takes them, (N, C, H, W).
            prepare: Makes others so.
            threads: As many read at a time.
        """
        wanted = sorted({self.of(number) for number in numbers})
        read = read_samples(self._images, wanted, len(wanted), prepare, threads=threads)
        found = dict(zip(read.indices, read.images, strict=True))
        partners_read = []
        for number, image in zip(numbers, images, strict=True):
            partner = found.get(self.of(number))
            if partner is None:
                others = read_samples(self._images, self._rest(number), 1, prepare).images
                partner = others[0] if len(others) else image
            partners_read.append(partner)
        return torch.stack(partners_read)

    def _rest(self, number: int) -> list[int]:
        """All images that may stand in for the partner of one, the next first."""
        place = self._place[number]
        turned = np.roll(np.arange(len(self._order)), -1 - self._chosen[place])
        if self._labels is None:
            others = turned[turned != place]
        else:
            others = turned[self._labels[turned] != self._labels[place]]
        rest: list[int] = self._order[others].tolist()
        return rest
