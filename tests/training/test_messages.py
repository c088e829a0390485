"""Messages of a training are heard where they can be, and never end a training."""

import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lightning_shap.training import messages
from lightning_shap.training.messages import inform, warn

HERE = Path(__file__).parents[1]

# Both a logger and, later, the model fail, with words that ASCII does not have.
FITS = textwrap.dedent(
    """
    import io, json, logging, os, sys, warnings
    from tiny_training import FaultyClassifier, KeepingLogger, tiny_loaders, tiny_trainer
    from lightning_shap import ShapCallback

    class Größe(KeepingLogger):
        def log_image(self, key, images, step=None):
            raise ConnectionError("keine Verbindung · kein Bild")

    def fails_later(number, scores):
        if number > 8:
            raise RuntimeError("größer als gedacht")

    def fit():
        ours = ShapCallback(n_samples=2, max_evals=6)
        trainer = tiny_trainer(".", ours, logger=Größe(), max_epochs=6)
        trainer.fit(FaultyClassifier(fails_later), *tiny_loaders())
        return trainer.current_epoch

    logging.disable()  # Lightning's own messages; its warnings would end its own trainings here
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", message="ShapCallback")
    kept, epochs, words = sys.stderr, {}, {}

    sys.stderr = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    epochs["ascii"] = fit()
    sys.stderr.flush()
    words["ascii"] = sys.stderr.buffer.getvalue().decode()

    sys.stderr = io.StringIO()
    sys.stderr.close()
    epochs["closed"] = fit()

    sys.stderr = None
    epochs["none"] = fit()

    sys.stderr = kept
    descriptor = os.dup(2)
    os.close(2)
    epochs["closed below"] = fit()
    os.dup2(descriptor, 2)

    sys.stderr = io.StringIO()
    warnings.filterwarnings("error", message="ShapCallback")
    epochs["-W error"] = fit()
    words["-W error"] = sys.stderr.getvalue()
    sys.stderr = kept
    print(json.dumps([epochs, words]))
    """
)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """How far trainings came with each kind of standard error, and what it took of ours."""
    done = subprocess.run(
        [sys.executable, "-c", FITS],
        cwd=tmp_path_factory.mktemp("fits"),
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}", "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.integration
@pytest.mark.parametrize("how", ["ascii", "closed", "none", "closed below", "-W error"])
def test_no_warning_ends_a_training(fits, how):
    epochs, _ = fits
    assert epochs[how] == 6


@pytest.mark.integration
@pytest.mark.parametrize("how", ["ascii", "-W error"])
def test_what_cannot_be_a_warning_is_written_plainly(fits, how):
    _, words = fits
    assert words[how].count("could not log to Gr\\xf6\\xdfe: ConnectionError: keine Verb") == 1
    assert words[how].count("could not explain: RuntimeError: gr\\xf6\\xdfer als gedacht") == 3


class Unspeakable(io.TextIOBase):
    """A standard error that takes nothing."""

    def write(self, text):
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("say", [warn, inform])
def test_what_cannot_be_said_is_left_unsaid(say, monkeypatch):
    def refuse(*args, **options):
        raise UnicodeEncodeError("ascii", "·", 0, 1, "ordinal not in range(128)")

    import lightning_shap.training.messages as module

    monkeypatch.undo()  # the fixture of all tests, which would take what is written plainly
    monkeypatch.setattr(module, "rank_zero_warn", refuse)
    monkeypatch.setattr(module, "rank_zero_info", refuse)
    monkeypatch.setattr(sys, "stderr", Unspeakable())
    say("ShapCallback · nobody hears it")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    say("ShapCallback · heard")
    assert sys.stderr.getvalue() == "ShapCallback \\xb7 heard\n"


def test_a_warning_points_to_where_it_is_given():
    with pytest.warns(UserWarning, match="ShapCallback tries") as caught:
        warn("ShapCallback tries")
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_name_moves_the_cursor_of_a_terminal(monkeypatch):
    said = []
    monkeypatch.setattr(messages, "rank_zero_warn", lambda message, **_: said.append(message))
    warn("a class\x1b[2J\n  another\r·")
    assert said == ["a class\\x1b[2J\n  another\\r·"]
