
// Pure drawing: levels of an alpha and a picture in, canvases out.

function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function copyInto(source, target) {
  target.width = source.width;
  target.height = source.height;
  target.getContext("2d").drawImage(source, 0, 0);
}

// level 0..255 -> opacity 0..255; cut: in [0, 1], as the scores cut, or null = as it is
function opacities(cut) {
  const last = cut === null ? null : Math.floor(255 * cut + 1e-9);
  return Uint8Array.from({ length: 256 }, (_, level) => (last === null ? level : level > last ? 255 : 0));
}

// the alpha as grey, opaque
function drawMatte(target, levels, shown) {
  const { width, height } = target;
  const grey = new ImageData(width, height);
  for (let i = 0, at = 0; i < levels.length; i += 1, at += 4) {
    grey.data[at] = grey.data[at + 1] = grey.data[at + 2] = shown[levels[i]];
    grey.data[at + 3] = 255;
  }
  target.getContext("2d").putImageData(grey, 0, 0);
}

// the part of an image that its alpha shows, or with `inverse` hides, on nothing
function drawShare(target, image, levels, shown, inverse = false) {
  const { width, height } = target;
  const mask = new ImageData(width, height);
  for (let i = 0, at = 3; i < levels.length; i += 1, at += 4) {
    mask.data[at] = inverse ? 255 - shown[levels[i]] : shown[levels[i]];
  }
  const context = target.getContext("2d");
  context.putImageData(mask, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.drawImage(image, 0, 0, width, height);
  context.globalCompositeOperation = "source-over";
}

// what the page shows of a method: its alpha, or the person in front of a background
// alpha: levels, and colours, a canvas with the person's own at soft edges
function drawResult(target, picture, alpha, look) {
  const { canvas } = picture;
  const { levels } = alpha;
  if (target.width !== canvas.width || target.height !== canvas.height) {
    target.width = canvas.width;
    target.height = canvas.height;
  }
  const shown = opacities(look.cut);
  if (look.view === "alpha") {
    drawMatte(target, levels, shown);
    return;
  }
  // a hard edge has no mixed colours
  const colours = look.cut === null ? alpha.colours : canvas;
  const { kind } = look.background;
  if (kind === "none" || (kind === "image" && !look.background.image)) {
    drawShare(target, colours, levels, shown);
    return;
  }
  const person = blank(canvas.width, canvas.height);
  drawShare(person, colours, levels, shown);
  if (kind === "ad") {
    copyInto(look.background.ad ? withAd(canvas, person, look.background) : canvas, target);
    return;
  }
  copyInto(backdropOf(look.background, canvas, levels, shown), target);
  target.getContext("2d").drawImage(person, 0, 0);
}
