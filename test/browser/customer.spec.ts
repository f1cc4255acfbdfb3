import { execFileSync } from "node:child_process";
import { advance, claim, expect, live, placeOrder, reject, steps, test, violations } from "./factory";

test("a form with errors shows them at the fields and places no order", async ({ page }) => {
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

test("an order whose answer is lost is placed once, however often it is retried", async ({ page, factory }) => {
  await page.goto("/create");
  await page.getByRole("radio", { name: "Chocolate" }).check();
  await page.getByLabel("How many?").fill("77");
  // The server receives the order, but its answer is lost.
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

test("a flavour is disabled as soon as an ingredient runs out, and enabled when it is back in stock", async ({ browser, ownServer: server }) => {
  // The change event that Debezium writes for the inventory.
  const stock = (cocoa: number) => {
    const change = JSON.stringify({ op: "u", before: null, after: JSON.stringify({ _id: "cocoa", stock: cocoa }) });
    execFileSync("kcat", ["-b", server.kafka, "-t", "rawmaterial.inventory.ingredients", "-P", "-k", JSON.stringify({ id: '"cocoa"' })], { input: change });
  };
  const context = await browser.newContext({ baseURL: server.url });
  const page = await context.newPage();
  await page.goto("/create");
  const chocolate = page.getByRole("radio", { name: "Chocolate" });
  await chocolate.check();
  stock(0);
  await expect(chocolate).toBeDisabled();
  await expect(chocolate).toHaveAccessibleDescription(/^Sold out ?No cocoa left$/);
  await expect(page.getByText("Chocolate has just sold out. Pick another flavour.")).toBeVisible();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  await expect(page.getByRole("button", { name: "ORDER" })).toHaveAttribute("aria-disabled", "true");

  // A page with an outdated menu gets a refusal from the server.
  const late = await context.newPage();
  await late.route("**/api/v1/menu", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: JSON.parse((await answer.text()).replaceAll("true", "false")) as unknown });
  });
  await late.goto("/create");
  await late.getByRole("radio", { name: "Chocolate" }).check();
  await late.getByRole("button", { name: "ORDER" }).click();
  await expect(late.getByRole("alert")).toContainText(/Chocolate is sold out.*cocoa/);
  await late.unrouteAll({ behavior: "ignoreErrors" }); // The long poll is still open.

  stock(7);
  await expect(chocolate).toBeEnabled();
  await page.getByRole("button", { name: "ORDER" }).click();
  await expect(page).toHaveURL(/\/order\//);
  await context.close();
});

test("an unknown order ID shows an error page with a link to order", async ({ page }) => {
  await page.goto("/order/0199aaaa-0000-7000-8000-000000000000");
  await expect(page.getByRole("heading", { name: "We cannot find this order" })).toBeVisible();
  await page.getByRole("link", { name: "place an order" }).click();
  await expect(page).toHaveURL(/\/create$/);
});

test("an order's page shows changes at once without frequent polling", async ({ page, factory }) => {
  const id = await factory.order("Strawberry", 3);
  let calls = 0;
  page.on("request", (request) => { if (request.url().endsWith(`/api/v1/order/${id}`)) calls++; });
  await page.goto(`/order/${id}`);
  await live(page);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Next in line for the mixing bowl");

  await claim(factory.url, id, "Ana");
  await expect(page.getByText("Ana is working on it")).toBeVisible();
  await advance(factory.url, id, steps.slice(0, 1));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Mixed, and waiting for the oven");
  await expect(page.getByText("by Ana at")).toBeVisible();
  await expect(page.getByText("Ana is working on it")).toHaveCount(0);
  const before = calls;
  await page.waitForResponse((response) => response.url().endsWith("/estimate") && response.ok());
  await page.waitForResponse((response) => response.url().endsWith("/estimate") && response.ok());
  expect(calls - before, "calls while nothing happened").toBeLessThanOrEqual(2);

  await page.reload(); // The page needs nothing but its address.
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Mixed, and waiting for the oven");
  await page.context().setOffline(true);
  await expect(page.getByText(/^Offline since/)).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("Last updated at");
  await advance(factory.url, id, steps.slice(1));
  await page.context().setOffline(false);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Shipped, and on its way to you");
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("the shipping estimate appears once there are enough recent orders", async ({ browser, ownServer: server }) => {
  test.setTimeout(120_000);
  const context = await browser.newContext({ baseURL: server.url });
  const page = await context.newPage();
  const id = await placeOrder(server.url, "Strawberry");
  await placeOrder(server.url, "Chocolate");
  await page.goto(`/order/${id}`);
  await expect(page.getByText("Not enough recent orders for an estimate yet.")).toBeVisible();
  await expect(page.getByText("No orders are ahead of yours.")).toBeVisible();
  for (let i = 0; i < 20; i++) await advance(server.url, await placeOrder(server.url, "Strawberry"), steps);
  await expect(page.getByText("Not enough recent orders")).toHaveCount(0, { timeout: 20_000 });
  const estimate = page.getByRole("region", { name: "Estimated shipping time" });
  await expect(estimate).toContainText(/Most likely by(\d\d:\d\d|any moment)/);
  await expect(estimate).toContainText(/Almost certainly by(\d\d:\d\d|any moment)/);
  await expect(estimate).toContainText("Based on the last 20 orders.");
  await context.close();
});

test("the page of a rejected order links to its remake", async ({ page, factory }) => {
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
  await expect(page.getByText("This order replaces one that was rejected.")).toBeVisible();
});
