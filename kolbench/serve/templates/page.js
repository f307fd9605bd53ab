"use strict";

// A picture goes to the server once; its alphas come back as levels and are redrawn here without asking again.
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = JSON.parse(byId("data").textContent);
  const root = document.documentElement;
  root.classList.add("script");

  const LEAST_SIDE = 0.02;
  const cards = all(".choice");
  root.style.setProperty("--count", cards.length + 1);
  const place = { left: 0.05, top: 0.1, width: 0.4, height: 0.5 };
  const state = {
    picture: null, // token, name, width, height, and canvas: its preview
    levels: data.methods.map(() => null), // of the preview's pixels, a byte each
    ad: null, // token, width, height and canvas
    hard: data.threshold !== null,
    threshold: data.threshold ?? 0.5,
    view: "cutout",
    method: 0,
    fit: "contain",
    opacity: 1,
  };
  let asked = new AbortController();

  // --- the server -----------------------------------------------------------------------------------------

  // the answer, or an error whose message is the server's sentence
  async function ask(path, body, signal) {
    let answer;
    try {
      const headers = body instanceof Blob ? { "Content-Type": "application/octet-stream" } : {};
      answer = await fetch(path, { method: body === undefined ? "GET" : "POST", body, headers, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `The server answered ${answer.status}.`);
  }

  // what was sent, with a canvas of its preview
  async function received(path, body, signal) {
    if (body.size > data.limit_mb * 2 ** 20) {
      throw new Error(`The file has more than ${data.limit_mb} MiB, which is the limit here (limit_mb=).`);
    }
    const kept = await (await ask(path, body, signal)).json();
    const seen = await (await ask(`/pictures/${kept.token}`, undefined, signal)).blob();
    const bitmap = await createImageBitmap(seen);
    const canvas = blank(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return { ...kept, canvas };
  }

  function blank(width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    return canvas;
  }

  function complain(error) {
    byId("problem").hidden = !error;
    byId("problem").textContent = error ? error.message : "";
    if (error) byId("problem").scrollIntoView({ block: "nearest" });
  }

  const say = (text) => (byId("status").textContent = text);

  // --- a picture --------------------------------------------------------------------------------------------

  async function openPicture(path, body, name) {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    complain(null);
    byId("drop").classList.add("working");
    byId("invitation").textContent = "Reading the picture …";
    try {
      const picture = { ...(await received(path, body, signal)), name };
      if (signal.aborted) return;
      showPicture(picture);
      await predictAll(picture, signal);
    } catch (error) {
      if (!signal.aborted) complain(error);
    } finally {
      if (!signal.aborted) {
        byId("drop").classList.remove("working");
        byId("invitation").textContent = state.picture
          ? "Another one: drop it anywhere, paste it, or"
          : "Drop a picture anywhere, paste one, or";
      }
    }
  }

  function showPicture(picture) {
    state.picture = picture;
    state.levels.fill(null);
    const { canvas, width, height } = picture;
    root.style.setProperty("--aspect", canvas.width / canvas.height);
    copy(canvas, byId("original"));
    byId("drop").classList.add("filled");
    byId("invitation").textContent = "Another one: drop it anywhere, paste it, or";
    byId("size").textContent = `${width} × ${height} px`;
    byId("cutouts").hidden = false;
    byId("behind").hidden = false;
    for (const card of cards) {
      const target = card.querySelector("canvas");
      target.width = canvas.width;
      target.height = canvas.height;
      tell(card, "waiting");
    }
    redraw();
  }

  function copy(source, target) {
    target.width = source.width;
    target.height = source.height;
    target.getContext("2d").drawImage(source, 0, 0);
  }

  function tell(card, text, kind) {
    const line = card.querySelector(".state");
    line.textContent = text;
    card.classList.toggle("working", kind === "working");
    line.classList.toggle("failed", kind === "failed");
  }

  async function predictAll(picture, signal) {
    for (const [method, card] of cards.entries()) {
      tell(card, "working", "working");
      try {
        const answer = await ask(`/pictures/${picture.token}/alphas/${method}`, "", signal);
        state.levels[method] = new Uint8Array(await answer.arrayBuffer());
        const taken = /dur=([\d.]+)/.exec(answer.headers.get("Server-Timing"));
        tell(card, `${seconds(taken[1] / 1000)} s`);
        redraw();
      } catch (error) {
        if (signal.aborted) return;
        tell(card, error.message, "failed");
      }
    }
    say(`${data.methods.length} ${data.methods.length === 1 ? "cut-out is" : "cut-outs are"} ready.`);
  }

  const seconds = (value) => value.toFixed(value < 0.095 ? 3 : value < 9.95 ? 2 : 1);

  // --- drawing ----------------------------------------------------------------------------------------------

  // level 0..255 -> opacity 0..255
  function opacities() {
    const cut = Math.floor(255 * state.threshold + 1e-9);
    return Uint8Array.from({ length: 256 }, (_, level) => (state.hard ? (level > cut ? 255 : 0) : level));
  }

  // the person on nothing, or the alpha as grey
  function drawCard(target, levels, view) {
    const { width, height } = target;
    const shown = opacities();
    const mask = new ImageData(width, height);
    const rgba = mask.data;
    const grey = view === "alpha";
    for (let i = 0, at = 0; i < levels.length; i += 1, at += 4) {
      const value = shown[levels[i]];
      if (grey) rgba[at] = rgba[at + 1] = rgba[at + 2] = value;
      rgba[at + 3] = grey ? 255 : value;
    }
    const context = target.getContext("2d");
    context.putImageData(mask, 0, 0);
    if (grey) return;
    context.globalCompositeOperation = "source-in";
    context.drawImage(state.picture.canvas, 0, 0);
    context.globalCompositeOperation = "source-over";
  }

  function drawComposite() {
    const { canvas } = state.picture;
    const target = byId("composite");
    copy(canvas, target);
    const levels = state.levels[state.method];
    if (!state.ad) return;
    const context = target.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.globalAlpha = state.opacity;
    drawAd(context, target.width, target.height);
    context.globalAlpha = 1;
    if (!levels) return;
    const person = blank(canvas.width, canvas.height);
    drawCard(person, levels, "cutout");
    context.drawImage(person, 0, 0);
  }

  // as kolbench.video.ad.place does it
  function drawAd(context, width, height) {
    const ad = state.ad.canvas;
    const [x0, x1] = [place.left, place.left + place.width].map((share) => Math.round(share * width));
    const [y0, y1] = [place.top, place.top + place.height].map((share) => Math.round(share * height));
    const [across, down] = [Math.max(1, x1 - x0), Math.max(1, y1 - y0)];
    if (state.fit === "contain") {
      const scale = Math.min(across / ad.width, down / ad.height);
      const [shownWidth, shownHeight] = [ad.width * scale, ad.height * scale];
      context.drawImage(ad, x0 + (across - shownWidth) / 2, y0 + (down - shownHeight) / 2, shownWidth, shownHeight);
      return;
    }
    const scale = state.fit === "cover" ? Math.max(across / ad.width, down / ad.height) : null;
    const [partWidth, partHeight] = scale ? [across / scale, down / scale] : [ad.width, ad.height];
    const [x, y] = [(ad.width - partWidth) / 2, (ad.height - partHeight) / 2];
    context.drawImage(ad, x, y, partWidth, partHeight, x0, y0, across, down);
  }

  let waiting = false;
  function redraw() {
    showControls();
    if (waiting || !state.picture) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      cards.forEach((card, method) => {
        const levels = state.levels[method];
        if (levels) drawCard(card.querySelector("canvas"), levels, state.view);
      });
      drawComposite();
      root.dataset.drawn = Number(root.dataset.drawn ?? 0) + 1;
    });
  }

  function showControls() {
    root.classList.toggle("soft", !state.hard);
    root.classList.toggle("drawn", state.ad !== null);
    for (const radio of all("input[name=edge]")) radio.checked = (radio.value === "hard") === state.hard;
    const slider = byId("threshold");
    slider.value = state.threshold;
    const text = state.hard ? state.threshold.toFixed(2) : "–";
    slider.setAttribute("aria-valuetext", state.hard ? text : "none, edges are soft");
    byId("threshold-value").textContent = text;
    for (const key of Object.keys(place)) byId("box").style[key] = `${100 * place[key]}%`;
    for (const [key, value] of Object.entries({ ...place, opacity: state.opacity })) {
      const input = byId(key);
      input.value = 100 * value;
      input.nextElementSibling.textContent = `${Math.round(100 * value)} %`;
      input.setAttribute("aria-valuetext", `${Math.round(100 * value)} %`);
    }
    byId("ask").hidden = state.ad !== null;
    byId("no-ad").hidden = state.ad === null;
    showDownloads();
  }

  function showDownloads() {
    const ready = state.levels[state.method] !== null;
    byId("what").textContent = `By ${data.methods[state.method]}, ${
      state.hard ? `hard at ${state.threshold.toFixed(2)}` : "soft"
    }. Select another method above.`;
    if (data.methods.length === 1) byId("what").textContent = byId("what").textContent.replace(/ Select.*/, "");
    for (const button of all("[data-file]")) {
      button.disabled = !ready || making || (button.dataset.file === "composite" && !state.ad);
      button.title = button.dataset.file === "composite" && !state.ad ? "choose an ad first" : "";
    }
  }

  // --- controls ---------------------------------------------------------------------------------------------

  function onFile(input, take) {
    input.addEventListener("change", () => {
      if (input.files[0]) take(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }

  const stem = (name) => name.replace(/\.[^.]*$/, "") || "picture";
  const openFile = (file) => openPicture("/pictures", file, stem(file.name ?? "picture"));

  async function openAd(path, body) {
    complain(null);
    try {
      state.ad = await received(path, body);
      redraw();
      say("The ad stands behind the person.");
    } catch (error) {
      complain(error);
    }
  }

  onFile(byId("choose"), openFile);
  for (const button of all("[data-example]")) {
    const { example } = button.dataset;
    button.addEventListener("click", () => openPicture(`/examples/${example}`, "", `scene_${Number(example) + 1}`));
  }
  onFile(byId("choose-ad"), (file) => openAd("/ads", file));
  byId("example-ad").addEventListener("click", () => openAd("/examples/ad", ""));
  byId("no-ad").addEventListener("click", () => {
    state.ad = null;
    redraw();
    byId("choose-ad").focus();
  });

  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
    if (file) openFile(file);
  });

  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  const meansAd = (event) => state.picture && event.target.closest?.("#behind");
  function markDrop(event) {
    root.classList.toggle("dropping", Boolean(event) && !meansAd(event));
    root.classList.toggle("dropping-ad", Boolean(event && meansAd(event)));
  }
  window.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    markDrop(event);
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget ?? markDrop(null));
  window.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    markDrop(null);
    const file = event.dataTransfer.files[0];
    if (file) meansAd(event) ? openAd("/ads", file) : openFile(file);
  });

  byId("threshold").addEventListener("input", ({ target }) => {
    state.hard = true;
    state.threshold = Number(target.value);
    redraw();
  });
  const onChoice = (name, change) =>
    all(`input[name=${name}]`).forEach((radio) =>
      radio.addEventListener("change", () => {
        change(radio.value);
        redraw();
      }),
    );
  onChoice("edge", (value) => (state.hard = value === "hard"));
  onChoice("view", (value) => (state.view = value));
  onChoice("method", (value) => (state.method = Number(value)));
  onChoice("fit", (value) => (state.fit = value));

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  for (const [start, extent] of [["left", "width"], ["top", "height"]]) {
    byId(start).addEventListener("input", ({ target }) => {
      place[start] = Math.min(target.value / 100, 1 - place[extent]);
      redraw();
    });
    byId(extent).addEventListener("input", ({ target }) => {
      place[extent] = clamp(target.value / 100, LEAST_SIDE, 1 - place[start]);
      redraw();
    });
  }
  byId("opacity").addEventListener("input", ({ target }) => {
    state.opacity = target.value / 100;
    redraw();
  });

  // --- the box, by hand -------------------------------------------------------------------------------------

  const box = byId("box");
  let held = null; // where the pointer went down, the corner or "", and the box there

  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    box.setPointerCapture(event.pointerId);
    box.classList.add("held");
    held = { x: event.clientX, y: event.clientY, corner: event.target.dataset.corner ?? "", from: { ...place } };
  });
  box.addEventListener("pointermove", (event) => {
    if (!held) return;
    const stage = byId("stage").getBoundingClientRect();
    const { corner, from } = held;
    drag("left", "width", (event.clientX - held.x) / stage.width, corner && (corner.includes("w") ? -1 : 1), from);
    drag("top", "height", (event.clientY - held.y) / stage.height, corner && (corner.includes("n") ? -1 : 1), from);
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    box.addEventListener(end, () => {
      held = null;
      box.classList.remove("held");
    });
  }

  // side -1 moves the start, 1 the end, "" both
  function drag(start, extent, by, side, from) {
    const end = from[start] + from[extent];
    if (side === "") place[start] = clamp(from[start] + by, 0, 1 - from[extent]);
    if (side === -1) {
      place[start] = clamp(from[start] + by, 0, end - LEAST_SIDE);
      place[extent] = end - place[start];
    }
    if (side === 1) place[extent] = clamp(from[extent] + by, LEAST_SIDE, 1 - from[start]);
  }

  // --- downloads --------------------------------------------------------------------------------------------

  let making = false;

  async function download(kind) {
    const { picture, method, hard, threshold, ad, fit, opacity } = state;
    const wishes = { method, threshold: hard ? threshold : null };
    if (kind === "composite") Object.assign(wishes, place, { ad: ad.token, fit, opacity });
    complain(null);
    making = true;
    showDownloads();
    say("The file is being made.");
    try {
      const file = await (await ask(`/pictures/${picture.token}/files/${kind}`, JSON.stringify(wishes))).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = `${picture.name}_${data.methods[method]}_${kind}.png`.replace(/[^\p{L}\p{N}._-]+/gu, "_");
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      say(`${link.download} is ready.`);
    } catch (error) {
      complain(error);
    } finally {
      making = false;
      showDownloads();
    }
  }

  for (const button of all("[data-file]")) button.addEventListener("click", () => download(button.dataset.file));

  makeTheme();
  showControls();
})();
