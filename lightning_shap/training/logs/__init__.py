"""Write what a training explains to its loggers."""
