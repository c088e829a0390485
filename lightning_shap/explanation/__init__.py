"""The result of an explanation, and how it is kept in files."""
