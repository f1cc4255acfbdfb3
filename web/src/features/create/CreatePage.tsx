import { useState } from "react";
import { useLocation } from "wouter";
import { useMenuQuery, usePlaceOrderMutation } from "../../api/api";
import { useIdempotencyKey } from "../../api/idempotency";
import { fieldProblems, problemText, type CallError } from "../../api/problem";
import type { Menu, NewOrder } from "../../api/types";
import { useTranslation } from "../../i18n";
import { flavourTitle, ingredientTitle, sizeTitle } from "../../labels";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Notice } from "../../ui/Notice";
import styles from "./CreatePage.module.css";

export default function CreatePage() {
  const { t } = useTranslation();
  const { data: menu, error, refetch } = useMenuQuery(undefined);
  return (
    <>
      <title>{`${t("create.title")} · eCupcakes`}</title>
      <h1>{t("create.heading")}</h1>
      {menu && <OrderForm menu={menu} />}
      {!menu && error && (
        <Notice>
          <p>{problemText(error)}</p>
          <Button onClick={() => void refetch()}>{t("trouble.retry")}</Button>
        </Notice>
      )}
      {!menu && !error && <p>{t("create.fetching")}</p>}
    </>
  );
}

export function OrderForm({ menu }: { menu: Menu }) {
  const { t } = useTranslation();
  const [order, setOrder] = useState<NewOrder>({ flavour: "", size: menu.sizes[1] ?? menu.sizes[0] ?? "", quantity: 1 });
  const [place, { isLoading, isSuccess, error }] = usePlaceOrderMutation();
  const keyFor = useIdempotencyKey();
  const [, navigate] = useLocation();
  const problems = fieldProblems(error);
  const gone = menu.flavours.some(({ name, soldOut }) => soldOut && name === order.flavour);
  const change = (part: Partial<NewOrder>) => { setOrder({ ...order, ...part }); };

  const submit = async () => {
    const placed = await place({ ...order, key: keyFor(order) });
    if (placed.data) navigate(`/order/${placed.data.order.id}`);
  };

  return (
    <form
      className={styles.form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (!isLoading && !gone) void submit();
      }}
    >
      <fieldset className={styles.flavours} aria-describedby="flavour-problem">
        <legend>{t("create.flavour")}</legend>
        <div role="status">
          <FieldProblem id="flavour-problem" text={gone ? t("create.gone", { flavour: flavourTitle(order.flavour) }) : problems.flavour} />
        </div>
        <div className={styles.cards}>
          {menu.flavours.map(({ name, soldOut, missing, ingredients }) => (
            <label key={name} className={styles.flavour} data-sold-out={soldOut || undefined}>
              <input
                type="radio"
                name="flavour"
                value={name}
                disabled={soldOut}
                checked={order.flavour === name}
                aria-label={flavourTitle(name)}
                aria-describedby={`in-${name}`}
                onChange={() => { change({ flavour: name }); }}
              />
              <Cupcake flavour={name} />
              {flavourTitle(name)}
              <span id={`in-${name}`} className={styles.ingredients}>
                {soldOut && <b>{t("create.soldOut")}</b>}
                {soldOut ? t("create.without", { what: list(missing ?? []) }) : list(ingredients)}
              </span>
            </label>
          ))}
        </div>
      </fieldset>

      <div className={styles.ticket}>
        <div className={styles.preview} data-size={order.size}>
          {order.flavour ? <Cupcake flavour={order.flavour} /> : <p>{t("create.pick")}</p>}
        </div>

        <fieldset aria-describedby="size-problem">
          <legend>{t("create.size")}</legend>
          <div className={styles.sizes}>
            {menu.sizes.map((size) => (
              <label key={size} className={styles.size} title={sizeTitle(size)}>
                <input
                  type="radio"
                  name="size"
                  value={size}
                  aria-label={sizeTitle(size)}
                  checked={order.size === size}
                  onChange={() => { change({ size }); }}
                />
                {size}
              </label>
            ))}
          </div>
          <FieldProblem id="size-problem" text={problems.size} />
        </fieldset>

        <div className={styles.field}>
          <label htmlFor="quantity">{t("create.quantity")}</label>
          <div className={styles.stepper}>
            <Stepper label={t("create.less")} sign="−" idle={order.quantity <= 1} onStep={() => { change({ quantity: order.quantity - 1 }); }} />
            <input
              id="quantity"
              type="number"
              inputMode="numeric"
              min={1}
              max={menu.maxQuantity}
              value={order.quantity || ""}
              aria-describedby="quantity-problem"
              aria-invalid={problems.quantity !== undefined}
              onChange={(event) => { change({ quantity: Math.trunc(event.target.valueAsNumber) || 0 }); }}
            />
            <Stepper label={t("create.more")} sign="+" idle={order.quantity >= menu.maxQuantity} onStep={() => { change({ quantity: order.quantity + 1 }); }} />
          </div>
          <FieldProblem id="quantity-problem" text={problems.quantity} />
        </div>

        {error && (
          <Notice>
            {problemText(error)} {unanswered(error) && t("create.repeat")}
          </Notice>
        )}
        <Button type="submit" look="main" size="kitchen" idle={isLoading || isSuccess || gone}>
          {isLoading ? t("create.ordering") : t("create.order")}
        </Button>
      </div>
    </form>
  );
}

/** Joins the translated names of ingredients. */
function list(ingredients: string[]): string {
  return ingredients.map(ingredientTitle).join(", ");
}

/** Reports whether the order may have been placed although the call failed; an unchanged retry is safe. */
function unanswered(error: CallError): boolean {
  return "status" in error && (typeof error.status === "string" || error.status >= 500);
}

/** A plus or minus button. Unlike Button, it accepts the second click of a double click, as people click it quickly. */
function Stepper({ label, sign, idle, onStep }: { label: string; sign: string; idle: boolean; onStep: () => void }) {
  return (
    <button
      type="button"
      aria-label={label}
      aria-disabled={idle || undefined}
      onClick={() => {
        if (!idle) onStep();
      }}
    >
      {sign}
    </button>
  );
}

function FieldProblem({ id, text }: { id: string; text: string | undefined }) {
  return (
    <p id={id} className={styles.problem}>
      {text}
    </p>
  );
}
