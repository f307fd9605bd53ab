// The large view: two views of an image with a wipe between them.
//
// thresholds: of this view. Returns the function that opens it: open(number, source, others, view): others are the
// sources beside the chosen one; view: how, product, and at, the positions of a slider.
function makeLarge(data, painter, thresholds) {
  const { methods, shots } = data;
  const large = byId("large");
  const stage = large.querySelector(".stage");
  const [wipe, slider, own, product] = ["wipe", "large-threshold", "large-own", "large-product"].map(byId);
  const radios = all("input[name=large-mode]", large);
  const sides = ["left", "right"].map((side) => ({
    choice: byId(side),
    canvas: byId(`canvas-${side}`),
    text: byId(`${side}-score`),
  }));
  let current = 0;
  let mode = "errors";

  function choices(shot) {
    const named = Object.keys(shot.alphas).map((method) => [method, methods[method].name]);
    return [...named, ["truth", "Ground truth"], ["image", "Image"]].map(([value, text]) => new Option(text, value));
  }

  function show(number, sources) {
    current = (number + shots.length) % shots.length;
    const shot = shots[current];
    byId("large-name").textContent = shot.name;
    stage.style.setProperty("--aspect", shot.width / shot.height);
    product.closest("label").hidden = shot.product === undefined;
    slider.parentElement.hidden = !Object.keys(shot.alphas).some((method) => methods[method].soft);
    sides.forEach(({ choice }, side) => {
      choice.replaceChildren(...choices(shot));
      const known = [...choice.options].some((option) => option.value === sources[side]);
      choice.value = known ? sources[side] : choice.options[side % choice.options.length].value;
    });
    draw();
  }

  async function draw() {
    showThreshold(slider, thresholds.allOwn());
    own.setAttribute("aria-pressed", thresholds.allOwn());
    const shot = shots[current];
    const loaded = await painter.load(shot);
    if (!large.open || shot !== shots[current]) return;
    const view = { how: mode, product: product.checked };
    for (const { choice, canvas, text } of sides) {
      painter.draw(canvas, shot, loaded, choice.value, thresholds, view);
      text.textContent = iouInWords(shot, choice.value, thresholds);
    }
    moveWipe();
  }

  function moveWipe() {
    stage.style.setProperty("--wipe", `${wipe.value}%`);
    const [left, right] = sides.map(({ choice }) => choice.selectedOptions[0]?.text);
    wipe.setAttribute("aria-valuetext", `${wipe.value} % ${left}, ${100 - wipe.value} % ${right}`);
  }

  const now = () => sides.map(({ choice }) => choice.value);
  wipe.addEventListener("input", moveWipe);
  sides.forEach(({ choice }) => choice.addEventListener("change", draw));
  byId("before").addEventListener("click", () => show(current - 1, now()));
  byId("after").addEventListener("click", () => show(current + 1, now()));
  byId("close").addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => {
    if (event.target === large) large.close();
  });
  product.addEventListener("change", draw);
  slider.addEventListener("input", () => {
    thresholds.set(Math.round(100 * slider.value));
    draw();
  });
  own.addEventListener("click", () => {
    thresholds.reset();
    draw();
  });
  for (const radio of radios) {
    radio.addEventListener("change", () => {
      mode = radio.value;
      draw();
    });
  }

  return function open(number, source, others, { how, product: outlined = false, at = null }) {
    mode = how;
    radios.forEach((radio) => (radio.checked = radio.value === how));
    product.checked = outlined;
    thresholds.reset();
    at?.forEach((position, method) => (thresholds.at[method] = position));
    const moved = at?.find((position) => position !== null) ?? null;
    if (moved !== null) slider.value = moved / 100;
    large.showModal();
    show(number, [source, beside(source, others)]);
    wipe.focus();
  };
}

// the next method, or from the last one the first; the ground truth where there is no other
function beside(source, others) {
  const named = others.filter((other) => other !== "image" && other !== "truth");
  const rest = named.filter((other) => other !== source);
  return named[named.indexOf(source) + 1] ?? rest[0] ?? "truth";
}

