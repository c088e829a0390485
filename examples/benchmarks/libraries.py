"""Small models of many libraries: their names, how each is made, and what it is called with.

``MODELS`` has a function for each library, that yields these. A library that is not installed
yields nothing. All are made with random weights; nothing is downloaded.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

Model = tuple[str, Callable[[], Any], Any]

MOST_WEIGHTS = 30e6
UNBUILT = nn.parameter.UninitializedParameter
IMAGES = torch.rand(2, 3, 16, 16)


def images(side: int, channels: int = 3, rows: int = 2) -> Callable[[], torch.Tensor]:
    """Returns what makes some images (rows, channels, side, side)."""
    generator = torch.Generator().manual_seed(0)
    return lambda: torch.rand(rows, channels, side, side, generator=generator)


def evaluated(model: Any) -> Any:
    """Returns a model in evaluation mode; exported ones have one mode only."""
    with suppress(NotImplementedError):
        model.eval()
    return model


def weights_of(make: Callable[[], Any]) -> float:
    """Returns how many weights a model would have; infinitely many if it is not made so."""
    try:
        with torch.device("meta"):
            return sum(weights.numel() for weights in make().parameters())
    except Exception:  # some compute while they are made, which needs numbers
        return float("inf")


def of_timm() -> Iterator[Model]:
    """Yields the smallest of three models of each module of timm."""
    import timm

    small = ("nano", "atto", "pico", "femto", "tiny", "xx_small", "mini", "small", "_s", "_0")
    for module in timm.list_modules():
        names = timm.list_models(module=module)
        named = [name for hint in small for name in names if hint in name]
        sizes = {
            name: weights_of(lambda name=name: timm.create_model(name))
            for name in [*named[:2], *names[:1]]
        }
        name = min(sizes, key=lambda name: sizes[name], default=None)
        if name is None or sizes[name] > MOST_WEIGHTS:
            continue
        side = timm.get_pretrained_cfg(name).input_size
        yield name, lambda name=name: timm.create_model(name), images(side[1], side[0], 1)


def of_torchvision() -> Iterator[Model]:
    """Yields all models of torchvision that classify, segment or detect, and three quantised."""
    from torchvision import models

    for name in models.list_models():
        home = models.get_model_builder(name).__module__
        options: dict[str, Any] = {"weights": None}
        if "detection" in home or "segmentation" in home:
            options["weights_backbone"] = None
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if name.startswith("quantized"):
            options["quantize"] = name in ("quantized_mobilenet_v2", "quantized_resnet18")

        def make(name: str = name, options: dict[str, Any] = options) -> Any:
            return models.get_model(name, **options)

        is_small = name.startswith("quantized") or weights_of(make) <= MOST_WEIGHTS
        if is_small and "video" not in home and "optical_flow" not in home:
            side = 299 if "inception" in name else 256 if name == "swin_v2_t" else 224
            yield name, make, None if "detection" in home else images(side, rows=1)


VIT = {
    **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 64, "image_size": 32, "patch_size": 8},
}
SWIN = {
    **{"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1]},
    **{"num_heads": [2, 2], "window_size": 4},
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
PLAIN: dict[str, Any] = {}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("ViT", "DeiT", "Beit", "Dinov2", "ViTMSN", "Data2VecVision"), VIT),
    **dict.fromkeys(("Swin", "Swinv2", "DonutSwin"), SWIN),
    **dict.fromkeys(("ConvNext", "ConvNextV2"), STAGES),
    "ResNet": {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8},
    "RegNet": {"hidden_sizes": [8, 16], "depths": [1, 1], "groups_width": 8},
    "EfficientNet": {"image_size": 64, "width_coefficient": 0.1, "hidden_dim": 256},
    "MobileViT": {"image_size": 64},
    "MobileViTV2": {"image_size": 64},
    "FocalNet": {"image_size": 64},
    **dict.fromkeys(("MobileNetV1", "MobileNetV2", "PoolFormer", "Cvt", "Segformer", "Bit"), PLAIN),
    **dict.fromkeys(("SwiftFormer", "PvtV2", "Levit", "HGNetV2", "TextNet"), PLAIN),
}
UNCALLED: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("Pvt", "Hiera"), PLAIN),
    "TimmWrapper": {"architecture": "resnet18"},
}


def of_transformers() -> Iterator[Model]:
    """Yields image classifiers of Hugging Face's, made tiny by their configurations."""
    import transformers

    for name, options in {**TRANSFORMERS, **UNCALLED}.items():

        def make(name: str = name, options: dict[str, Any] = options) -> Any:
            config = getattr(transformers, f"{name}Config")(num_labels=3, **options)
            return getattr(transformers, f"{name}ForImageClassification")(config)

        side = options.get("image_size", 224)
        yield name, make, images(side, rows=1) if name in TRANSFORMERS else None


def of_monai() -> Iterator[Model]:
    """Yields networks of MONAI."""
    from monai.data import MetaTensor
    from monai.networks import nets

    flat = {"spatial_dims": 2, "in_channels": 3}
    unet = {**flat, "out_channels": 3, "channels": (4, 8), "strides": (2,)}
    for name, options in {
        "DenseNet121": {**flat, "out_channels": 3},
        "resnet18": {"spatial_dims": 2, "n_input_channels": 3, "num_classes": 3},
        "SEResNet50": {**flat, "num_classes": 3},
        "EfficientNetBN": {**flat, "model_name": "efficientnet-b0", "pretrained": False},
        "ViT": {**flat, "img_size": (64, 64), "patch_size": (16, 16), "classification": True},
        "Classifier": {"in_shape": (3, 64, 64), "classes": 3, "channels": (4,), "strides": (2,)},
        "HighResNet": {**flat, "out_channels": 3},
        "UNet": unet,
        "AttentionUnet": unet,
        "SegResNet": {**flat, "out_channels": 3},
        "BasicUNet": {**flat, "out_channels": 3, "features": (4, 4, 8, 8, 8, 4)},
    }.items():
        yield name, lambda name=name, options=options: getattr(nets, name)(**options), images(64)

    class Keeps(nn.Module):
        """Keeps a tensor of MONAI's kind."""

        def __init__(self) -> None:
            super().__init__()
            self.reference, self.net = MetaTensor(torch.ones(3, 64, 64)), small()

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.net((batch * self.reference.as_tensor())[..., :16, :16])

    yield "MetaTensor on a module", Keeps, images(64)


def of_others() -> Iterator[Model]:
    """Yields models of segmentation_models_pytorch, torchgeo, open_clip and peft."""
    smp = importlib.import_module("segmentation_models_pytorch")
    for name in ("Unet", "UnetPlusPlus", "FPN", "Linknet", "MAnet", "PSPNet", "DeepLabV3"):
        for encoder in ("resnet18", "timm-mobilenetv3_small_minimal_100", "efficientnet-b0"):
            options = {"encoder_weights": None, "classes": 3, "aux_params": {"classes": 3}}

            def make(name: str = name, encoder: str = encoder, options: Any = options) -> Any:
                return getattr(smp, name)(encoder, **options)

            yield f"smp {name}, {encoder}", make, images(64)
    geo = importlib.import_module("torchgeo.models")
    for name in ("resnet18", "vit_small_patch16_224", "swin_v2_t"):
        yield f"torchgeo {name}", lambda name=name: geo.get_model(name), images(224, 3, rows=1)
    yield "torchgeo FarSeg", lambda: geo.FarSeg("resnet18", backbone_pretrained=False), images(64)
    yield "torchgeo RCF", lambda: geo.RCF(in_channels=3, features=8), images(64)
    clip = importlib.import_module("open_clip")
    tower = {"embed_dim": 16, "quick_gelu": False}
    vision = {"layers": 1, "width": 64, "image_size": 32, "patch_size": 16}
    text = {"layers": 1, "width": 16, "heads": 2, "vocab_size": 99}

    def encoder() -> Any:
        return clip.CLIP(**tower, vision_cfg=vision, text_cfg=text).visual

    yield "open_clip CLIP's images", encoder, images(32)
    peft = importlib.import_module("peft")
    for kind in ("LoraConfig", "LoHaConfig", "IA3Config"):

        def adapted(kind: str = kind) -> Any:
            options: dict[str, Any] = {"target_modules": ["5"]}
            options |= {"feedforward_modules": ["5"]} if kind == "IA3Config" else {}
            return peft.get_peft_model(small(), getattr(peft, kind)(**options))

        yield f"peft {kind}", adapted, IMAGES


# --- torch's own kinds ---------------------------------------------------------------------------


def small() -> nn.Sequential:
    """Returns a network for images of 16 px."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(4)),
        *(nn.Flatten(), nn.Linear(64, 3)),
    )


def after_a_call(model: Any) -> Any:
    """Returns a model that was called once, as some keep what they computed."""
    model(IMAGES)
    return model


def statically_quantised() -> Any:
    """Returns a network of whole numbers."""
    from torch.ao import quantization as ao

    model = nn.Sequential(ao.QuantStub(), small(), ao.DeQuantStub()).eval()
    model.qconfig = ao.get_default_qconfig("x86")
    return ao.convert(after_a_call(ao.prepare(model)))


class Recurrent(nn.Module):
    """Reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(16, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.head(self.rnn(batch[:, 0])[0][:, -1])


class Dropping(nn.Module):
    """Drops out by a function, which a graph of torch.fx has in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.head = small()[:5], nn.Linear(64, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.head(nn.functional.dropout(self.net(batch), 0.5, self.training))


def of_torch() -> Iterator[Model]:
    """Yields what torch makes of a network, and the models that the tests of isolation train."""
    from torch.ao.quantization import quantize_dynamic
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    from torchvision.models.feature_extraction import create_feature_extractor

    def averaged() -> Any:
        model = AveragedModel(small(), multi_avg_fn=get_ema_multi_avg_fn(0.9))
        model.update_parameters(small())
        return model

    def lazy() -> Any:
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))

    def scripted() -> Any:
        return torch.jit.script(small().eval())

    kinds: dict[str, Callable[[], Any]] = {
        "plain": small,
        "lazy, built": lambda: after_a_call(lazy()),
        "scripted": scripted,
        "scripted, frozen": lambda: torch.jit.freeze(scripted()),
        "compiled": lambda: after_a_call(torch.compile(small(), backend="eager")),
        "quantised dynamically": lambda: quantize_dynamic(small(), {nn.Linear}),
        "LSTM, quantised dynamically": lambda: quantize_dynamic(Recurrent()),
        "quantised statically": statically_quantised,
        "AveragedModel": lambda: AveragedModel(small()),
        "AveragedModel, exponential": averaged,
        "DataParallel": lambda: nn.DataParallel(small()),
        "exported": lambda: torch.export.export(small().eval(), (IMAGES,)).module(),
        "feature extractor": lambda: create_feature_extractor(Dropping(), {"head": "scores"}),
        "channels last": lambda: small().to(memory_format=torch.channels_last),
        "in shared memory": lambda: small().share_memory(),
    }
    yield from ((name, make, IMAGES) for name, make in kinds.items())
    yield "lazy, unbuilt", lazy, None
    yield "bfloat16", lambda: small().to(torch.bfloat16), IMAGES.to(torch.bfloat16)
    tests = Path(__file__).parents[2] / "tests"
    sys.path[:0] = [str(tests), str(tests / "isolation")]
    for kind in importlib.import_module("test_unusual_models").MODELS:
        yield kind.__name__, kind, images(8, 1)


MODELS: dict[str, Callable[[], Iterator[Model]]] = {
    "timm": of_timm,
    "torchvision": of_torchvision,
    "transformers": of_transformers,
    "MONAI": of_monai,
    "torch": of_torch,
    "others": of_others,
}
