"""`make bench`: the project beside its peers, in turns, as tables and plots. `__main__.py` is the command."""
