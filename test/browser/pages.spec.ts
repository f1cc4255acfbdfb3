import type { Page } from "@playwright/test";
import { advance, cardOf, expect, live, placeOrder, reject, steps, test, violations } from "./factory";

/** Opens every page in each of its visual states. */
const pages: Record<string, (page: Page, orders: { moving: string; rejected: string; shipped: string }) => Promise<void>> = {
  signin: async (page) => {
    await page.goto("/");
    await expect(page.getByRole("radio", { name: "Packer" })).toBeVisible();
  },
  menu: async (page) => {
    await page.goto("/");
    await page.getByRole("button", { name: "Pages and sign-out" }).click();
    await expect(page.getByRole("link", { name: "Dashboard" })).toBeVisible();
  },
  create: async (page) => {
    await page.goto("/create");
    await page.getByRole("radio", { name: "Strawberry" }).check();
  },
  "create-errors": async (page) => {
    await page.goto("/create");
    await page.getByLabel("How many?").fill("101");
    await page.getByRole("button", { name: "ORDER" }).click();
    await expect(page.getByRole("alert")).toBeVisible();
  },
  order: async (page, { moving }) => {
    await page.goto(`/order/${moving}`);
    await expect(page.getByText("in line for")).toBeVisible();
  },
  "order-shipped": async (page, { shipped }) => {
    await page.goto(`/order/${shipped}`);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Shipped, and on its way to you");
  },
  "order-rejected": async (page, { rejected }) => {
    await page.goto(`/order/${rejected}`);
    await expect(page.getByText("Burnt")).toBeVisible();
  },
  "order-unknown": async (page) => {
    await page.goto("/order/0199aaaa-0000-7000-8000-000000000000");
    await expect(page.getByRole("heading", { name: "We cannot find this order" })).toBeVisible();
  },
  ...Object.fromEntries(
    ["mixer", "baker", "decorator", "packaging", "shipping"].map((name) => [
      name,
      async (page: Page) => {
        await page.goto(`/${name}`);
        await live(page);
      },
    ]),
  ),
  "reject-dialog": async (page, { moving }) => {
    await page.goto("/baker");
    await cardOf(page, moving).getByRole("button", { name: "REJECT" }).click();
    await page.getByRole("button", { name: "Burnt" }).click();
  },
  "mixer-offline": async (page) => {
    await page.goto("/mixer");
    await live(page);
    await page.routeWebSocket(/ordermonitorhub/, (socket) => socket.close());
    await page.reload();
    await expect(page.getByText(/^Offline since/)).toBeVisible({ timeout: 30_000 });
  },
  dashboard: async (page) => {
    await page.goto("/dashboard");
    await live(page);
    await expect(page.getByRole("row").nth(1)).toBeVisible();
  },
  "dashboard-table": async (page) => {
    await page.goto("/dashboard");
    await page.getByText("The same figures as a table").click();
    await expect(page.getByRole("region", { name: "The same figures as a table" })).toBeVisible();
  },
  board: async (page) => {
    await page.goto("/board");
    await live(page);
    await expect(page.getByRole("region", { name: "Almost ready" }).getByRole("listitem").first()).toBeVisible();
  },
  "not-found": async (page) => {
    await page.goto("/no/such/page");
    await expect(page.getByRole("heading", { name: "Nothing is baked here" })).toBeVisible();
  },
};

const looks = [
  { colorScheme: "light", viewport: { width: 1280, height: 800 } },
  { colorScheme: "dark", viewport: { width: 390, height: 844 } },
  { colorScheme: "light", viewport: { width: 390, height: 844 } },
  { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
] as const;

let orders: { moving: string; rejected: string; shipped: string };

test.beforeAll(async ({ server: { url } }) => {
  orders = { moving: await placeOrder(url, "Strawberry", 2), rejected: await placeOrder(url, "Chocolate"), shipped: await placeOrder(url, "Strawberry") };
  await placeOrder(url, "Chocolate", 12, "XL");
  await advance(url, orders.moving, [["mix", "MixedBy", "Ana"]]);
  await advance(url, orders.rejected, [["mix", "MixedBy", "Ana"]]);
  await reject(url, orders.rejected, "Burnt", "Ben");
  await advance(url, orders.shipped, steps);
  await advance(url, await placeOrder(url, "Strawberry"), steps.slice(0, 4));
});

for (const { colorScheme, viewport } of looks) {
  test.describe(`${colorScheme}, ${viewport.width} wide`, () => {
    test.use({ colorScheme, viewport, contextOptions: { reducedMotion: "reduce" } });
    for (const [name, open] of Object.entries(pages)) {
      test(`${name} is accessible, does not overflow and violates no policy`, async ({ page }) => {
        await look(page, `${name}-${colorScheme}-${viewport.width}`, open);
      });
    }
  });
}

/** The pages for wall screens and desktops, in German. */
const german: Record<string, (page: Page, orders: { moving: string; rejected: string }) => Promise<void>> = {
  board: async (page) => {
    await page.goto("/board");
    await expect(page.getByRole("region", { name: "Gleich fertig" }).getByRole("listitem").first()).toBeVisible();
  },
  dashboard: async (page) => {
    await page.goto("/dashboard");
    await expect(page.getByRole("heading", { name: "Die letzten Stunden" })).toBeVisible();
    await expect(page.getByRole("row").nth(1)).toBeVisible();
  },
  order: async (page, { moving }) => {
    await page.goto(`/order/${moving}`);
    await expect(page.getByText("wartet seit")).toBeVisible();
  },
};

for (const width of [390, 1920]) {
  test.describe(`in German, ${width} wide`, () => {
    test.use({ locale: "de-DE", viewport: { width, height: 1080 }, colorScheme: width === 390 ? "light" : "dark", contextOptions: { reducedMotion: "reduce" } });
    for (const [name, open] of Object.entries(german)) {
      test(`${name} is accessible, does not overflow and violates no policy`, async ({ page }) => {
        await look(page, `${name}-de-${width}`, open);
      });
    }
  });
}

/** Opens a page, takes a screenshot, and checks accessibility, overflow and the Content-Security-Policy. */
async function look(page: Page, name: string, open: (page: Page, known: typeof orders) => Promise<void>): Promise<void> {
  const refused: string[] = [];
  page.on("console", (message) => { if (/Content Security Policy/i.test(message.text())) refused.push(message.text()); });
  page.on("pageerror", (error) => refused.push(error.message));
  await open(page, orders);
  await page.screenshot({ path: `screenshots/${name}.png` });

  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  expect(refused).toEqual([]);
}

test("the chosen theme persists across reloads and overrides the system's", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/");
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Switch to the dark theme" }).click();
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.reload();
  expect(await background()).toBe(dark);
});

test("the chosen language persists across reloads, and its pages are accessible", async ({ page }) => {
  await page.goto("/create");
  await page.getByRole("button", { name: "Deutsch" }).click();
  await expect(page.getByRole("heading", { name: "Was dürfen wir backen?" })).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("lang", "de");
  await page.reload();
  await expect(page.getByRole("heading", { name: "Was dürfen wir backen?" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.goto("/mixer");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await expect(page.getByRole("button", { name: /^GERÜHRT/ }).first()).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: "screenshots/mixer-german.png" });
  await page.getByRole("button", { name: "English" }).click();
  await expect(page.getByRole("button", { name: /^MIX/ }).first()).toBeVisible();
});

test.describe("a browser that prefers German", () => {
  test.use({ locale: "de-AT" });
  test("gets the pages in German", async ({ page }) => {
    await page.goto("/");
    await expect(page.getByLabel("Dein Name")).toBeVisible();
  });
});

test("an unknown address shows the not-found page with a link to the start page", async ({ page }) => {
  for (const path of ["/toaster", "/no/such/page"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { name: "Nothing is baked here" })).toBeVisible();
  }
  await page.getByRole("link", { name: "Go to the start page" }).click();
  await expect(page.getByLabel("Your name")).toBeVisible();
});
