from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage.data import chelsea
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_grid import an_explanation
from torch.utils.tensorboard import SummaryWriter

from lightning_shap import plot
from lightning_shap.page.tensorboard import add_picture
from lightning_shap.pictures.encoded import encode


@pytest.fixture(scope="module")
def picture():
    """A grid of photographs, which are what suffers most from a loss."""
    cat = chelsea()[50:250, 100:300] / 255
    values = np.zeros((2, 200, 200, 3, 2))
    values[:, :90, 60:] = [0.3, -1]
    return plot(an_explanation(values, data=np.stack([cat, cat[::-1]])), title="epoch 3")


def decoded(content):
    return np.asarray(Image.open(BytesIO(content))).astype(int)


def test_an_encoded_picture_is_the_drawn_one_but_for_what_no_eye_sees(picture):
    loss = np.abs(decoded(encode(picture)) - picture)
    assert loss.mean() < 2
    assert np.percentile(loss, 99) < 20
    paper = (picture == 255).all(2)
    paper[1:] &= paper[:-1].copy()
    assert np.percentile(loss[paper], 99) < 12


def test_an_encoded_picture_takes_a_fraction_of_a_png(picture):
    png = BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    assert len(encode(picture)) < 0.4 * len(png.getvalue())


def test_equal_pictures_make_equal_bytes(picture):
    assert encode(picture) == encode(picture.copy())


def test_tensorboard_reads_a_picture_and_what_stands_around_it(picture, tmp_path):
    writer = SummaryWriter(tmp_path)
    for step in range(3):
        writer.add_scalar("loss", 0.5, step)
        add_picture(writer, "shap/attributions", picture, step)
    assert not vars(writer.file_writer.event_writer._async_writer._writer).keys() - {"_writer"}
    writer.add_scalar("loss", 0.5, 3)
    writer.close()
    # It stops at the first record whose checksum is wrong.
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2, 3]
    last = events.Images("shap/attributions")[2]
    assert (last.step, last.height, last.width) == (2, *picture.shape[:2])
    assert last.encoded_image_string == encode(picture)


def test_the_file_is_the_one_that_tensorboard_would_have_written(picture, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1.0)
    files = []
    for quick in (True, False):
        writer = SummaryWriter(tmp_path / str(quick))
        if not quick:
            monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter", object)
        add_picture(writer, "shap/attributions", picture, 0)
        writer.close()
        (file,) = (tmp_path / str(quick)).iterdir()
        files.append(file.read_bytes())
    assert files[0] == files[1]


def test_a_writer_of_another_kind_gets_the_picture_as_it_is(picture):
    added = []

    class Experiment:
        def add_image(self, tag, image, step, dataformats):
            added.append((tag, image, step, dataformats))

        def _get_file_writer(self):
            raise AssertionError("tensorboardX has one of this name, for records of its own")

    add_picture(Experiment(), "shap/attributions", picture, 4)
    assert added == [("shap/attributions", picture, 4, "HWC")]
