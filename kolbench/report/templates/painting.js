// Masks of images on canvases: reading what stands in the page, and painting it; dom.js stands before it.

// threshold of each method: its own one, or a position of a slider; hard masks have no other than their own
function makeThresholds(methods, cutoffs) {
  const at = methods.map(() => null);
  return {
    at,
    above: (method) => (at[method] === null ? methods[method].cutoff : cutoffs[at[method]]),
    allOwn: () => at.every((position) => position === null),
    set: (position) => methods.forEach(({ soft }, method) => (at[method] = soft ? position : null)),
    reset: (method) => (method === undefined ? at.fill(null) : (at[method] = null)),
  };
}

function makePainter({ blobs, colours, truth_cutoff: TRUTH_CUTOFF }) {
  const decoded = new Map();
  // squares of the board under a cut-out, in pixels of the image
  const SQUARE = 12;

  // RGBA of a data: URI; scaled only if the image's file has another size than its truth
  async function pixels(uri, width, height) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
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
  async function gather(shot, sources, from = decode) {
    const [image, truth, product, ...alphas] = await Promise.all([
      from(shot.image, shot, false),
      from(shot.truth, shot, true),
      shot.product === undefined ? null : from(shot.product, shot, true),
      ...sources.map((method) => from(shot.alphas[method], shot, true)),
    ]);
    return { image, truth, product, alphas: Object.fromEntries(sources.map((m, i) => [m, alphas[i]])) };
  }

  // everything of a shot, once
  function load(shot) {
    shot.loaded ??= gather(shot, Object.keys(shot.alphas), read);
    return shot.loaded;
  }

  // levels of a source and the highest level that is background; null for the image itself
  function mask(loaded, source, thresholds) {
    if (source === "image") return null;
    if (source === "truth") return { levels: loaded.truth, above: TRUTH_CUTOFF };
    return { levels: loaded.alphas[source], above: thresholds.above(source) };
  }

  function outline(out, levels, above, width, colour) {
    const outside = (j) => !(levels[j] > above);
    for (let i = 0; i < levels.length; i += 1) {
      if (outside(i)) continue;
      const x = i % width;
      const edge =
        (x > 0 && outside(i - 1)) ||
        (x < width - 1 && outside(i + 1)) ||
        (i >= width && outside(i - width)) ||
        (i + width < levels.length && outside(i + width));
      if (edge) out.set([...colour, 255], 4 * i);
    }
  }

  const painters = {
    foreground(out, { image }, { levels, above }) {
      for (let i = 0; i < levels.length; i += 1) {
        const shown = levels[i] > above;
        for (let c = 4 * i; c < 4 * i + 3; c += 1) out[c] = shown ? image[c] : 0;
        out[4 * i + 3] = 255;
      }
    },
    alpha(out, _, { levels }) {
      for (let p = 0; p < out.length; p += 1) out[p] = p % 4 === 3 ? 255 : levels[p >> 2];
    },
    // true positives as they are, the rest in pale grey under the errors, as in the sheets
    errors(out, { image, truth }, { levels, above }) {
      for (let i = 0; i < levels.length; i += 1) {
        const p = 4 * i;
        const grey = ((image[p] + image[p + 1] + image[p + 2]) / 3) * 0.6 + 80;
        const found = levels[i] > above;
        const right = truth[i] > TRUTH_CUTOFF;
        const colour = found === right ? null : found ? colours.fp : colours.fn;
        for (let c = 0; c < 3; c += 1) {
          out[p + c] = colour ? 0.25 * grey + 0.75 * colour[c] : found ? image[p + c] : grey;
        }
        out[p + 3] = 255;
      }
    },
    outline(out, { image }, { levels, above }, width) {
      out.set(image);
      outline(out, levels, above, width, colours.edge);
    },
    // the image by its alpha on a checkerboard
    board(out, { image }, { levels }, width) {
      for (let i = 0; i < levels.length; i += 1) {
        const dark = (Math.floor((i % width) / SQUARE) + Math.floor(i / width / SQUARE)) % 2;
        const share = levels[i] / 255;
        for (let c = 4 * i; c < 4 * i + 3; c += 1) out[c] = share * image[c] + (1 - share) * (dark ? 204 : 255);
        out[4 * i + 3] = 255;
      }
    },
  };

  // Paints a source; view: how, product (whether it is outlined), longest (px of the canvas at most).
  function draw(canvas, shot, loaded, source, thresholds, { how, product = false, longest = Infinity }) {
    const { width, height } = shot;
    const painted = new ImageData(width, height);
    const found = mask(loaded, source, thresholds);
    if (found === null) painted.data.set(loaded.image);
    else painters[how](painted.data, loaded, found, width);
    if (product && loaded.product) outline(painted.data, loaded.product, TRUTH_CUTOFF, width, colours.product);
    const scale = Math.min(1, longest / Math.max(width, height));
    const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    // pixels come from here, not from a graphics card
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (scale === 1) {
      context.putImageData(painted, 0, 0);
      return;
    }
    const whole = document.createElement("canvas");
    Object.assign(whole, { width, height });
    whole.getContext("2d", { willReadFrequently: true }).putImageData(painted, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, 0, 0, size.width, size.height);
  }

  return { pixels, load, gather, draw };
}

// IoU of a source on an image as it is read, "" where it has none
function iouInWords(shot, source, thresholds) {
  const known = shot.iou?.[source];
  if (!known) return "";
  const position = thresholds.at[source];
  return `IoU ${(position === null ? known.own : known.at[position]).toFixed(1)} %`;
}

