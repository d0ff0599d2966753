"""Opens the examples of an evaluation: pairs of a split beside translations by a model or another program."""
