
// The page: what is chosen, what is known, and how they come together.
(() => {
  const data = JSON.parse(byId("data").textContent);
  const root = document.documentElement;
  root.classList.add("script");
  const server = makeServer(data.limit_mb);

  const state = {
    picture: null, // token, name, width, height, and canvas: its preview
    alphas: data.methods.map(() => null), // of the preview's pixels: levels, a byte each, and colours
    told: data.methods.map(() => ({ text: "", kind: "" })), // how far each method is
    tab: "0", // a method's number, or all
    hard: data.threshold !== null,
    threshold: data.threshold ?? 0.5,
    view: "result",
    background: "none",
    colour: "#2f6fed",
    radius: 0.03,
    image: null, // token and canvas of what stands behind
    ad: null,
    opacity: 1,
    making: false,
  };
  let asked = new AbortController();

  const stage = byId("viewer");
  const cards = all(".card[data-method]");
  const viewer = makeViewer(stage, byId("wipe"), {
    in: byId("zoom-in"),
    out: byId("zoom-out"),
    fit: byId("zoom-fit"),
    output: byId("zoom"),
  });
  const ad = makeAd(byId("box"), stage, viewer.zoom, () => redraw());

  // as wide as they can be without one card alone in a row
  const count = cards.length + 1;
  root.style.setProperty("--columns", count > 4 ? Math.min(4, Math.ceil(count / 2)) : count);

  // --- what is said -----------------------------------------------------------------------------------------

  function complain(error) {
    byId("problem").hidden = !error;
    byId("problem").textContent = error ? error.message : "";
    if (error) byId("problem").scrollIntoView({ block: "nearest" });
  }

  const say = (text) => (byId("status").textContent = text);

  function note(text) {
    byId("note").hidden = !text;
    byId("note").textContent = text;
  }

  const firstFrame = (what, upload) =>
    upload.animated ? `${what} is animated: its first frame is used. For videos see task=predict.` : "";

  // --- a picture --------------------------------------------------------------------------------------------

  function invite() {
    byId("invitation").textContent = state.picture ? "Another photo: drop or paste it, or" : "Drop or paste a photo here, or";
    byId("choose-text").textContent = state.picture ? "Choose another" : "Choose a photo";
  }

  async function openPicture(path, body, name) {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    complain(null);
    note("");
    say("");
    byId("drop").classList.add("working");
    byId("invitation").textContent = "Reading the photo …";
    try {
      const picture = { ...(await server.received(path, body, signal)), name };
      if (signal.aborted) return;
      note(firstFrame("This image", picture));
      showPicture(picture);
      await predictAll(picture, signal);
    } catch (error) {
      if (!signal.aborted) complain(error);
    } finally {
      if (!signal.aborted) {
        byId("drop").classList.remove("working");
        invite();
      }
    }
  }

  function showPicture(picture) {
    const first = state.picture === null;
    state.picture = picture;
    state.alphas.fill(null);
    state.told = data.methods.map(() => ({ text: "waiting", kind: "" }));
    root.style.setProperty("--aspect", picture.canvas.width / picture.canvas.height);
    for (const target of [byId("before"), byId("original")]) copyInto(picture.canvas, target);
    byId("size").textContent = `${picture.width} × ${picture.height} px`;
    root.classList.add("opened");
    byId("work").hidden = false;
    invite();
    viewer.fit();
    if (first) viewer.setWipe(50);
    if (state.ad) ad.fit(state.ad, picture, null);
    if (first) byId("work").scrollIntoView({ block: "nearest" });
    redraw();
  }

  async function predictAll(picture, signal) {
    for (const method of data.methods.keys()) {
      tell(method, "working", "working");
      try {
        const { levels, seconds } = await server.alphaOf(picture, method, signal);
        state.alphas[method] = { levels, colours: picture.canvas };
        tell(method, `${inWords(seconds)} s`);
        redraw();
        if (levels.some((level) => level > 0 && level < 255)) {
          state.alphas[method].colours = await server.coloursOf(picture, method, signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        state.alphas[method] = null;
        tell(method, error.message, "failed");
      }
      redraw();
    }
    const done = state.alphas.filter(Boolean).length;
    say(`${done} of ${data.methods.length} ${data.methods.length === 1 ? "method is" : "methods are"} ready.`);
  }

  const inWords = (value) => value.toFixed(value < 0.095 ? 3 : value < 9.95 ? 2 : 1);

  function tell(method, text, kind = "") {
    state.told[method] = { text, kind };
    showTold();
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  function look() {
    const { view, colour, radius, image, opacity } = state;
    const { place } = ad;
    return {
      view,
      cut: state.hard ? state.threshold : null,
      background: { kind: state.background, colour, radius, image, ad: state.ad, place, opacity },
    };
  }

  const shownMethods = () => (state.tab === "all" ? data.methods.map((_, method) => method) : [Number(state.tab)]);
  const canvasOf = (method) => (state.tab === "all" ? cards[method].querySelector("canvas") : byId("after"));

  let waiting = false;
  function redraw() {
    showControls();
    if (waiting || !state.picture) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const chosen = look();
      for (const method of shownMethods()) {
        const target = canvasOf(method);
        const alpha = state.alphas[method];
        if (alpha) drawResult(target, state.picture, alpha, chosen);
        else Object.assign(target, { width: state.picture.canvas.width, height: state.picture.canvas.height });
      }
      root.dataset.drawn = Number(root.dataset.drawn ?? 0) + 1;
    });
  }

  function showTold() {
    state.told.forEach(({ text, kind }, method) => {
      const tab = byId(`tab-${method}`);
      tab.querySelector(".state").textContent = kind === "failed" ? "failed" : text;
      tab.classList.toggle("working", kind === "working");
      const line = cards[method].querySelector(".state");
      line.textContent = text;
      line.classList.toggle("failed", kind === "failed");
      cards[method].classList.toggle("working", kind === "working");
    });
    if (state.tab === "all") return;
    const { text, kind } = state.told[Number(state.tab)];
    byId("failed").hidden = kind !== "failed";
    byId("failed").textContent = text;
    stage.classList.toggle("working", kind === "working");
  }

  function showControls() {
    const single = state.tab !== "all";
    byId("single").hidden = !single;
    byId("all").hidden = single;
    const method = single ? data.methods[Number(state.tab)] : null;
    if (method) {
      byId("single").setAttribute("aria-labelledby", `tab-${state.tab}`);
      byId("after-tag").textContent = method.shown;
      byId("after").setAttribute("aria-label", `After: the result of ${method.shown}`);
    }
    const known = (method ? [method] : data.methods).filter(({ licence }) => licence);
    byId("about").textContent = known.map(({ shown, licence }) => `${shown}: ${licence}.`).join(" ");
    showTold();
    showEdges();
    showBackground();
    showDownloads();
  }

  function showEdges() {
    root.classList.toggle("soft", !state.hard);
    for (const radio of all("input[name=edge]")) radio.checked = (radio.value === "hard") === state.hard;
    const slider = byId("threshold");
    slider.value = state.threshold;
    const text = state.hard ? state.threshold.toFixed(2) : "–";
    slider.setAttribute("aria-valuetext", state.hard ? text : "none, edges are soft");
    byId("threshold-value").textContent = text;
  }

  function showBackground() {
    root.style.setProperty("--colour", state.colour);
    for (const options of all("[data-for]")) options.hidden = options.dataset.for !== state.background;
    const stands = state.background === "ad" && state.ad !== null;
    byId("box").hidden = !stands || state.view === "alpha";
    byId("no-ad").hidden = byId("ad-sliders").hidden = !state.ad;
    byId("ad-hint").textContent = `The ad stands behind the person. ${
      state.tab === "all" ? "In a method's own tab it can be dragged." : "Drag it; its corners resize it."
    }`;
    for (const [key, value] of Object.entries(ad.place)) stage.style.setProperty(`--ad-${key}`, value);
    const { left, top, width } = ad.place;
    for (const [key, value] of Object.entries({ left, top, width, opacity: state.opacity })) {
      showShare(byId(`ad-${key}`), 100 * value, `${Math.round(100 * value)} %`);
    }
    showShare(byId("radius"), 100 * state.radius, `${(100 * state.radius).toFixed(1)} %`);
    for (const paint of all(".paint")) paint.setAttribute("aria-pressed", String(paint.dataset.colour === state.colour));
  }

  function showShare(slider, value, text) {
    slider.value = value;
    slider.nextElementSibling.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  const hasBackground = () =>
    state.background === "ad" ? state.ad !== null : state.background === "image" ? state.image !== null : state.background !== "none";

  function showDownloads() {
    for (const button of all("[data-file]")) {
      const lacks = button.dataset.file === "composite" && !hasBackground();
      button.disabled = state.alphas[methodOf(button)] === null || state.making || lacks;
      button.title = lacks ? "choose a background first" : "";
    }
  }

  const methodOf = (button) => Number(button.dataset.of ?? (state.tab === "all" ? 0 : state.tab));

  // --- where pictures come from -----------------------------------------------------------------------------

  const stem = (name) => name.replace(/\.[^.]*$/, "") || "photo";
  const openFile = (file) => openPicture("/pictures", file, stem(file.name ?? "photo"));

  // an ad or an image to stand behind
  async function openBehind(kind, path, body) {
    complain(null);
    note("");
    try {
      const upload = await server.received(path, body);
      state[kind] = upload;
      state.background = kind;
      checkBackground();
      note(firstFrame(kind === "ad" ? "This ad" : "This background", upload));
      if (kind === "ad") {
        const alpha = state.tab === "all" ? state.alphas.find(Boolean) : state.alphas[Number(state.tab)];
        ad.fit(upload, state.picture, alpha?.levels);
        // the ad would be hidden on the side before
        if (viewer.wiped() > ad.place.left) viewer.setWipe(100 * Math.min(0.03, ad.place.left));
      }
      redraw();
      say(kind === "ad" ? "The ad stands behind the person." : "The image stands behind the person.");
    } catch (error) {
      complain(error);
    }
  }

  const checkBackground = () => {
    for (const radio of all("input[name=background]")) radio.checked = radio.value === state.background;
  };

  onFile(byId("choose"), openFile);
  onFile(byId("capture"), openFile);
  onFile(byId("choose-ad"), (file) => openBehind("ad", "/ads", file));
  onFile(byId("choose-image"), (file) => openBehind("image", "/pictures", file));
  byId("example-ad").addEventListener("click", () => openBehind("ad", "/examples/ad", ""));
  byId("example-image").addEventListener("click", () => openBehind("image", "/examples/background", ""));
  byId("no-ad").addEventListener("click", () => {
    state.ad = null;
    redraw();
    byId("choose-ad").focus();
  });
  for (const button of all("[data-example]")) {
    const { example } = button.dataset;
    button.addEventListener("click", () => openPicture(`/examples/${example}`, "", `scene_${Number(example) + 1}`));
  }
  makeCamera(
    byId("camera"),
    byId("capture-label"),
    byId("shooting"),
    (file) => openPicture("/pictures", file, "camera"),
    complain,
  );

  onHandedOver({
    openFile,
    openAd: (file) => openBehind("ad", "/ads", file),
    meansAd: (element) => state.picture !== null && state.background === "ad" && element.closest?.("#work"),
  });

  // --- controls ---------------------------------------------------------------------------------------------

  const chooseTab = makeTabs(byId("tabs"), (name) => {
    state.tab = name;
    redraw();
  });
  for (const button of all("[data-open]")) {
    button.addEventListener("click", () => {
      chooseTab(button.dataset.open);
      stage.focus();
    });
  }

  const onChoice = (name, change) =>
    all(`input[name=${name}]`).forEach((radio) =>
      radio.addEventListener("change", () => {
        change(radio.value);
        redraw();
      }),
    );
  const onSlide = (id, change) =>
    byId(id).addEventListener("input", ({ target }) => {
      change(Number(target.value));
      redraw();
    });
  const paint = (colour) => {
    state.colour = byId("colour").value = colour;
    redraw();
  };

  onChoice("edge", (value) => (state.hard = value === "hard"));
  onChoice("view", (value) => (state.view = value));
  onChoice("background", (value) => (state.background = value));
  onSlide("threshold", (value) => {
    state.hard = true;
    state.threshold = value;
  });
  onSlide("radius", (value) => (state.radius = value / 100));
  onSlide("ad-left", (value) => ad.moveTo(value / 100, ad.place.top));
  onSlide("ad-top", (value) => ad.moveTo(ad.place.left, value / 100));
  onSlide("ad-width", (value) => ad.resize(value / 100));
  onSlide("ad-opacity", (value) => (state.opacity = value / 100));
  byId("colour").addEventListener("input", ({ target }) => paint(target.value));
  for (const button of all(".paint")) {
    button.style.setProperty("--paint", button.dataset.colour);
    button.addEventListener("click", () => paint(button.dataset.colour));
  }
  byId("sample-wipe").addEventListener("input", ({ target }) =>
    byId("sample").style.setProperty("--wipe", `${target.value}%`),
  );

  // --- downloads --------------------------------------------------------------------------------------------

  // what the server needs to make what is seen
  function wishesFor(kind, method) {
    const wishes = { method, threshold: state.hard ? state.threshold : null };
    if (kind !== "composite") return wishes;
    const behind = {
      colour: { colour: state.colour },
      blur: { radius: state.radius },
      image: { image: state.image?.token },
      ad: { ...ad.place, ad: state.ad?.token, fit: "stretch", opacity: state.opacity },
    };
    return { ...wishes, background: state.background, ...behind[state.background] };
  }

  async function download(kind, method) {
    const { picture } = state;
    complain(null);
    state.making = true;
    showDownloads();
    say("The file is being made.");
    try {
      const path = `/pictures/${picture.token}/files/${kind}`;
      const file = await (await server.ask(path, JSON.stringify(wishesFor(kind, method)))).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = `${picture.name}_${data.methods[method].name}_${kind}.png`.replace(/[^\p{L}\p{N}._-]+/gu, "_");
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      say(`${link.download} is ready.`);
    } catch (error) {
      complain(error);
    } finally {
      state.making = false;
      showDownloads();
    }
  }

  for (const button of all("[data-file]")) {
    button.addEventListener("click", () => download(button.dataset.file, methodOf(button)));
  }

  makeTheme();
  showControls();
})();
