
// What the page asks its server; a picture is sent once and known by a token from then on.
function makeServer(limitMb) {
  // the answer, or an error whose message is the server's sentence
  async function ask(path, body, signal) {
    let answer;
    try {
      const headers = body instanceof Blob ? { "Content-Type": "application/octet-stream" } : {};
      answer = await fetch(path, { method: body === undefined ? "GET" : "POST", body, headers, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `The server answered ${answer.status}.`);
  }

  // what was sent: token, width, height, animated, and canvas: its preview
  async function received(path, body, signal) {
    if (body.size > limitMb * 2 ** 20) {
      throw new Error(`The file has more than ${limitMb} MiB, which is the limit here (limit_mb=).`);
    }
    const kept = await (await ask(path, body, signal)).json();
    const seen = await (await ask(`/pictures/${kept.token}`, undefined, signal)).blob();
    const bitmap = await createImageBitmap(seen);
    const canvas = blank(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return { ...kept, canvas };
  }

  // levels of a picture's alpha, a byte each, and the seconds that the prediction took
  async function alphaOf(picture, method, signal) {
    const answer = await ask(`/pictures/${picture.token}/alphas/${method}`, "", signal);
    const taken = /dur=([\d.]+)/.exec(answer.headers.get("Server-Timing"));
    return { levels: new Uint8Array(await answer.arrayBuffer()), seconds: taken[1] / 1000 };
  }

  // a canvas with the person's own colours at soft edges, where the picture mixes them with what was behind
  async function coloursOf(picture, method, signal) {
    const { width, height } = picture.canvas;
    const answer = await ask(`/pictures/${picture.token}/foregrounds/${method}`, "", signal);
    const rgb = new Uint8Array(await answer.arrayBuffer());
    const pixels = new ImageData(width, height);
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
      for (let k = 0; k < 3; k += 1) pixels.data[to + k] = rgb[from + k];
      pixels.data[to + 3] = 255;
    }
    const canvas = blank(width, height);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  return { ask, received, alphaOf, coloursOf };
}
