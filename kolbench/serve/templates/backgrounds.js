
// What stands behind the person, drawn as kolbench.serve.files makes it for the downloads.

// background: kind (colour, blur or image), colour, radius, image
function backdropOf(background, canvas, levels, shown) {
  if (background.kind === "colour") return painted(canvas, background.colour);
  if (background.kind === "blur") return blurredAround(canvas, levels, shown, background.radius);
  return covered(canvas, background.image.canvas);
}

function painted({ width, height }, colour) {
  const target = blank(width, height);
  const context = target.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return target;
}

// an image that fills the frame, what is too much cut off evenly
function covered({ width, height }, image) {
  const target = blank(width, height);
  const context = target.getContext("2d");
  context.imageSmoothingQuality = "high";
  const scale = Math.max(width / image.width, height / image.height);
  const [across, down] = [width / scale, height / scale];
  const [x, y] = [(image.width - across) / 2, (image.height - down) / 2];
  context.drawImage(image, x, y, across, down, 0, 0, width, height);
  return target;
}

// the picture with the ad between the person and what was behind; beyond the ad it stays as it is
function withAd(canvas, person, { ad, place, opacity }) {
  const layer = blank(canvas.width, canvas.height);
  const placing = layer.getContext("2d");
  placing.imageSmoothingQuality = "high";
  const [x0, x1] = [place.left, place.left + place.width].map((share) => Math.round(share * canvas.width));
  const [y0, y1] = [place.top, place.top + place.height].map((share) => Math.round(share * canvas.height));
  placing.drawImage(ad.canvas, x0, y0, Math.max(1, x1 - x0), Math.max(1, y1 - y0));
  placing.globalCompositeOperation = "source-atop";
  placing.drawImage(person, 0, 0);
  const target = blank(canvas.width, canvas.height);
  const context = target.getContext("2d");
  context.drawImage(canvas, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(layer, 0, 0);
  return target;
}

// The background out of focus, with none of the person's colours in it: blurred colours over blurred weights.
// radius: standard deviation as a share of the shorter side
function blurredAround(canvas, levels, shown, radius) {
  const rest = blank(canvas.width, canvas.height);
  drawShare(rest, canvas, levels, shown, true);
  const deviation = radius * Math.min(canvas.width, canvas.height);
  const step = Math.max(1, Math.floor(deviation / 3));
  const small = blank(Math.ceil(canvas.width / step), Math.ceil(canvas.height / step));
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(rest, 0, 0, small.width, small.height);
  const pixels = context.getImageData(0, 0, small.width, small.height);
  const inside = step === 1 ? deviation : Math.sqrt((deviation / step) ** 2 - 0.25);
  blurPixels(pixels, inside);
  context.putImageData(pixels, 0, 0);
  const target = blank(canvas.width, canvas.height);
  const enlarging = target.getContext("2d");
  enlarging.imageSmoothingQuality = "high";
  enlarging.drawImage(small, 0, 0, target.width, target.height);
  return target;
}

// Gaussian blur of straight RGBA, weighted by alpha; alpha becomes 255
function blurPixels({ data, width, height }, deviation) {
  const weighted = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += 4) {
    // far inside the person there is no weight, and no need of any
    const weight = Math.max(data[at + 3], 0.001);
    for (let k = 0; k < 3; k += 1) weighted[at + k] = data[at + k] * weight;
    weighted[at + 3] = weight;
  }
  const reach = Math.ceil(3 * deviation);
  const kernel = Float32Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / deviation) ** 2));
  const across = convolved(weighted, kernel, height, 4 * width, width, 4);
  const both = convolved(across, kernel, width, 4, height, 4 * width);
  for (let at = 0; at < data.length; at += 4) {
    for (let k = 0; k < 3; k += 1) data[at + k] = both[at + k] / both[at + 3];
    data[at + 3] = 255;
  }
}

// along lines of `length` pixels, `step` apart; the edge is repeated beyond the edge
function convolved(values, kernel, lines, lineStep, length, step) {
  const reach = (kernel.length - 1) / 2;
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line += 1) {
    for (let i = 0; i < length; i += 1) {
      const to = line * lineStep + i * step;
      for (let j = -reach; j <= reach; j += 1) {
        const from = line * lineStep + Math.min(Math.max(i + j, 0), length - 1) * step;
        const share = kernel[j + reach];
        for (let k = 0; k < 4; k += 1) out[to + k] += share * values[from + k];
      }
    }
  }
  return out;
}
