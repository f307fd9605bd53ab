// The threshold explorer: a slider, the scores of all test images, and one image that follows it.
//
// thresholds: of the explorer. changed: called after each change. open: the large view, as makeRows has it.
function makeExplorer(data, painter, thresholds, changed, open) {
  const { methods, shots } = data;
  const slider = byId("threshold");
  if (!slider) return;
  const allOwn = byId("all-own");
  const choice = byId("explorer-image");
  const section = byId("explorer-tiles");
  const tiles = section ? all(".tile", section) : [];
  const rows = all("#live tr[data-method]").map((row) => ({
    method: Number(row.dataset.method),
    own: row.querySelector(".own"),
    cells: all("[data-score]", row),
  }));
  let mode = "errors";
  let asked = 0;

  const score = (method, number) => {
    const { own, curves } = methods[method];
    return thresholds.at[method] === null ? own[number] : curves[number][thresholds.at[method]];
  };

  function showNumbers() {
    for (const { method, own, cells } of rows) {
      const position = thresholds.at[method];
      own.setAttribute("aria-pressed", position === null);
      own.textContent = position === null ? methods[method].at : (position / 100).toFixed(2);
      cells.forEach((cell) => {
        const value = score(method, cell.dataset.score);
        cell.dataset.value = value;
        cell.textContent = (100 * value).toFixed(1);
      });
    }
    const own = thresholds.allOwn();
    allOwn.setAttribute("aria-pressed", own);
    showThreshold(slider, own);
  }

  async function showImage() {
    if (!section) return;
    const shot = shots[choice.value];
    const mine = (asked += 1);
    delete section.dataset.drawn;
    const loaded = await painter.load(shot);
    // another image or threshold was asked for while this one was decoded
    if (mine !== asked) return;
    for (const tile of tiles) {
      const { source } = tile.dataset;
      // an image may lack a method
      tile.hidden = !["image", "truth"].includes(source) && !(source in shot.alphas);
      if (tile.hidden) continue;
      painter.draw(tile.querySelector("canvas"), shot, loaded, source, thresholds, { how: mode, longest: 384 });
      const text = iouInWords(shot, source, thresholds);
      const place = tile.querySelector(".score");
      if (place) place.textContent = text;
      const name = tile.querySelector(".name").textContent;
      tile.setAttribute("aria-label", `${name}, ${shot.name}${text && `, ${text}`}: larger`);
    }
    section.dataset.drawn = "";
  }

  let waiting = false;
  function refresh() {
    showNumbers();
    if (section) delete section.dataset.drawn;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      showImage();
      changed();
    });
  }

  slider.addEventListener("input", () => {
    thresholds.set(Math.round(100 * slider.value));
    refresh();
  });
  allOwn.addEventListener("click", () => {
    thresholds.reset();
    refresh();
  });
  for (const { method, own } of rows) {
    own.addEventListener("click", () => {
      thresholds.reset(method);
      refresh();
    });
  }
  for (const radio of all("input[name=explorer-mode]")) {
    radio.addEventListener("change", () => {
      mode = radio.value;
      showImage();
    });
  }
  choice?.addEventListener("change", showImage);
  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      const others = tiles.filter((other) => !other.hidden).map((other) => other.dataset.source);
      open(Number(choice.value), tile.dataset.source, others, { how: mode, at: [...thresholds.at] });
    });
  }
  showNumbers();
  if (!section) return;
  // nothing is decoded before it is near
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    showImage();
  }, { rootMargin: "300px" }).observe(section);
}

// a slider's value in words, which says nothing while each method is at its own threshold
function showThreshold(slider, own) {
  const text = own ? "–" : Number(slider.value).toFixed(2);
  slider.classList.toggle("unused", own);
  slider.parentElement.querySelector(".threshold-value").textContent = text;
  slider.setAttribute("aria-valuetext", own ? "each method's own" : text);
}

