"""Draw explanations: grids, evolutions, classes, from captions, lettering and pixels."""
