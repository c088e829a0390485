"""Leave the host as it was: modes and random states, what modules remember, generators."""
