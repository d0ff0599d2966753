"""The discriminator's receptive field (paper §4.4, Fig. 6, Table 2): 1, 16, 70 px and the largest below the image's.

python benchmarks/receptive_fields.py --data ../shared/data/facades
"""

from __future__ import annotations

from comparisons import Variant, compare_variants, parse

from tfpix2pix.models.sizes import PATCHGANS, logits_px


def variants(size_px: int) -> tuple[Variant, ...]:
    """The paper's 286 px patch sees a whole image of 256 px; here the smallest patch that sees a whole image of this
    size, or the largest that fits."""
    whole = min((px for px in PATCHGANS if px >= size_px and logits_px(size_px, px) >= 1), default=max(PATCHGANS))
    sizes = sorted({1, 16, 70, whole})
    return tuple(Variant(f"{px} px", patch_px=px) for px in [70, *(px for px in sizes if px != 70)])


if __name__ == "__main__":
    options = parse(__doc__)
    compare_variants("receptive_fields", variants(options.size), options)
