import { join } from "node:path";
import { advance, cardOf, expect, live, placeOrder, reject, steps, test } from "./factory";

/** Takes the README's screenshots from the running program with orders at every stage. */

const pictures = join(import.meta.dirname, "../../docs/pictures");
test.use({ contextOptions: { reducedMotion: "reduce" } });

test("pictures", async ({ factory }) => {
  const { flavours, sizes } = (await (await fetch(`${factory.url}/api/v1/menu`)).json()) as { flavours: { name: string }[]; sizes: string[] };
  const ids: string[] = [];
  for (let i = 0; i < 24; i++) {
    const id = await placeOrder(factory.url, flavours[i % flavours.length]?.name ?? "", 1 + ((i * 5) % 12), sizes[i % sizes.length]);
    await advance(factory.url, id, steps.slice(0, i < 18 ? 5 - (i % 6) : 0));
    if (i === 4) await reject(factory.url, id, "Burnt", "Ben");
    ids.push(id);
  }

  const customer = await factory.enter("Zoe", "Customer");
  await customer.getByRole("radio", { name: "Strawberry" }).check();
  await customer.screenshot({ path: join(pictures, "create.png") });

  await customer.goto(`/order/${ids[2]}`);
  await expect(customer.getByText("in line for")).toBeVisible();
  await customer.screenshot({ path: join(pictures, "order.png") });

  const mixer = await factory.enter("Ana", "Mixer");
  await live(mixer);
  await expect(cardOf(mixer, ids.at(-1) ?? "")).toBeVisible();
  await mixer.screenshot({ path: join(pictures, "kitchen.png") });
  await mixer.setViewportSize({ width: 390, height: 844 });
  await mixer.screenshot({ path: join(pictures, "kitchen-phone.png") });
  await mixer.setViewportSize({ width: 1920, height: 1080 });
  await mixer.emulateMedia({ colorScheme: "dark" });
  await mixer.getByRole("button", { name: "All day" }).click();
  await expect(mixer.getByRole("table")).toBeVisible();
  await mixer.screenshot({ path: join(pictures, "kitchen-wall.png") });

  await customer.goto("/board");
  await live(customer);
  await customer.screenshot({ path: join(pictures, "board.png") });

  const manager = await factory.enter("Max", "Manager");
  await live(manager);
  await expect(manager.getByRole("row").nth(5)).toBeVisible();
  await manager.setViewportSize({ width: 1280, height: 1140 });
  await expect(manager.locator(".u-wrap")).toBeVisible();
  await manager.mouse.move(0, 0);
  await manager.screenshot({ path: join(pictures, "dashboard.png") });
});
