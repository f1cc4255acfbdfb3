// Runs before the first paint, so that a page in a chosen theme never flashes in the other one.
try {
  const theme = localStorage.getItem("ecupcakes.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's theme it is.
}
