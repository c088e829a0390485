"""``python -m lightning_shap``: the command."""

from lightning_shap.command.main import main

if __name__ == "__main__":
    main()
