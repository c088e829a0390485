"""What may be absent: rectangles and patches."""
