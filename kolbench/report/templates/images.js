// All parts of the page that show images.
function makeImages(data) {
  const thresholds = () => makeThresholds(data.methods, data.cutoffs);
  const painter = makePainter(data);
  const open = makeLarge(data, painter, thresholds());
  makeRows(data.shots, painter, thresholds(), open);
  const explored = thresholds();
  const drawClip = data.clips.length ? makeClips(data.clips, data.methods, painter, explored) : () => {};
  makeExplorer(data, painter, explored, drawClip, open);
  painter.pixels(data.ramp, 256, 1).then((rgba) => {
    const warning = byId("inexact");
    if (warning) warning.hidden = rgba.every((value, i) => value === (i % 4 === 3 ? 255 : i >> 2));
  });
}

