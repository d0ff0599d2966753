"""Downloads the paper's datasets."""
