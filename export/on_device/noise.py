"""Draws the noise of a seed, bit for bit as `tfpix2pix translate --noise on --seed`. See README.md.

The numbers are TensorFlow's stateless uniform ones by Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3", 2011).
"""

import functools

import numpy as np

STREAM = 1242588023  # the CRC-32 of "translate", 31 bits of it
SCRAMBLE = (0x3EC8F720, 0x02461E29)  # the key by which TensorFlow mixes the words of a seed
LARGEST_SEED = 2**31 - 1
WORD = np.uint64(0xFFFFFFFF)


@functools.lru_cache(maxsize=1)  # the frames of a camera have one seed
def noise_of(seed, count):
    """Returns float32 (1, count), uniform in [0, 1), read-only. Raises ValueError if `LARGEST_SEED` is exceeded."""
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"A seed must be -1 for none, or from 0 to {LARGEST_SEED}. Received {seed}. Choose another.")
    *key, c2, c3 = (int(word) for word in philox((seed, 0, STREAM, 0), SCRAMBLE))
    numbers = np.arange(-(-count // 4), dtype=np.uint64)
    words = np.stack(philox((numbers, 0 * numbers, c2 + 0 * numbers, c3 + 0 * numbers), key), axis=-1)
    ones_to_twos = (words.astype(np.uint32).ravel()[:count] & 0x7FFFFF | 0x3F800000).view(np.float32)
    values = (ones_to_twos - np.float32(1))[np.newaxis]
    values.flags.writeable = False
    return values


def philox(counter, key):
    """Returns four random words, uint64 below 2**32, from the four words of one or many counters and two of a key."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    for turn in range(10):
        k0, k1 = ((word + turn * step) % 2**32 for word, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True))
        first, second = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = second >> 32 ^ c1 ^ k0, second & WORD, first >> 32 ^ c3 ^ k1, first & WORD
    return c0, c1, c2, c3
