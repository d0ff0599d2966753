"""The rows of `benchmarks/gpu.py`, the processes that measure them, and the page that shows them."""
