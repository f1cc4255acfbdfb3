import { expect, test } from "./factory";

test("a form with errors shows them at the fields and orders nothing", async ({ page }) => {
  await page.goto("/create");
  await page.getByLabel("How many?").fill("101");
  await page.getByRole("button", { name: "ORDER" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  const quantity = page.getByLabel("How many?");
  await expect(quantity).toHaveAttribute("aria-invalid", "true");
  await expect(quantity).toHaveAccessibleDescription(/\w/);
  await expect(page.getByRole("group", { name: "Flavour" })).toHaveAccessibleDescription(/\w/);
  await expect(page).toHaveURL(/\/create$/);

  await page.getByRole("radio", { name: "Strawberry" }).check();
  await quantity.fill("100");
  await page.getByRole("button", { name: "ORDER" }).click();
  await expect(page).toHaveURL(/\/order\//);
  await expect(page.getByText("100 × Strawberry, medium")).toBeVisible();
});

test("an order whose answer is lost is placed once, however often it is repeated", async ({ page, factory }) => {
  await page.goto("/create");
  await page.getByRole("radio", { name: "Chocolate" }).check();
  await page.getByLabel("How many?").fill("77");
  // The server gets the order; its answer does not get back.
  await page.route("**/api/v1/order", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  }, { times: 1 });
  await page.getByRole("button", { name: "ORDER" }).click();
  await expect(page.getByRole("alert")).toContainText("you will not get it twice");
  await page.getByRole("button", { name: "ORDER" }).dblclick();
  await expect(page).toHaveURL(/\/order\//);

  const { orders } = (await (await fetch(`${factory.url}/api/v1/orders?limit=50`)).json()) as { orders: { quantity: number }[] };
  expect(orders.filter(({ quantity }) => quantity === 77)).toHaveLength(1);
});

test("an unknown order is said to be unknown", async ({ page }) => {
  await page.goto("/order/0199aaaa-0000-7000-8000-000000000000");
  await expect(page.getByRole("heading", { name: "We do not know this order" })).toBeVisible();
  await page.getByRole("link", { name: "place an order" }).click();
  await expect(page).toHaveURL(/\/create$/);
});
