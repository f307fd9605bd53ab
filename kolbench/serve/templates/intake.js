
// How files come to the page: by a button, by paste, and dropped anywhere.

function onFile(input, take) {
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
}

// meansAd: whether what is dropped on an element is an ad
function onHandedOver({ openFile, openAd, meansAd }) {
  const root = document.documentElement;
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");

  function mark(event) {
    const isAd = event !== null && Boolean(meansAd(event.target));
    root.classList.toggle("dropping", event !== null && !isAd);
    root.classList.toggle("dropping-ad", isAd);
  }

  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
    if (file) openFile(file);
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    mark(event);
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget ?? mark(null));
  window.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    mark(null);
    const file = event.dataTransfer.files[0];
    if (file) (meansAd(event.target) ? openAd : openFile)(file);
  });
}
