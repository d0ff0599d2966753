// Translates for the page: in a worker, or on the page's own thread where the browser refuses one.
//
// Messages of the page: {load: settings}, {translate: {id, pixels | values, width, height, seed, isSpare}}, where a spare
// image is one that nobody waits for. Answers: {ready}, {note}, {progress: {id, done, all}}, and for every image
// {result: {id, seed, picture, values, width, height, ms, by}}, {dropped: id} because a newer one came, or
// {error: {id, text}}.
import { makeEngine } from "./engine.js";
import { drawnNoise } from "./noise.js";
import { SIGNED, inputOf, pictureOf, translateTiles } from "./tiling.js";

const LOOK_EVERY_MS = 50; // whether a newer image has come
const FINISH_MS = 1000; // an image that needs less is finished, though a newer one has come

export function serve(port) {
  port.postMessage({ hello: true });
  let engine = null, settings = null;
  let next = null; // the newest image that waits; older ones are dropped
  let isBusy = false, isCompared = false;

  port.onmessage = async ({ data }) => {
    if (data.load) {
      settings = data.load;
      try {
        engine = await makeEngine(settings);
        port.postMessage({ ready: engine.name });
      } catch (error) {
        port.postMessage({ error: { id: null, text: `The model cannot be loaded: ${error.message ?? error}` } });
        return;
      }
    }
    if (data.translate) {
      if (next !== null) port.postMessage({ dropped: next.id });
      next = data.translate;
    }
    if (isBusy || engine === null) return;
    isBusy = true;
    while (next !== null) {
      const job = next;
      next = null;
      try {
        await translate(job);
      } catch (error) {
        port.postMessage({ error: { id: job.id, text: `The image cannot be translated: ${error.message ?? error}` } });
      }
    }
    isBusy = false;
  };

  async function translate({ id, pixels, values, width, height, seed, isSpare = false }) {
    const { size, channels, outChannels, colors, outColors, hole, noiseSize, styles, keepsValues } = settings;
    const noise = noiseSize ? (seed ? drawnNoise(seed, noiseSize, styles) : new Float32Array(noiseSize).fill(1)) : null;
    const source = values ?? inputOf(pixels, { channels, colors, hole });
    const signed = values ? (value) => value : (value) => SIGNED[value];
    const image = {
      height, width,
      tile(rows, columns) {
        const tile = new Float32Array(rows.length * columns.length * channels);
        let to = 0;
        for (const row of rows)
          for (const column of columns)
            for (let from = (row * width + column) * channels, end = from + channels; from < end; from++)
              tile[to++] = signed(source[from]);
        return tile;
      },
    };
    const picture = new Uint8ClampedArray(4 * width * height);
    const kept = keepsValues ? new Float32Array(width * height * outChannels) : null;
    let first = null;
    const run = (tile) => {
      first ??= tile;
      return engine.run(tile, noise);
    };
    const finish = (rows, top) => {
      picture.set(pictureOf(rows, outChannels, outColors), 4 * top * width);
      kept?.set(rows, top * width * outChannels);
    };
    const start = performance.now();
    let looked = start;
    const goesOn = async (done, all) => { // lets messages in
      if (performance.now() - looked > LOOK_EVERY_MS) {
        port.postMessage({ progress: { id, done, all } });
        await new Promise((resolve) => setTimeout(resolve));
        looked = performance.now();
      }
      const leftMs = ((performance.now() - start) / done) * (all - done);
      return next === null || done === 0 || (!isSpare && leftMs < FINISH_MS);
    };
    const isDone = await translateTiles(run, image, finish, { size, outChannels, blend: !outColors, goesOn });
    if (!isDone) {
      port.postMessage({ dropped: id });
      return;
    }
    const ms = performance.now() - start;
    const result = { id, seed, picture, values: kept, width, height, ms, by: engine.name };
    port.postMessage({ result }, [picture.buffer, ...(kept ? [kept.buffer] : [])]);
    if (!isCompared) {
      isCompared = true;
      const note = await engine.compare(first, noise);
      if (note) port.postMessage({ note, by: engine.name });
    }
  }
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) serve(self);
