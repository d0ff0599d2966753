"""Serves a page to draw on in the browser: models translate inputs that are painted by hand or dropped as files."""
