// Runs before the first paint, so that the page never flashes in the other theme.
try {
  const theme = localStorage.getItem("ecupcakes.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: use the system's theme.
}
