// A sheet to paint on. Its pixels have only colours of the palette (no smooth edges), so a label is a label.
// `props.sheet` is [count, address of the first picture]. `props.value` is the address of the present picture.
const canvas = element.querySelector("canvas");
const ink = canvas.getContext("2d", { willReadFrequently: true });
const beneath = document.createElement("canvas"); // the picture that the eraser restores
const size = element.querySelector("input");
const undo = element.querySelector('[data-do="undo"]');
const MOST_UNDOS = 20;
const PAUSE_MS = 150; // between translations during a stroke
let color = props.pen;
let past = [];
let last = null; // where the stroke is, in pixels of the sheet
let told = 0;
let waiting = null;

function choose(chosen) {
  color = chosen;
  for (const button of element.querySelectorAll("[data-color]"))
    button.setAttribute("aria-checked", button.dataset.color === color);
}

function tell() { // the page translates what is on the sheet
  clearTimeout(waiting);
  waiting = null;
  told = performance.now();
  props.value = canvas.toDataURL("image/png");
  trigger("input");
}

function tellSoon() {
  if (waiting === null) waiting = setTimeout(tell, Math.max(0, told + PAUSE_MS - performance.now()));
}

function remember() {
  past.push(ink.getImageData(0, 0, canvas.width, canvas.height));
  if (past.length > MOST_UNDOS) past.shift();
  undo.disabled = false;
}

function dot(x, y) { // a disc in rows of whole pixels
  const radius = Number(size.value) / 2;
  for (let row = Math.ceil(y - radius); row < y + radius; row++) {
    const half = Math.sqrt(Math.max(0, radius * radius - (row - y) * (row - y)));
    const left = Math.round(x - half);
    const wide = Math.max(1, Math.round(2 * half));
    if (color) ink.fillRect(left, row, wide, 1);
    else ink.drawImage(beneath, left, row, wide, 1, left, row, wide, 1);
  }
}

function line(from, to) {
  ink.fillStyle = color || "#000000";
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
  for (let step = 0; step <= steps; step++)
    dot(from.x + ((to.x - from.x) * step) / steps, from.y + ((to.y - from.y) * step) / steps);
}

function at(event) { // the sheet lies whole in the middle of its box
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  return {
    x: Math.floor((event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale),
    y: Math.floor((event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale),
  };
}

async function begin() {
  const picture = new Image();
  picture.src = props.sheet[1];
  await picture.decode();
  for (const each of [canvas, beneath]) {
    each.width = picture.naturalWidth;
    each.height = picture.naturalHeight;
  }
  ink.drawImage(picture, 0, 0);
  beneath.getContext("2d").drawImage(picture, 0, 0);
  past = [];
  undo.disabled = true;
  tell();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  remember();
  last = at(event);
  line(last, last);
  tellSoon();
});
canvas.addEventListener("pointermove", (event) => {
  if (last === null) return;
  const here = at(event);
  line(last, here);
  last = here;
  tellSoon();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (last === null) return;
    last = null;
    tell();
  });

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === null) return;
  if (button.dataset.color !== undefined) choose(button.dataset.color);
  if (button.dataset.do === "undo") {
    ink.putImageData(past.pop(), 0, 0);
    undo.disabled = past.length === 0;
    tell();
  }
  if (button.dataset.do === "blank") {
    remember();
    ink.fillStyle = props.ground;
    ink.fillRect(0, 0, canvas.width, canvas.height);
    tell();
  }
});
size.addEventListener("input", () => { element.querySelector("output").textContent = size.value; });
watch("sheet", begin);
choose(color);
begin();
