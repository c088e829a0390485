"""Explain a trained model: the ``lightning-shap`` command as a script.

python examples/explain.py --model_output_dir runs/resnet18 --dataset photographs --topk 4
"""

from lightning_shap.command.main import main

if __name__ == "__main__":
    main()
