"""What an evaluation goes over: the pairs of a split beside translations, a model's or another program's."""
