"""The embedded default model: its problems, its training data, its recipe."""
