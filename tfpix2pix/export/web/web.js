// The page of an exported model: the sheet, files and the camera in, the worker's translations out.
import { makeSheet } from "./sheet.js";
import { makeStrip } from "./strip.js";
import { SIGNED, pictureOf, readNpy, toSigned, writeNpy } from "./tiling.js";

const MOST_PX = 16e6; // of an image
const VARIANTS = 6;
const REST_MS = 300; // without a stroke, until variants follow the drawing
const IN_FLIGHT = 2; // the image that is translated and the one that waits
const HELLO_MS = 10_000; // a worker that says nothing for so long does not work
const at = (id) => document.getElementById(id);
const settings = JSON.parse(at("data").textContent);
const wishes = new Set(location.hash.slice(1).split(",")); // wasm, webgpu, compatible, main: for tests
const [before, after, status, message] = ["before", "after", "status", "message"].map(at);
const sheet = at("sheet") && makeSheet(at("sheet"), {
  ...settings.sheet, another: at("another") && another,
  changed(canvas, isFinished) {
    input = null;
    if (isFinished) say("");
    inputChanged(isFinished);
  },
});
const strip = at("variants") && makeStrip(at("variants"), choose);
let port = null;
let count = 0; // of images sent
let inFlight = 0;
let stale = false; // whether the input has changed since it was sent
let input = null; // of a file with values: {values, width, height}; null: the sheet
let shown = null; // the newest result
let where = ""; // "" in a worker
let wanted = []; // seeds of variants that are to come
let inputs = 0; // counts changes of the input
let resting = null; // until variants follow
const variants = new Map(); // number of an image sent -> {seed, of: the input}

function say(text) {
  message.textContent = text;
  message.hidden = !text;
}

// ---------------------------------------------------------------------------------------------- the worker

function unpacked(name) { // base64 in the page
  const element = at(`packed-${name}`);
  const text = element.textContent;
  element.remove();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

async function workerAddresses() { // of the module, and of the worker with its type
  if (settings.worker) {
    const address = new URL(settings.worker, document.baseURI).href;
    return [address, address, "module"];
  }
  const packed = new Blob([unpacked("worker")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(packed).text();
  const addressOf = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  return [addressOf(code), addressOf(code.replace(/^export /gm, "")), "classic"]; // from file://, modules are refused
}

async function connect() {
  const [address, workerAddress, type] = await workerAddresses();
  try {
    if (wishes.has("main")) throw new Error("not wanted");
    const worker = new Worker(workerAddress, { type });
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
      setTimeout(reject, HELLO_MS);
    });
    worker.onerror = (event) => say(`The worker has stopped: ${event.message}. Load the page again.`);
    port = worker;
  } catch { // some browsers refuse workers from file://
    const { serve } = await import(address);
    const channel = new MessageChannel();
    serve(channel.port1);
    port = channel.port2;
    where = ", on the page's own thread";
  }
  port.onmessage = ({ data }) => heard(data);
  const builds = settings.builds ?? Object.fromEntries(["relaxed", "compatible"].map((build) => [build, {
    loader: { packed: unpacked(`${build}-loader`) }, binary: { packed: unpacked(`${build}-binary`) },
  }]));
  const model = settings.model ?? { packed: unpacked("model") };
  const prefer = ["wasm", "webgpu", "compatible"].find((wish) => wishes.has(wish)) ?? "";
  const buffers = [model, ...Object.values(builds).flatMap((build) => [build.loader, build.binary])]
    .filter((source) => source.packed).map((source) => source.packed.buffer);
  port.postMessage({ load: { ...settings, builds, model, prefer } }, buffers);
}

function heard(answer) {
  if (answer.ready) {
    status.textContent = `${answer.ready}${where}. Ready.`;
    document.body.dataset.ready = answer.ready;
  }
  if (answer.note) {
    at("note").textContent = answer.note;
    if (answer.by !== shown?.by) send(); // what is shown is then by WebGPU, as is its time
  }
  if (answer.progress && !variants.has(answer.progress.id)) status.textContent = `${answer.progress.done} of ${answer.progress.all} tiles…`;
  if (answer.error) say(`${answer.error.text}. Make the image smaller, or load the page again.`);
  const id = answer.result?.id ?? answer.dropped ?? answer.error?.id ?? null;
  if (id === null) return;
  const variant = variants.get(id);
  variants.delete(id);
  if (answer.result) variant ? showVariant(answer.result, variant) : show(answer.result);
  else if (answer.dropped && variant?.of === inputs) wanted.unshift(variant.seed);
  inFlight--;
  if (stale) send();
  else if (inFlight === 0) nextVariant();
  document.body.dataset.idle = inFlight === 0;
}

function send(seed = seedNow(), isVariant = false) {
  if (inFlight >= IN_FLIGHT) {
    stale = true;
    return;
  }
  if (!isVariant) stale = false;
  const id = ++count;
  if (isVariant) variants.set(id, { seed, of: inputs });
  inFlight++;
  document.body.dataset.idle = false;
  if (input !== null) {
    port.postMessage({ translate: { id, seed, isSpare: isVariant, ...input } });
    return;
  }
  const { width, height } = sheet.canvas;
  const pixels = sheet.canvas.getContext("2d").getImageData(0, 0, width, height).data;
  port.postMessage({ translate: { id, seed, isSpare: isVariant, pixels, width, height } }, [pixels.buffer]);
}

function inputChanged(isFinished) {
  inputs++;
  wanted = []; // during a stroke the sheet alone is translated
  clearTimeout(resting);
  strip?.wait(true);
  if (strip && isFinished) resting = setTimeout(refresh, REST_MS);
  if (port !== null) send();
}

// ---------------------------------------------------------------------------------------------- the result

function put(canvas, { picture, width, height }) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(picture, width, height), 0, 0);
}

function show(result) {
  shown = result;
  put(after, result);
  if (input === null) {
    before.width = result.width;
    before.height = result.height;
    before.getContext("2d").drawImage(sheet.canvas, 0, 0, result.width, result.height);
  } else put(before, { ...input, picture: pictureOf(input.values, settings.channels, settings.colors) });
  for (const name of ["download", "more", "another"]) if (at(name)) at(name).disabled = false;
  tell(result);
}

let speaking = null;
function tell({ by, width, height, ms, seed }) {
  const text = `${by}${where}, ${width}×${height} px, ${ms.toFixed(0)} ms${seed ? `, seed ${seed}` : ""}`;
  status.textContent = text;
  status.dataset.ms = ms;
  document.body.dataset.shown = count;
  clearTimeout(speaking);
  speaking = setTimeout(() => { at("spoken").textContent = `Translated: ${text}`; }, 1000); // not during a stroke
}

at("compare").addEventListener("input", (event) => {
  after.style.clipPath = `inset(0 ${100 - event.target.value}% 0 0)`;
});

at("download").addEventListener("click", async () => {
  let blob, suffix = "png";
  if (settings.keepsValues) {
    const [low, high] = settings.outRange, scale = (high - low) / 2;
    blob = writeNpy(shown.values.map((value) => (value + 1) * scale + low), [shown.height, shown.width, settings.outChannels]);
    suffix = "npy";
  } else blob = await new Promise((resolve) => after.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${settings.name}${shown.seed ? `-seed-${shown.seed}` : ""}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

// ---------------------------------------------------------------------------------------------- variants by noise

const mostSeed = Number(at("seed")?.max ?? 0);
const seedNow = () => Math.min(mostSeed, Math.max(0, Math.trunc(at("seed")?.value ?? 0)));

function choose(seed) { // it stays while the person draws on
  at("seed").value = seed;
  seedChosen();
}

function another() {
  if (shown !== null) choose((seedNow() % mostSeed) + 1);
}

function seedChosen() {
  strip.mark(seedNow());
  send();
}

at("seed")?.addEventListener("input", seedChosen);
at("another")?.addEventListener("click", another);
at("more")?.addEventListener("click", () => {
  const last = strip.seeds.at(-1) ?? 0;
  strip.begin(Array.from({ length: VARIANTS }, (_, index) => ((last + index) % mostSeed) + 1));
  strip.mark(seedNow());
  at("more").textContent = "Other variants";
  refresh();
});

function refresh() {
  wanted = strip.seeds;
  strip.wait(wanted.length > 0);
  if (inFlight === 0) nextVariant();
}

function nextVariant() {
  if (wanted.length) send(wanted.shift(), true);
}

function showVariant(result, { seed, of }) {
  if (of !== inputs) return; // of an older drawing
  const canvas = document.createElement("canvas");
  put(canvas, result);
  strip.put(seed, canvas);
  if (!wanted.length) strip.wait(false);
}

// ---------------------------------------------------------------------------------------------- files and the camera

function checkSize(width, height) {
  if (width * height > MOST_PX)
    throw new Error(`has ${width}×${height} px, and the page takes at most ${MOST_PX / 1e6} million. Make it smaller`);
}

async function open(file) {
  say("");
  try {
    if (file.name.toLowerCase().endsWith(".npy")) openValues(await file.arrayBuffer());
    else if (sheet) openPicture(await createImageBitmap(file, { colorSpaceConversion: "none" }), at("scale").value);
    else throw new Error(`is not a NumPy file with ${settings.channels} channels, which this model takes`);
  } catch (error) {
    const reason = error.name === "InvalidStateError" ? "is not an image that this browser reads" : error.message;
    say(`The page cannot open ${file.name}: it ${reason}.`);
  }
}

function openPicture(bitmap, scale) {
  let { width, height } = bitmap;
  if (scale === "model") { // it keeps its shape, but for the stretch of the training images
    height *= settings.stretch;
    const factor = settings.size / Math.max(width, height);
    [width, height] = [width, height].map((side) => Math.max(1, Math.round(side * factor)));
  }
  checkSize(width, height);
  const flat = document.createElement("canvas");
  [flat.width, flat.height] = [width, height];
  const ink = flat.getContext("2d");
  if (settings.hole || settings.channels !== 4) { // transparent parts are holes, or the ground
    ink.fillStyle = settings.hole ? `rgb(${settings.hole.join(" ")})` : settings.sheet.ground;
    ink.fillRect(0, 0, width, height);
  }
  ink.imageSmoothingQuality = "high";
  ink.drawImage(bitmap, 0, 0, width, height);
  sheet.show(flat, width, height);
}

function openValues(buffer) {
  const { width, height, channels, values, high } = readNpy(buffer);
  if (channels !== settings.channels) throw new Error(`has ${channels} channels, and the model takes ${settings.channels}`);
  checkSize(width, height);
  const [low, most] = settings.colors ? [0, 255] : settings.inRange ?? [0, high];
  if (!values.every((value) => value >= low && value <= most)) throw new Error(`has values beyond ${low} to ${most}`);
  input = { width, height, values: toSigned(values, low, most) };
  inputChanged(true);
}

at("file").addEventListener("change", (event) => {
  if (event.target.files.length) open(event.target.files[0]);
  event.target.value = "";
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files][0];
  if (file) open(file);
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    const isOver = name === "dragover" || name === "dragenter";
    document.body.classList.toggle("dropping", isOver);
    if (name === "drop" && event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
for (const button of at("examples")?.children ?? [])
  button.addEventListener("click", () => sheet.show(button.firstElementChild));

if (at("camera") && navigator.mediaDevices?.getUserMedia) {
  const video = at("video"), viewfinder = at("viewfinder");
  at("camera").hidden = false;
  at("camera").addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      viewfinder.showModal();
      await video.play();
    } catch (error) {
      say(`The page cannot use a camera: ${error.message}. Open a file instead.`);
    }
  });
  at("take").addEventListener("click", async () => { // the middle of the picture, as a square of the model's size
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (!side) return;
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    openPicture(await createImageBitmap(video, left, top, side, side), "model");
    viewfinder.close();
  });
  at("close").addEventListener("click", () => viewfinder.close());
  viewfinder.addEventListener("close", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
}

// ---------------------------------------------------------------------------------------------- the start

status.textContent = "Loading the model…";
if (sheet) {
  const picture = new Image();
  picture.src = settings.start;
  await picture.decode();
  sheet.show(picture);
}
try {
  await connect();
  if (sheet) send();
} catch (error) {
  say(`The model cannot be loaded: ${error.message ?? error}. Use a newer browser.`);
}
