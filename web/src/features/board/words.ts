export const words = {
  page: "Orders · eCupcakes",
  heading: "Your cupcakes",
  almost: "Almost ready",
  ready: "Ready",
  noneAlmost: "Nothing yet",
  noneReady: "Nothing waits to be fetched",
  stale: (since: string) => `The board has not heard from the kitchen since ${since}. It keeps trying.`,
};
