import { advance, claim, expect, live, placeOrder, reject, steps, test } from "./factory";

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

test("an order's page shows at once what happens to it, without asking all the time", async ({ page, factory }) => {
  const id = await factory.order("Strawberry", 3);
  let calls = 0;
  page.on("request", (request) => { if (request.url().endsWith(`/api/v1/order/${id}`)) calls++; });
  await page.goto(`/order/${id}`);
  await live(page);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Next in line for the mixing bowl");

  await claim(factory.url, id, "Ana");
  await expect(page.getByText("Ana is on it")).toBeVisible();
  await advance(factory.url, id, steps.slice(0, 1));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Mixed, and waiting for the oven");
  await expect(page.getByText("by Ana at")).toBeVisible();
  await expect(page.getByText("Ana is on it")).toHaveCount(0);
  const before = calls;
  await page.waitForResponse((response) => response.url().endsWith("/estimate") && response.ok());
  await page.waitForResponse((response) => response.url().endsWith("/estimate") && response.ok());
  expect(calls - before, "calls while nothing happened").toBeLessThanOrEqual(2);

  await page.reload(); // The address is all that is needed.
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Mixed, and waiting for the oven");
  await page.context().setOffline(true);
  await expect(page.getByText(/^Offline since/)).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("What you see here was true at");
  await advance(factory.url, id, steps.slice(1));
  await page.context().setOffline(false);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Shipped, and on its way to you");
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("when it will be ready is told once there is something to tell it from", async ({ browser, ownServer: server }) => {
  test.setTimeout(120_000);
  const context = await browser.newContext({ baseURL: server.url });
  const page = await context.newPage();
  const id = await placeOrder(server.url, "Strawberry");
  await placeOrder(server.url, "Chocolate");
  await page.goto(`/order/${id}`);
  await expect(page.getByText("Not enough orders yet to tell when it will be ready.")).toBeVisible();
  await expect(page.getByText("Nobody is ahead of it.")).toBeVisible();
  for (let i = 0; i < 20; i++) await advance(server.url, await placeOrder(server.url, "Strawberry"), steps);
  await expect(page.getByText("Not enough orders yet")).toHaveCount(0, { timeout: 20_000 });
  const estimate = page.getByRole("region", { name: "When it will be shipped" });
  await expect(estimate).toContainText(/Most likely by(\d\d:\d\d|any moment)/);
  await expect(estimate).toContainText(/Almost surely by(\d\d:\d\d|any moment)/);
  await expect(estimate).toContainText("From how the last 20 orders went.");
  await context.close();
});

test("who waits for a rejected order is shown the one that is made instead", async ({ page, factory }) => {
  const id = await factory.order("Chocolate", 5);
  await page.goto(`/order/${id}`);
  await live(page);
  await reject(factory.url, id, "Burnt", "Ben");
  await expect(page.getByText("Burnt")).toBeVisible();
  const manager = await factory.enter("Max", "Manager");
  const rejected = manager.getByRole("region", { name: "Rejected orders" });
  await rejected.getByRole("button", { name: `make order ${id.slice(-6)} again` }).click();
  await page.getByRole("link", { name: "see the new order" }).click();
  await expect(page).not.toHaveURL(new RegExp(id));
  await expect(page.getByText("5 × Chocolate, medium")).toBeVisible();
  await expect(page.getByText("Made again for an order that went wrong.")).toBeVisible();
});
