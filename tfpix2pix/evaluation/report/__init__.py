"""Writes the report of an evaluation: an HTML page that contains its pictures and requests nothing."""
