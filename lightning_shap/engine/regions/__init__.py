"""Regions that may be absent: rectangles, patches, and those that follow the image."""
