"""A survey of many images: what a model looks at, class by class, and what is suspicious in it."""
