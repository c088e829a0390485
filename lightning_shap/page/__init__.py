"""The interactive page: its data, its tab in TensorBoard, and itself as one file."""
