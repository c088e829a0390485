"""``python -m lightning_shap``: the command."""

from lightning_shap.cli import main

if __name__ == "__main__":
    main()
