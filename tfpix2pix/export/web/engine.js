// Runs a model by LiteRT.js: by WebAssembly, and by WebGPU if its first image is the same.
import { Tensor, getDefaultEnvironment, loadAndCompile, loadLiteRt, supportsFeature } from "./core.js";
import { useBuild } from "./loader.js";

const SAME = 2.5 / 255; // on [-1, 1]: about a level of 8 bits, with room for the rounding of a GPU

async function bytesOf(source) { // an address, or {packed}: gzip
  if (typeof source === "string") {
    const response = await fetch(source);
    if (!response.ok) throw new Error(`${source} cannot be loaded (HTTP status ${response.status})`);
    return new Uint8Array(await response.arrayBuffer());
  }
  const stream = new Blob([source.packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function factoryOf(source) {
  if (typeof source === "string") return (await import(source)).default;
  const url = URL.createObjectURL(new Blob([await bytesOf(source)], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

// Loads the runtime and the model. `builds` and `model` hold addresses or packed bytes; `prefer` is "" for the choice by
// the first image, "wasm" or "webgpu".
export async function makeEngine({ builds, model, size, channels, noiseSize, prefer }) {
  const build = (await supportsFeature("relaxedSimd")) && prefer !== "compatible" ? "relaxed" : "compatible";
  const [factory, binary, bytes] = await Promise.all([
    factoryOf(builds[build].loader), bytesOf(builds[build].binary), bytesOf(model),
  ]);
  useBuild(factory, binary);
  await loadLiteRt("runtime.js"); // the name is not used
  const names = { wasm: build === "relaxed" ? "WebAssembly" : "WebAssembly, compatible build", webgpu: "WebGPU" };
  let kind = "wasm";
  let compiled = await loadAndCompile(bytes, { accelerator: "wasm" });
  const hasGpu = prefer !== "wasm" && prefer !== "compatible" && getDefaultEnvironment().webGpuDevice != null;
  let rest = hasGpu ? bytes : null; // for the comparison

  async function runBy(network, values, noise) {
    const inputs = { image: new Tensor(values, [1, size, size, channels]) };
    if (noiseSize) inputs.noise = new Tensor(noise, [1, noiseSize]);
    let outputs = {};
    try {
      outputs = await network.run(inputs);
      return await outputs.image.data();
    } finally {
      for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
    }
  }

  // The first run plans memory and takes many times as long.
  await runBy(compiled, new Float32Array(size * size * channels), new Float32Array(noiseSize).fill(1));
  return {
    get name() { return names[kind]; },
    run: (values, noise) => runBy(compiled, values, noise),
    // Compares WebGPU with WebAssembly on an input, and goes on with WebGPU if the two agree and it is not slower.
    // Returns a sentence for the user, or "" if there is no WebGPU.
    async compare(values, noise) {
      if (rest === null) return "";
      const content = rest;
      rest = null;
      let other = null;
      try {
        const expected = await runBy(compiled, values, noise);
        other = await loadAndCompile(content, { accelerator: "webgpu" });
        const received = await runBy(other, values, noise);
        let farthest = 0;
        for (let at = 0; at < expected.length; at++)
          farthest = Math.max(farthest, Number.isNaN(received[at]) ? Infinity : Math.abs(received[at] - expected[at]));
        const said = `The largest difference of WebGPU from WebAssembly is ${(farthest * 127.5).toPrecision(2)} levels of 255`;
        if (!(farthest <= SAME)) return `${said}, so WebAssembly is used.`;
        const [slow, fast] = [await timeOf(compiled, values, noise), await timeOf(other, values, noise)];
        if (fast > slow && prefer !== "webgpu")
          return `${said}, but it is slower here (${fast.toFixed(0)} ms, ${slow.toFixed(0)} ms), so WebAssembly is used.`;
        [compiled, other, kind] = [other, compiled, "webgpu"];
        return `${said}, so WebGPU is used.`;
      } catch (error) {
        return `WebGPU does not run this model (${error.message ?? error}), so WebAssembly is used.`;
      } finally {
        other?.delete();
      }
    },
  };

  async function timeOf(network, values, noise) {
    const start = performance.now();
    await runBy(network, values, noise);
    return performance.now() - start;
  }
}
