import type { Page } from "@playwright/test";
import { advance, claim, expect, live, placeOrder, reject, test, violations } from "./factory";

/** The states of the kitchen screen, in both themes, on phone, tablet and wall screen. */

let orders: string[] = [];

test.beforeAll(async ({ server: { url } }) => {
  const { flavours } = (await (await fetch(`${url}/api/v1/menu`)).json()) as { flavours: { name: string }[] };
  const flavour = (i: number) => flavours[i % Math.min(4, flavours.length)]?.name ?? "";
  orders = [];
  for (let i = 0; i < 14; i++) orders.push(await placeOrder(url, flavour(i * 3), 1 + ((i * 5) % 12), i % 3 ? "M" : "L"));
  await claim(url, orders[1] ?? "", "Bob");
  await claim(url, orders[2] ?? "", "Ana");
  await advance(url, orders[13] ?? "", [["mix", "MixedBy", "Ana"]]);
});

test.afterAll(async ({ server: { url } }) => {
  for (const [i, id] of orders.entries()) await reject(url, id, "Out of ingredients", i === 1 ? "Bob" : "Ana");
});

const states: Record<string, (page: Page) => Promise<void>> = {
  queue: async () => {},
  held: async (page) => {
    await page.clock.install();
    await page.getByRole("button", { name: /^MIX/ }).first().click();
    await expect(page.getByRole("button", { name: /^UNDO: mixed/ })).toBeVisible();
  },
  offline: async (page) => {
    await page.context().setOffline(true);
    await page.getByRole("button", { name: /^MIX/ }).first().click();
    await expect(page.getByText(/1 action is waiting to be sent/)).toBeVisible();
  },
  refused: async (page) => {
    await page.route("**/api/v1/order/claim", (route) => route.fulfill({ status: 409, contentType: "application/problem+json", body: JSON.stringify({ status: 409, detail: "claimed by Bob" }) }));
    await page.getByRole("button", { name: /^TAKE/ }).first().click();
    await expect(page.getByRole("alert")).toContainText("claimed by Bob");
  },
  "all-day": async (page) => {
    await page.getByRole("button", { name: "All day" }).click();
    await expect(page.getByRole("table")).toBeVisible();
  },
  combined: async (page) => {
    await page.getByRole("button", { name: "Combine" }).click();
    await expect(page.getByRole("button", { name: /^MIX ALL/ }).first()).toBeVisible();
  },
  keys: async (page) => {
    await page.keyboard.press("2");
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  },
  selected: async (page) => {
    await page.keyboard.press("3");
    await expect(page.getByRole("listitem").nth(2)).toBeFocused();
  },
  recall: async (page) => {
    const done = { key: "k", order: { id: orders[13], flavour: "Strawberry", size: "M", quantity: 6 }, stage: "mixing", by: "Ana", work: { kind: "advance", verb: "mix", done: "mixed" }, at: Date.now() };
    await page.evaluate((value) => { localStorage.setItem("ecupcakes.kitchen.done", value); }, JSON.stringify([done]));
    await page.reload();
    await live(page);
    await page.getByRole("button", { name: "Recall" }).click();
    await expect(page.getByRole("dialog")).toContainText("waiting for the oven");
  },
};

for (const [colorScheme, viewport] of [
  ["light", { width: 390, height: 844 }],
  ["dark", { width: 1280, height: 800 }],
  ["light", { width: 1920, height: 1080 }],
] as const) {
  test.describe(`${colorScheme}, ${viewport.width} wide`, () => {
    test.use({ colorScheme, viewport, contextOptions: { reducedMotion: "reduce" } });
    for (const [name, reach] of Object.entries(states)) {
      test(`the kitchen screen in state ${name} is accessible and does not overflow`, async ({ page }) => {
        await page.addInitScript(() => { localStorage.setItem("ecupcakes.session", JSON.stringify({ name: "Ana", role: "mixer" })); });
        await page.goto("/mixer");
        await live(page);
        await expect(page.getByRole("listitem").first()).toBeVisible();
        await reach(page);
        await page.screenshot({ path: `screenshots/kitchen-${name}-${colorScheme}-${viewport.width}.png` });
        expect(await violations(page)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
      });
    }
  });
}

for (const width of [390, 1280]) {
  test.describe(`in German, ${width} wide`, () => {
    test.use({ locale: "de-DE", viewport: { width, height: 844 }, contextOptions: { reducedMotion: "reduce" } });
    test("the kitchen with new and late orders is accessible and does not overflow", async ({ page, server: { url } }) => {
      await page.addInitScript(() => { localStorage.setItem("ecupcakes.session", JSON.stringify({ name: "Ana", role: "mixer" })); });
      // Orders are late after two seconds here, so that the test need not wait eight minutes.
      await page.route("**/api/v1/stations", async (route) => {
        const answer = await route.fetch();
        const line = (await answer.json()) as { stations: object[] };
        await route.fulfill({ response: answer, json: { ...line, stations: line.stations.map((station) => ({ ...station, warnSeconds: 1, lateSeconds: 2 })) } });
      });
      await page.goto("/mixer");
      await live(page);
      await placeOrder(url, "Strawberry", 3);
      await expect(page.getByText("1 neu")).toBeVisible();
      await expect(page.getByText(/^zu spät/).first()).toBeVisible();
      await page.getByRole("button", { name: "Gesamt" }).click();
      await page.getByRole("button", { name: "Bündeln" }).click();
      await expect(page.getByRole("table")).toBeVisible();
      await page.screenshot({ path: `screenshots/kitchen-de-combined-${width}.png`, fullPage: true });
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
      await page.getByRole("button", { name: "Bündeln" }).click();
      await page.getByRole("button", { name: "Gesamt" }).click();
      await page.screenshot({ path: `screenshots/kitchen-de-queue-${width}.png`, fullPage: true });
      await page.keyboard.press("?");
      await expect(page.getByRole("dialog")).toBeVisible();
      await page.screenshot({ path: `screenshots/kitchen-de-keys-${width}.png` });
      expect(await violations(page)).toEqual([]);
    });
  });
}
