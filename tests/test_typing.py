"""What a type checker makes of a user's script: it flags each misuse, and nothing else."""

import re
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]

SCRIPT = """
import torch
from torch.utils.data import TensorDataset
IMPORTS

import lightning_shap
from lightning_shap import ShapCallback, explain, load, plot

images, labels = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))


def scores(raw: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return raw[0]


# As it is meant
callback = ShapCallback(8, masker=0.5, time_budget="10%", mean=0.5, std=[0.5], topk=2)
ShapCallback(samples=[0, 5], method="kernel", grid=4, targets=1, output="probability")
ShapCallback(samples=(images, labels), method="kernel", grid=(4, 5), targets=[0, 2], output=scores)
ShapCallback(samples=images, class_names=("cat", "dog"))
ShapCallback(samples=TensorDataset(images, labels), output=lambda raw: raw.logits)
explanation = explain(network, images, topk=1, labels=labels, masker=lambda images: images * 0)
plot(explanation, title="final")
load("runs/explanation.npz")
if callback.explanation is not None:
    len(callback.explanation)

# As it is not
ShapCallback(max_eval=50)  # wrong: misspelt
ShapCallback(8, [0, 5])  # wrong: a second argument by position
ShapCallback(samples=5)  # wrong: a count, or an index
ShapCallback(samples="val")  # wrong: a path
ShapCallback(method="shapley")  # wrong: no such method
ShapCallback(grid="4 x 4")  # wrong: words
ShapCallback(masker=None)  # wrong: no masker
ShapCallback(on_error="ignore")  # wrong: no such choice
ShapCallback(output="odds")  # wrong: no such output
ShapCallback(class_names=[0, 1])  # wrong: numbers
len(callback.explanation)  # wrong: there may be none yet
callback.explanations  # wrong: no such attribute
explain(network, images, "kernel")  # wrong: by position
explain(network, images, masker=[0.5])  # wrong: a list
explain(network, images, method="shapley")  # wrong: no such method
lightning_shap.explian(network, images)  # wrong: misspelt
"""

TRAINER = """
NAME.Trainer(callbacks=callback)
NAME.Trainer(callbacks=[callback])
NAME.Trainer(callbacks=[callback, NAME.Callback()], max_epochs=1).fit(NAME.LightningModule())
NAME.Trainer(callbacks=ShapCallback)  # wrong: the class
NAME.Trainer(callbacks=[callback, "shap"])  # wrong: a name
NAME.Trainer(callbacks=explain)  # wrong: a function
"""

# What users have: both names, or one of them, which the checker is then made not to find the other.
INSTALLED = {
    "both": ({"pl": "pytorch_lightning", "L": "lightning"}, ""),
    "pytorch_lightning": ({"pl": "pytorch_lightning"}, "lightning"),
}


def flagged(script, folder, missing):
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary"]
    if missing:
        settings = folder / "mypy.ini"
        settings.write_text(f"[mypy]\n[mypy-{missing},{missing}.*,shap.*]\nfollow_imports = skip\n")
        command += ["--config-file", str(settings), "--cache-dir", str(folder / "cache")]
    done = subprocess.run(
        [*command, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    errors = re.findall(r"^(.*?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert not done.stderr, done.stderr
    return {int(line): words for file, line, words in errors if Path(file).name == path.name}


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
@pytest.mark.parametrize(
    "installed", ["both", pytest.param("pytorch_lightning", marks=pytest.mark.slow)]
)
def test_each_misuse_is_flagged_and_nothing_else(installed, tmp_path):
    names, missing = INSTALLED[installed]
    imports = "\n".join(f"import {package} as {name}" for name, package in names.items())
    trainers = "".join(TRAINER.replace("NAME", name) for name in names)
    script = SCRIPT.replace("IMPORTS", imports) + trainers
    lines = dict(enumerate(script.splitlines(), start=1))
    wrong = {number for number, line in lines.items() if "# wrong" in line}
    found = flagged(script, tmp_path, missing)
    assert {lines[line]: found[line] for line in found.keys() - wrong} == {}
    assert [lines[line] for line in sorted(wrong - found.keys())] == []


def test_the_package_says_that_it_is_typed():
    assert files("lightning_shap").joinpath("py.typed").is_file()
