import type { Locator, Page } from "@playwright/test";
import { cardOf, clearMixing, expect, live, test } from "./factory";

test.beforeEach(({ server }) => clearMixing(server.url));

test("two mixers share the queue, and the remaining one gets all of it", async ({ factory }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const bob = await factory.enter("Bob", "Mixer");
  await live(ana);
  await live(bob);
  const ids = await Promise.all(Array.from({ length: 8 }, () => factory.order("Strawberry")));
  const on = async (page: Page) => (await Promise.all(ids.map((id) => cardOf(page, id).count()))).map((n) => n > 0);
  await expect.poll(async () => {
    const [hers, his] = [await on(ana), await on(bob)];
    return hers.every((shown, i) => shown !== his[i]) && hers.some(Boolean) && his.some(Boolean);
  }, "each order is on one of two screens, and both have some").toBe(true);
  await bob.close();
  for (const id of ids) await expect(cardOf(ana, id)).toBeVisible();
  const [first = ""] = ids;
  await cardOf(ana, first).getByRole("button", { name: "MIX" }).click();
  await expect(cardOf(ana, first)).toHaveCount(0);
});

test("a claimed order can be finished only by its claimant", async ({ factory }) => {
  const ana = await factory.enter("Ana", "Mixer");
  const id = await factory.order("Strawberry");
  const card = cardOf(ana, id);
  await card.getByRole("button", { name: /^TAKE/ }).click();
  await expect(card).toContainText("You are on it");
  const mix = (by: string) => ana.request.post("/api/v1/order/mix", { data: { Order: { Id: id, MixedBy: by } } });
  const refused = await mix("Bob");
  expect(refused.status()).toBe(409);
  expect(await refused.text()).toContain("Ana");
  await card.getByRole("button", { name: /^GIVE BACK/ }).click();
  await expect(card.getByRole("button", { name: /^TAKE/ })).toBeVisible();
  // Bob claims first, before Ana's page learns of it.
  await ana.route("**/api/v1/order/claim", async (route) => {
    await ana.request.post("/api/v1/order/claim", { data: { Order: { Id: id }, By: "Bob" } });
    await route.continue();
  });
  await card.getByRole("button", { name: /^TAKE/ }).click();
  const notice = ana.getByRole("alert");
  await expect(notice).toContainText(/could not be taken: .*Bob/);
  await expect(card.getByText("Bob is on it")).toBeVisible();
  await expect(card.getByRole("button", { name: /^MIX/ })).toHaveCount(0);
  expect((await mix("Bob")).status()).toBe(200);
  await expect(card).toHaveCount(0);
});

test("a reload keeps the queue and its order", async ({ factory }) => {
  const mixer = await factory.enter("Ana", "Mixer");
  const ids = [await factory.order("Strawberry"), await factory.order("Chocolate"), await factory.order("Strawberry")];
  for (const id of ids) await expect(cardOf(mixer, id)).toBeVisible();
  const cards = mixer.getByRole("list", { name: /^New orders/ }).getByRole("listitem");
  const names = () => cards.evaluateAll((items) => items.map((item) => item.getAttribute("aria-label")));
  const before = await names();
  await mixer.reload();
  await live(mixer);
  expect(await names()).toEqual(before);
});

test("an unanswered step is saved and retried with the same key", async ({ factory }) => {
  const mixer = await factory.enter("Ana", "Mixer");
  const id = await factory.order("Strawberry");
  const keys: (string | undefined)[] = [];
  await mixer.route("**/api/v1/order/mix", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length === 1) await route.abort("connectionreset");
    else await route.continue();
  });
  const card = cardOf(mixer, id);
  await card.getByRole("button", { name: "MIX" }).click();
  await expect(card).toContainText("saved here until the server answers");
  await expect(card).toHaveCount(0);
  expect(keys).toHaveLength(2);
  expect(keys[0]).toBeTruthy();
  expect(keys[1]).toBe(keys[0]);
});

test("MIX and REJECT work with the keyboard alone", async ({ factory }) => {
  const mixer = await factory.enter("Ana", "Mixer");
  const [mixed, rejected] = [await factory.order("Strawberry"), await factory.order("Chocolate")];
  const press = async (key: string, times: number) => {
    for (let i = 0; i < times; i++) await mixer.keyboard.press(key);
  };

  const mix = cardOf(mixer, mixed).getByRole("button", { name: "MIX" });
  await expect(mix).toBeVisible();
  await tabTo(mixer, mix);
  await mixer.keyboard.press("Enter");
  await expect(cardOf(mixer, mixed)).toHaveCount(0);
  await expect(mixer.getByRole("list", { name: /^New orders/ }).getByRole("listitem").first()).toBeFocused();

  const refuse = cardOf(mixer, rejected).getByRole("button", { name: "REJECT" });
  await tabTo(mixer, refuse);
  await mixer.keyboard.press("Space");
  const dialog = mixer.getByRole("dialog");
  await expect(dialog).toBeVisible();
  await mixer.keyboard.press("Escape");
  await expect(dialog).toHaveCount(0);
  await expect(refuse).toBeFocused();

  await mixer.keyboard.press("Enter");
  await tabTo(mixer, dialog.getByRole("textbox", { name: "Reason" }));
  await mixer.keyboard.type("Dropped it");
  // Cycle through the dialog: the focus must not leave it.
  await press("Tab", 12);
  expect(await mixer.evaluate(() => document.activeElement === document.body || document.activeElement?.closest("dialog") !== null)).toBe(true);
  await tabTo(mixer, dialog.getByRole("button", { name: "Reject order" }));
  await mixer.keyboard.press("Enter");
  await expect(cardOf(mixer, rejected)).toHaveCount(0);
});

/** Presses Tab until the element has the focus; fails after 400 presses. */
async function tabTo(page: Page, element: Locator): Promise<void> {
  for (let presses = 0; presses < 400; presses++) {
    if (await element.evaluate((wanted) => wanted === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error("400 presses of Tab did not reach the element");
}
