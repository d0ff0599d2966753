// Starts a WebAssembly build of LiteRT.js from bytes, in place of its package @litertjs/wasm-utils, which adds a script
// to the page. So it works in a worker and in a single file, too.
let build = null; // {factory, wasmBinary}

export function useBuild(factory, wasmBinary) {
  build = { factory, wasmBinary };
}

export async function createWasmLib(Library) {
  const { factory, wasmBinary } = build;
  build = null;
  return new Library(await factory({ wasmBinary }));
}
