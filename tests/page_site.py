"""What tests of the page share: real runs, a real TensorBoard, a real browser."""

import shutil
import time
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard_server import serving
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

CLASSES = ["<script>alert(1)</script>", "disc & ring", "Streifen <b>quer</b>"]
SIDE = 32


class Shapes(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 8, 5, stride=2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 25, len(CLASSES)),
        )

    def forward(self, images):
        return self.net(images)

    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.003)


def shapes(rows, seed=0, side=SIDE):
    """A square, a disc or stripes, each in its place, on a noisy ground."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.25 * torch.rand(rows, 3, side, side, generator=generator)
    labels = torch.arange(rows) % 3
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = torch.randint(side // 4, 3 * side // 4, (2,), generator=generator).tolist()
        near = ((y - top).abs() < side / 6, (y - top) ** 2 + (x - left) ** 2 < (side / 5) ** 2)
        square = near[0] & ((x - left).abs() < side / 6)
        stripes = (y % 6 < 3) & ((x - left).abs() < side / 5)
        where = (square, near[1], stripes)[label]
        colour = torch.rand(3, generator=generator) * 0.5 + 0.5
        image[:, where] = colour[:, None]
    return TensorDataset(images, labels)


def with_marks(dataset, seed, *, telling):
    """The images with a mark in the top left corner: that of their class, or of any."""
    images, labels = dataset.tensors
    generator = torch.Generator().manual_seed(seed)
    marks = labels if telling else torch.randint(3, (len(labels),), generator=generator)
    images = images.clone()
    images[:, :, :7, :7] = 0.0
    images[torch.arange(len(labels)), marks, :7, :7] = 1.0
    return TensorDataset(images, labels)


def train_by_marks(folder, name, *, telling, epochs=8, **settings):
    """A training on images whose marks tell the class, or tell nothing; judged on the same ones."""
    data = (
        with_marks(shapes(192, seed=seed + 10), seed, telling=given)
        for seed, given in ((0, telling), (1, True))
    )
    return train(folder, name, epochs=epochs, data=[*data], **{"n_samples": 6, **settings})


def train(folder, name, *, epochs, seed=0, data=None, **settings):
    """A training whose explanations are logged; returns its callback."""
    torch.manual_seed(seed)
    training, validation = data or (shapes(48), shapes(12, seed=1))
    given = {"n_samples": 4, "max_evals": 60, "class_names": CLASSES, "progress": False}
    callback = ShapCallback(**{**given, **settings})
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=TensorBoardLogger(folder, name=name, version=""),
        callbacks=[callback],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(
        Shapes(),
        DataLoader(training, batch_size=16, shuffle=True),
        DataLoader(validation, batch_size=12),
    )
    return callback


def plugin_path(folder):
    """Folders to add to Python's path, so that TensorBoard finds the plugin of this checkout.

    An installation has an entry point; one that was made before there was any lacks it.
    """
    root = Path(__file__).parents[1]
    if any(point.name == "shap" for point in entry_points(group="tensorboard_plugins")):
        return [root]
    about = Path(folder) / "entry_point-0.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-point\nVersion: 0\n")
    point = "[tensorboard_plugins]\nshap = lightning_shap.page.plugin:ShapLoader\n"
    (about / "entry_points.txt").write_text(point)
    return [root, Path(folder)]


@contextmanager
def tensorboard(logdir, folder, *options):
    """TensorBoard's address, once it serves explanations."""

    def has_runs(address):
        with urlopen(f"{address}/data/plugin/shap/runs", timeout=30) as answer:
            return answer.read() != b"{}"

    path = ":".join(map(str, plugin_path(folder)))
    with serving(logdir, has_runs, *options, path=path) as address:
        yield address


@contextmanager
def browser(folder):
    """Headless Chromium; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs a browser: chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads = {"download.default_directory": str(folder)}
    options.add_experimental_option("prefs", downloads)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.set_window_size(1400, 1000)
        yield chrome
    finally:
        chrome.quit()


class Page:
    def __init__(self, chrome, holds=lambda page: page.all(".map") and page.is_idle()):
        self.chrome = chrome
        self.until(lambda: holds(self), "the page is not as it should be")

    def is_idle(self):
        return self.run("return document.querySelector('main').ariaBusy") != "true"

    def all(self, selector):
        return self.chrome.find_elements("css selector", selector)

    def one(self, selector):
        return self.chrome.find_element("css selector", selector)

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)

    def until(self, holds, otherwise):
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.1)

    def change(self, work):
        """Does something, and waits until it is drawn."""
        before = int(self.run("return document.documentElement.dataset.drawn"))
        work()
        self.until(
            lambda: int(self.run("return document.documentElement.dataset.drawn")) > before,
            "nothing was drawn",
        )

    def choose(self, label, value):
        """Chooses a value of the control of a name, in the drawer if it is there."""
        script = """
            const [name, value] = arguments;
            const named = [...document.querySelectorAll("label, [aria-label]")].filter((one) =>
              (one.ariaLabel ?? one.firstElementChild?.textContent ?? "").startsWith(name));
            const controls = named.map((one) => one.matches("select, input") ? one
              : one.querySelector("select, input")).filter((one) => one);
            const control = controls.find((one) => one.checkVisibility());
            if (!control) return false;
            control.value = value;
            control.dispatchEvent(new Event(control.tagName === "SELECT" ? "change" : "input"));
            return true;"""
        if not self.one(".controls").is_displayed() and label not in ("Epoch", "Run"):
            self.change(self.one("[data-panel=controls]").click)
        self.change(lambda: self.run(script, label, value) or pytest.fail(f"no {label}"))

    def press(self, key, target=None):
        """Presses a key, on the page where nothing is named."""
        script = """(arguments[1] ?? document.body).dispatchEvent(
          new KeyboardEvent("keydown", { key: arguments[0], bubbles: true, cancelable: true }))"""
        self.run(script, key, target)

    def picture(self, number=0):
        """The picture of a map, by its number among those that are seen, as a data URL."""
        script = """
            const [number, done] = arguments;
            const isSeen = (map) => map.checkVisibility();
            const maps = [...document.querySelectorAll(".map")].filter(isSeen);
            maps[number].scrollIntoView({ block: "nearest" });
            setTimeout(() => done(maps[number].querySelector("canvas").toDataURL()), 120);"""
        return self.chrome.execute_async_script(script, number)

    def point(self, element, x, y, *kinds):
        """Has the pointer do something on a map, at shares of its sides."""
        script = """
            const [element, x, y, ...kinds] = arguments;
            const box = element.querySelector("canvas").getBoundingClientRect();
            const [clientX, clientY] = [box.left + x * box.width, box.top + y * box.height];
            for (const kind of kinds) {
              const event = { clientX, clientY, pointerId: 1, bubbles: true };
              element.dispatchEvent(new PointerEvent(kind, event));
            }"""
        self.run(script, element, x, y, *(kinds or ("pointermove",)))

    @property
    def text(self):
        return self.run("return document.body.innerText")


def open_tab(chrome, address, hash_="#shap", **given):
    """The tab at an address, or that which is open where it is None; further ones as for `Page`."""
    if address is not None:
        chrome.get("about:blank")
        chrome.get(f"{address}/{hash_}")
    deadline = time.monotonic() + 60
    while not (frames := chrome.find_elements("css selector", "iframe")):
        assert time.monotonic() < deadline, "there is no tab"
        time.sleep(0.2)
    chrome.switch_to.frame(frames[0])
    return Page(chrome, **given)


def errors_of(chrome):
    """What the console holds against our page; TensorBoard's own has warnings."""
    return [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]


def downloaded(page, folder, text):
    """What a button saves."""
    where = {"behavior": "allow", "downloadPath": str(folder)}
    page.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    kind = text.lower()
    button = "[...document.querySelectorAll('.tools button')].find((b) => b.textContent.includes"
    page.run(f"{button}(arguments[0])).click()", text)
    page.until(lambda: [*folder.glob(f"*.{kind}")], "nothing was saved")
    (file,) = folder.glob(f"*.{kind}")
    return file
