"""A page in the browser to draw on: inputs painted by hand or dropped as files, and what models make of them."""
