"""The files and folders that a command names, found before anything heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_shap.command.data.folders import find_images
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.model.find import Weights, find_weights
from lightning_shap.command.options import Options
from lightning_shap.command.untrusted import clean, find_path, reason
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import check_writable

FILES = (
    *(f"explanation.{kind}" for kind in ("png", "npz", "json", "html")),
    *(f"classes.{kind}" for kind in ("png", "json")),
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
    given, asked = Path(str(options.model.model_output_dir)), options.results
    weights = find_weights(given)
    dataset = options.data.dataset
    images = None if dataset is None else find_images(dataset)
    output = Path(asked.output_dir or (given.parent if given.is_file() else given))
    _check_folder("output_dir", output, FILES)
    if asked.logdir is not None:
        _check_folder("logdir", Path(asked.logdir))
    return Places(weights, images, output)


def find_archive(options: Options) -> Path | None:
    """Returns the archive whose page is asked for, if one stands in place of a model.

    Raises:
        ArgumentError: If it is not there, or something else than its page is asked for.
    """
    archive = Path(str(options.model.model_output_dir))
    if archive.suffix != ".npz":
        return None
    if not options.results.report:
        raise ArgumentError(
            "model_output_dir", "is an archive of an explanation; add --report to have its page"
        )
    return find_path("model_output_dir", str(archive), "give the explanation.npz of a command")


def _check_folder(name: str, directory: Path, files: Sequence[str] = ()) -> None:
    try:
        check_writable(directory, files)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            name,
            f"cannot write into {clean(repr(str(directory)))} ({reason(error)}); "
            f"give another as --{name}",
        ) from error
