import { cardOf, clearMixing, expect, live, test } from "./factory";

test.beforeEach(({ server }) => clearMixing(server.url));

test("a new order is marked as new and, if sound is on, plays a sound", async ({ page, factory }) => {
  // Record the frequencies of the tones played.
  await page.addInitScript(() => {
    const played: number[] = [];
    Object.assign(window, { played });
    // Browsers block audio before the first user gesture; a browser under automation does not, so emulate it.
    let touched = false;
    window.addEventListener("click", () => { touched = true; }, { capture: true });
    window.AudioContext = class extends AudioContext {
      override get state() { return touched ? super.state : "suspended"; }
      override async resume() {
        if (!touched) return new Promise<void>(() => undefined);
        await super.resume();
        this.dispatchEvent(new Event("statechange"));
      }
    };
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (this: OscillatorNode, at) {
      played.push(this.frequency.value);
      start.call(this, at);
    };
  });
  const played = () => page.evaluate(() => (window as unknown as { played: number[] }).played.length);
  await page.goto("/shipping");
  await live(page);
  await page.getByRole("button", { name: "Tap to turn sound on" }).click();
  await expect(page.getByRole("button", { name: "Sound", exact: true })).toHaveAttribute("aria-pressed", "true");
  expect(await played()).toBe(0);

  const arrive = async () => {
    const id = await factory.order("Strawberry");
    for (const [verb, by] of [["mix", "MixedBy"], ["bake", "BakedBy"], ["decorate", "DecoratedBy"], ["box", "PackagedBy"]]) {
      await page.request.post(`/api/v1/order/${verb}`, { data: { Order: { Id: id, [by ?? ""]: "Zed" } } });
    }
    return id;
  };
  const id = await arrive();
  await expect(cardOf(page, id)).toContainText("NEW");
  await expect(page.getByRole("heading", { level: 2 })).toContainText("1 new");
  expect(await played()).toBe(2);

  await page.getByRole("button", { name: "Sound", exact: true }).click();
  await page.reload();
  await live(page);
  await expect(page.getByRole("button", { name: "Sound", exact: true })).toHaveAttribute("aria-pressed", "false");
  await expect(cardOf(page, await arrive())).toContainText("NEW");
  expect(await played()).toBe(0);
});
