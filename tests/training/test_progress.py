"""A bar appears only where it is worth one, and in the manner of the trainer's own."""

import time
from importlib.util import find_spec

import pytest
from pytorch_lightning.callbacks import ProgressBar, TQDMProgressBar
from tiny_training import FaultyClassifier, fit, lightning_warns, tiny_callback

from lightning_shap.engine.progress import show_bar
from lightning_shap.training import progress_bar as progress

pytestmark = lightning_warns


def fit_with(bar, tmp_path, pause=0.0, **arguments):
    """Trains with a progress bar or none, and a model that takes its time."""
    module = FaultyClassifier(lambda number, scores: time.sleep(pause))
    ours = tiny_callback(n_samples=2, max_evals=16, **arguments)
    fit(tmp_path, ours, *bar, module=module, enable_progress_bar=bool(bar), max_epochs=1)


def test_a_long_explanation_has_a_bar_beside_lightnings(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0.02)
    fit_with([TQDMProgressBar()], tmp_path, pause=0.05)
    assert "Explaining" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bar", "arguments"),
    [([TQDMProgressBar()], {"progress": False}), ([], {}), ([ProgressBar()], {})],
)
def test_no_bar_is_shown_where_none_is_wanted(tmp_path, monkeypatch, capsys, bar, arguments):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    fit_with(bar, tmp_path, **arguments)
    assert "Explaining" not in capsys.readouterr().err


def test_a_short_explanation_has_no_bar(tmp_path, capsys):
    fit_with([TQDMProgressBar()], tmp_path)
    assert "Explaining" not in capsys.readouterr().err


def test_a_bar_shows_what_is_done_of_what_is_allowed(capsys):
    with show_bar("explaining", 8, delay=0) as show:
        assert "explaining:   0%" in capsys.readouterr().err
        time.sleep(0.15)  # tqdm draws ten times a second
        show(3, 6)
        assert "explaining:  50%" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("rich") is None, reason="rich is not installed")
def test_rich_bars_are_left_alone(tmp_path, monkeypatch, capsys):
    from pytorch_lightning.callbacks import RichProgressBar

    monkeypatch.setattr(progress, "DELAY", 0.0)
    fit_with([RichProgressBar(console_kwargs={"force_terminal": True})], tmp_path)
    assert "Explaining" not in "".join(capsys.readouterr())
