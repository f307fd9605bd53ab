// The report's page begins: what stands before this file has only named functions.
document.documentElement.classList.add("script");
all("table.sortable").forEach(makeSortable);
makeTheme();
makeImages(JSON.parse(byId("data").textContent));
