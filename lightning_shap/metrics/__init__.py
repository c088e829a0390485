"""torchmetrics over explanations."""
