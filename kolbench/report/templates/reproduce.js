// Buttons that copy the text beside them; where the clipboard is not to be had, the text is selected instead.
function makeCopyButtons() {
  const status = document.querySelector("#reproduce .copied");
  const say = (button, word, told) => {
    button.textContent = word;
    status.textContent = told;
    setTimeout(() => { button.textContent = "Copy"; status.textContent = ""; }, 2500);
  };
  for (const button of all("#reproduce .copy")) {
    const text = button.closest(".code").querySelector("pre");
    button.addEventListener("click", async () => {
      const done = await copied(text.textContent) || copiedBySelection(text);
      say(button, done ? "Copied" : "Selected", done ? "copied" : "selected: copy it with the keyboard");
    });
  }
}

// the data card is short enough to be read at once where there is room
function openDataCard() {
  byId("data-card").open = matchMedia("(min-width: 48rem)").matches;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// the selection stays where copying is refused, so that the keyboard copies it
function copiedBySelection(element) {
  const selection = getSelection();
  selection.selectAllChildren(element);
  try {
    const done = document.execCommand("copy");
    if (done) selection.removeAllRanges();
    return done;
  } catch {
    return false;
  }
}
