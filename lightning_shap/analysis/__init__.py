"""Say what many explanations say together."""
