// Rows of images with a tile for each method, each at its own threshold, drawn when they come near.
//
// open(number, source, others, product): the large view of an image. Returns nothing.
function makeRows(shots, painter, own, open) {
  // px of a tile's longer side: enough for its size on dense screens
  const LONGEST = 384;
  let mode = "errors";
  const articles = all(".shot").map((element) => ({
    element,
    shot: shots[element.dataset.shot],
    product: "product" in element.dataset,
    tiles: all(".tile", element).map((tile) => ({
      tile,
      source: tile.dataset.source,
      canvas: tile.querySelector("canvas"),
    })),
    near: false,
    stale: true,
  }));

  async function refresh(article) {
    article.stale = false;
    const loaded = await painter.load(article.shot);
    // something changed while the files were decoded, and the next refresh is on its way
    if (article.stale) return;
    for (const { tile, source, canvas } of article.tiles) {
      if (tile.hidden) continue;
      const view = { how: mode, product: article.product, longest: LONGEST };
      painter.draw(canvas, article.shot, loaded, source, own, view);
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

  // paper shows every row that is in sight, and nothing can be awaited once printing begins
  const open_ = (article) => article.element.checkVisibility();
  window.addEventListener("beforeprint", () => articles.filter((a) => a.stale && open_(a)).forEach(refresh));
  const idle = window.requestIdleCallback ?? ((later) => setTimeout(later, 200));
  const drawRest = () => {
    const next = articles.find((a) => a.stale && !a.near && open_(a));
    if (next) refresh(next).then(() => idle(drawRest));
  };
  idle(drawRest);

  function changed() {
    for (const article of articles) {
      article.stale = true;
      delete article.element.dataset.drawn;
    }
    requestAnimationFrame(refreshNear);
  }

  for (const radio of all("input[name=mode]")) {
    radio.addEventListener("change", () => {
      mode = radio.value;
      changed();
    });
  }
  const boxes = all(".columns input");
  for (const box of boxes) {
    box.addEventListener("change", () => {
      all(`.rows [data-source="${box.value}"]`).forEach((part) => (part.hidden = !box.checked));
      const columns = 2 + boxes.filter((other) => other.checked).length;
      all(".rows").forEach((rows) => rows.style.setProperty("--columns", columns));
      changed();
    });
  }
  for (const { element, tiles, product } of articles) {
    for (const { tile, source } of tiles) {
      tile.addEventListener("click", () => {
        const others = tiles.filter((other) => !other.tile.hidden).map((other) => other.source);
        open(Number(element.dataset.shot), source, others, { how: mode, product });
      });
    }
  }
}

