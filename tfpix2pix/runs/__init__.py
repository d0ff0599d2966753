"""Does what is done with a run: train, resume, load, export, import."""
