"""Choose and read the images that a training explains."""
