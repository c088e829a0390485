"""What the classes are called, found in real data sets and models and in what looks like them."""

from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageNet, VisionDataset
from torchvision.models import resnet18

from lightning_shap.engine.class_names import find_class_names, find_task
from lightning_shap.training.samples.samples import find_data_names


class Head(nn.Linear):
    """A classifier as Hugging Face's are: its configuration is its backbone's, too."""

    def __init__(self, labels, problem_type=None):
        super().__init__(2, len(labels))
        self.config = SimpleNamespace(id2label=labels, problem_type=problem_type)
        self.num_labels = len(labels)
        self.backbone = nn.Linear(2, 2)
        self.backbone.config = self.config


# Data sets


@pytest.mark.parametrize("wrap", ["dataset", "subset"])
def test_class_names_are_found_behind_wrappers(wrap):
    inner = SimpleNamespace(classes=["a", "b"])
    assert find_data_names([SimpleNamespace(**{wrap: inner})]) == ["a", "b"]


def test_class_names_are_found_behind_loaders_and_subsets():
    dataset = VisionDataset("")
    dataset.classes = ("a", "b")
    assert find_data_names([DataLoader(Subset(dataset, [0]))]) == ["a", "b"]


def test_of_several_names_for_a_class_the_first_will_do_where_it_is_its_own(tmp_path, monkeypatch):
    """As torchvision's ImageNet has them."""
    wnids = {
        "n1": ("tench", "Tinca tinca"),
        "n2": ("maillot",),
        "n3": ("maillot", "tank suit"),
        "n4": ("crane",),
    }
    for wnid in wnids:
        (tmp_path / "val" / wnid).mkdir(parents=True)
        (tmp_path / "val" / wnid / "1.jpeg").write_bytes(b"")
    torch.save((wnids, []), tmp_path / "meta.bin")
    monkeypatch.setattr(ImageNet, "parse_archives", lambda _: None)
    names = find_data_names([ImageNet(tmp_path, "val")])
    assert names == ["tench", "maillot", "maillot, tank suit", "crane"]


@pytest.mark.parametrize("classes", [[0, 1], [], None, "ab", [["a", "b"]], [()]])
def test_what_are_no_names_are_not_taken_for_names(classes):
    assert find_data_names([SimpleNamespace(classes=classes)]) is None


# Models


def test_names_are_in_the_order_of_their_numbers_whatever_json_made_of_them():
    labels = {str(number): f"name {number}" for number in (2, 10, 0, 1, *range(3, 10))}
    assert find_class_names(Head(labels), 11) == [f"name {number}" for number in range(11)]


@pytest.mark.parametrize(
    "labels", [{0: "LABEL_0", 1: "LABEL_1"}, {1: "a", 2: "b"}, {0: "a", 5: "b"}]
)
def test_placeholders_and_numbers_that_are_missing_are_no_names(labels):
    assert find_class_names(Head(labels), 2) is None


def test_a_backbone_does_not_name_the_outputs_of_another_head():
    head = Head({0: "a", 1: "b"})
    assert find_class_names(nn.Sequential(head), 2) == ["a", "b"]
    assert find_class_names(nn.Sequential(head.backbone, nn.Linear(2, 2)), 2) is None
    assert find_class_names(head, 3) is None


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (lambda: timm.create_model("test_vit"), True),
        (lambda: nn.Sequential(timm.create_model("test_vit")), True),
        (lambda: timm.create_model("test_vit", num_classes=1001), False),
        (lambda: nn.Sequential(timm.create_model("test_vit", num_classes=0)), False),
        (lambda: timm.create_model("test_vit", pretrained_cfg_overlay={"tag": "untrained"}), False),
        (lambda: nn.Linear(2, 1000), False),
        (lambda: resnet18(), False),
    ],
)
def test_a_thousand_outputs_are_imagenets_only_where_timms_configuration_says_so(model, known):
    names = find_class_names(model(), 1000)
    assert (names is not None) == known
    if names is not None:
        assert (names[0], names[207]) == ("tench", "golden retriever")
        assert len(set(names)) == 1000


def test_label_names_of_timms_hub_come_first():
    model = timm.create_model("test_vit", num_classes=2)
    model.pretrained_cfg = {**model.pretrained_cfg, "label_names": ("a", "b")}
    assert find_class_names(model, 2) == ["a", "b"]


def test_a_function_knows_no_names():
    assert find_class_names(lambda x: x, 3) is None
    assert find_task(lambda x: x) is None


@pytest.mark.parametrize("task", ["regression", "multi_label_classification", None])
def test_the_task_of_a_hugging_face_model_is_known(task):
    head = Head({0: "a"}, task)
    assert find_task(nn.Sequential(head)) == task
    assert find_task(head.backbone) is None


# The real ones


def test_a_real_hugging_face_model_says_its_names_and_task():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=16,
        patch_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        id2label={"1": "b", "0": "a"},
        problem_type="regression",
    )
    model = transformers.ViTForImageClassification(config)
    assert find_class_names(model, 2) == ["a", "b"]
    assert find_class_names(model.vit, 2) is None
    assert find_task(model) == "regression"
    config.id2label = transformers.ViTConfig(num_labels=2).id2label
    assert find_class_names(model, 2) is None


def test_a_real_hugging_face_data_set_says_its_names():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = datasets.Dataset.from_dict({"label": [0, 1, 0]}, features=features)
    assert find_data_names([DataLoader(rows)]) == ["cat", "dog"]
