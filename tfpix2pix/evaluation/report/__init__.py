"""Writes the report of an evaluation: an HTML page that holds its pictures, requests nothing, and opens from a mail."""
