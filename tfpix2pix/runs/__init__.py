"""Trains, resumes, loads, exports and imports runs."""
