"""A finished training as users have it: a directory of weights and a folder of images."""

import numpy as np
import timm
import torch
from PIL import Image

from lightning_shap.command.model import load
from lightning_shap.command.model.find import find_weights

ARCHITECTURE = "test_efficientnet_gn"
CLASSES = ["bébé ours", "cat", "dög"]
SIZE = ["--crop_size", "32"]


def network(classes=3, name=ARCHITECTURE, seed=0, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = timm.create_model(name, num_classes=classes, **kwargs).eval()
        for parameter in model.parameters():  # a fresh head is zero, and would explain nothing
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def weights_in(folder, model, file="best_model.pth", name=ARCHITECTURE):
    directory = folder / name
    directory.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.state_dict()}, directory / file)
    return directory


def load_model(directory, **asked):
    return load.load_model(find_weights(directory), **asked)


def picture(seed, mode="RGB", size=(40, 36)):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode=None)


def class_folders(folder, classes=CLASSES, each=3):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            picture(10 * number + index).save(folder / name / f"{index} é.png")
    return folder


def flags(directory, dataset, *more):
    paths = ["--model_output_dir", str(directory), "--dataset", str(dataset)]
    return [*paths, *SIZE, "--max_evals", "6", "--no-progress", *map(str, more)]
