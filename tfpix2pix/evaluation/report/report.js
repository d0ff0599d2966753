"use strict";
(() => {
  const { images, modes, better, titles, by } = JSON.parse(at("data").textContent);
  const ROLES = { input: "input", output: "output", target: "target", error: "error map", nearest: "nearest training target" };
  const IN_GALLERY = ["input", "output", "target", "nearest"];
  const BADNESS = { // by which values are better: a number that is greater the worse a value is
    lower: (value) => value,
    higher: (value) => -value,
    "near 1": (value) => Math.abs(value - 1),
    "": (value) => value,
  };
  const { compare: byName } = new Intl.Collator(undefined, { numeric: true });
  let mode = Object.keys(modes)[0];
  let sequence = images.map((_, index) => index); // the gallery as it is sorted and filtered
  let current = 0;

  function at(id) {
    return document.getElementById(id);
  }

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  const digits = (value) => {
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-4 || size >= 1e4) ? value.toExponential(3) : value.toPrecision(4);
    return text.replaceAll("-", "−");
  };

  const valueOf = (image, metric) => (metric in image.metrics ? `${metric} ${digits(image.metrics[metric])}` : "");

  // One picture, or two with a boundary that a range input moves.

  function picture(image, role, name = ROLES[role]) {
    return make("img", { src: image[role], alt: `${name} of ${image.name}`, decoding: "async", draggable: false });
  }

  function stage(image) {
    const [width, height] = image.size;
    const pictures = make("div", { className: "pictures" });
    const whole = make("div", { className: "stage" }, pictures);
    whole.style.setProperty("--ratio", width / height);
    if (!(mode in image)) {
      pictures.append(picture(image, "output"));
      return whole;
    }
    const over = picture(image, "output");
    over.className = "over";
    pictures.append(picture(image, mode), over, make("i"));
    pictures.append(make("span", { className: "tag left" }, "output"), make("span", { className: "tag right" }, ROLES[mode]));
    whole.append(boundary(image, whole));
    return whole;
  }

  function boundary(image, whole) {
    const range = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
    range.setAttribute("aria-label", `Boundary between output and ${ROLES[mode]} of ${image.name}`);
    const move = () => {
      whole.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-valuetext", `${range.value} % output`);
    };
    range.addEventListener("input", move);
    move();
    return range;
  }

  function compare(place, image) {
    const before = place.querySelector("input[type=range]");
    place.replaceChildren(stage(image));
    const after = place.querySelector("input[type=range]");
    if (!before || !after) return;
    after.value = before.value; // keeps the boundary in place
    after.dispatchEvent(new Event("input"));
  }

  // The switch that selects the pictures that outputs are compared with, for the whole page.

  function setMode(chosen) {
    mode = chosen;
    for (const radio of document.querySelectorAll(".switch input")) radio.checked = radio.value === mode;
    for (const scale of document.querySelectorAll(".scale")) scale.hidden = mode !== "error";
    for (const card of document.querySelectorAll(".card")) compare(card.querySelector(".compare"), images[card.dataset.image]);
    if (at("large").open) compare(at("large").querySelector(".compare"), images[current]);
  }

  // The gallery.

  const titleOf = (image) => (image.facts ? `${image.name} (${image.facts})` : image.name);

  function thumbnail(image, index) {
    const roles = IN_GALLERY.filter((role) => role in image);
    const row = make("span", { className: "row" }, ...roles.map((role) => picture(image, role)));
    const caption = make("span", { className: "caption" }, make("span", {}, titleOf(image)), make("span", { className: "value" }));
    const button = make("button", { type: "button" }, row, caption);
    button.setAttribute("aria-label", `Open ${image.name} in large`);
    button.addEventListener("click", () => open(index));
    return make("li", {}, button);
  }

  function arrange(thumbnails) {
    const metric = at("sort").value;
    const wanted = at("filter").value.trim().toLowerCase();
    const badness = (index) => BADNESS[better[metric]](images[index].metrics[metric] ?? NaN);
    const worstFirst = (a, b) => {
      const [first, second] = [badness(a), badness(b)];
      return Number.isNaN(first) - Number.isNaN(second) || second - first; // images without the metric come last
    };
    const all = images.map((_, index) => index).sort((a, b) => byName(images[a].name, images[b].name));
    if (metric) all.sort(worstFirst);
    sequence = all.filter((index) => images[index].name.toLowerCase().includes(wanted));
    for (const index of sequence) thumbnails[index].querySelector(".value").textContent = valueOf(images[index], metric || by);
    at("thumbnails").replaceChildren(...sequence.map((index) => thumbnails[index]));
    at("count").textContent = wanted ? `${sequence.length} of ${images.length}` : "";
  }

  // The large view.

  function open(index) {
    at("large").showModal();
    show(index);
    at("large-name").focus(); // `autofocus` would be looked at when the page loads, too
  }

  function labelled(image, role, text) {
    return make("figure", {}, picture(image, role, text), make("figcaption", {}, text));
  }

  const captionOf = ({ captions = {} }, role) => (captions[role] ? `${ROLES[role]}: ${captions[role]}` : ROLES[role]);

  function show(index) {
    const large = at("large");
    const image = images[(current = index)];
    const among = sequence.includes(index) ? sequence : images.map((_, position) => position);
    at("large-name").textContent = titleOf(image);
    at("large-place").textContent = `${among.indexOf(index) + 1} of ${among.length}`;
    compare(large.querySelector(".compare"), image);
    const pairs = Object.entries(image.metrics).map(([key, value]) =>
      make("div", {}, make("dt", {}, titles[key]), make("dd", {}, digits(value)))
    );
    large.querySelector(".image-metrics").replaceChildren(...pairs);
    const roles = Object.keys(ROLES).filter((role) => role in image);
    at("all").replaceChildren(...roles.map((role) => labelled(image, role, captionOf(image, role))));
    showVariants(at("by-noise"), image);
  }

  function showVariants(place, image) {
    place.hidden = !image.variants.length;
    const diversity = "diversity" in image.metrics ? `, diversity ${digits(image.metrics.diversity)}` : "";
    place.querySelector("h3").textContent = `With different noise${diversity}`;
    const strip = image.variants.map((_, index) => labelled({ ...image.variants, name: image.name }, index, `noise ${index + 1}`));
    place.querySelector(".strip").replaceChildren(...strip);
  }

  function step(by) {
    const among = sequence.includes(current) ? sequence : images.map((_, index) => index);
    show(among[(among.indexOf(current) + by + among.length) % among.length]);
  }

  const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
  function key(event) {
    if (!(event.key in STEPS) || event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(STEPS[event.key]);
  }

  function start() {
    const thumbnails = images.map(thumbnail);
    for (const element of document.querySelectorAll(".modes, .tools")) element.hidden = false;
    const roles = IN_GALLERY.filter((role) => images.some((image) => role in image));
    if (roles.length > 1) at("in-a-row").textContent = `From left to right: ${roles.map((role) => ROLES[role]).join(", ")}.`;
    at("thumbnails").style.setProperty("--roles", roles.length);
    for (const id of ["sort", "filter"]) at(id).addEventListener("input", () => arrange(thumbnails));
    document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
    for (const radio of document.querySelectorAll(".switch input")) radio.addEventListener("change", () => setMode(radio.value));
    for (const card of document.querySelectorAll(".card"))
      card.querySelector(".open").addEventListener("click", () => open(Number(card.dataset.image)));
    at("previous").addEventListener("click", () => step(-1));
    at("next").addEventListener("click", () => step(1));
    at("close").addEventListener("click", () => at("large").close());
    at("large").addEventListener("keydown", key);
    at("large").addEventListener("click", (event) => event.target === at("large") && at("large").close()); // a click outside closes it
    setMode(mode);
    arrange(thumbnails);
  }

  start();
})();
