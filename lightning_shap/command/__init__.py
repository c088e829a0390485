"""``lightning-shap``: options, a finished model's files, its images and its results."""
