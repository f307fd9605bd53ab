
// Where the ad stands: a box of the ad's own aspect inside the frame, moved and resized by hand or by sliders.
function makeAd(box, stage, zoom, changed) {
  const LEAST = 0.05;
  const USUAL = 0.5;
  const TALLEST = 0.62;
  // shares of the frame's width and height
  const place = { left: 0, top: 0, width: 0.4, height: 0.4 };
  let tallness = 1; // height per width, both shares
  let held = null;

  const widest = () => Math.min(1, 1 / tallness);

  function resize(width) {
    place.width = clamp(width, Math.min(LEAST, widest()), widest());
    place.height = Math.min(1, place.width * tallness);
    moveTo(place.left, place.top);
  }

  function moveTo(left, top) {
    place.left = clamp(left, 0, 1 - place.width);
    place.top = clamp(top, 0, 1 - place.height);
  }

  // a new ad before this frame, at the side where less of it is hidden
  function fit(ad, picture, levels) {
    tallness = picture.width / picture.height / (ad.width / ad.height);
    resize(Math.min(USUAL, TALLEST / tallness));
    const margin = 0.04;
    const right = 1 - place.width - margin;
    moveTo(hidden(margin, picture, levels) <= hidden(right, picture, levels) ? margin : right, 0.08);
  }

  // sum of the levels over the box, were it there
  function hidden(left, { canvas }, levels) {
    if (!levels) return 0;
    let sum = 0;
    const [x0, x1] = [left, left + place.width].map((share) => Math.floor(clamp(share, 0, 1) * canvas.width));
    const last = Math.floor((0.08 + place.height) * canvas.height);
    for (let y = Math.floor(0.08 * canvas.height); y < last; y += 4) {
      for (let x = x0; x < x1; x += 4) sum += levels[y * canvas.width + x];
    }
    return sum;
  }

  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    box.setPointerCapture(event.pointerId);
    box.classList.add("held");
    held = { x: event.clientX, y: event.clientY, corner: event.target.dataset.corner, from: { ...place } };
  });
  box.addEventListener("pointermove", (event) => {
    if (!held) return;
    event.stopPropagation();
    const { width, height } = stage.getBoundingClientRect();
    const across = (event.clientX - held.x) / width / zoom();
    const down = (event.clientY - held.y) / height / zoom();
    if (held.corner) pull(held.corner, across, down, held.from);
    else moveTo(held.from.left + across, held.from.top + down);
    changed();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    box.addEventListener(end, () => {
      held = null;
      box.classList.remove("held");
    });
  }

  // the corner opposite stays where it is
  function pull(corner, across, down, from) {
    const [toLeft, toTop] = [corner.includes("w"), corner.includes("n")];
    const [right, bottom] = [from.left + from.width, from.top + from.height];
    const byWidth = toLeft ? -across : across;
    const byHeight = (toTop ? -down : down) / tallness;
    const wished = from.width + (Math.abs(byWidth) > Math.abs(byHeight) ? byWidth : byHeight);
    const room = Math.min(toLeft ? right : 1 - from.left, (toTop ? bottom : 1 - from.top) / tallness);
    place.width = clamp(wished, Math.min(LEAST, room), room);
    place.height = Math.min(1, place.width * tallness);
    moveTo(toLeft ? right - place.width : from.left, toTop ? bottom - place.height : from.top);
  }

  return { place, fit, resize, moveTo };
}
