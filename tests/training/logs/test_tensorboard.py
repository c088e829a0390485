"""TensorBoard itself, started on what a training wrote."""

import json
import shutil
import subprocess
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard_server import serving
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback
from lightning_shap.analysis.history.numbers import DESCRIPTIONS

pytestmark = [pytest.mark.draws, pytest.mark.integration]

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Classifier(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

    def forward(self, images):
        return self.net(images)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(images, torch.arange(16) % 3), batch_size=8)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=12,
        logger=TensorBoardLogger(folder, name="run"),
        callbacks=[ShapCallback(n_samples=2, max_evals=6, save_dir=str(folder / "pictures"))],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(Classifier(), loader, loader)
    return folder


@pytest.fixture(scope="module")
def server(logdir):
    """TensorBoard's address; it has begun to serve the run's pictures."""

    def has_pictures(address):
        return fetch_json(f"{address}/data/plugin/images/tags")

    with serving(logdir, has_pictures, "--samples_per_plugin=images=1000") as address:
        yield address


def fetch_json(url):
    with urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def pictures_of(server, tag):
    (run,) = fetch_json(f"{server}/data/plugin/images/tags")
    query = f"run={quote(run, safe='')}&tag={quote(tag, safe='')}&sample=0"
    return fetch_json(f"{server}/data/plugin/images/images?{query}")


def test_every_epoch_and_the_control_are_on_one_slider(server):
    steps = [picture["step"] for picture in pictures_of(server, "shap/attributions")]
    assert steps == list(range(-1, 25, 2))


def test_the_final_model_has_a_tag_of_its_own(server):
    assert [picture["step"] for picture in pictures_of(server, "shap_final/attributions")] == [23]


def test_a_fetched_picture_is_the_one_that_was_drawn(server, logdir, tmp_path):
    last = pictures_of(server, "shap_final/sheet")[-1]
    with urlopen(f"{server}/data/plugin/images/individualImage?{last['query']}", timeout=30) as it:
        fetched = Image.open(it)
        fetched.load()
    saved = Image.open(logdir / "pictures/shap_final/attributions-step=23.png")
    loss = np.abs(np.asarray(fetched.convert("RGB")).astype(int) - np.asarray(saved))
    assert loss.mean() < 2  # of its encoding, which the file goes without


def test_the_numbers_and_the_settings_stand_beside_it(server):
    scalars = fetch_json(f"{server}/data/plugin/scalars/tags")
    (tags,) = scalars.values()
    assert {"shap/where_border", "shap_more/seconds", "shap_more/where_top_left"} <= set(tags)
    images = fetch_json(f"{server}/data/plugin/images/tags")
    assert len([tag for tag in {**tags, **next(iter(images.values()))} if tag[:5] == "shap/"]) <= 10
    for tag, about in tags.items():
        if tag.startswith("shap"):
            assert DESCRIPTIONS[tag.partition("/")[2]] in about["description"]
    assert not any(tag.startswith("shap_final") for tag in tags)
    texts = fetch_json(f"{server}/data/plugin/text/tags")
    (words,) = texts.values()
    assert {"shap/settings/text_summary", "shap_final/numbers/text_summary"} <= {*words}


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium is not installed")
def test_the_page_shows_the_picture_in_a_browser(server, tmp_path):
    screenshot = tmp_path / "page.png"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--window-size=1400,1600", "--virtual-time-budget=15000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={screenshot}"]
    subprocess.run([*command, f"{server}/#images"], check=True, timeout=120, capture_output=True)
    page = np.asarray(Image.open(screenshot).convert("RGB")).astype(int)
    # TensorBoard's own page is grey and orange; strong red and blue are our heat maps'.
    red = ((page[..., 0] - page[..., 2] > 90) & (page[..., 0] - page[..., 1] > 90)).sum()
    blue = (page[..., 2] - page[..., 0] > 90).sum()
    assert red > 500
    assert blue > 500
