import { advance, expect, live, steps, test } from "./factory";

test("the board lists orders that are almost ready and ready, and reveals nothing but their IDs", async ({ page, factory }) => {
  const id = await factory.order("Strawberry", 7);
  const short = id.slice(-6);
  await page.goto("/board");
  await live(page);
  const almost = page.getByRole("region", { name: "Almost ready" });
  const ready = page.getByRole("region", { name: "Ready", exact: true });
  await expect(almost.getByText(short)).toHaveCount(0);

  await advance(factory.url, id, steps.slice(0, 3));
  await expect(almost.getByText(short)).toBeVisible();
  await advance(factory.url, id, steps.slice(3));
  await expect(ready.getByRole("listitem").first()).toHaveText(short);
  await expect(almost.getByText(short)).toHaveCount(0);

  const board = (await page.textContent("main")) ?? "";
  for (const secret of ["Strawberry", "Eva", "Dan", id]) expect(board).not.toContain(secret);
});

test("the board shows when it is offline and recovers", async ({ page, factory }) => {
  await factory.order("Strawberry");
  await page.goto("/board");
  await live(page);
  await page.context().setOffline(true);
  await expect(page.getByText(/^Offline since/)).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("has not been updated since");
  await page.context().setOffline(false);
  await live(page);
  await expect(page.getByRole("alert")).toHaveCount(0);
});
