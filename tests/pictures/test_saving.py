"""Explanations as files and in notebooks."""

from io import BytesIO

import numpy as np
import pytest
from generic_model import Generic, generic_images
from PIL import Image

import lightning_shap
from lightning_shap import explain, plot, save

SHAPE = (3, 8, 8)


@pytest.fixture(scope="module")
def explanation():
    return explain(
        Generic(SHAPE, classes=3, seed=2), generic_images(3, *SHAPE, seed=5), max_evals=9
    )


def pixels(file):
    return np.asarray(Image.open(file))


def test_the_ending_says_what_is_saved(explanation, tmp_path):
    numbers = save(explanation, tmp_path / "new" / "e.npz")
    np.testing.assert_array_equal(lightning_shap.load(numbers).values, explanation.values)
    picture = save(explanation, tmp_path / "e.png", title="three")
    np.testing.assert_array_equal(pixels(picture), plot(explanation, title="three"))
    np.testing.assert_array_equal(
        pixels(save(plot(explanation), tmp_path / "p.png")), plot(explanation)
    )


def test_a_folder_gets_a_picture_of_each_image(explanation, tmp_path):
    folder = save(explanation, tmp_path / "each", style="contour")
    assert sorted(file.name for file in folder.iterdir()) == ["0.png", "1.png", "2.png"]
    np.testing.assert_array_equal(
        pixels(folder / "1.png"), plot(explanation, rows=[1], style="contour")
    )
    alone = save(explanation[2], tmp_path / "alone")
    assert [file.name for file in alone.iterdir()] == ["0.png"]


def test_an_error_names_the_argument(explanation, tmp_path):
    with pytest.raises(ValueError, match=r"path: got '.*e\.jpg'; end it in \.npz or \.png"):
        save(explanation, tmp_path / "e.jpg")
    with pytest.raises(ValueError, match="look: got style, and numbers have no look"):
        save(explanation, tmp_path / "e.npz", style="tiles")


@pytest.mark.parametrize("item", [np.s_[:], np.s_[1:2], 0, np.s_[..., 1], np.s_[0, ..., 1]])
def test_a_notebook_shows_an_explanation_and_each_slice(explanation, item):
    piece = explanation[item]
    np.testing.assert_array_equal(pixels(BytesIO(piece._repr_png_())), plot(piece))
    np.testing.assert_array_equal(np.asarray(piece.plot(style="tiles")), plot(piece, style="tiles"))
