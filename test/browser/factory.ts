import axe from "axe-core";
import { test as base, expect, type Browser, type Locator, type Page } from "@playwright/test";
import { Server } from "./server";

/** What a spec needs of the factory: its address, people at its pages, and orders. */
interface Factory {
  factory: {
    url: string;
    /** Signs somebody in, in a browser profile of their own, and waits for their page. */
    enter: (name: string, role: string) => Promise<Page>;
    /** Places an order without a browser and gives its id. */
    order: (flavour: string, quantity?: number) => Promise<string>;
  };
  /** A second server, for a spec that takes it down. It runs when the spec starts, and must end cleanly after it. */
  ownServer: Server;
}

export const test = base.extend<Factory, { server: Server }>({
  /** The server of all specs that one worker runs, which share it. At their end, it must stop cleanly. */
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

/** Does steps on an order without a browser, in line order from the first one on. */
export async function advance(url: string, id: string, steps: [verb: string, by: string, name: string][]): Promise<void> {
  for (const [verb, by, name] of steps) await post(url, `order/${verb}`, { Order: { Id: id, [by]: name } });
}

export async function reject(url: string, id: string, reason: string, by: string): Promise<void> {
  await post(url, "order/reporterror", { Order: { Id: id }, Reason: reason, ReportedBy: by });
}

/** Rejects what earlier specs left at the first station, so that a spec's own orders are in the window. */
export async function clear(url: string): Promise<void> {
  const left = (await (await fetch(`${url}/api/v1/stations/mixing/orders`)).json()) as { orders: { id: string; claimedBy?: string }[] };
  // One that has just been moved on is gone as well.
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

/** Every step of the line, in its order, with who does it. */
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

/** An order's card on a station's page. */
export function cardOf(page: Page, id: string): Locator {
  return page.getByRole("list", { name: /^New orders/ }).getByRole("listitem").filter({ hasText: id.slice(-6) });
}

/** Waits until a station's page has the whole queue. */
export async function live(page: Page): Promise<void> {
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
}

/** Runs axe in the page and gives one line for each element that breaks a rule. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return found.flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
}
