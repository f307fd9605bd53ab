// Files to be taken away: the leaderboard as text, figures as SVG. Nothing is fetched: the page has them.
function makeTakes(data) {
  const save = (text, name, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const types = { csv: "text/csv", md: "text/markdown", tex: "application/x-tex" };
  for (const button of all("[data-take]")) {
    const kind = button.dataset.take;
    button.addEventListener("click", () => save(data.takes[kind], `leaderboard.${kind}`, types[kind]));
  }
  for (const button of all("[data-svg]")) {
    button.addEventListener("click", () => {
      const drawing = button.closest("figure").querySelector("svg").cloneNode(true);
      drawing.setAttribute("xmlns", "http://www.w3.org/2000/svg");
      // on paper the ink is black, whatever the page's colours are
      drawing.setAttribute("color", "#000");
      save(new XMLSerializer().serializeToString(drawing), `${button.dataset.svg}.svg`, "image/svg+xml");
    });
  }
}

