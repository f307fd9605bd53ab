// The report's page begins: what stands before this file has only named functions.
document.documentElement.classList.add("script");
const data = JSON.parse(byId("data").textContent);
all("table.sortable").forEach(makeSortable);
makeTheme();
makeTakes(data);
makeImages(data);
makeCopyButtons();
openDataCard();
// paper cannot be unfolded
window.addEventListener("beforeprint", () => all("details").forEach((folded) => (folded.open = true)));
