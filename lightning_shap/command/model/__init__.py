"""From what ``--model_output_dir`` names to a classifier."""
