"""The scale of images: that at which the network saw its training images, or their own. See README.md."""

MOST_OFF = 1.5  # a smaller factor between two scales counts as the same scale


def size_of(size, translator, asked=None):
    """(width, height) to scale an image of such a size to: by `asked`, training or own, or as fits the training."""
    (tall, wide), fit = translator.size, translator.data.get("fit", "crop")
    down, across = size[1] / tall, size[0] / wide
    times = {"resize_crop": min(down, across), "pad": max(down, across)}.get(fit, (down * across) ** 0.5)
    is_off = fit != "crop" and (max(down, across) > 1 or times < 1 / MOST_OFF)
    if asked == "own" or not (asked or is_off):
        return size
    height = size[1] * translator.card.get("stretch", 1)  # of the training images
    factor = min(tall / height, wide / size[0])  # it lies within the model's size and keeps its shape
    return max(1, round(size[0] * factor)), max(1, round(height * factor))


def note_of(tiled, scaled, size):
    """Says how many images were tiled or scaled because they are not of the model's size. Returns "" if all are."""
    sides = "x".join(map(str, dict.fromkeys(size)))
    note = f" Not of {sides} px, so reflected or in tiles: {tiled} (--size training scales)." if tiled else ""
    return note + (f" Scaled to {sides} px and back: {scaled} (--size own does not)." if scaled else "")
