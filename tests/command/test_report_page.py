"""``--report``: the page of what the command explained."""

import json
import os
import re

import pytest
from finished_model import class_folders, flags, network, weights_in

from lightning_shap.command.main import main


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    return weights_in(root, network()), class_folders(root / "data")


def carried(path):
    """What a page carries."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="explanations">(.*?)</script>', text, re.DOTALL)[1])


def facts_in(path):
    (tags,) = carried(path)["runs"].values()
    (steps,) = tags.values()
    return [step["facts"] for step in steps]


def test_the_page_is_written_beside_the_archive(layout, tmp_path, capsys):
    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 3, "--report"))
    names = [f"explanation.{kind}" for kind in ("html", "json", "npz", "png")]
    assert sorted(name for name in os.listdir(tmp_path) if not name.startswith(".")) == names
    assert str(tmp_path / "explanation.html") in capsys.readouterr().out
    (facts,) = facts_in(tmp_path / "explanation.html")
    assert len(facts["rows"]) == 3
    assert facts["notes"] == []  # mean and std are known, and nothing was stretched

    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 3))
    assert not (tmp_path / "explanation.html").exists(), "it was of another explanation"
