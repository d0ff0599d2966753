"""Downloads the paper's data sets."""
