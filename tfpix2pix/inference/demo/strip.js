// A strip of variants, translations by other noise, which `tfpix2pix demo` and exported pages share.
//
// makeStrip(root, chosen) fills the element `root` and returns the strip. chosen(seed) is called if a thumbnail is pressed.

const SIDE_PX = 160; // of a thumbnail at most: twice what it takes on the page
const SQUARES_PX = 80; // smaller pictures are shown with their pixels as squares

export function makeStrip(root, chosen) {
  const thumbnails = new Map(); // seed -> button
  root.classList.add("strip");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Variants");
  root.hidden = true;
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button !== null) chosen(Number(button.dataset.seed));
  });
  return {
    get seeds() { return [...thumbnails.keys()]; },
    get waits() { return root.getAttribute("aria-busy") === "true"; },
    // Makes room for thumbnails of these seeds, and keeps those that are there.
    begin(seeds) {
      if (String(seeds) === String(this.seeds)) return;
      thumbnails.clear();
      for (const seed of seeds) {
        const button = document.createElement("button");
        const attributes = { type: "button", "data-seed": seed, "aria-label": `Variant ${seed}`, title: `Seed ${seed}` };
        for (const [name, value] of Object.entries(attributes)) button.setAttribute(name, value);
        button.append(document.createElement("canvas"));
        thumbnails.set(seed, button);
      }
      root.replaceChildren(...thumbnails.values());
      root.hidden = seeds.length === 0;
    },
    // Puts an image or a canvas on the thumbnail of a seed.
    put(seed, picture) {
      const canvas = thumbnails.get(seed)?.firstElementChild;
      if (!canvas) return;
      const width = picture.naturalWidth ?? picture.width, height = picture.naturalHeight ?? picture.height;
      const scale = Math.min(1, SIDE_PX / Math.max(width, height));
      canvas.width = Math.max(1, Math.round(width * scale)); // empties it
      canvas.height = Math.max(1, Math.round(height * scale));
      canvas.classList.toggle("squares", Math.max(width, height) < SQUARES_PX);
      const ink = canvas.getContext("2d");
      ink.imageSmoothingQuality = "high";
      ink.drawImage(picture, 0, 0, canvas.width, canvas.height);
    },
    // Shows which seed the picture beside the sheet has.
    mark(seed) {
      for (const [other, button] of thumbnails) button.setAttribute("aria-pressed", other === seed);
    },
    // Shows whether thumbnails are of an older input.
    wait(isWaiting) { root.setAttribute("aria-busy", isWaiting); },
  };
}
