import { cardOf, expect, live, test } from "./factory";

test("the dashboard follows the line", async ({ factory }) => {
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

test("the table of orders has pages", async ({ factory }) => {
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
