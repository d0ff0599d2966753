// Noise of a seed, bit for bit that of `tfpix2pix translate --noise on --seed`: TensorFlow's stateless uniform numbers by
// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

const STREAM = 1242588023; // the CRC-32 of "translate", 31 bits of it: tfpix2pix/rng.py
const SCRAMBLE = [0x3ec8f720, 0x02461e29]; // the key by which TensorFlow mixes the words of a seed
const ROUNDS = 10;

// The upper 32 bits of the product of two words. A product of halves is less than 2^32, so that no sum loses a bit.
function upper(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (middle & 0xffff);
  return a1 * b1 + (middle >>> 16) + (low >>> 16);
}

// Puts four random words into `words`, of the four words of a counter and the two of a key.
function philox(words, c0, c1, c2, c3, k0, k1) {
  for (let round = 0; round < ROUNDS; round++) {
    const first = upper(c0, 0xd2511f53), second = upper(c2, 0xcd9e8d57);
    const low = Math.imul(c0, 0xd2511f53);
    c0 = second ^ c1 ^ k0;
    c1 = Math.imul(c2, 0xcd9e8d57);
    c2 = first ^ c3 ^ k1;
    c3 = low;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  words.set([c0, c1, c2, c3]);
}

// Numbers uniform in [0, 1), float32: the first vector of a seed from 0 to 2^31 - 1.
export function noiseOf(seed, length) {
  const values = new Float32Array(Math.ceil(length / 4) * 4), bits = new Uint32Array(values.buffer);
  const [k0, k1, c2, c3] = scrambled(seed);
  for (let number = 0; 4 * number < length; number++) philox(bits.subarray(4 * number), number, 0, c2, c3, k0, k1);
  for (let at = 0; at < length; at++) {
    bits[at] = (bits[at] & 0x7fffff) | 0x3f800000; // a float of [1, 2)
    values[at] -= 1;
  }
  return values.slice(0, length);
}

// The noise of a seed: one of `styles`, as the model's card has them, or uniform numbers if it has no styles.
export function drawnNoise(seed, length, styles) {
  if (!styles.length) return noiseOf(seed, length);
  return Float32Array.from(styles[Math.floor(Math.fround(noiseOf(seed, 1)[0] * styles.length))]);
}

function scrambled(seed) { // the key's two words, and the upper two of the counter
  const words = new Uint32Array(4);
  philox(words, seed, 0, STREAM, 0, ...SCRAMBLE);
  return words;
}
