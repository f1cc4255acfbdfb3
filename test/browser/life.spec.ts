import { cardOf, clearMixing, expect, live, test } from "./factory";

test.beforeEach(({ server }) => clearMixing(server.url));

test("an order moves through the screens of six people without a reload", async ({ factory }) => {
  test.setTimeout(180_000);
  const customer = await factory.enter("Zoe", "Customer");
  const mixer = await factory.enter("Ana", "Mixer");
  const baker = await factory.enter("Ben", "Baker");
  const decorator = await factory.enter("Cleo", "Decorator");
  const packer = await factory.enter("Dan", "Packer");
  const shipper = await factory.enter("Eva", "Shipper");
  await expect(mixer.getByRole("heading", { name: "Hey Mixer Ana" })).toBeVisible();
  await expect(mixer.getByRole("heading", { name: "New orders to be mixed" })).toBeVisible();
  for (const page of [mixer, baker, decorator, packer, shipper]) await live(page);

  await customer.getByRole("radio", { name: "Strawberry" }).check();
  await customer.getByRole("radio", { name: "Extra large" }).check();
  await customer.getByRole("button", { name: "One more" }).click();
  await customer.getByRole("button", { name: "ORDER" }).click();
  await expect(customer).toHaveURL(/\/order\/[\w-]+$/);
  const id = customer.url().split("/").at(-1) ?? "";
  await expect(customer.getByRole("heading", { level: 1 })).toHaveText("Next in line for the mixing bowl");

  const line = [
    { page: mixer, action: "MIX", next: "Mixed, and waiting for the oven" },
    { page: baker, action: "BAKE", next: "Baked, and waiting for its frosting" },
    { page: decorator, action: "DECORATE", next: "Decorated, and waiting for its box" },
    { page: packer, action: "PACKAGE", next: "Boxed, and waiting for the courier" },
    { page: shipper, action: "SHIP", next: "Shipped, and on its way to you" },
  ];
  for (const { page, action, next } of line) {
    const card = cardOf(page, id);
    await expect(card).toContainText("Strawberry");
    await expect(card).toContainText("2 ×");
    await expect(card).toContainText("Extra large");
    await card.getByRole("button", { name: action }).click();
    await expect(card).toHaveCount(0);
    await expect(customer.getByRole("heading", { level: 1 })).toHaveText(next);
  }
  for (const [done, name] of [["Mixed", "Ana"], ["Baked", "Ben"], ["Decorated", "Cleo"], ["Packaged", "Dan"], ["Shipped", "Eva"]]) {
    await expect(customer.getByRole("listitem").filter({ hasText: done })).toContainText(`by ${name}`);
  }
});

test("a rejected order shows the reason to the customer", async ({ factory, page }) => {
  const id = await factory.order("Chocolate", 3);
  await page.goto(`/order/${id}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Next in line for the mixing bowl");

  const mixer = await factory.enter("Ana", "Mixer");
  await cardOf(mixer, id).getByRole("button", { name: "REJECT" }).click();
  const dialog = mixer.getByRole("dialog", { name: "Reject 3 × Chocolate?" });
  await dialog.getByRole("button", { name: "Out of ingredients" }).click();
  await dialog.getByRole("textbox", { name: "Reason" }).press("End");
  await dialog.getByRole("textbox", { name: "Reason" }).pressSequentially(": no cocoa");
  await dialog.getByRole("button", { name: "Reject order" }).click();
  await expect(cardOf(mixer, id)).toHaveCount(0);

  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sorry, we could not make this order");
  await expect(page.getByText("Out of ingredients: no cocoa")).toBeVisible();
  await expect(page.getByRole("listitem").filter({ hasText: "Rejected at mixing" })).toContainText("by Ana");
});
