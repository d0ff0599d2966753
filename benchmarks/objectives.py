"""The paper's objectives on the same pairs (paper §4.2, Fig. 4, Table 1): L1, GAN, cGAN, L1+GAN, L1+cGAN.

python benchmarks/objectives.py --data ../shared/data/facades
"""

from __future__ import annotations

from comparisons import Variant, compare_variants, parse

VARIANTS = (
    Variant("L1+cGAN"),
    Variant("L1", objective="l1"),
    Variant("GAN", objective="gan"),
    Variant("cGAN", objective="cgan"),
    Variant("L1+GAN", objective="l1+gan"),
)

if __name__ == "__main__":
    compare_variants("objectives", VARIANTS, parse(__doc__))
