"""Class names: what data sets and models call the classes, where nobody gave names.

Libraries are recognised by what their objects know, so that none of them needs to be installed.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lightning_shap.explanation.classes import Classes
from lightning_shap.isolation.modes import module_of

PLACEHOLDER = re.compile(r"LABEL_\d+")  # what Hugging Face calls classes that have no name


def find_class_names(model: Callable[..., Any], outputs: int) -> list[str] | None:
    """Returns the class names that a model carries, if they are known to be of its K outputs.

    They are in the ``config.id2label`` of a Hugging Face classifier, or the ``label_names`` of a
    timm one. A timm model of ImageNet's thousand classes, whose configuration says so, has
    ImageNet's names.
    """
    module = module_of(model)
    for part in () if module is None else module.modules():
        for names in _list_names(part):
            if names is not None and len(names) == outputs:
                return names
    return None


def find_task(model: Callable[..., Any]) -> str | None:
    """Returns the ``config.problem_type`` of a Hugging Face classifier in a model.

    It is ``"regression"``, ``"single_label_classification"``, ``"multi_label_classification"`` or
    None.
    """
    module = module_of(model)
    heads = () if module is None else filter(_is_hugging_face_head, module.modules())
    return next((getattr(vars(head)["config"], "problem_type", None) for head in heads), None)


def read_timm_config(part: torch.nn.Module) -> Mapping[str, Any]:
    """Returns the ``pretrained_cfg`` of one of timm's networks, nothing of any other module."""
    config = vars(part).get("pretrained_cfg")
    return config if isinstance(config, Mapping) else {}


def _list_names(part: torch.nn.Module) -> Iterator[list[str] | None]:
    own = vars(part)  # a module is slow to say that it lacks an attribute
    if _is_hugging_face_head(part):
        yield _sort_by_number(own["config"].id2label)
    weights = read_timm_config(part)
    yield read_names(weights.get("label_names"))
    # The name of the weights says what they learnt last: "a1_in1k", "augreg_in21k_ft_in1k".
    of_imagenet = weights.get("num_classes") == 1000 and "in1k" in str(weights.get("tag"))
    if of_imagenet and own.get("num_classes") == 1000:
        yield _read_imagenet_names()


def _is_hugging_face_head(part: torch.nn.Module) -> bool:
    """Returns whether a module has an output for each label, as its backbone has not."""
    own = vars(part)
    labels = getattr(own.get("config"), "id2label", None)
    return isinstance(labels, Mapping) and isinstance(own.get("num_labels"), int)


def _sort_by_number(labels: Mapping[Any, Any]) -> list[str] | None:
    """Returns names in the order of their numbers, which JSON turns into text."""
    numbered = {int(number): str(name) for number, name in labels.items()}
    if sorted(numbered) != list(range(len(numbered))):
        return None
    names = [numbered[number] for number in range(len(numbered))]
    return None if all(map(PLACEHOLDER.fullmatch, names)) else names


def _read_imagenet_names() -> list[str]:
    from torchvision.models import ResNet50_Weights  # which timm has imported

    return list(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def read_names(classes: Any) -> list[str] | None:
    """Class names, if that is what these are; of several names for a class, the first will do.

    It will not where two classes share it, as ImageNet's maillots do: these keep all of theirs.
    """
    if not isinstance(classes, (list, tuple)) or not classes:
        return None
    synonyms = [(item,) if isinstance(item, str) else item for item in classes]
    if not all(isinstance(s, tuple) and s and all(map(_is_text, s)) for s in synonyms):
        return None
    firsts = [names[0] for names in synonyms]
    return [", ".join(names) if firsts.count(names[0]) > 1 else names[0] for names in synonyms]


def _is_text(item: Any) -> bool:
    return isinstance(item, str)


def name_classes(
    class_names: Sequence[str] | None, classes: Classes, *, found: bool = False
) -> np.ndarray:
    """Returns a name for each class, default ones where none are given.

    Args:
        class_names: As given, or None.
        classes: What the outputs stand for.
        found: Nobody gave the names: where they are too many or too few they are left out.
    """
    try:
        return classes.name(class_names)
    except ValueError:
        if not found:
            raise
    warnings.warn(
        f"class_names: the data set knows {len(class_names or ())}, the model has "
        f"{classes.outputs} outputs; they are left out",
        stacklevel=4,
    )
    return classes.name(None)
