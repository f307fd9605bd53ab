// Going through a clip frame by frame, two methods beside each other.
//
// clips: as the page's data has them. methods: with their names. thresholds: of the explorer. Returns what redraws
// the frame.
function makeClips(clips, methods, painter, thresholds) {
  const section = byId("clips");
  const [clipChoice, slider, chart] = ["clip", "clip-frame", "clip-chart"].map(byId);
  const sides = ["left", "right"].map((name) => ({
    name,
    choice: byId(`clip-${name}`),
    canvas: byId(`canvas-clip-${name}`),
    label: byId(`clip-name-${name}`),
    score: byId(`clip-score-${name}`),
  }));
  const HEIGHT = 100;
  const WIDTH = 1000;
  let mode = "errors";
  let asked = 0;

  const clip = () => clips[clipChoice.value];
  const shown = () => Number(slider.value);
  const position = () => clip().positions[shown()];
  const label = (side) => methods[side.choice.value].name;
  const j = (side, at) => clip().j[side.choice.value][at] ?? null;
  const inWords = (value) => (value === null ? "unknown" : value.toFixed(3));

  function openClip() {
    const known = Object.keys(clip().j);
    sides.forEach(({ choice }, number) => {
      const before = choice.value;
      choice.replaceChildren(...known.map((method) => new Option(methods[method].name, method)));
      choice.value = known.includes(before) ? before : known[number % known.length];
    });
    slider.max = clip().frames.length - 1;
    slider.value = 0;
    byId("clip-gap").hidden = widest() === null;
    drawChart();
    show();
  }

  // --- J over time

  const x = (at) => (clip().count > 1 ? (WIDTH * at) / (clip().count - 1) : WIDTH / 2);
  const y = (value) => HEIGHT * (1 - value);

  function path(classes, d) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
    made.setAttribute("class", classes);
    made.setAttribute("d", d);
    return made;
  }

  // a line that begins anew behind frames without J
  function line(values) {
    let pen = "M";
    return values
      .map((value, at) => {
        const step = value === null ? "" : `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = value === null ? "M" : "L";
        return step;
      })
      .join("");
  }

  function drawChart() {
    const lines = sides.map((side) => path(`line ${side.name}`, line(clip().j[side.choice.value])));
    chart.replaceChildren(path("half", `M0 ${y(0.5)}H${WIDTH}`), ...lines);
  }

  function moveMarker() {
    chart.querySelectorAll(".now, .dot").forEach((mark) => mark.remove());
    const at = x(position()).toFixed(1);
    const dots = sides
      .filter((side) => j(side, position()) !== null)
      // a line without length has round ends: a dot that stays round however the chart is stretched
      .map((side) => path(`dot ${side.name}`, `M${at} ${y(j(side, position())).toFixed(1)}h0.001`));
    chart.append(path("now", `M${at} 0V${HEIGHT}`), ...dots);
  }

  // the shown frame at which the two differ most; null where they never do
  function widest() {
    const gaps = clip().positions.map((at) => {
      const [left, right] = sides.map((side) => j(side, at));
      return left === null || right === null ? 0 : Math.abs(left - right);
    });
    const most = Math.max(...gaps);
    return most > 0 ? gaps.indexOf(most) : null;
  }

  // --- the frame

  function describe(frame) {
    const found = sides.map((side) => `${label(side)} J ${inWords(j(side, position()))}`);
    const where = `${position()}, the last is ${clip().count - 1}`;
    byId("clip-position").textContent = `${position()} / ${clip().count - 1}: ${frame.name}`;
    slider.setAttribute("aria-valuetext", `frame ${where}; ${found.join(", ")}`);
    chart.setAttribute("aria-label", `J over time in ${clip().name}; at frame ${position()}: ${found.join(", ")}`);
    byId("clip-name-frame").textContent = "frame, edge of the ground truth";
    byId("canvas-clip-frame").setAttribute("aria-label", `${frame.name} with the edge of the ground truth`);
    for (const side of sides) {
      side.label.textContent = label(side);
      side.score.textContent = `J ${inWords(j(side, position()))}`;
      side.canvas.setAttribute("aria-label", `${frame.name}, mask of ${label(side)}`);
    }
  }

  async function show() {
    const frame = clip().frames[shown()];
    const sources = sides.map(({ choice }) => choice.value);
    const mine = (asked += 1);
    delete section.dataset.drawn;
    describe(frame);
    moveMarker();
    // frames are many: they are decoded anew each time they are shown
    const loaded = await painter.gather(frame, [...new Set(sources)]);
    // another frame was asked for while this one was decoded
    if (mine !== asked) return;
    const draw = (canvas, source, how) => painter.draw(canvas, frame, loaded, source, thresholds, { how });
    draw(byId("canvas-clip-frame"), "truth", "outline");
    sides.forEach(({ canvas }, number) => draw(canvas, sources[number], mode));
    section.dataset.drawn = position();
  }

  clipChoice.addEventListener("change", openClip);
  slider.addEventListener("input", show);
  for (const { choice } of sides) {
    choice.addEventListener("change", () => {
      byId("clip-gap").hidden = widest() === null;
      drawChart();
      show();
    });
  }
  for (const radio of section.querySelectorAll("input[name=clip-mode]")) {
    radio.addEventListener("change", () => {
      mode = radio.value;
      byId("clip-errors").hidden = mode !== "errors";
      show();
    });
  }
  byId("clip-gap").addEventListener("click", () => {
    slider.value = widest();
    slider.focus();
    show();
  });
  openClip();
  return show;
}

