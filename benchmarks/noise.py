"""Noise in training and at test (paper §3.1, §3.3: dropout is the noise; §5: little of it shows).

python benchmarks/noise.py --data ../shared/data/facades
"""

from __future__ import annotations

from comparisons import Variant, compare_variants, parse

VARIANTS = (
    Variant("dropout, on at test", noise_on=True),
    Variant("dropout, off at test"),
    Variant("Gaussian z, on at test", noise="gaussian", noise_on=True),
    Variant("no noise", noise="none"),
)

if __name__ == "__main__":
    compare_variants("noise", VARIANTS, parse(__doc__), also=("diversity",))
