import { cardOf, enter, expect, live, placeOrder, test } from "./factory";
import { Server } from "./server";

test("screens show a server outage and recover automatically with the same orders", async ({ browser, ownServer: server }) => {
  test.setTimeout(120_000);
  const ids = [await placeOrder(server.url, "Strawberry"), await placeOrder(server.url, "Chocolate", 2)];
  const mixer = await enter(browser, server.url, "Ana", "Mixer");
  const manager = await enter(browser, server.url, "Max", "Manager");
  const customer = await enter(browser, server.url, "Zoe", "Customer");
  await customer.goto(`/order/${ids[0]}`);
  await live(mixer);
  await live(manager);
  await live(customer);
  for (const id of ids) await expect(cardOf(mixer, id)).toBeVisible();

  await server.kill();
  for (const page of [mixer, manager, customer]) {
    await expect(page.getByText("Live", { exact: true })).toHaveCount(0);
    await expect(page.getByText(/^(Reconnecting…|Offline) since \d\d:\d\d$/)).toBeVisible();
    await expect(page.getByRole("alert")).toContainText("this page keeps trying", { ignoreCase: true });
  }
  await expect(mixer.getByText(/^Offline since/)).toBeVisible();
  for (const id of ids) {
    await expect(cardOf(mixer, id)).toBeVisible();
    await expect(cardOf(mixer, id).getByRole("button", { name: "MIX" })).toBeEnabled();
  }

  await server.start();
  for (const page of [mixer, manager, customer]) {
    await expect(page.getByText("Live", { exact: true })).toBeVisible({ timeout: 45_000 });
    await expect(page.getByRole("alert")).toHaveCount(0);
  }
  await expect(mixer.getByRole("list", { name: /^New orders/ }).getByRole("listitem")).toHaveCount(ids.length);
  for (const id of ids) await expect(cardOf(mixer, id)).toBeVisible();
  await cardOf(mixer, ids[0] ?? "").getByRole("button", { name: "MIX" }).click();
  await expect(cardOf(mixer, ids[0] ?? "")).toHaveCount(0);
  await expect(customer.getByRole("heading", { level: 1 })).toHaveText("Mixed, and waiting for the oven");
  for (const page of [mixer, manager, customer]) await page.context().close();
});

test("a page opened during an outage connects once the server is back", async ({ browser, ownServer: server }) => {
  test.setTimeout(120_000);
  const mixer = await enter(browser, server.url, "Ana", "Mixer");
  await live(mixer);
  // The page itself loads, but neither the API nor the hub answers.
  await mixer.context().route(/\/api\/|ordermonitorhub/, (route) => route.abort("connectionrefused"));
  await mixer.reload();
  await expect(mixer.getByText("Connecting…")).toBeVisible();
  await expect(mixer.getByRole("alert")).toBeVisible();
  await mixer.context().unrouteAll();
  await live(mixer);
  await mixer.context().close();
});

test("no page is shown as live while the server lags behind Kafka", async ({ browser, ownServer: kafka }) => {
  test.setTimeout(120_000);
  const id = await placeOrder(kafka.url, "Strawberry");
  const server = new Server(kafka.kafka);
  await server.start();
  const mixer = await enter(browser, server.url, "Ana", "Mixer");
  const context = mixer.context();
  const [dashboard, board, order] = [await context.newPage(), await context.newPage(), await context.newPage()];
  await dashboard.goto("/dashboard");
  await board.goto("/board");
  await order.goto(`/order/${id}`);
  const pages = [mixer, dashboard, board, order];
  for (const page of pages) await live(page);
  await expect(cardOf(mixer, id)).toBeVisible();

  kafka.suspend();
  for (const page of pages) {
    await expect(page.getByText(/^\d+ s behind/)).toBeVisible({ timeout: 30_000 });
    await expect(page.getByText("Live", { exact: true })).toHaveCount(0);
  }
  await expect(cardOf(mixer, id)).toBeVisible();
  kafka.resume();
  for (const page of pages) await expect(page.getByText("Live", { exact: true })).toBeVisible({ timeout: 45_000 });

  await context.close();
  expect(await server.stop(), "the exit code after SIGTERM").toBe(0);
  server.remove();
});
