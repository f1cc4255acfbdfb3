import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Provider } from "react-redux";
import { describe, expect, it } from "vitest";
import { Route, Router } from "wouter";
import { memoryLocation } from "wouter/memory-location";
import type { Menu } from "../../api/types";
import { newStore } from "../../store";
import { problem, stubServer, type Call } from "../../testServer";
import { OrderForm } from "./CreatePage";

const lemon = { name: "Lemon", ingredients: ["flour", "lemons"], soldOut: false };
const mint = { name: "Mint", ingredients: ["flour", "mint"], soldOut: false };
const menu = { flavours: [lemon, mint], sizes: ["S", "M", "L", "XL"], maxQuantity: 100 };
const placed = () => Response.json({ order: { id: "0199-abcdef", flavour: "Lemon" } }, { status: 201 });

function show(answer: (call: Call) => Response | Promise<Response>) {
  const calls = stubServer(answer);
  const { hook } = memoryLocation({ path: "/" });
  const store = newStore();
  const page = (now: Menu) => (
    <Provider store={store}>
      <Router hook={hook}>
        <Route path="/"><OrderForm menu={now} /></Route>
        <Route path="/order/0199-abcdef">the order's page</Route>
      </Router>
    </Provider>
  );
  const { rerender } = render(page(menu));
  return { calls, becomes: (now: Menu) => { rerender(page(now)); }, user: userEvent.setup(), order: screen.getByRole("button", { name: "ORDER" }) };
}

describe("the order form", () => {
  it("places the chosen order and opens its page", async () => {
    const { calls, user, order } = show(placed);
    await user.click(screen.getByRole("radio", { name: "Lemon" }));
    await user.click(screen.getByRole("radio", { name: "Extra large" }));
    await user.click(screen.getByRole("button", { name: "One more" }));
    await user.click(order);
    expect(await screen.findByText("the order's page")).toBeDefined();
    expect(calls).toMatchObject([{ method: "POST", path: "/api/v1/order", body: { Order: { Flavour: "Lemon", Size: "XL", Quantity: 2 } } }]);
    expect(calls[0]?.key).toMatch(/^[0-9a-f]{32}$/);
  });

  it("places one order for repeated clicks", async () => {
    let answer: (response: Response) => void = () => {};
    const { calls, user, order } = show(() => new Promise<Response>((resolve) => { answer = resolve; }));
    await user.click(screen.getByRole("radio", { name: "Mint" }));
    await user.dblClick(order);
    await user.click(order);
    await waitFor(() => { expect(calls).toHaveLength(1); });
    answer(placed());
    expect(await screen.findByText("the order's page")).toBeDefined();
    expect(calls).toHaveLength(1);
  });

  it("retries with the same key, and uses a new key for a changed order", async () => {
    const { calls, user, order } = show(() => problem(503, "The line is starting."));
    await user.click(screen.getByRole("radio", { name: "Mint" }));
    for (const expected of [1, 2]) {
      await user.click(order);
      await waitFor(() => { expect(calls).toHaveLength(expected); });
      expect((await screen.findByRole("alert")).textContent).toContain("will not get it twice");
    }
    await user.click(screen.getByRole("radio", { name: "Lemon" }));
    await user.click(order);
    await waitFor(() => { expect(calls).toHaveLength(3); });
    expect(calls[1]?.key).toBe(calls[0]?.key);
    expect(calls[2]?.key).not.toBe(calls[0]?.key);
  });

  it("shows the message of each invalid field at the field", async () => {
    const { user, order } = show(() =>
      problem(422, "The order cannot be taken.", [
        { location: "body.Order.Flavour", message: "pick one from the menu" },
        { location: "body.Order.Quantity", message: "at most 100" },
      ]),
    );
    await user.click(order);
    await screen.findByText("at most 100");
    const quantity = screen.getByRole("spinbutton", { name: "How many?" });
    expect(document.getElementById(quantity.getAttribute("aria-describedby") ?? "")?.textContent).toBe("at most 100");
    expect(quantity.getAttribute("aria-invalid")).toBe("true");
    const flavours = screen.getByRole("group", { name: "Flavour" });
    expect(document.getElementById(flavours.getAttribute("aria-describedby") ?? "")?.textContent).toBe("pick one from the menu");
  });

  it("disables a sold-out flavour with the reason, and does not order a flavour that has just sold out", async () => {
    const { calls, user, order, becomes } = show(placed);
    await user.click(screen.getByRole("radio", { name: "Mint" }));
    becomes({ ...menu, flavours: [lemon, { ...mint, soldOut: true, missing: ["mint"] }] });
    const choice = screen.getByRole<HTMLInputElement>("radio", { name: "Mint" });
    expect(choice.disabled).toBe(true);
    expect(document.getElementById(choice.getAttribute("aria-describedby") ?? "")?.textContent).toBe("Sold outNo mint left");
    expect(screen.getByRole("status").textContent).toBe("Mint has just sold out. Pick another flavour.");
    await user.click(order);
    expect(calls).toHaveLength(0);
    await user.click(screen.getByRole("radio", { name: "Lemon" }));
    expect(screen.getByRole("status").textContent).toBe("");
    becomes(menu);
    await user.click(screen.getByRole("radio", { name: "Mint" }));
    await user.click(order);
    expect(await screen.findByText("the order's page")).toBeDefined();
    expect(calls).toMatchObject([{ body: { Order: { Flavour: "Mint" } } }]);
  });

  it("keeps the steppers within the menu's bounds", async () => {
    const { user } = show(placed);
    const quantity = screen.getByRole<HTMLInputElement>("spinbutton", { name: "How many?" });
    await user.click(screen.getByRole("button", { name: "One fewer" }));
    expect(quantity.value).toBe("1");
    await user.clear(quantity);
    await user.type(quantity, "100");
    await user.click(screen.getByRole("button", { name: "One more" }));
    expect(quantity.value).toBe("100");
  });
});
