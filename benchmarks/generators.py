"""U-Net against encoder-decoder, by L1 alone and by L1+cGAN (paper §4.3, Fig. 5, Table 3).

python benchmarks/generators.py --data ../shared/data/facades
"""

from __future__ import annotations

from comparisons import Variant, compare_variants, parse

VARIANTS = (
    Variant("U-Net, L1+cGAN"),
    Variant("U-Net, L1", objective="l1"),
    Variant("Encoder-decoder, L1+cGAN", generator="encoder_decoder"),
    Variant("Encoder-decoder, L1", generator="encoder_decoder", objective="l1"),
)

if __name__ == "__main__":
    compare_variants("generators", VARIANTS, parse(__doc__))
