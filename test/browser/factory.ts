import axe from "axe-core";
import { test as base, expect, type Browser, type Locator, type Page } from "@playwright/test";
import { Server } from "./server";

/** Fixtures: the server's URL, signed-in pages, and orders. */
interface Factory {
  factory: {
    url: string;
    /** Signs a person in, in a new browser context, and waits for the page of the role. */
    enter: (name: string, role: string) => Promise<Page>;
    /** Places an order through the API and returns its ID. */
    order: (flavour: string, quantity?: number) => Promise<string>;
  };
  /** A server for this spec alone, for example to take it down. It is running when the spec starts and must stop cleanly afterwards. */
  ownServer: Server;
}

export const test = base.extend<Factory, { server: Server }>({
  /** One server per worker, shared by the worker's specs. It must stop cleanly at the end. */
  server: [async ({}, use) => { await serve(use); }, { scope: "worker" }],
  baseURL: async ({ server }, use) => { await use(server.url); },
  factory: async ({ browser, server }, use) => {
    const people: Page[] = [];
    await use({
      url: server.url,
      enter: async (name, role) => {
        const page = await enter(browser, server.url, name, role);
        people.push(page);
        return page;
      },
      order: (flavour, quantity) => placeOrder(server.url, flavour, quantity),
    });
    for (const page of people) await page.context().close();
  },
  ownServer: async ({}, use) => { await serve(use); },
});

export { expect };

async function serve(use: (server: Server) => Promise<void>): Promise<void> {
  const server = new Server();
  await server.start();
  await use(server);
  const code = await server.stop();
  server.remove();
  expect(code, "the exit code after SIGTERM").toBe(0);
}

export async function enter(browser: Browser, url: string, name: string, role: string): Promise<Page> {
  const context = await browser.newContext({ baseURL: url });
  const page = await context.newPage();
  await page.goto("/");
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("radio", { name: role }).check();
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page).not.toHaveURL(`${url}/`);
  return page;
}

export async function placeOrder(url: string, flavour: string, quantity = 1, size = "M"): Promise<string> {
  return (await post(url, "order", { Order: { Flavour: flavour, Quantity: quantity, Size: size } })).order.id;
}

/** Performs steps on an order through the API, in the given order. */
export async function advance(url: string, id: string, steps: [verb: string, by: string, name: string][]): Promise<void> {
  for (const [verb, by, name] of steps) await post(url, `order/${verb}`, { Order: { Id: id, [by]: name } });
}

export async function reject(url: string, id: string, reason: string, by: string): Promise<void> {
  await post(url, "order/reporterror", { Order: { Id: id }, Reason: reason, ReportedBy: by });
}

/** Rejects the orders that earlier specs left at the first station, so that a spec's own orders are in the viewport. */
export async function clearMixing(url: string): Promise<void> {
  const left = (await (await fetch(`${url}/api/v1/stations/mixing/orders`)).json()) as { orders: { id: string; claimedBy?: string }[] };
  // Fails for an order that has just left the station, which is fine.
  await Promise.all(left.orders.map(({ id, claimedBy }) => reject(url, id, "Out of ingredients", claimedBy ?? "Eva").catch(() => undefined)));
}

async function post(url: string, path: string, body: object): Promise<{ order: { id: string } }> {
  const answer = await fetch(`${url}/api/v1/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as { order: { id: string } };
}

/** All steps of the line in order: verb, field of the worker's name, and name. */
export const steps: [verb: string, by: string, name: string][] = [
  ["mix", "MixedBy", "Ana"],
  ["bake", "BakedBy", "Ben"],
  ["decorate", "DecoratedBy", "Cleo"],
  ["box", "PackagedBy", "Dan"],
  ["ship", "ShippedBy", "Eva"],
];

export async function claim(url: string, id: string, by: string): Promise<void> {
  await post(url, "order/claim", { Order: { Id: id }, By: by });
}

/** Locates an order's card on a station's page. */
export function cardOf(page: Page, id: string): Locator {
  return page.getByRole("list", { name: /^New orders/ }).getByRole("listitem").filter({ hasText: id.slice(-6) });
}

/** Waits until a page is live, which includes the whole queue. */
export async function live(page: Page): Promise<void> {
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
}

/** Runs axe and returns one line for each element that violates a rule. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return found.flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
}
