"""What the command needs: options, a finished model's files, its images and its results."""
