// A sheet to paint on, which `tfpix2pix demo` and exported pages share. Its pixels have only colours of the palette (no
// smooth edges), so a label is a label.
//
// makeSheet(root, options) fills the element `root` and returns the sheet. Its options:
//   palette: [{name, color}], colours as #rrggbb        pen, ground: colours of the first stroke and of a blank sheet
//   brushPx, mostPx: width of a stroke, at the start and at most
//   changed(canvas, isFinished): called during a stroke, at most every `pauseMs`, and after it
//   another: called if the key A is pressed on the sheet; null: the key has no use

const MOST_UNDOS = 20;
const MOST_UNDO_BYTES = 2 ** 26; // of large pictures fewer steps are kept
const STEPS_PX = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  "Arrow keys move the cross, with Shift by ten pixels. Space lowers and lifts the brush, sets the corners of a " +
  "rectangle, or fills. Escape lifts the brush. Control Z undoes.";
const HELP_ANOTHER = " A gives another translation.";
let sheets = 0;

export function makeSheet(root, { palette, pen, ground, brushPx, mostPx, changed, another = null, pauseMs = 40 }) {
  const number = ++sheets;
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const radio = (label, data) =>
    element("button", { type: "button", role: "radio", "aria-checked": "false", tabindex: "-1", ...data }, label);
  const colors = element("div", { class: "sheet-row", role: "radiogroup", "aria-label": "Colour" });
  for (const { name, color } of [...palette, { name: "eraser", color: "" }])
    colors.append(radio(name, { "data-color": color, title: color ? name : "Restores the first picture" }));
  const tools = element("div", { class: "sheet-row sheet-tools", role: "radiogroup", "aria-label": "Tool" });
  for (const name of ["brush", "rectangle", "fill"]) tools.append(radio(name, { "data-tool": name }));
  const size = element("input", { type: "range", min: 1, max: mostPx, value: brushPx, "aria-label": "Brush, px" });
  const sizeText = element("output", {}, String(brushPx));
  const undo = element("button", { type: "button", disabled: "" }, "Undo");
  const blank = element("button", { type: "button" }, "Blank sheet");
  const canvas = element("canvas", {
    tabindex: "0", role: "application", "aria-roledescription": "sheet", "aria-label": "Sheet to draw on",
    "aria-describedby": `sheet-help-${number}`,
  });
  const cross = element("div", { class: "sheet-cross", hidden: "" });
  const paper = element("div", { class: "sheet-paper" }, canvas, cross);
  root.replaceChildren(
    element("div", { class: "sheet-all" },
      element("div", { class: "sheet-bar" },
        colors, tools,
        element("div", { class: "sheet-row" },
          element("label", { class: "sheet-size" }, "Brush, px ", size, sizeText), undo, blank)),
      paper,
      element("p", { class: "sheet-help", id: `sheet-help-${number}` }, HELP + (another ? HELP_ANOTHER : ""))),
  );
  for (const button of colors.children) button.style.setProperty("--color", button.dataset.color || "transparent");

  const ink = canvas.getContext("2d", { willReadFrequently: true });
  const beneath = document.createElement("canvas"); // the picture that the eraser restores
  let color = pen;
  let tool = "brush";
  let past = [];
  let stroke = null; // {from, last, before}: where it began and is, in pixels of the sheet
  let byKeys = false; // whether the stroke is drawn by keys
  let cursor = { x: 0, y: 0 };
  let told = 0;
  let waiting = null;

  function choose(group, button) {
    for (const other of group.children) {
      other.setAttribute("aria-checked", other === button);
      other.tabIndex = other === button ? 0 : -1;
    }
    if (group === colors) color = button.dataset.color;
    else tool = button.dataset.tool;
  }

  function tell(isFinished) {
    clearTimeout(waiting);
    waiting = null;
    told = performance.now();
    changed(canvas, isFinished);
  }

  function tellSoon() {
    if (waiting === null) waiting = setTimeout(() => tell(false), Math.max(0, told + pauseMs - performance.now()));
  }

  const pixels = () => ink.getImageData(0, 0, canvas.width, canvas.height);

  function remember(before = pixels()) {
    past.push(before);
    const most = Math.max(1, Math.min(MOST_UNDOS, Math.floor(MOST_UNDO_BYTES / before.data.length)));
    past = past.slice(-most);
    undo.disabled = false;
  }

  function paint(left, top, width, height) {
    if (color) {
      ink.fillStyle = color;
      ink.fillRect(left, top, width, height);
    } else ink.drawImage(beneath, left, top, width, height, left, top, width, height);
  }

  function dot(x, y) { // a disc in rows of whole pixels
    const radius = Number(size.value) / 2;
    for (let row = Math.ceil(y - radius); row < y + radius; row++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (row - y) * (row - y)));
      paint(Math.round(x - half), row, Math.max(1, Math.round(2 * half)), 1);
    }
  }

  function line(from, to) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
    for (let step = 0; step <= steps; step++)
      dot(from.x + ((to.x - from.x) * step) / steps, from.y + ((to.y - from.y) * step) / steps);
  }

  function rectangle(from, to) {
    ink.putImageData(stroke.before, 0, 0);
    const left = Math.min(from.x, to.x), top = Math.min(from.y, to.y);
    paint(left, top, Math.abs(to.x - from.x) + 1, Math.abs(to.y - from.y) + 1);
  }

  function fill({ x, y }) { // the area of one colour around a pixel, by rows
    const { width, height } = canvas;
    const image = pixels(), values = new Uint32Array(image.data.buffer);
    const restored = color ? null : beneath.getContext("2d").getImageData(0, 0, width, height);
    const source = restored && new Uint32Array(restored.data.buffer);
    let value = 0;
    if (color) {
      const one = new Uint8ClampedArray([1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)).concat(255));
      value = new Uint32Array(one.buffer)[0];
    }
    const old = values[y * width + x], seen = new Uint8Array(width * height), open = [y * width + x];
    while (open.length) {
      const place = open.pop();
      if (seen[place] || values[place] !== old) continue;
      const row = place - (place % width);
      let left = place, right = place;
      while (left > row && !seen[left - 1] && values[left - 1] === old) left--;
      while (right < row + width - 1 && !seen[right + 1] && values[right + 1] === old) right++;
      for (let at = left; at <= right; at++) {
        seen[at] = 1;
        for (const next of [at - width, at + width])
          if (next >= 0 && next < values.length && !seen[next] && values[next] === old) open.push(next);
      }
    }
    for (let at = 0; at < values.length; at++) if (seen[at]) values[at] = source ? source[at] : value;
    ink.putImageData(image, 0, 0);
  }

  const inside = ({ x, y }) => ({
    x: Math.min(canvas.width - 1, Math.max(0, x)), y: Math.min(canvas.height - 1, Math.max(0, y)),
  });

  function begin(at) {
    const before = pixels();
    if (tool === "fill") {
      remember(before);
      fill(inside(at));
      tell(true);
      return;
    }
    stroke = { from: at, last: at, before };
    canvas.dataset.stroke = ""; // for others on the page, which wait for its end
    remember(before);
    move(at);
  }

  function move(at) {
    if (tool === "rectangle") rectangle(stroke.from, at);
    else line(stroke.last, at);
    stroke.last = at;
    tellSoon();
  }

  function end() {
    if (stroke === null) return;
    stroke = null;
    delete canvas.dataset.stroke;
    byKeys = false;
    cross.classList.remove("sheet-down");
    tell(true);
  }

  function box() { // the sheet lies whole in the middle of its box
    const outer = canvas.getBoundingClientRect();
    const scale = Math.min(outer.width / canvas.width, outer.height / canvas.height);
    return {
      scale,
      left: (outer.width - canvas.width * scale) / 2,
      top: (outer.height - canvas.height * scale) / 2,
      outer,
    };
  }

  function at(event) {
    const { outer, left, top, scale } = box();
    return {
      x: Math.floor((event.clientX - outer.left - left) / scale),
      y: Math.floor((event.clientY - outer.top - top) / scale),
    };
  }

  function showCross() {
    const { left, top, scale } = box();
    cross.hidden = false;
    cross.style.left = `${canvas.offsetLeft + left + (cursor.x + 0.5) * scale}px`;
    cross.style.top = `${canvas.offsetTop + top + (cursor.y + 0.5) * scale}px`;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    cross.hidden = true;
    end(); // of a stroke by keys
    canvas.setPointerCapture(event.pointerId);
    begin(at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke === null || byKeys || !event.isPrimary) return;
    const steps = event.getCoalescedEvents?.() ?? []; // all that a pen reports
    for (const step of steps.length ? steps : [event]) move(at(step));
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, () => {
      if (!byKeys) end();
    });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS_PX[event.key];
    if (step) {
      const pace = event.shiftKey ? 10 : 1;
      cursor = inside({ x: cursor.x + pace * step[0], y: cursor.y + pace * step[1] });
      if (stroke !== null) move(cursor);
      showCross();
    } else if (event.key === " ") {
      if (stroke !== null) end();
      else {
        byKeys = tool !== "fill";
        cross.classList.toggle("sheet-down", byKeys);
        begin(cursor);
        showCross();
      }
    } else if (event.key === "Escape" && stroke !== null) end();
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) undo.click();
    else if (another && event.key.toLowerCase() === "a" && !(event.ctrlKey || event.metaKey || event.altKey)) another();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => {
    end();
    cross.hidden = true;
  });

  for (const group of [colors, tools]) {
    group.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button !== null) choose(group, button);
    });
    group.addEventListener("keydown", (event) => { // as in every group of radio buttons
      const step = STEPS_PX[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = [...group.children];
      const next = buttons.indexOf(document.activeElement) + step[0] + step[1];
      const button = buttons[(next + buttons.length) % buttons.length];
      choose(group, button);
      button.focus();
    });
  }
  undo.addEventListener("click", () => {
    if (!past.length) return;
    const before = past.pop();
    ink.putImageData(before, 0, 0);
    undo.disabled = past.length === 0;
    tell(true);
  });
  blank.addEventListener("click", () => {
    remember();
    ink.fillStyle = ground;
    ink.fillRect(0, 0, canvas.width, canvas.height);
    tell(true);
  });
  size.addEventListener("input", () => { sizeText.textContent = size.value; });

  choose(colors, [...colors.children].find((button) => button.dataset.color === color) ?? colors.firstElementChild);
  choose(tools, tools.firstElementChild);
  return {
    canvas,
    // Puts a picture on the sheet: an image, a bitmap or a canvas. The sheet takes its size.
    show(picture, width = picture.naturalWidth ?? picture.width, height = picture.naturalHeight ?? picture.height) {
      for (const each of [canvas, beneath]) {
        each.width = width; // empties it
        each.height = height;
        each.getContext("2d").drawImage(picture, 0, 0, width, height);
      }
      stroke = null;
      delete canvas.dataset.stroke;
      past = [];
      undo.disabled = true;
      cursor = { x: width >> 1, y: height >> 1 };
      tell(true);
    },
  };
}
