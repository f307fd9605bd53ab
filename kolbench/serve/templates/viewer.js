
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The large view: a wipe between before and after, zoom and pan by wheel, pinch, keys, buttons and drag.
function makeViewer(stage, wipe, buttons) {
  const MOST = 8;
  const STEP = 1.25;
  const PAN = 0.1;
  // x, y: where the image's corner stands, in shares of the stage
  const view = { x: 0, y: 0, zoom: 1 };
  const pointers = new Map();
  let pinched = null;

  function show() {
    stage.style.setProperty("--zoom", view.zoom);
    stage.style.setProperty("--x", `${100 * view.x}%`);
    stage.style.setProperty("--y", `${100 * view.y}%`);
    stage.classList.toggle("zoomed", view.zoom > 1);
    buttons.output.textContent = `${Math.round(100 * view.zoom)} %`;
    buttons.out.disabled = view.zoom === 1;
    buttons.fit.disabled = view.zoom === 1;
    buttons.in.disabled = view.zoom === MOST;
  }

  function move(x, y) {
    view.x = clamp(x, 1 - view.zoom, 0);
    view.y = clamp(y, 1 - view.zoom, 0);
    show();
  }

  // the point (x, y), in shares of the stage, stays where it is
  function zoomAt(x, y, factor) {
    const zoom = clamp(view.zoom * factor, 1, MOST);
    const grown = zoom / view.zoom;
    view.zoom = zoom < 1.001 ? 1 : zoom;
    move(x - (x - view.x) * grown, y - (y - view.y) * grown);
  }

  function setWipe(percent) {
    wipe.value = clamp(percent, 0, 100);
    stage.style.setProperty("--wipe", `${wipe.value}%`);
    wipe.setAttribute("aria-valuetext", `${wipe.value} % before, ${100 - wipe.value} % after`);
  }

  function fit() {
    view.zoom = 1;
    move(0, 0);
  }

  function shareOf(event) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  stage.addEventListener(
    "wheel",
    (event) => {
      // at its smallest, the page scrolls
      if (view.zoom === 1 && event.deltaY > 0) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 40 : 1;
      zoomAt(...shareOf(event), Math.exp(-clamp(event.deltaY * lines, -120, 120) * 0.002));
    },
    { passive: false },
  );

  // the browser would zoom the page
  stage.addEventListener("touchstart", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const grips = event.target.closest(".grip") !== null;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { at: shareOf(event), wipes: grips || view.zoom === 1 });
    pinched = pointers.size === 2 ? spread() : null;
  });

  stage.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    const [x, y] = shareOf(event);
    const [fromX, fromY] = pointer.at;
    pointer.at = [x, y];
    if (pointers.size === 2) pinch();
    else if (pointer.wipes) setWipe(100 * x);
    else move(view.x + x - fromX, view.y + y - fromY);
  });

  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      pinched = null;
      // the finger that is left would jump
      for (const pointer of pointers.values()) pointer.wipes = false;
    });
  }

  // where two fingers are between them, and how far apart in pixels
  function spread() {
    const [[x0, y0], [x1, y1]] = [...pointers.values()].map(({ at }) => at);
    const { width, height } = stage.getBoundingClientRect();
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, apart: Math.hypot((x1 - x0) * width, (y1 - y0) * height) };
  }

  function pinch() {
    const now = spread();
    view.x += now.x - pinched.x;
    view.y += now.y - pinched.y;
    zoomAt(now.x, now.y, now.apart / Math.max(pinched.apart, 1));
    pinched = now;
  }

  stage.addEventListener("dblclick", (event) => {
    if (view.zoom > 1) fit();
    else zoomAt(...shareOf(event), 3);
  });

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pans = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] }[event.key];
    if (event.key === "+" || event.key === "=") zoomAt(0.5, 0.5, STEP);
    else if (event.key === "-") zoomAt(0.5, 0.5, 1 / STEP);
    else if (event.key === "0") fit();
    else if (pans && event.target === stage) move(view.x + pans[0], view.y + pans[1]);
    else return;
    event.preventDefault();
  });

  buttons.in.addEventListener("click", () => zoomAt(0.5, 0.5, STEP));
  buttons.out.addEventListener("click", () => zoomAt(0.5, 0.5, 1 / STEP));
  buttons.fit.addEventListener("click", fit);
  wipe.addEventListener("input", () => setWipe(Number(wipe.value)));
  setWipe(50);
  show();
  return { fit, setWipe, wiped: () => Number(wipe.value) / 100, zoom: () => view.zoom };
}
