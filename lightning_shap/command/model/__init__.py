"""Load what ``--model_output_dir`` names, as a classifier."""
