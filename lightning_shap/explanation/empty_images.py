"""Empty images: where what a masker leaves of an image is taken for its class already.

What is explained is the way from the empty image to the full one. Where both are the same to the
model, there is little that could raise the class, and readers wonder at a blue map.
"""

from dataclasses import dataclass

import numpy as np

from lightning_shap.explanation.maps import Maps
from lightning_shap.explanation.phrases import percent
from lightning_shap.explanation.verdicts import Candidate, write_probability

BALANCED = 0.1  # a map whose sum is a smaller share of its magnitude, or negative, is mainly blue


@dataclass(frozen=True)
class Empty:
    """Describes an empty image, such as a blurred one, that is taken for a class already.

    The map of the class is then mainly blue although the model is sure of it.

    Attributes:
        name: Of the class.
        probability: Which the model gives it for the empty image.
        masker: That makes the image empty, as the record says it.
    """

    name: str
    probability: float
    masker: str

    @property
    def short(self) -> str:
        """Returns the words at the map of the class."""
        return f"already {percent(self.probability)} when masked"

    @property
    def words(self) -> str:
        """Returns the words without a map beside them, and what would do."""
        candidate = Candidate(0, self.name, self.probability)
        taken = f"taken for {self.name}{write_probability([candidate])}"
        return f"the masked image alone is {taken}: {self._advice}"

    @property
    def remark(self) -> str:
        """Returns the words once for a picture whose maps have the short ones."""
        return f"already taken for the class when masked: {self._advice}"

    @property
    def _advice(self) -> str:
        another = "'mean'" if self.masker.startswith("blur") else "'blur'"
        return f"the map shows what the details change; try masker={another}"


def find_empty_images(maps: Maps) -> list[list[Empty | None]]:
    """Finds the maps of classes that the model sees in the empty image as well as in the full one.

    Args:
        maps: Of N images and K' outputs each.

    Returns:
        For each image one for each output, None where the class needs the image, and where that is
        not known.
    """
    record, (images, outputs) = maps.record, maps.totals.shape
    if record is None or maps.indexes is None or record.empty_probabilities is None:
        return [[None] * outputs] * images
    assert record.probabilities is not None  # or the empty image had none
    empty, full = record.empty_probabilities, record.probabilities
    sure = (empty > 0.5) & (np.take_along_axis(full, maps.indexes, axis=1) > 0.5)
    found = sure & (maps.totals <= BALANCED * maps.magnitudes)
    names = record.class_names[record.classes.find(maps.indexes)]
    return [
        [
            Empty(str(names[row, column]), float(empty[row, column]), record.masker)
            if found[row, column]
            else None
            for column in range(outputs)
        ]
        for row in range(images)
    ]
