import numpy as np
import pytest
import torch
from finished_model import class_folders, picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lightning_shap.command.data import files
from lightning_shap.command.data.folders import ImageSet, find_images
from lightning_shap.command.data.numbering import ASKED, find_order, number_as
from lightning_shap.command.data.preprocessing import Preprocessing, choose_preprocessing
from lightning_shap.command.data.reading import draw_order, read_samples
from lightning_shap.command.model.description import Description, read_settings
from lightning_shap.errors import ArgumentError


def prepare(channels=3, size=8, **kwargs):
    return Preprocessing(channels, (size, size), **kwargs)


# --- what a path stands for ----------------------------------------------------------------------


def test_class_folders_are_numbered_in_the_order_of_their_names(tmp_path):
    images = find_images(class_folders(tmp_path / "data", ["dög", "ant", "Bee"], each=2))
    assert images.class_names == ["Bee", "ant", "dög"]
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    folders = [name.split("/")[-2] for name in images.names]
    assert folders == ["Bee", "Bee", "ant", "ant", "dög", "dög"]


@pytest.mark.parametrize(
    "splits", [["train", "test"], ["train", "val"], ["train"], ["val", "test"]]
)
def test_the_test_split_comes_first(tmp_path, splits):
    for split in splits:
        class_folders(tmp_path / split, ["a", "b"])
    best = min(splits, key=["test", "val", "train"].index)
    assert {name.split("/")[-3] for name in find_images(tmp_path).names} == {best}


def test_a_split_that_lacks_a_class_keeps_the_numbers_of_the_others(tmp_path):
    class_folders(tmp_path / "train", ["a", "b", "c"])
    class_folders(tmp_path / "test", ["a", "c"])
    images = find_images(tmp_path)
    assert images.class_names == ["a", "b", "c"]
    assert set(images.labels) == {0, 2}


def test_a_class_may_be_called_train(tmp_path):
    images = find_images(class_folders(tmp_path / "data", ["car", "plane", "train"]))
    assert images.class_names == ["car", "plane", "train"]


def test_a_flat_folder_or_a_single_image_has_no_labels(tmp_path):
    picture(0).save(tmp_path / "b.png")
    picture(1).save(tmp_path / "a.JPG")
    (tmp_path / "notes.txt").write_text("no image")
    flat, single = find_images(tmp_path), find_images(tmp_path / "b.png")
    assert [name.rsplit("/")[-1] for name in flat.names] == ["a.JPG", "b.png"]
    assert flat.labels is None
    assert len(single.names) == 1


def test_an_older_explanation_is_no_image(tmp_path):
    for name in ("a.png", "explanation.png"):
        picture(0).save(tmp_path / name)
    assert find_images(tmp_path).names == [str(tmp_path / "a.png")]


def test_hidden_folders_are_no_classes(tmp_path):
    class_folders(tmp_path / "data", ["a", "b", ".ipynb_checkpoints"])
    class_folders(tmp_path / "data" / "a", [".ipynb_checkpoints"])
    picture(0).save(tmp_path / "data" / "a" / ".hidden.png")
    images = find_images(tmp_path / "data")
    assert images.class_names == ["a", "b"]
    assert len(images.names) == 6


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ArgumentError, match=r"dataset: .* holds no images"):
        find_images(tmp_path)


# --- classes -------------------------------------------------------------------------------------


def labelled(labels, names):
    return ImageSet([str(i) for i in range(len(labels))], np.array(labels), names)


def test_class_names_in_another_order_renumber_the_folders():
    images = number_as(labelled([0, 1, 2], ["a", "b", "c"]), 4, ["c", "x", "a", "b"])
    assert images.labels.tolist() == [2, 3, 0]
    assert images.class_names == ["c", "x", "a", "b"]


def test_other_names_are_new_names_for_the_folders():
    images = number_as(labelled([0, 1], ["n01", "n02"]), 2, ["tench", "goldfish"])
    assert images.labels.tolist() == [0, 1]
    assert images.class_names == ["tench", "goldfish"]


def test_a_single_output_takes_two_classes():
    assert number_as(labelled([0, 1], ["no", "yes"]), 1).class_names == ["no", "yes"]


def test_classes_that_disagree_with_the_model_are_an_error():
    with pytest.raises(ValueError, match=r"dataset: has 2 classes \(a, b\), but the model has 5"):
        number_as(labelled([0, 1], ["a", "b"]), 5)
    with pytest.raises(ValueError, match=r"class_names: got 3 names, but the model has 5"):
        number_as(labelled([0, 1], ["a", "b"]), 5, ["a", "b", "c"])


def folders(*names):
    return labelled([*range(len(names))] * 20, list(names))


def never(numbers):
    raise AssertionError("asked the model")


def test_folders_of_the_models_names_need_no_order():
    assert find_order(folders("Zebra", "apple"), ["apple", "Zebra"], False, never)[1] is None


def test_an_assumed_order_is_a_guess():
    for names in (None, ["x", "y"]):
        guess = find_order(folders("a1", "a2"), names, False, never)[1]
        assert guess == "that of the folders (a1, a2)"
    assert find_order(ImageSet(["a", "b"], np.array([0, 1])), None, False, never)[1] is None


def test_of_timms_training_folders_are_number_as_timm_does():
    images, guess = find_order(folders("Zebra", "a10", "a2", "apple"), None, True, never)
    assert images.class_names == ["a2", "a10", "apple", "Zebra"]
    assert images.labels[:4].tolist() == [3, 1, 0, 2]
    assert guess is None


def test_timm_sorts_folders_so(tmp_path):
    from timm.data.readers.reader_image_folder import find_images_and_targets

    found = find_images(class_folders(tmp_path, ["Zebra", "a10", "a2", "apple"], each=1))
    theirs = find_images_and_targets(str(tmp_path))[1]
    images, _ = find_order(found, None, True, never)
    assert {name: number for number, name in enumerate(images.class_names)} == theirs


@pytest.mark.parametrize("natural", [False, True])
def test_where_orders_differ_that_in_which_the_model_is_right_is_taken(natural):
    found, asked = folders("Zebra", "apple", "bee", "zoo"), []
    # As text: Zebra, apple, bee, zoo; naturally: apple, bee, Zebra, zoo.
    numbers = np.array([2, 0, 1, 3] if natural else [0, 1, 2, 3])

    def predict(rows):
        asked.extend(rows)
        return rows, numbers[found.labels[rows]]

    images, guess = find_order(found, None, False, predict)
    assert images.class_names[0] == ("apple" if natural else "Zebra")
    assert images.labels[:4].tolist() == numbers.tolist()
    rights = (0, 32) if natural else (32, 0)
    assert guess.startswith("that of timm" if natural else "that of torchvision")
    assert f"(Zebra, apple, bee, zoo) the model is right on {rights[0]} of 32" in guess
    assert f"on {rights[1]}" in guess
    assert len(asked) == ASKED == 32
    assert not (found.labels[asked] == 3).any()  # zoo has the same number in both


# --- which images --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 5))
def test_samples_take_the_classes_in_turn_and_every_image_once(labels, seed):
    images = labelled(labels, list("abcd"))
    order = draw_order(images, seed)
    assert sorted(order) == list(range(len(labels)))
    assert order == draw_order(images, seed)
    first = [labels[index] for index in order[: len(set(labels))]]
    assert first == sorted(set(labels))


def test_another_seed_draws_other_images():
    images = labelled([0, 1] * 20, ["a", "b"])
    assert draw_order(images, 0)[:6] != draw_order(images, 1)[:6]


# --- reading -------------------------------------------------------------------------------------


def test_unreadable_images_are_named_and_left_out(tmp_path):
    class_folders(tmp_path / "data", ["a"], each=3)
    (tmp_path / "data" / "a" / "0 é.png").write_bytes(b"no image")
    whole = (tmp_path / "data" / "a" / "1 é.png").read_bytes()
    (tmp_path / "data" / "a" / "1 é.png").write_bytes(whole[: len(whole) // 2])
    images = find_images(tmp_path / "data")
    read = read_samples(images, [0, 1, 2], prepare(), threads=2)
    assert read.indices == [2]
    assert list(read.skipped) == images.names[:2]


def test_a_decompression_bomb_is_skipped_before_it_is_unpacked(tmp_path, monkeypatch):
    for name in ("bomb.png", "bomb.jpg", "bomb.tif"):
        picture(0, size=(60, 60)).save(tmp_path / name)
    picture(1, size=(8, 8)).save(tmp_path / "small.png")
    monkeypatch.setattr(files, "MOST_PIXELS", 1000)
    images = find_images(tmp_path)
    read = read_samples(images, range(4), prepare())
    assert read.indices == [3]
    assert len(read.skipped) == 3
    assert all("decompression bomb" in why for why in read.skipped.values())


def test_reading_is_deterministic_and_as_timm_evaluates(tmp_path):
    from timm.data import create_transform

    image = picture(3, size=(50, 70))
    image.save(tmp_path / "x.png")
    ours = prepare(size=24, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), settings={"crop_pct": 0.9})
    theirs = create_transform(
        (3, 24, 24), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), crop_pct=0.9, is_training=False
    )
    first, again = (read_samples(find_images(tmp_path), [0], ours).images for _ in range(2))
    assert torch.equal(first[0], theirs(image))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("L", 3), ("RGB", 1), ("RGBA", 4), ("RGBA", 3), ("RGB", 4)]
)
def test_pictures_take_the_channels_of_the_model(mode, channels):
    assert prepare(channels)(picture(0, mode)).shape == (channels, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_picture_of_more_than_eight_bits_is_skipped_with_a_reason(tmp_path, dtype):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.full((8, 8), 300, dtype)).save(path)
    (why,) = read_samples(find_images(tmp_path), [0], prepare()).skipped.values()
    assert why.startswith("has more than eight bits a channel; save it with eight")


def test_grayscale_shows_grey_in_every_channel():
    image = prepare(3, grayscale=True)(picture(0))
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])


# --- mean and std --------------------------------------------------------------------------------


def timm_like(**cfg):
    module = torch.nn.Identity()
    module.pretrained_cfg = {"input_size": (3, 16, 16), **cfg}
    return torch.nn.Sequential(module)


known = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}


def test_mean_and_std_of_the_model_inside_are_a_guess():
    found = choose_preprocessing(timm_like(**known), 3, Description())
    assert (found.mean, found.std, found.size) == (*known.values(), (16, 16))
    assert [*found.guessed] == ["size", "crop", "mean, std"]


def test_hyper_parameters_know_better_and_the_user_best():
    description = read_settings({"mean": [0.7] * 3, "std": [0.8] * 3, "img_size": 20, "lr": 1})
    found = choose_preprocessing(timm_like(**known), 3, description, std=[0.9])
    assert found.mean == (0.7,) * 3
    assert found.std == (0.9,) * 3
    assert found.size == (20, 20)
    assert [*found.guessed] == ["crop"]


@pytest.mark.parametrize("channels", [1, 4])
def test_mean_and_std_of_other_channels_are_left_out(channels):
    description = read_settings({"input_size": "784", "mean": [1, 2]})
    found = choose_preprocessing(timm_like(**known), channels, description)
    assert (found.mean, found.std) == (None, None)


def test_a_model_of_more_channels_than_pictures_have_is_refused_with_what_to_call():
    with pytest.raises(ArgumentError, match=r"of 13 channels.*call lightning_shap\.explain"):
        choose_preprocessing(torch.nn.Identity(), 13, Description())


def test_a_model_that_says_nothing_gets_no_mean_and_std():
    found = choose_preprocessing(torch.nn.Identity(), 3, Description())
    assert (found.mean, found.std) == (None, None)
    assert "mean, std" in found.guessed


def test_mean_of_a_wrong_length_is_an_error():
    with pytest.raises(ArgumentError, match=r"mean: has 2 numbers; give 1 or 3"):
        choose_preprocessing(torch.nn.Identity(), 3, Description(), mean=[0.1, 0.2])


@pytest.mark.parametrize("given", [{"mean": [0.5]}, {"std": [0.5]}])
def test_mean_without_std_is_an_error(given):
    with pytest.raises(ArgumentError, match="nothing says the"):
        choose_preprocessing(torch.nn.Identity(), 3, Description(), **given)


@pytest.mark.parametrize("std", [[0.0], [-1.0], [float("nan")]])
def test_std_that_nothing_can_be_divided_by_is_an_error(std):
    with pytest.raises(ArgumentError, match="std: got"):
        choose_preprocessing(torch.nn.Identity(), 3, Description(), mean=[0.5], std=std)


@pytest.mark.parametrize("size", [28, 112, 192, 224, 299])
@pytest.mark.parametrize("resized", [1, 32, 33, 64])
@pytest.mark.parametrize("squash", [False, True])
def test_resizing_and_cropping_are_those_of_torchvision(size, resized, squash):
    from torchvision import transforms

    side = size + resized
    theirs = transforms.Compose(
        [
            transforms.Resize((side, side) if squash else side),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    description = Description(
        size=(size, size),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        crop_pct=size / side,
        crop_mode="squash" if squash else None,
        interpolation="bilinear",
    )
    ours = choose_preprocessing(torch.nn.Identity(), 3, description)
    assert not ours.guessed
    image = picture(0, size=(310, 402))
    assert torch.equal(ours(image), theirs(image))
