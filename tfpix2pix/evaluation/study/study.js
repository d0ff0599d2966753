"use strict";
(() => {
  const study = JSON.parse(at("data").textContent);
  const key = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(study.key), (byte) => byte.charCodeAt(0))));
  const place = `tfpix2pix-study-${study.study}`;
  const SIDES = { 1: true, ArrowLeft: true, Digit1: true, Numpad1: true, 2: false, ArrowRight: false, Digit2: false, Numpad2: false };
  let pending = null; // receives the answer while the question is shown
  let wasHidden = false; // true if the page was out of sight since the first image of the trial

  function at(id) {
    return document.getElementById(id);
  }
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const pressed = (id) => new Promise((done) => at(id).addEventListener("click", done, { once: true }));
  const now = () => new Date().toISOString();
  const tenths = (ms) => Math.round(10 * ms) / 10;
  const focus = (element) => element.focus({ preventScroll: true });

  // The answers so far. They survive a reload if the browser lets a page keep data.

  function keep(session) {
    try {
      localStorage.setItem(place, JSON.stringify(session));
    } catch {
      onbeforeunload = (event) => event.preventDefault(); // the browser asks before the page closes
    }
  }

  function kept() {
    try {
      return JSON.parse(localStorage.getItem(place));
    } catch {
      return null;
    }
  }

  // The order of trials, and of the two images in each: functions of the seed.

  function mulberry32(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  function schedule(seed) {
    const random = mulberry32(seed);
    const shuffled = (rows) => {
      for (let last = rows.length - 1; last > 0; last--) {
        const other = Math.floor(random() * (last + 1));
        [rows[last], rows[other]] = [rows[other], rows[last]];
      }
      return rows;
    };
    const rows = [...shuffled(key.filter((row) => row.practice)), ...shuffled(key.filter((row) => !row.practice))];
    return rows.map((row) => ({ ...row, generated_first: random() < 0.5 }));
  }

  // A trial.

  async function decoded(index, alt) {
    const image = new Image();
    image.alt = alt;
    image.src = study.images[index];
    await image.decode();
    return image;
  }

  function imagesOf(row) {
    const [first, second] = row.generated_first ? [row.generated, row.real] : [row.real, row.generated];
    return Promise.all([decoded(first, "First image"), decoded(second, "Second image")]);
  }

  // Shows an image for whole frames of the screen, as near to `shown_s` as they allow. Returns the time, ms.
  async function present(image) {
    const begun = await frame();
    image.classList.add("shown");
    let [time, frameMs] = [begun, Infinity];
    do {
      const before = time;
      time = await frame();
      frameMs = Math.min(frameMs, time - before);
    } while (time - begun + frameMs / 2 < 1000 * study.shown_s);
    image.classList.remove("shown");
    return time - begun;
  }

  async function trial(row, images) {
    const [first, second] = images;
    at("stage").append(first, second);
    at("cross").classList.add("shown");
    await wait(study.fixation_ms);
    at("cross").classList.remove("shown");
    wasHidden = document.hidden;
    say("First image");
    const shown = [await present(first)];
    say("Second image");
    await Promise.all([wait(study.blank_ms), second.decode()]);
    shown.push(await present(second));
    const hidden = wasHidden;
    first.remove();
    second.remove();
    const asked = performance.now();
    const answeredFirst = await question();
    return {
      name: row.name,
      practice: row.practice,
      generated_first: row.generated_first,
      answered_first: answeredFirst,
      fooled: answeredFirst !== row.generated_first,
      response_ms: tenths(performance.now() - asked),
      shown_ms: shown.map(tenths),
      hidden,
    };
  }

  async function question() {
    at("question").classList.add("shown");
    answerable(true);
    focus(at("question"));
    const answeredFirst = await new Promise((done) => (pending = done));
    pending = null;
    answerable(false);
    at("question").classList.remove("shown");
    return answeredFirst;
  }

  function answerable(yes) {
    at("answer-first").disabled = at("answer-second").disabled = !yes;
  }

  function answer(first) {
    if (pending) pending(first);
  }

  async function feedback(done, images) {
    const which = done.generated_first ? "first" : "second";
    at("verdict").textContent = done.fooled ? `Wrong: the ${which} one was generated.` : "Right.";
    at("verdict").className = done.fooled ? "wrong" : "right";
    const labels = ["First", "Second"].map((name, index) => `${name}: ${done.generated_first === !index ? "generated" : "real"}`);
    at("both").replaceChildren(
      ...images.map((image, index) => {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        image.alt = caption.textContent = labels[index];
        figure.append(image, caption);
        return figure;
      })
    );
    await aside("feedback", "next", at("verdict").textContent);
  }

  async function aside(id, button, text) {
    at("trial").hidden = true;
    at(id).hidden = false;
    say(text);
    focus(at(button));
    await pressed(button);
    at(id).hidden = true;
    at("trial").hidden = false;
  }

  // A session.

  function say(text) {
    at("said").textContent = text;
  }

  function show(id) {
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
    scrollTo(0, 0);
  }

  function tell(index) {
    const practice = index < study.practice;
    const text = practice ? `Practice ${index + 1} of ${study.practice}` : `${index + 1 - study.practice} of ${study.trials}`;
    at("progress").textContent = text;
    at("bar").value = index / key.length;
    say(text);
  }

  async function run(session) {
    const rows = schedule(session.seed);
    show("session");
    while (session.trials.length < rows.length) {
      const index = session.trials.length;
      const again = session.begun === index; // a reload cut the trial short, so its images have been seen before
      session.begun = index;
      keep(session);
      tell(index);
      const images = await imagesOf(rows[index]);
      const done = await trial(rows[index], images);
      session.trials.push({ ...done, hidden: done.hidden || again });
      if (index + 1 === rows.length) session.ended = now();
      keep(session);
      if (done.practice) await feedback(done, images);
      if (study.practice && index + 1 === study.practice) await aside("pause", "go-on", "Practice is over.");
    }
    finish(session);
  }

  function results(session) {
    const { format_version, study: id, title, model, same_input, shown_s, practice, trials } = study;
    const { rater, seed, started, ended } = session;
    const asked = { practice, trials };
    return { format_version, study: id, title, model, same_input, shown_s, asked, rater, seed, started, ended,
      user_agent: navigator.userAgent, trials: session.trials };
  }

  function finish(session) {
    const text = JSON.stringify(results(session), null, 1) + "\n";
    const counted = session.trials.filter((trial) => !trial.practice);
    const right = counted.filter((trial) => !trial.fooled).length;
    const file = `study-${study.study}-${session.rater.replace(/[^\p{L}\p{N}]+/gu, "_")}.json`;
    at("own").textContent = `You found the generated image in ${right} of ${counted.length} pairs.`;
    at("text").value = text;
    at("saved").textContent = "";
    at("save").onclick = () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      at("saved").textContent = `Saved as ${file}, where your browser puts downloads.`;
    };
    at("copy").onclick = async () => {
      at("text").select();
      await navigator.clipboard.writeText(text).catch(() => document.execCommand("copy"));
    };
    show("end");
    focus(at("thanks"));
  }

  function start() {
    const before = kept();
    at("kept").hidden = !before;
    at("begin").textContent = before ? "Start again" : "Start";
    at("begin").classList.toggle("main", !before);
    if (before) {
      const count = `${before.trials.length} of ${key.length} pairs`;
      at("kept-text").textContent = before.ended
        ? `${before.rater} has finished on this device. Nobody should take part twice. Starting again replaces those results: save them first.`
        : `${before.rater} has answered ${count} on this device. Continue there, or start again below if you are another person.`;
      at("continue").textContent = before.ended ? "Show the results" : "Continue";
      at("continue").onclick = () => go(before);
    }
    show("start");
  }

  function go(session) {
    run(session).catch((error) => {
      at("why").textContent = String(error.message || error);
      show("failed");
    });
  }

  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const [seed, name] = crypto.getRandomValues(new Uint32Array(2));
    const rater = at("rater").value.trim() || name.toString(16).padStart(8, "0");
    go({ rater, seed, started: now(), trials: [] });
  });
  at("another").onclick = () => {
    at("rater").value = "";
    start();
  };
  at("answer-first").onclick = () => answer(true);
  at("answer-second").onclick = () => answer(false);
  addEventListener("keydown", (event) => {
    const first = SIDES[event.key] ?? SIDES[event.code];
    if (!pending || first === undefined || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    answer(first);
  });
  document.addEventListener("visibilitychange", () => (wasHidden ||= document.hidden));
  start();
})();
