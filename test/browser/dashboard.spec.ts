import { execFileSync } from "node:child_process";
import { advance, cardOf, enter, expect, live, placeOrder, reject, steps, test } from "./factory";

test("the dashboard shows changes on the line", async ({ factory }) => {
  const manager = await factory.enter("Max", "Manager");
  const mixer = await factory.enter("Ana", "Mixer");
  await live(manager);
  await live(mixer);
  const waiting = async (stage: string) => {
    const text = await manager.getByRole("region", { name: "Stations" }).getByRole("listitem").filter({ hasText: stage }).textContent();
    return Number(/(\d+) waiting/.exec(text ?? "")?.[1]);
  };
  const [mixing, baking] = [await waiting("Mixing"), await waiting("Baking")];

  const id = await factory.order("Strawberry", 4);
  await expect.poll(() => waiting("Mixing")).toBe(mixing + 1);
  const row = manager.getByRole("row").filter({ hasText: id.slice(-6) });
  await expect(row).toContainText("4 × Strawberry");
  await expect(row).toContainText("Placed");

  await cardOf(mixer, id).getByRole("button", { name: "MIX" }).click();
  await expect.poll(() => waiting("Baking")).toBe(baking + 1);
  await expect.poll(() => waiting("Mixing")).toBe(mixing);
  await expect(row).toContainText("Mixed");
  await expect(row).toContainText("Ana");

  await manager.getByLabel("Status").selectOption("Placed");
  await expect(row).toHaveCount(0);
  await manager.getByLabel("Status").selectOption("Mixed");
  await row.getByRole("link").click();
  await expect(manager).toHaveURL(`${factory.url}/order/${id}`);
});

test("the order table is paginated", async ({ factory }) => {
  const oldest = await factory.order("Chocolate");
  for (let i = 0; i < 20; i++) await factory.order("Strawberry");
  const manager = await factory.enter("Max", "Manager");
  const row = manager.getByRole("row").filter({ hasText: oldest.slice(-6) });
  await expect(manager.getByRole("row")).toHaveCount(21);
  await expect(row).toHaveCount(0);
  await manager.getByRole("button", { name: "Older" }).click();
  await expect(row).toHaveCount(1);
  await manager.getByRole("button", { name: "Newer" }).click();
  await expect(row).toHaveCount(0);
});

test("the dashboard shows figures per station, a chart, and the same figures as a table", async ({ browser, ownServer: server }) => {
  test.setTimeout(120_000);
  const manager = await enter(browser, server.url, "Max", "Manager");
  await live(manager);
  await expect(manager.getByText("No bottleneck")).toBeVisible();
  for (let i = 0; i < 5; i++) await advance(server.url, await placeOrder(server.url, "Strawberry"), steps);
  for (let i = 0; i < 8; i++) await placeOrder(server.url, "Chocolate");

  const mixing = manager.getByRole("region", { name: "Stations" }).getByRole("listitem").filter({ hasText: "Mixing" });
  await expect(mixing).toContainText("8 waiting");
  await expect(mixing).toContainText(/Done in the last hour\s*5/);
  await expect(mixing).toContainText(/Half within\s*\d+ s/);
  const rejected = await placeOrder(server.url, "Chocolate");
  await reject(server.url, rejected, "Burnt", "Ana");
  await expect(mixing).toContainText(/Rejected\s*1 \(17 %\)/);

  // The canvas contains several colours, and the table has the same figures.
  const chart = manager.getByRole("img", { name: /^Chart by station: Orders finished/ });
  await expect(chart.locator("canvas")).toBeVisible();
  const colours = () => chart.locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
    const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D).getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set<string>();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add([data[i], data[i + 1], data[i + 2]].join());
    return seen.size;
  });
  await expect.poll(colours).toBeGreaterThan(2);
  await manager.getByText("The same figures as a table").click();
  const rows = manager.getByRole("region", { name: "The same figures as a table" }).getByRole("row");
  await expect(rows).toHaveCount(1 + 48);
  const finished = async () => {
    const cells = await rows.getByRole("cell").allTextContents();
    return cells.reduce((sum, text) => sum + Number(text), 0);
  };
  await expect.poll(finished).toBe(5 * 5);
  await manager.getByRole("radio", { name: "1 hour" }).check();
  await expect(rows).toHaveCount(1 + 12);
  await manager.getByRole("radio", { name: "Waiting" }).check();
  await expect(rows.nth(1).getByRole("cell").first()).toHaveText("8");
  await manager.context().close();
});

test("a rejected order is remade once, however many managers press REMAKE", async ({ factory }) => {
  const id = await factory.order("Strawberry", 9);
  await reject(factory.url, id, "Dropped", "Ana");
  const managers = [await factory.enter("Max", "Manager"), await factory.enter("Mia", "Manager")];
  // Both requests are held until both managers have pressed, so that neither page can show the other's remake.
  let bothHavePressed = (): void => {};
  const pressed = new Promise<void>((resolve) => { bothHavePressed = resolve; });
  for (const page of managers) {
    await page.route("**/api/v1/order/remake", async (route) => { await pressed; await route.continue(); });
    await page.getByRole("button", { name: `make order ${id.slice(-6)} again` }).click();
  }
  bothHavePressed();
  for (const page of managers) {
    await expect(page.getByRole("region", { name: "Rejected orders" }).getByRole("listitem").filter({ hasText: id.slice(-6) })).toContainText("remade as");
  }
  const { orders } = (await (await fetch(`${factory.url}/api/v1/orders?limit=100`)).json()) as { orders: { quantity: number; remakeOf?: string }[] };
  expect(orders.filter(({ remakeOf }) => remakeOf === id)).toEqual([expect.objectContaining({ quantity: 9 })]);
});

test("dead letters are listed, requeued and discarded", async ({ browser, ownServer: server }) => {
  const manager = await enter(browser, server.url, "Max", "Manager");
  const letters = manager.getByRole("region", { name: "Dead letters" });
  await expect(letters).toContainText("No dead letters.");
  for (const text of ["one", "two"]) execFileSync("kcat", ["-b", server.kafka, "-t", "orderrequests", "-P", "-k", text], { input: `{"cupcake ${text}` });
  await expect(letters.getByRole("listitem")).toHaveCount(2);
  await expect(letters).toContainText("not an order");

  const one = letters.getByRole("listitem").first();
  await one.getByRole("button", { name: /^Show/ }).click();
  await expect(one).toContainText('{"cupcake');
  await one.getByRole("button", { name: /^Discard/ }).click();
  await one.getByRole("button", { name: "No", exact: true }).click();
  await one.getByRole("button", { name: /^Discard/ }).click();
  await one.getByRole("button", { name: /^Yes, discard/ }).click();
  await expect(letters.getByRole("listitem")).toHaveCount(1);

  // A requeued message still cannot be decoded and returns as a new dead letter.
  const called = await letters.getByRole("button", { name: /^Send again/ }).getAttribute("aria-label");
  await letters.getByRole("button", { name: /^Send again/ }).click();
  await expect(letters.getByRole("button", { name: called ?? "", exact: true })).toHaveCount(0);
  await expect(letters.getByRole("listitem")).toHaveCount(1);
  await manager.context().close();
});
