"""The command's options: names, types, defaults and help, before anything heavy is imported.

Each class is a group of flags. :class:`Explanation` repeats the arguments of
:func:`lightning_shap.explain` that can be typed on a command line, since reading them from the
function itself would import torch and shap for every ``--help``; a test holds the two together.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from lightning_shap.engine.methods.registry import MethodName, RegionsName
from lightning_shap.errors import MOST_EVALUATIONS, MOST_SEED, MOST_SIDE

MOST_IMAGES = 10**9
MOST_THREADS = 256


def set_limits(least: int, most: int | None = None) -> dict[str, int | None]:
    """Returns the bounds of an option of whole numbers, for its metadata."""
    return {"least": least, "most": most}


@dataclass(frozen=True)
class Model:
    """The model.

    Args:
        model_output_dir: Directory of a trained model, or one file of weights; the first argument
            where it has no name.
        model_name: timm architecture; that of the checkpoint or the directory's base name where
            not given.
        model_class: Own class or function, package.module.name, for what is no timm model, such as
            torchvision.models.resnet18.
        module: Attribute of the model that is the classifier, or of several networks in a file the
            one to take; that of the checkpoint where not given.
        allow_pickle: Trust the file. Also load what can run code while it is read, and take paths
            from it. Only ever for files of your own.
        accelerator: cpu, cuda, mps or auto.
    """

    model_output_dir: str | None = None
    model_name: str | None = None
    model_class: str | None = None
    module: str | None = None
    allow_pickle: bool = False
    accelerator: str = "auto"


@dataclass(frozen=True)
class Data:
    """The images.

    Args:
        dataset: Folder of class folders (also below test/, val/ or train/), flat folder of images,
            or one image; that of the checkpoint where not given.
        n_samples: Number of images, drawn over the classes in turn, or all. Where neither this nor
            dataset is given, the very images that the training explained, if the checkpoint knows
            their files; else 8.
        crop_size: Side of the square that the model sees; the training's where not given.
        grayscale: Show the model its images in grey.
        mean: Subtracted from each channel in training (pixels from 0 to 1), where the checkpoint
            does not say.
        std: Divisor of each channel in training.
        num_workers: Threads that read images.
    """

    dataset: str | None = None
    n_samples: int | Literal["all"] | None = field(
        default=None, metadata=set_limits(1, MOST_IMAGES)
    )
    crop_size: int | None = field(default=None, metadata=set_limits(1, MOST_SIDE))
    grayscale: bool = False
    mean: list[float] | None = None
    std: list[float] | None = None
    num_workers: int = field(default=4, metadata=set_limits(0, MOST_THREADS))


@dataclass(frozen=True)
class Explanation:
    """The explanation, as lightning_shap.explain() takes it.

    Args:
        method: partition gives the Owen values of SHAP's PartitionExplainer, kernel the Shapley
            values of a grid of patches, both with error bars, gradient the expected gradients of
            SHAP's GradientExplainer.
        max_evals: Model rows an image may cost, the empty and the full image included.
        targets: Classes to explain, by number.
        topk: Explain the true class and each image's highest others, so many in all. With neither
            targets nor topk: all classes, or the four highest where there are more than ten.
        against: Explain why one class rather than another; runner-up for each image's highest
            other, or the number of a class.
        masker: What absent regions show: blur, blur(kw,kh) in pixels (width first), mean, samples
            (other images, in turn), inpaint_telea, inpaint_ns or a number.
        grid: Patches of kernel, a side or rows and columns; else as many as the budget resolves.
        regions: boxes for SHAP's rectangles, or the patches of kernel; image for regions that
            follow the image. Boxes where not given.
        backgrounds: Start of gradient; samples for the images themselves, an image that the masker
            empties where not given.
        output: The explained quantity, logit or probability; value for a model without classes, as
            with returns values.
        returns: Kind of the model's outputs, logits, probabilities, log-probabilities, or values
            of a model without classes, as in a regression; found out where not given.
        multi_label: Several classes may be true at once.
        batch_size: Rows per model call. It halves itself when memory runs out.
        precision: Precision of the model's calls, as trained, float32 or bf16, which is faster
            where the hardware knows it and less exact everywhere.
        class_names: Names in the order of the model's outputs; the class folders' sorted names
            where not given.
        seed: Seed of the draw of images and of all else that is random.
        progress: Show a bar once it is worth one.
    """

    method: MethodName = "partition"
    max_evals: int = field(default=500, metadata=set_limits(2, MOST_EVALUATIONS))
    targets: int | list[int] | None = field(default=None, metadata=set_limits(0))
    topk: int | None = field(default=None, metadata=set_limits(1))
    against: Literal["runner-up"] | int | list[int] | None = field(
        default=None, metadata=set_limits(0)
    )
    masker: float | str = "blur"
    grid: int | tuple[int, int] | None = field(default=None, metadata=set_limits(1, MOST_SIDE))
    regions: RegionsName | None = None
    backgrounds: Literal["samples"] | None = None
    output: Literal["logit", "probability", "value"] = "logit"
    returns: Literal["logits", "probabilities", "log-probabilities", "values"] | None = None
    multi_label: bool = False
    batch_size: int = field(default=64, metadata=set_limits(1))
    precision: Literal["as trained", "float32", "bf16"] = "as trained"
    class_names: list[str] | None = None
    seed: int = field(default=0, metadata=set_limits(0, MOST_SEED))
    progress: bool = True


@dataclass(frozen=True)
class Results:
    """The results.

    Args:
        output_dir: Folder of explanation.png, .npz and .json; beside the model where not given.
        report: Also write explanation.html, a page to explore it.
        style: Of the maps; what suits the images where not given.
        region: A place to say of what it contributes to each map, with its error where the method
            knows one; left, top, right and bottom in pixels of what the model sees.
        summary: Also write classes.png and classes.json, what the model looks at in each class over
            all images, and places that are suspicious; regions follow the image where neither
            regions nor a grid is given. As the first word, summary, it is this with 256 images and
            100 evaluations each, unless given otherwise.
        watch: Places that the summary proves whatever it finds suspicious, by names such as "bottom
            left corner", boxes left,top,right,bottom in pixels, files of masks, or the
            classes.json of an earlier run.
        cure: Also write classes_cure.py, an augmentation that takes from images what the summary
            found, and classes_masks.npz, where that is in the images of each class.
    """

    output_dir: str | None = None
    report: bool = False
    style: Literal["overlay", "tiles", "contour", "spotlight"] | None = None
    region: list[float] | None = None
    summary: bool = False
    watch: list[str] | None = None
    cure: bool = False


@dataclass(frozen=True)
class Options:
    """Everything a command says."""

    model: Model
    data: Data
    explanation: Explanation
    results: Results


GROUPS: dict[str, Any] = {
    "model": Model,
    "data": Data,
    "explanation": Explanation,
    "results": Results,
}
