import type { Page } from "@playwright/test";
import { cardOf, expect, live, placeOrder, test } from "./factory";

const cards = (page: Page) => page.getByRole("list", { name: /^New orders/ }).getByRole("listitem");

test("a bump bar can operate the whole kitchen screen", async ({ browser, ownServer: server }) => {
  const ids: string[] = [];
  for (const quantity of [1, 2, 3, 4, 5, 6]) ids.push(await placeOrder(server.url, "Strawberry", quantity));
  const card = (i: number) => cardOf(page, ids[i] ?? "");
  const page = await (await browser.newContext({ baseURL: server.url })).newPage();
  await page.goto("/mixer");
  await live(page);
  await expect(cards(page)).toHaveCount(6);
  const press = async (...keys: string[]) => { for (const key of keys) await page.keyboard.press(key); };

  await press("2");
  await expect(card(1)).toBeFocused();
  await press("ArrowRight");
  await expect(card(2)).toBeFocused();
  await press("ArrowDown");
  await expect(card(5)).toBeFocused();
  await press("Home", "t");
  await expect(card(0)).toContainText("You are on it");
  await press("t");
  await expect(card(0)).not.toContainText("You are on it");

  await press("Enter");
  await expect(card(0)).toContainText("Mixed · sent in");
  await press("u");
  await expect(card(0).getByRole("button", { name: /^MIX/ })).toBeVisible();
  await expect(card(0)).toBeFocused();
  await press("Space");
  await expect(card(0)).toHaveCount(0);
  // A second key press must not finish the next order before anybody has seen it.
  await expect(card(1)).toBeFocused();

  await press("3", "r");
  const dialog = page.getByRole("dialog", { name: "Reject 4 × Strawberry?" });
  await expect(dialog).toBeVisible();
  await page.getByRole("textbox").focus();
  await page.keyboard.type("a5rut? Fell");
  await expect(page.getByRole("textbox")).toHaveValue("a5rut? Fell");
  await expect(page.getByRole("table")).toHaveCount(0);
  await press("Enter", "Escape");
  await expect(dialog).toHaveCount(0);
  await expect(card(3)).toBeFocused();

  await press("a");
  await expect(page.getByRole("table")).toBeVisible();
  await press("a");
  await expect(page.getByRole("table")).toHaveCount(0);
  await press("s");
  await expect(page.getByRole("button", { name: "Sound" })).toHaveAttribute("aria-pressed", "false");
  await press("c");
  await expect(cards(page).first()).toContainText("5 orders");
  await press("c", "l");
  await expect(page.getByRole("dialog", { name: "Recently finished here" })).toContainText("1 × Strawberry");
  await press("Escape", "f");
  await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
  await press("f");
  await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(false);

  await press("?");
  const help = page.getByRole("dialog", { name: "Keys" });
  await expect(help).toBeVisible();
  await press("u", "a", "2");
  await expect(page.getByRole("table")).toHaveCount(0);
  await help.getByRole("button", { name: "Keys are on" }).press("Enter");
  await press("Escape", "a");
  await expect(page.getByRole("table")).toHaveCount(0);
  await page.reload();
  await live(page);
  await press("a");
  await expect(page.getByRole("button", { name: "All day" })).toHaveAttribute("aria-pressed", "false");
  await page.context().close();
});

test("all of 500 orders can be reached by scrolling and by keyboard", async ({ browser, ownServer: server }) => {
  test.setTimeout(180_000);
  const ids: string[] = [];
  for (let i = 0; i < 500; i += 20) ids.push(...(await Promise.all(Array.from({ length: 20 }, (_, j) => placeOrder(server.url, "Strawberry", 1 + ((i + j) % 12))))));
  const page = await (await browser.newContext({ baseURL: server.url })).newPage();
  await page.goto("/mixer");
  await live(page);
  await expect(page.getByRole("heading", { level: 2 })).toContainText("500");
  const shown = () => page.locator("[aria-posinset]").evaluateAll((items) => items.map((item) => Number(item.getAttribute("aria-posinset"))));
  expect((await shown()).length).toBeLessThan(60);
  await expect(page.locator("[aria-posinset='1']")).toHaveAttribute("aria-setsize", "500");

  // Scrolling down renders every card.
  const seen = new Set<number>();
  await page.mouse.move(600, 500);
  for (let turn = 0; turn < 400 && !seen.has(500); turn++) {
    await page.mouse.wheel(0, 700);
    const now = await page.evaluate(() => new Promise<number[]>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
      resolve(Array.from(document.querySelectorAll("[aria-posinset]"), (item) => Number(item.getAttribute("aria-posinset"))));
    }))));
    for (const place of now) seen.add(place);
    expect(now.length).toBeLessThan(60);
  }
  expect(seen.size).toBe(500);

  await page.keyboard.press("1");
  await expect(page.locator("[aria-posinset='1']")).toBeFocused();
  await page.keyboard.press("End");
  await expect(page.locator("[aria-posinset='500']")).toBeFocused();
  await expect(page.locator("[aria-posinset='500']")).toBeInViewport();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 2 })).toContainText("499");
  await page.keyboard.press("Home");
  await expect(page.locator("[aria-posinset='1']")).toBeFocused();
  await expect(page.locator("[aria-posinset='1']")).toBeInViewport();
  await page.context().close();
});
