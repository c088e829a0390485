import argparse
import json
import os
import pickle

import pytest
import timm
import torch
from finished_model import ARCHITECTURE, load_model, network, weights_in
from safetensors.torch import save_file

from lightning_shap.command.model.hugging_face import describe_processor
from lightning_shap.errors import ArgumentError

image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    return network()


def same_outputs(loaded, model, image=image):
    with torch.no_grad():
        return torch.equal(loaded.module.eval()(image), model(image))


def weights(model, prefix=""):
    return {prefix + name: value for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("best_model.pth", lambda m: {"model": weights(m)}),
        ("best_model.pth", lambda m: {"model": weights(m, "module."), "epoch": 3}),
        (
            "best_model.pth",
            lambda m: {"model": {"n_averaged": torch.tensor(4), **weights(m, "module.")}},
        ),
        ("weights.pt", weights),
        ("weights.pth", lambda m: weights(m, "_orig_mod.module.")),
        ("epoch=3.ckpt", lambda m: {"state_dict": weights(m, "net.backbone."), "epoch": 3}),
        (
            "last.ckpt",
            lambda m: {"state_dict": {**weights(m, "model."), "loss.weight": torch.ones(3)}},
        ),
        (
            "model_best.pth.tar",
            lambda m: {"state_dict": weights(m), "args": argparse.Namespace(model=ARCHITECTURE)},
        ),
        ("checkpoints/x.ckpt", lambda m: {"state_dict": weights(m, "m.")}),
    ],
)
def test_weights_are_found_whatever_they_are_wrapped_in(tmp_path, model, file, content):
    path = tmp_path / ARCHITECTURE / file
    path.parent.mkdir(parents=True)
    torch.save(content(model), path)
    loaded = load_model(tmp_path / ARCHITECTURE)
    assert same_outputs(loaded, model)
    assert (loaded.classes, loaded.channels) == (3, 3)
    assert path.name in loaded.source


def test_safetensors_and_single_files_are_models_too(tmp_path, model):
    directory = tmp_path / ARCHITECTURE
    directory.mkdir()
    save_file(model.state_dict(), directory / "model.safetensors")
    assert same_outputs(load_model(directory), model)
    assert same_outputs(load_model(directory / "model.safetensors"), model)


@pytest.mark.parametrize("name", [f"{ARCHITECTURE}.r160_in1k", f"{ARCHITECTURE}.my_own_run"])
def test_a_directory_may_carry_a_tag_of_timms_or_of_its_own(tmp_path, model, name):
    assert same_outputs(load_model(weights_in(tmp_path, model, name=name)), model)


def test_timms_own_directory_keeps_its_preprocessing_and_class_names(tmp_path, model):
    directory = tmp_path / "exported"
    directory.mkdir()
    save_file(model.state_dict(), directory / "model.safetensors")
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 3,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 1.0},
        "label_names": ["a", "b", "c"],
    }
    (directory / "config.json").write_text(json.dumps(config))
    loaded = load_model(directory)
    assert same_outputs(loaded, model)
    assert loaded.description.class_names == ["a", "b", "c"]
    assert loaded.description.mean == (0.1, 0.2, 0.3)
    assert list(loaded.module.pretrained_cfg["mean"]) == [0.1, 0.2, 0.3]


def test_hyper_parameters_name_the_architecture(tmp_path, model):
    path = tmp_path / "version_0" / "best.ckpt"
    path.parent.mkdir()
    hyper_parameters = {"backbone": ARCHITECTURE, "learning_rate": 0.1}
    torch.save({"state_dict": weights(model, "net."), "hyper_parameters": hyper_parameters}, path)
    loaded = load_model(path)
    assert same_outputs(loaded, model)
    assert "architecture from the checkpoint" in loaded.source


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_the_weights_tell_how_many_channels_and_classes_there_are(tmp_path, channels):
    model = network(classes=7, in_chans=channels)
    loaded = load_model(weights_in(tmp_path, model))
    assert (loaded.classes, loaded.channels) == (7, channels)


def test_stems_that_fold_pixels_into_channels_still_tell_the_channels(tmp_path):
    name = "naflexvit_base_patch16_gap"
    small = {"depth": 1, "embed_dim": 32, "num_heads": 2}
    model = timm.create_model(name, num_classes=2, **small)
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": name, "model_args": small, "pretrained_cfg": {}})
    )
    torch.save(model.state_dict(), tmp_path / "best_model.pth")
    assert load_model(tmp_path).channels == 3


def test_an_image_size_that_the_architecture_must_know_is_told_to_it(tmp_path):
    model = network(name="test_vit", img_size=32)
    directory = weights_in(tmp_path, model, name="test_vit")
    assert same_outputs(load_model(directory, crop_size=32), model)
    with pytest.raises(ValueError, match=r"crop_size"):
        load_model(directory)


class Own(torch.nn.Module):
    def __init__(self, width, channels=1):
        super().__init__()
        self.stem = torch.nn.Conv2d(channels, width, 3)
        self.scores = torch.nn.Linear(width, 5)

    def forward(self, images):
        return self.scores(self.stem(images).mean((2, 3)))


def test_an_own_class_takes_the_hyper_parameters_it_was_saved_with(tmp_path):
    own = Own(width=6, channels=2)
    path = tmp_path / "own.ckpt"
    hyper_parameters = {"width": 6, "channels": 2, "learning_rate": 0.1}
    torch.save({"state_dict": own.state_dict(), "hyper_parameters": hyper_parameters}, path)
    loaded = load_model(path, model_class="test_load.Own")
    assert same_outputs(loaded, own, torch.rand(1, 2, 9, 9))
    assert loaded.channels == 2


@pytest.mark.parametrize("key", ["net", "weights", "params", "ema", "any name at all"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_is_found_under_any_key(tmp_path, model, key, nested):
    content = {key: weights(model), "epoch": torch.tensor(3), "optimizer": {"state": {0: {}}}}
    directory = tmp_path / ARCHITECTURE
    directory.mkdir()
    torch.save({"run": content} if nested else content, directory / "best_model.pth")
    loaded = load_model(directory)
    assert same_outputs(loaded, model)
    assert f"below '{'run.' if nested else ''}{key}.'" in loaded.source
    assert not loaded.notes


def test_of_two_networks_the_averaged_one_is_taken_and_the_other_named(tmp_path, model):
    averaged = network(seed=1)
    path = tmp_path / f"{ARCHITECTURE}.pth"
    torch.save({"model": weights(model), "model_ema": weights(averaged, "module.")}, path)
    loaded = load_model(path)
    assert same_outputs(loaded, averaged)
    (note,) = loaded.notes
    assert "below 'model_ema.module.' is explained, not that below 'model.'; --module model" in note
    assert same_outputs(load_model(path, module="model"), model)


def test_of_two_architectures_the_one_that_fits_is_taken(tmp_path, model):
    teacher = network(name="test_vit")
    path = tmp_path / "x.pth"
    torch.save({"m": {**weights(teacher, "teacher."), **weights(model, "student.")}}, path)
    loaded = load_model(path, model_name=ARCHITECTURE)
    assert same_outputs(loaded, model)
    with pytest.raises(ArgumentError, match=r"module: x\.pth has no weights of 'other'"):
        load_model(path, model_name=ARCHITECTURE, module="other")
    with pytest.raises(ArgumentError, match=rf"module: x\.pth has no {ARCHITECTURE} in 'teacher'"):
        load_model(path, model_name=ARCHITECTURE, module="teacher")


def test_the_same_weights_twice_are_one_network(tmp_path, model):
    copied = {name: value.clone() for name, value in weights(model).items()}
    path = tmp_path / f"{ARCHITECTURE}.pth"
    torch.save({"model": weights(model), "copy": copied}, path)
    assert not load_model(path).notes


def test_functions_build_models_with_as_many_classes_as_the_weights_have(tmp_path):
    import torchvision

    model = torchvision.models.squeezenet1_1(num_classes=7).eval()
    torch.save({"net": model.state_dict()}, tmp_path / "a.pth")
    loaded = load_model(tmp_path, model_class="torchvision.models.squeezenet1_1")
    assert same_outputs(loaded, model, torch.rand(1, 3, 64, 64))


def test_parts_of_one_file_of_weights_are_met_with_what_to_save(saved_pretrained):
    model, directory = saved_pretrained
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="5KB")
    with pytest.raises(ArgumentError, match=r"[0-9]+ files.*max_shard_size"):
        load_model(directory)


def test_changes_by_lora_are_refused_with_what_to_save(tmp_path):
    name = "base_model.model.layer1.0.conv1.lora_A.weight"
    save_file({name: torch.ones(2, 3)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ArgumentError, match=r"LoRA.*merge_and_unload\(\)\.state_dict\(\)"):
        load_model(tmp_path)


@pytest.fixture
def saved_pretrained(tmp_path):
    """A network of transformers, and the directory that it saved itself into."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 32, "image_size": 32, "patch_size": 8},
        id2label={0: "zebra", 1: "Apple", 2: "cat"},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    return model, tmp_path


def test_directories_of_transformers_are_models_with_their_own_preprocessing(saved_pretrained):
    model, directory = saved_pretrained
    processor = {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5] * 3}
    processor |= {"image_std": [0.25] * 3, "rescale_factor": 1 / 255, "do_normalize": True}
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    loaded = load_model(directory)
    with torch.no_grad():
        assert torch.equal(loaded.module.eval()(image).logits, model(image).logits)
    description = loaded.description
    assert (description.size, description.channels) == ((32, 32), 3)
    assert (description.mean, description.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (description.crop_mode, description.crop_pct) == ("squash", 1)
    assert description.interpolation == "bicubic"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_size": 24}, "other weights|no classifier"),
        ({"num_hidden_layers": 10**9}, "fewer weights"),
        ({"model_type": "no_such"}, "builds no classifier of 'no_such'"),
        ({"model_type": "bert"}, "builds no classifier of 'bert'"),
    ],
)
def test_a_config_of_transformers_that_does_not_fit_is_refused(saved_pretrained, config, message):
    _, directory = saved_pretrained
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(ArgumentError, match=message):
        load_model(directory)


@pytest.mark.parametrize(
    ("processor", "size", "mode", "share"),
    [
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, 224, "center", 0.875),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, 384, "squash", 1),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224},
            *(224, "center", 0.875),
        ),
        (
            {
                "size": {"height": 256, "width": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            *(224, "squash", 0.875),
        ),
        ({"size": 224}, 224, None, None),
        ({"size": {"height": 200, "width": 100}}, None, None, None),
    ],
)
def test_how_a_processor_resizes_is_read_and_what_is_unusual_is_left_open(
    processor, size, mode, share
):
    found = describe_processor(processor)
    assert found.size == (None if size is None else (size, size))
    assert (found.crop_mode, found.crop_pct) == (mode, share)


def test_pixels_that_a_processor_scales_unusually_have_no_mean():
    usual = {"image_mean": [0.5], "image_std": [0.5]}
    assert describe_processor(usual).mean == (0.5,)
    assert describe_processor({**usual, "do_normalize": False}).std == (1.0,)
    for unusual in ({"rescale_factor": 1}, {"do_rescale": False}, {"rescale_offset": True}):
        assert describe_processor({**usual, **unusual}).mean is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("test_load.Own", "needs width"),
        ("test_load.weights", "needs model"),
        ("os.getcwd", "returns a str, no torch.nn.Module|does not say"),
        ("test_models.Missing", "cannot import"),
        ("no_such_package.Own", "cannot import"),
        ("Own", "cannot import"),
        ("pathlib.Path", "no torch.nn.Module"),
    ],
)
def test_an_own_class_that_will_not_do_is_an_error_that_says_why(tmp_path, path, message):
    torch.save(Own(4).state_dict(), tmp_path / "own.pth")
    with pytest.raises(ValueError, match=f"model_class: .*{message}"):
        load_model(tmp_path, model_class=path)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, 2))])
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, save):
    directory, trace = tmp_path / ARCHITECTURE, tmp_path / "ran"
    directory.mkdir()
    save({"model": {"conv.weight": torch.ones(1)}, "x": Malicious(trace)}, directory / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth .*"):
        load_model(directory)
    assert not trace.exists()


def test_a_whole_pickled_model_needs_leave_to_run_code(tmp_path):
    own = Own(4)
    torch.save(own, tmp_path / "whole.pth")
    with pytest.raises(ValueError, match=r"test_load\.Own .*--allow_pickle"):
        load_model(tmp_path)
    loaded = load_model(tmp_path, allow_pickle=True)
    assert same_outputs(loaded, own, torch.rand(1, 1, 9, 9))


def test_nothing_is_downloaded(tmp_path, model, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("reached for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    load_model(weights_in(tmp_path, model, name=f"{ARCHITECTURE}.r160_in1k"))


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(ArgumentError, match=r"model_output_dir: there is no .*nowhere"):
        load_model(tmp_path / "nowhere")


def test_a_directory_without_weights_is_an_error(tmp_path):
    with pytest.raises(ArgumentError, match=r"model_output_dir: .* no weights"):
        load_model(tmp_path)


def test_several_files_of_weights_are_named_rather_than_guessed(tmp_path, model):
    for epoch in (1, 2):
        torch.save(weights(model), tmp_path / f"epoch={epoch}.ckpt")
    with pytest.raises(ValueError, match=r"epoch=1\.ckpt, epoch=2\.ckpt"):
        load_model(tmp_path, model_name=ARCHITECTURE)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("file", ["best_model.pth", "model.safetensors"])
def test_a_damaged_file_is_an_error(tmp_path, content, file):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"model_output_dir: {file} is damaged"):
        load_model(tmp_path)


def test_a_file_without_weights_is_an_error(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "best_model.pth")
    with pytest.raises(ValueError, match=r"holds no weights but a dict \(epoch\)"):
        load_model(tmp_path)


def test_an_unknown_architecture_is_met_with_the_nearest_names(tmp_path, model):
    with pytest.raises(ValueError, match=r"'resnet8'.*nearest: resnet18"):
        load_model(weights_in(tmp_path, model, name="resnet8"))


def test_weights_of_another_architecture_say_how_many_keys_differ(tmp_path, model):
    directory = weights_in(tmp_path, model)
    with pytest.raises(ValueError, match=r"another architecture than test_vit: \d+ keys differ"):
        load_model(directory, model_name="test_vit")


def test_a_smaller_model_does_not_pass_for_a_larger_one(tmp_path):
    larger = timm.create_model("resnet34", num_classes=2)
    directory = weights_in(tmp_path, larger, name="resnet18")
    with pytest.raises(ValueError, match=r"\(0 of \d+ are missing, \d\d+ are unknown"):
        load_model(directory)
