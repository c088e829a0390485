"""The files and folders that a command names, found before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from lightning_shap.command.data.folders import ImageSet, find_images
from lightning_shap.command.model.find import Weights, find_weights
from lightning_shap.command.options import Options
from lightning_shap.command.untrusted import clean, describe_error
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import check_writable

FILES = (
    *(f"explanation.{kind}" for kind in ("png", "npz", "json", "html")),
    *(f"classes.{kind}" for kind in ("png", "json")),
    "classes_cure.py",
    "classes_masks.npz",
)  # of which a command writes some


@dataclass(frozen=True)
class Places:
    """Holds where things are.

    Attributes:
        weights: The model's file.
        images: The data set; None where the checkpoint is to name it.
        output: The folder of the results.
    """

    weights: Weights
    images: ImageSet | None
    output: Path


def find_places(options: Options) -> Places:
    """Finds what a command names, and makes sure that it can write its results.

    Raises:
        ArgumentError: If something is not there, or cannot be written.
    """
    given = Path(str(options.model.model_output_dir))
    weights = find_weights(given)
    dataset = options.data.dataset
    images = None if dataset is None else find_images(dataset)
    output = Path(options.results.output_dir or (given.parent if given.is_file() else given))
    try:
        check_writable(output, FILES)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            "output_dir",
            f"cannot write into {clean(repr(str(output)))} ({describe_error(error)}); "
            "give another as --output_dir",
        ) from error
    return Places(weights, images, output)
