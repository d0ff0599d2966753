// Values of images and overlapping tiles, as tfpix2pix/inference/tiling.py and tfpix2pix/data/images.py have them.

export const OVERLAP = 8; // tiles overlap by their side divided by this
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601

// Indices that extend an axis of `length` to `total` by reflection, centred, without repeating the edge.
export function reflectedIndices(length, total) {
  const period = Math.max(2 * (length - 1), 1);
  const first = -Math.floor((total - length) / 2);
  return Int32Array.from({ length: total }, (_, index) => {
    const step = (((index + first) % period) + period) % period;
    return Math.min(step, period - step);
  });
}

function roundHalfToEven(value) { // as Python rounds
  const floor = Math.floor(value), rest = value - floor;
  return rest === 0.5 ? floor + (floor % 2) : Math.round(value);
}

// Evenly spaced starts of tiles that cover `length` and overlap by at least `overlap`.
export function startsOf(length, size, overlap) {
  if (length <= size) return [0];
  const count = Math.ceil((length - overlap) / (size - overlap));
  return Array.from({ length: count }, (_, index) => roundHalfToEven((index * (length - size)) / (count - 1)));
}

// The share of every tile in each position along one axis. The shares of a position add up to 1.
export function sharesOf(starts, size, overlap, blend) {
  const ramp = Float64Array.from({ length: size }, (_, index) => {
    const rim = Math.min(index + 1, size - index); // the rim has the least context, so it gets the least weight
    return Math.sin((Math.PI / 2) * Math.min(rim / (overlap + 1), 1)) ** 2;
  });
  const total = starts[starts.length - 1] + size;
  const sums = new Float64Array(total), best = new Float64Array(total), winner = new Int32Array(total);
  starts.forEach((start, number) => ramp.forEach((weight, index) => {
    sums[start + index] += weight;
    if (weight > best[start + index]) {
      best[start + index] = weight;
      winner[start + index] = number;
    }
  }));
  return starts.map((start, number) => Float32Array.from(ramp, (weight, index) =>
    blend ? weight / sums[start + index] : Number(winner[start + index] === number)));
}

// Translates overlapping tiles of an image and blends their overlaps by a raised cosine. Memory holds one band of tiles.
//   run(tile): translates Float32Array (size, size, C) to (size, size, C')
//   image: {height, width, tile(rows, columns)}, where `tile` returns the pixels at these indices, (size, size, C)
//   finish(band, top, height): takes finished rows, Float32Array (height, width, C')
//   options: size, outChannels, blend (false takes each pixel from the tile with the farthest rim), overlap, and
//   goesOn(done, all), which may be asynchronous: false stops the translation. Returns whether it was finished.
export async function translateTiles(run, image, finish, { size, outChannels, blend = true, overlap, goesOn }) {
  const { height, width } = image;
  const least = overlap ?? Math.floor(size / OVERLAP);
  const rows = reflectedIndices(height, Math.max(height, size));
  const columns = reflectedIndices(width, Math.max(width, size));
  const tops = startsOf(rows.length, size, least), lefts = startsOf(columns.length, size, least);
  const rowShares = sharesOf(tops, size, least, blend), columnShares = sharesOf(lefts, size, least, blend);
  const above = Math.floor((rows.length - height) / 2), before = Math.floor((columns.length - width) / 2);
  const stride = columns.length * outChannels;
  const band = new Float32Array(size * stride);
  let done = 0;
  for (let row = 0; row < tops.length; row++) {
    const top = tops[row], nextTop = tops[row + 1] ?? rows.length;
    for (let column = 0; column < lefts.length; column++) {
      if (goesOn && !(await goesOn(done++, tops.length * lefts.length))) return false;
      const left = lefts[column];
      const tile = image.tile(rows.subarray(top, top + size), columns.subarray(left, left + size));
      const translation = await run(tile);
      for (let y = 0; y < size; y++) {
        let from = y * size * outChannels, to = y * stride + left * outChannels;
        for (let x = 0; x < size; x++) {
          const share = Math.fround(rowShares[row][y] * columnShares[column][x]);
          for (let channel = 0; channel < outChannels; channel++) band[to++] += translation[from++] * share;
        }
      }
    }
    const first = Math.max(above - top, 0), last = Math.min(nextTop, above + height) - top;
    const finished = new Float32Array(Math.max(0, last - first) * width * outChannels);
    for (let y = first; y < last; y++) {
      const start = y * stride + before * outChannels;
      finished.set(band.subarray(start, start + width * outChannels), (y - first) * width * outChannels);
    }
    if (last > first) finish(finished, Math.max(top - above, 0), last - first);
    const step = nextTop - top; // rows below are unfinished: the next tiles add to them
    band.copyWithin(0, step * stride);
    band.fill(0, Math.max(0, size - step) * stride);
  }
  return true;
}

// Values of 8 bits as float32 in [-1, 1].
export const SIGNED = Float32Array.from({ length: 256 }, (_, value) =>
  Math.fround(Math.fround(value * Math.fround(2 / 255)) - 1));

// Converts values of any type to float32 in [-1, 1]. `low` and `high` are mapped to -1 and 1.
export function toSigned(values, low, high) {
  const scale = Math.fround(2 / (high - low));
  return Float32Array.from(values, (value) => Math.fround(Math.fround(Math.fround(value - low) * scale) - 1));
}

// Converts a picture, RGBA of 8 bits, to the values of a model's input, 8 bits (H, W, channels).
//   colors: [[r, g, b]] of the classes, if the inputs are label maps; hole: [r, g, b] of a hole, if it fills holes.
export function inputOf(pixels, { channels, colors = null, hole = null }) {
  const count = pixels.length / 4;
  if (colors) return nearest(pixels, colors);
  if (channels === 4 && !hole) return pixels;
  const values = new Uint8ClampedArray(count * channels); // rounds halves to even, as NumPy does
  for (let pixel = 0, to = 0; pixel < count; pixel++) {
    const [red, green, blue] = [pixels[4 * pixel], pixels[4 * pixel + 1], pixels[4 * pixel + 2]];
    if (channels === 1) {
      values[to++] = red === green && green === blue ? red : red * LUMA[0] + green * LUMA[1] + blue * LUMA[2];
      continue;
    }
    const isHole = hole !== null && red === hole[0] && green === hole[1] && blue === hole[2];
    values[to++] = isHole ? 0 : red;
    values[to++] = isHole ? 0 : green;
    values[to++] = isHole ? 0 : blue;
    if (channels === 4) values[to++] = isHole ? 0 : 255;
  }
  return values;
}

function nearest(pixels, colors) { // the class of each pixel's nearest colour
  const values = new Uint8Array(pixels.length / 4), known = new Map();
  for (let pixel = 0; pixel < values.length; pixel++) {
    const [red, green, blue] = [pixels[4 * pixel], pixels[4 * pixel + 1], pixels[4 * pixel + 2]];
    const key = (red << 16) | (green << 8) | blue;
    let best = known.get(key);
    if (best === undefined) {
      let least = Infinity;
      colors.forEach(([r, g, b], index) => {
        const distance = (red - r) ** 2 + (green - g) ** 2 + (blue - b) ** 2;
        if (distance < least) [least, best] = [distance, index];
      });
      if (known.size < 2 ** 16) known.set(key, best);
    }
    values[pixel] = best;
  }
  return values;
}

// Converts rows of a translation, float32 (H, W, channels) in [-1, 1], to a picture, RGBA of 8 bits: gray, colour, colour
// with alpha, the colours of the classes, or the first channel of others.
export function pictureOf(values, channels, colors = null) {
  const count = values.length / channels;
  const picture = new Uint8ClampedArray(4 * count).fill(255);
  for (let pixel = 0; pixel < count; pixel++) {
    const from = pixel * channels;
    if (colors) {
      const color = colors[Math.round((values[from] + 1) * 127.5)] ?? [0, 0, 0];
      picture.set(color, 4 * pixel);
      continue;
    }
    const shown = channels === 3 || channels === 4 ? channels : 1;
    for (let channel = 0; channel < Math.max(3, shown); channel++)
      picture[4 * pixel + channel] = (values[from + (shown === 1 ? 0 : channel)] + 1) * 127.5;
  }
  return picture;
}

// Reads a NumPy file: {height, width, channels, values, high}, where `high` is the largest value of the type, or 1.
export function readNpy(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(buffer);
  if (String.fromCharCode(...bytes.subarray(1, 6)) !== "NUMPY") throw new Error("is not a NumPy file");
  const isFirst = bytes[6] === 1;
  const length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true), start = isFirst ? 10 : 12;
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const type = /'descr':\s*'([^']+)'/.exec(header)?.[1];
  const types = { "|u1": [Uint8Array, 255], "<u2": [Uint16Array, 65535], "<f4": [Float32Array, 1], "<f8": [Float64Array, 1] };
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1].split(",").filter((part) => part.trim()).map(Number);
  if (!types[type] || /'fortran_order':\s*True/.test(header)) throw new Error(`has the type ${type}, or is not in C order`);
  if (!shape || shape.length < 2 || shape.length > 3) throw new Error("has not the shape (H, W) or (H, W, C)");
  const [height, width, channels = 1] = shape, [Type, high] = types[type];
  const values = new Type(buffer.slice(start + length));
  if (values.length !== height * width * channels || !values.length) throw new Error("is not whole");
  return { height, width, channels, values, high };
}

// Writes a NumPy file of float32 (H, W, C).
export function writeNpy(values, shape) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const start = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  return new Blob([start, header, values]);
}
