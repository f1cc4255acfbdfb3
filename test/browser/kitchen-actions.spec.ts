import type { Page, Request } from "@playwright/test";
import { advance, cardOf, claim, clearMixing, expect, live, placeOrder, reject, test } from "./factory";

/** Records the requests of a page for an operation on orders. */
function requestsFor(page: Page, verb: string): Request[] {
  const requests: Request[] = [];
  page.context().on("request", (request) => { if (request.url().endsWith(`/order/${verb}`)) requests.push(request); });
  return requests;
}

const cards = (page: Page) => page.getByRole("list", { name: /^New orders/ }).getByRole("listitem");

test.beforeEach(({ server }) => clearMixing(server.url));

test("MIX and REJECT can be undone until they are sent", async ({ factory }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const mixes = requestsFor(ana, "mix");
  const rejections = requestsFor(ana, "reporterror");
  const id = await factory.order("Strawberry");
  const card = cardOf(ana, id);

  await card.getByRole("button", { name: /^MIX/ }).click();
  await expect(card).toContainText(/Mixed · sent in [123] s/);
  await card.getByRole("button", { name: /^UNDO: mixed/ }).click();
  await expect(card.getByRole("button", { name: /^MIX/ })).toBeVisible();

  await card.getByRole("button", { name: /^REJECT/ }).click();
  await ana.getByRole("button", { name: "Batter split" }).click();
  await ana.getByRole("button", { name: "Reject order" }).click();
  await card.getByRole("button", { name: /^UNDO: rejected/ }).click();
  await expect(card.getByRole("button", { name: /^REJECT/ })).toBeVisible();

  await card.getByRole("button", { name: /^MIX/ }).click();
  await expect(card).toHaveCount(0);
  expect(mixes).toHaveLength(1);
  expect(rejections).toEqual([]);
});

test("a held action is sent once when the page is closed", async ({ factory, request }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const id = await factory.order("Chocolate");
  await cardOf(ana, id).getByRole("button", { name: /^MIX/ }).click();
  await expect(cardOf(ana, id)).toContainText("Mixed · sent in");
  await ana.close({ runBeforeUnload: true });
  const status = async () => ((await (await request.get(`/api/v1/order/${id}`)).json()) as { status: string; history: unknown[] });
  await expect.poll(async () => (await status()).status).toBe("mixed");
  expect((await status()).history).toHaveLength(1);
});

test("actions taken offline survive a reload and are sent in order once the network is back", async ({ factory }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const [mixed, rejected, undone] = [await factory.order("Strawberry", 2), await factory.order("Chocolate", 3), await factory.order("Strawberry", 4)];
  await expect(cardOf(ana, undone)).toBeVisible();
  const requests: Request[] = [];
  await ana.context().setOffline(true);
  ana.context().on("request", (request) => { if (/order\/(mix|reporterror)$/.test(request.url())) requests.push(request); });

  await cardOf(ana, mixed).getByRole("button", { name: /^MIX/ }).click();
  await cardOf(ana, rejected).getByRole("button", { name: /^REJECT/ }).click();
  await ana.getByRole("button", { name: "Batter split" }).click();
  await ana.getByRole("button", { name: "Reject order" }).click();
  await cardOf(ana, undone).getByRole("button", { name: /^MIX/ }).click();
  for (const id of [mixed, rejected, undone]) await expect(cardOf(ana, id)).toContainText("saved here until the server answers");
  await expect(ana.getByText("3 actions are waiting to be sent")).toBeVisible();
  // Offline, an action can be undone for as long as it is unsent.
  await cardOf(ana, undone).getByRole("button", { name: /^UNDO/ }).click();
  await expect(ana.getByText("2 actions are waiting to be sent")).toBeVisible();
  expect(requests).toEqual([]);

  const keys = await ana.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("ecupcakes.kitchen.action.")).sort());
  expect(keys).toHaveLength(2);
  // Restart the device: the page loads, but the API does not answer yet.
  const context = ana.context();
  await ana.goto("about:blank"); // On closing, a page is online for a moment and would send.
  await ana.close();
  const page = await context.newPage();
  await page.route(/order\/(mix|reporterror)$/, (route) => route.abort("connectionrefused"));
  await context.setOffline(false);
  await page.goto("/mixer");
  await expect(cardOf(page, mixed)).toContainText("saved here until the server answers");
  await expect(page.getByText("2 actions are waiting to be sent")).toBeVisible();
  const kept = () => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("ecupcakes.kitchen.action.")).sort());
  expect(await kept()).toEqual(keys);
  await page.unrouteAll();

  for (const id of [mixed, rejected]) await expect(cardOf(page, id)).toHaveCount(0);
  await expect(page.getByText(/waiting to be sent/)).toHaveCount(0);
  await expect(cardOf(page, undone).getByRole("button", { name: /^MIX/ })).toBeVisible();
  expect(await kept()).toEqual([]);
  const [first, second] = requests.slice(-2);
  expect([first, second].map((request) => new URL(request?.url() ?? "").pathname)).toEqual(["/api/v1/order/mix", "/api/v1/order/reporterror"]);
  const sent = [first, second].map((request) => `ecupcakes.kitchen.action.${request?.headers()["idempotency-key"]}`);
  expect(sent.sort()).toEqual(keys);
});

test("a refusal because of somebody else's action is shown until it is dismissed", async ({ factory }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const [done, taken] = [await factory.order("Strawberry", 5), await factory.order("Chocolate", 6)];
  await expect(cardOf(ana, taken)).toBeVisible();
  // Others' changes do not reach this page.
  await ana.context().setOffline(true);
  for (const id of [done, taken]) await cardOf(ana, id).getByRole("button", { name: /^MIX/ }).click();
  await expect(ana.getByText("2 actions are waiting to be sent")).toBeVisible();
  await reject(factory.url, done, "Batter split", "Bob");
  await claim(factory.url, taken, "Bob");
  await ana.context().setOffline(false);

  const notices = ana.getByRole("alert");
  await expect(notices).toHaveCount(2);
  await expect(notices.filter({ hasText: "5 Strawberry" })).toContainText(/could not be completed: .*Batter split/);
  await expect(notices.filter({ hasText: "6 Chocolate" })).toContainText(/could not be completed: .*Bob/);
  await ana.reload();
  await live(ana);
  await expect(notices).toHaveCount(2);
  await notices.first().getByRole("button", { name: "OK" }).click();
  await notices.getByRole("button", { name: "OK" }).click();
  await ana.reload();
  await live(ana);
  await expect(notices).toHaveCount(0);
  // Bob's order is shown as claimed and has no buttons here.
  await expect(cardOf(ana, taken)).toContainText("Bob is on it");
  await expect(cardOf(ana, taken).getByRole("button")).toHaveCount(0);
  await advance(factory.url, taken, [["mix", "MixedBy", "Bob"]]);
});

test("of two concurrent claims one succeeds, and the other page names the claimant", async ({ factory }) => {
  const id = await factory.order("Strawberry", 7);
  // Screens outside a consumer group show all orders, so both have the same card.
  const enter = async (name: string) => {
    const page = await factory.enter(name, "Mixer");
    await page.addInitScript(() => {
      window.WebSocket = class extends WebSocket {
        constructor(address: string | URL, protocols?: string | string[]) {
          const url = new URL(address);
          url.searchParams.delete("consumergroup");
          super(url, protocols);
        }
      };
    });
    await page.reload();
    await live(page);
    return page;
  };
  const [ana, bob] = [await enter("Ana"), await enter("Bob")];
  const pages = [ana, bob];
  for (const page of pages) await expect(cardOf(page, id)).toBeVisible();

  // Both requests are held until both have pressed.
  const passes: (() => void)[] = [];
  for (const page of pages) {
    await page.route("**/api/v1/order/claim", async (route) => {
      await new Promise<void>((pass) => passes.push(pass));
      await route.continue();
    });
    await cardOf(page, id).getByRole("button", { name: /^TAKE/ }).click();
    await expect(cardOf(page, id)).toContainText("You are on it");
  }
  await expect.poll(() => passes.length).toBe(2);
  passes[0]?.(); // Ana pressed first.
  await expect(cardOf(bob, id)).toContainText("Ana is on it");
  passes[1]?.();
  await expect(bob.getByRole("alert")).toContainText("7 Strawberry");
  await expect(bob.getByRole("alert")).toContainText(/could not be taken: .*Ana/);
  await expect(cardOf(bob, id).getByRole("button")).toHaveCount(0);
  await expect(ana.getByRole("alert")).toHaveCount(0);

  await cardOf(ana, id).getByRole("button", { name: /^GIVE BACK/ }).click();
  await cardOf(bob, id).getByRole("button", { name: /^MIX/ }).click();
  for (const page of pages) await expect(cardOf(page, id)).toHaveCount(0);
});

test("recall lists finished orders with their current status and can reject them there", async ({ factory, request }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const id = await factory.order("Strawberry", 8);
  await cardOf(ana, id).getByRole("button", { name: /^MIX/ }).click();
  await expect(cardOf(ana, id)).toHaveCount(0);
  await ana.getByRole("button", { name: "Recall" }).click();
  const dialog = ana.getByRole("dialog", { name: "Recently finished here" });
  const entry = dialog.getByRole("listitem").filter({ hasText: id.slice(-6) }).filter({ hasText: "mixed by" });
  await expect(entry).toContainText(/8 × Strawberry, Medium.*mixed by Ana at \d\d:\d\d/s);
  await expect(entry).toContainText("Now: Mixed, and waiting for the oven");
  await entry.getByRole("button", { name: /^REJECT at Baking/ }).click();
  await ana.getByRole("button", { name: "Burnt" }).click();
  await ana.getByRole("button", { name: "Reject order" }).click();
  await expect(entry.getByRole("button", { name: /^UNDO/ })).toBeVisible();
  await expect(entry).toContainText("Now: rejected: Burnt");
  expect(((await (await request.get(`/api/v1/order/${id}`)).json()) as { state: string }).state).toBe("rejected");
});

test("combined orders of a kind are finished one by one or all at once", async ({ browser, ownServer: server }) => {
  const ids: string[] = [];
  for (const quantity of [2, 3, 4]) ids.push(await placeOrder(server.url, "Strawberry", quantity, "L"));
  ids.push(await placeOrder(server.url, "Strawberry", 9, "S"));
  const context = await browser.newContext({ baseURL: server.url });
  const page = await context.newPage();
  await page.goto("/mixer");
  await live(page);
  const mixes = requestsFor(page, "mix");
  await page.getByRole("button", { name: "All day" }).click();
  await expect(page.getByRole("row", { name: /^Strawberry/ })).toHaveText(/Strawberry\s*9\s*9\s*18/);
  await page.getByRole("button", { name: "Combine" }).click();
  await expect(cards(page).and(page.locator("[aria-posinset]"))).toHaveCount(2);
  const large = page.locator("[aria-posinset]").filter({ hasText: "9 × Large" });
  await large.getByRole("button", { name: /^TAKE 2 ×/ }).click();
  await large.getByRole("button", { name: /^GIVE BACK 2 ×/ }).click();
  await expect(large.getByRole("button", { name: /^TAKE 2 ×/ })).toBeVisible();
  await large.getByRole("button", { name: /^REJECT 2 ×/ }).click();
  await expect(page.getByRole("dialog", { name: /^Reject 2/ })).toBeVisible();
  await page.keyboard.press("Escape");
  await large.getByRole("button", { name: /^MIX 2 ×/ }).click();
  await expect(large.getByRole("button", { name: /^UNDO/ })).toBeVisible();
  const rest = page.locator("[aria-posinset]").filter({ hasText: "7 × Large" });
  await expect(rest).toBeVisible();
  await rest.getByRole("button", { name: /^MIX ALL 2/ }).click();
  await rest.getByRole("button", { name: /^UNDO/ }).click();
  await rest.getByRole("button", { name: /^MIX ALL 2/ }).click();
  await expect(cards(page)).toHaveCount(1);
  expect(mixes).toHaveLength(3);
  await expect(page.getByRole("row", { name: /^Strawberry/ })).toHaveText(/Strawberry\s*9\s*9/);
  await page.reload();
  await expect(page.getByRole("button", { name: "Combine" })).toHaveAttribute("aria-pressed", "true");
  await context.close();
});
