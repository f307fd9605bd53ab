// Masks at a threshold, and the large view; dom.js stands before it.
function makeMasks(data) {
  const { methods, shots, cutoffs, blobs, colours } = data;
  const TRUTH_CUTOFF = data.truth_cutoff;
  const decoded = new Map();
  // per method: a position of the slider, or null for its own threshold
  const at = methods.map(() => null);
  let mode = "foreground";

  const cutoff = (method) => (at[method] === null ? methods[method].cutoff : cutoffs[at[method]]);
  const score = (method, number) => {
    const { own, curves } = methods[method];
    return at[method] === null ? own[number] : curves[number][at[method]];
  };

  // RGBA of a data: URI; scaled only if the picture's file has another size than its truth
  async function pixels(uri, width, height) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  }

  async function decode(blob, { width, height }, grey) {
    const rgba = await pixels(blobs[blob], width, height);
    return grey ? rgba.filter((_, i) => i % 4 === 0) : rgba;
  }

  function read(blob, size, grey) {
    if (!decoded.has(blob)) decoded.set(blob, decode(blob, size, grey));
    return decoded.get(blob);
  }

  // what a shot's tiles are drawn from, with the alphas of these methods
  async function gather(shot, sources, from) {
    const [picture, truth, ...alphas] = await Promise.all([
      from(shot.picture, shot, false),
      from(shot.truth, shot, true),
      ...sources.map((method) => from(shot.alphas[method], shot, true)),
    ]);
    return { picture, truth, alphas: Object.fromEntries(sources.map((m, i) => [m, alphas[i]])) };
  }

  // everything of a shot, once
  function load(shot) {
    shot.loaded ??= gather(shot, Object.keys(shot.alphas), read);
    return shot.loaded;
  }

  // levels of a source and the highest level that is background; null for the picture itself
  function mask(loaded, source) {
    if (source === "picture") return null;
    if (source === "truth") return { levels: loaded.truth, above: TRUTH_CUTOFF };
    return { levels: loaded.alphas[source], above: cutoff(source) };
  }

  function iou(loaded, source) {
    const { levels, above } = mask(loaded, source);
    let both = 0;
    let either = 0;
    for (let i = 0; i < levels.length; i += 1) {
      const found = levels[i] > above;
      const right = loaded.truth[i] > TRUTH_CUTOFF;
      both += found && right;
      either += found || right;
    }
    return either ? both / either : 1;
  }

  function draw(canvas, shot, loaded, source, how = mode) {
    const { width, height } = shot;
    const image = new ImageData(width, height);
    const found = mask(loaded, source);
    if (found === null) image.data.set(loaded.picture);
    else painters[how](image.data, loaded, found, width);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    // pixels come from here, not from a graphics card
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  }

  const painters = {
    foreground(out, { picture }, { levels, above }) {
      for (let i = 0; i < levels.length; i += 1) {
        const shown = levels[i] > above;
        for (let c = 4 * i; c < 4 * i + 3; c += 1) out[c] = shown ? picture[c] : 0;
        out[4 * i + 3] = 255;
      }
    },
    alpha(out, _, { levels }) {
      for (let p = 0; p < out.length; p += 1) out[p] = p % 4 === 3 ? 255 : levels[p >> 2];
    },
    // the picture in pale grey under the faults, as in the gallery's sheets
    faults(out, { picture, truth }, { levels, above }) {
      for (let i = 0; i < levels.length; i += 1) {
        const p = 4 * i;
        const grey = ((picture[p] + picture[p + 1] + picture[p + 2]) / 3) * 0.6 + 80;
        const found = levels[i] > above;
        const right = truth[i] > TRUTH_CUTOFF;
        const colour = found === right ? null : found ? colours.fp : colours.fn;
        for (let c = 0; c < 3; c += 1) out[p + c] = colour ? 0.25 * grey + 0.75 * colour[c] : grey;
        out[p + 3] = 255;
      }
    },
    // the picture with the inner edge of the mask
    picture(out, { picture }, { levels, above }, width) {
      out.set(picture);
      const outside = (j) => !(levels[j] > above);
      for (let i = 0; i < levels.length; i += 1) {
        if (outside(i)) continue;
        const x = i % width;
        const edge =
          (x > 0 && outside(i - 1)) ||
          (x < width - 1 && outside(i + 1)) ||
          (i >= width && outside(i - width)) ||
          (i + width < levels.length && outside(i + width));
        if (edge) out.set([...colours.edge, 255], 4 * i);
      }
    },
  };

  // --- galleries

  const articles = all(".shot").map((element) => ({
    element,
    shot: shots[element.dataset.shot],
    tiles: all(".tile", element).map((tile) => ({
      tile,
      source: tile.dataset.source,
      canvas: tile.querySelector("canvas"),
      text: tile.querySelector(".score"),
    })),
    near: false,
    stale: true,
  }));

  async function refresh(article) {
    article.stale = false;
    const loaded = await load(article.shot);
    // something changed while the files were decoded, and the next refresh is on its way
    if (article.stale) return;
    for (const { tile, source, canvas, text } of article.tiles) {
      if (tile.hidden) continue;
      draw(canvas, article.shot, loaded, source);
      if (text) text.textContent = `IoU ${iou(loaded, source).toFixed(3)}`;
    }
    article.element.dataset.drawn = "";
  }

  const refreshNear = () => articles.filter((a) => a.near && a.stale).forEach(refresh);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        articles.find((a) => a.element === entry.target).near = entry.isIntersecting;
      }
      refreshNear();
    },
    { rootMargin: "300px" },
  );
  articles.forEach(({ element }) => observer.observe(element));
  window.addEventListener("beforeprint", () => articles.filter((a) => a.stale).forEach(refresh));
  // paper shows every mask, and nothing can be awaited once printing begins
  const idle = window.requestIdleCallback ?? ((later) => setTimeout(later, 200));
  const drawRest = () => {
    const next = articles.find((a) => a.stale && !a.near);
    if (next) refresh(next).then(() => idle(drawRest));
  };
  idle(drawRest);

  // --- numbers and controls

  const rows = all("#live tr[data-method]").map((row) => ({
    method: Number(row.dataset.method),
    own: row.querySelector(".own"),
    cells: all("[data-score]", row),
    show: row.querySelector("input"),
  }));
  const sliders = all(".threshold-slider");

  function showNumbers() {
    for (const { method, own, cells } of rows) {
      const isOwn = at[method] === null;
      own.setAttribute("aria-pressed", isOwn);
      own.textContent = isOwn ? methods[method].at : (at[method] / 100).toFixed(2);
      cells.forEach((cell) => {
        const value = score(method, cell.dataset.score);
        cell.dataset.value = value;
        cell.textContent = value.toFixed(4);
      });
    }
    const own = at.every((position) => position === null);
    byId("all-own").setAttribute("aria-pressed", own);
    const text = own ? "–" : Number(sliders[0].value).toFixed(2);
    document.documentElement.classList.toggle("own-thresholds", own);
    all(".threshold-value").forEach((output) => (output.textContent = text));
    sliders.forEach((slider) => slider.setAttribute("aria-valuetext", own ? "each method's own" : text));
  }

  let waiting = false;
  function changed() {
    showNumbers();
    for (const article of articles) {
      article.stale = true;
      delete article.element.dataset.drawn;
    }
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      refreshNear();
      drawLarge();
      drawClip();
    });
  }

  for (const slider of sliders) {
    slider.addEventListener("input", () => {
      sliders.forEach((other) => (other.value = slider.value));
      at.fill(Math.round(100 * slider.value));
      changed();
    });
  }
  byId("all-own").addEventListener("click", () => {
    at.fill(null);
    changed();
  });
  for (const { method, own, show } of rows) {
    own.addEventListener("click", () => {
      at[method] = null;
      changed();
    });
    show?.addEventListener("change", () => {
      all(`.tile[data-source="${method}"]`).forEach((tile) => (tile.hidden = !show.checked));
      changed();
    });
  }
  for (const radio of all("input[name=mode]")) {
    radio.addEventListener("change", () => {
      mode = radio.value;
      byId("legend").hidden = mode !== "faults";
      changed();
    });
  }

  // --- large view

  const large = byId("large");
  const stage = large.querySelector(".stage");
  const wipe = byId("wipe");
  const sides = ["left", "right"].map((side) => ({
    choice: byId(side),
    canvas: byId(`canvas-${side}`),
    text: byId(`${side}-score`),
  }));
  let current = 0;

  function choices(shot) {
    const named = Object.keys(shot.alphas).map((method) => [method, methods[method].label]);
    return [...named, ["truth", "truth"], ["picture", "picture"]].map(([value, text]) => new Option(text, value));
  }

  function openShot(number, sources) {
    current = (number + shots.length) % shots.length;
    const shot = shots[current];
    byId("large-name").textContent = shot.name;
    stage.style.setProperty("--aspect", shot.width / shot.height);
    sides.forEach(({ choice }, side) => {
      choice.replaceChildren(...choices(shot));
      const known = [...choice.options].some((option) => option.value === sources[side]);
      choice.value = known ? sources[side] : choice.options[side % choice.options.length].value;
    });
    drawLarge();
  }

  async function drawLarge() {
    if (!large.open) return;
    const shot = shots[current];
    const loaded = await load(shot);
    if (shot !== shots[current]) return;
    for (const { choice, canvas, text } of sides) {
      draw(canvas, shot, loaded, choice.value);
      const scored = choice.value !== "picture" && choice.value !== "truth";
      text.textContent = scored ? `IoU ${iou(loaded, choice.value).toFixed(3)}` : "";
    }
    moveWipe();
  }

  function moveWipe() {
    stage.style.setProperty("--wipe", `${wipe.value}%`);
    const [left, right] = sides.map(({ choice }) => choice.selectedOptions[0]?.text);
    wipe.setAttribute("aria-valuetext", `${wipe.value} % ${left}, ${100 - wipe.value} % ${right}`);
  }

  for (const { element, tiles } of articles) {
    for (const { tile, source } of tiles) {
      tile.addEventListener("click", () => {
        // beside the next method, or from the last one the first
        const others = tiles.filter((other) => other.text && !other.tile.hidden && other.tile !== tile);
        const after = others.find((other) => tile.compareDocumentPosition(other.tile) & 4);
        large.showModal();
        openShot(Number(element.dataset.shot), [source, (after ?? others[0])?.source ?? "truth"]);
        wipe.focus();
      });
    }
  }
  wipe.addEventListener("input", moveWipe);
  sides.forEach(({ choice }) => choice.addEventListener("change", drawLarge));
  const step = (by) => openShot(current + by, sides.map(({ choice }) => choice.value));
  byId("before").addEventListener("click", () => step(-1));
  byId("after").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => {
    if (event.target === large) large.close();
  });

  // frames are many: they are decoded anew each time they are shown
  const drawClip = data.clips.length
    ? makeClips(data.clips, methods, draw, (frame, sources) => gather(frame, sources, decode))
    : () => {};

  showNumbers();
  pixels(data.ramp, 256, 1).then((rgba) => {
    byId("inexact").hidden = rgba.every((value, i) => value === (i % 4 === 3 ? 255 : i >> 2));
  });
}

