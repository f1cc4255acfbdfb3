import type { ReactNode } from "react";

interface Recipe {
  frosting: string;
  shade: string;
  wrapper: string;
  pleat: string;
  topping: ReactNode;
}

const cherry = (
  <>
    <path d="M61 14c1-6 5-9 11-10" stroke="#4d7a3a" strokeWidth="2.5" fill="none" strokeLinecap="round" />
    <circle cx="60" cy="20" r="8.5" fill="#d0213f" />
    <circle cx="57" cy="17" r="2.4" fill="#ff9aa8" />
  </>
);

const strawberry = (
  <>
    <path d="M60 33c-9-3-13-11-11-17 2-5 7-5 11-2 4-3 9-3 11 2 2 6-2 14-11 17z" fill="#e0283f" />
    <path d="M52 13c4 3 12 3 16 0-2-5-6-3-8-7-2 4-6 2-8 7z" fill="#4f9a48" />
    <path d="M55 19v2M60 23v2M65 19v2M57.5 26v1.5M62.5 26v1.5" stroke="#ffd9a0" strokeWidth="2" strokeLinecap="round" />
  </>
);

const chocolate = (
  <>
    <rect x="55" y="3" width="12" height="25" rx="2" transform="rotate(14 61 15)" fill="#4a2314" />
    <path d="M60.5 4.5 55 26M57 10l9 2.3M55.5 17l9 2.3" stroke="#7a4328" strokeWidth="1.8" />
    <g fill="#3a1a0e">
      <circle cx="36" cy="68" r="3" />
      <circle cx="56" cy="55" r="3" />
      <circle cx="78" cy="66" r="3" />
      <circle cx="70" cy="42" r="2.5" />
      <circle cx="47" cy="44" r="2.5" />
    </g>
  </>
);

const sprinkles = (
  <g strokeWidth="3.6" strokeLinecap="round">
    <path d="m34 66 5-3M74 54l5 2M62 40l3-4" stroke="#e0447c" />
    <path d="m52 70 5 2M44 48l4-4M84 68l4-4" stroke="#2f9c95" />
    <path d="m66 66 2-5M57 54l-5-2M56 30l4 2" stroke="#f0b429" />
  </g>
);

const lemon = (
  <>
    <circle cx="60" cy="19" r="13" fill="#f4c430" />
    <circle cx="60" cy="19" r="10.5" fill="#fff3b8" />
    <path d="M60 19V9.5M60 19l8.2-4.7M60 19l8.2 4.7M60 19v9.5M60 19l-8.2 4.7M60 19l-8.2-4.7" stroke="#f4c430" strokeWidth="2.2" strokeLinecap="round" />
  </>
);

const berries = (
  <>
    <circle cx="53" cy="25" r="7" fill="#46529e" />
    <circle cx="67" cy="25" r="7" fill="#3a4488" />
    <circle cx="60" cy="16" r="7.5" fill="#5562b5" />
    <path d="m57.5 14 2.5-2 2.5 2-1 3h-3z" fill="#2c3470" />
  </>
);

const star = <path d="m60 5 4 8.5 9.3 1.2-6.8 6.5 1.7 9.3L60 26l-8.2 4.5 1.7-9.3-6.8-6.5L56 13.5z" fill="#f0b429" />;

const beans = (
  <g fill="#3d1f12" stroke="#8a5a3c" strokeWidth="1.8">
    <ellipse cx="53" cy="21" rx="6" ry="9" transform="rotate(-32 53 21)" />
    <path d="M49.5 14c4 4 1 8 6 13.5" fill="none" />
    <ellipse cx="68" cy="20" rx="6" ry="9" transform="rotate(28 68 20)" />
    <path d="M71.5 13c-4 4-1 8-6 13.5" fill="none" />
  </g>
);

const mint = (
  <>
    <path d="M59 28c-13 0-18-8-17-17 10-1 17 5 17 17z" fill="#3f9a5d" />
    <path d="M61 28c0-12 7-19 17-18 1 10-5 18-17 18z" fill="#57b577" />
    <path d="M47 15c5 3 9 7 12 12M73 14c-5 3-9 8-12 13" stroke="#27703f" strokeWidth="1.8" fill="none" strokeLinecap="round" />
  </>
);

const recipes: Partial<Record<string, Recipe>> = {
  chocolate: { frosting: "#8a5236", shade: "#6d3d26", wrapper: "#e9c9a4", pleat: "#cfa679", topping: chocolate },
  strawberry: { frosting: "#f9a8c0", shade: "#ec83a3", wrapper: "#d6426b", pleat: "#b02a51", topping: strawberry },
  vanilla: { frosting: "#fff1cf", shade: "#f0d9a4", wrapper: "#7fb8c9", pleat: "#5d9aad", topping: sprinkles },
  lemon: { frosting: "#fde58a", shade: "#f3cf58", wrapper: "#8ab661", pleat: "#6c9947", topping: lemon },
  blueberry: { frosting: "#a9b1ea", shade: "#8891d6", wrapper: "#f0e2cf", pleat: "#d8c3a5", topping: berries },
  redvelvet: { frosting: "#fbf1e9", shade: "#e6d3c6", wrapper: "#a3202f", pleat: "#7f1421", topping: cherry },
  coffee: { frosting: "#d9b48f", shade: "#c19468", wrapper: "#5b3424", pleat: "#422317", topping: beans },
  mint: { frosting: "#bfe8cd", shade: "#98d3ad", wrapper: "#5b3424", pleat: "#422317", topping: mint },
};

/** Drawings for flavours without a recipe; the name determines which one is used. */
const others: [Recipe, ...Recipe[]] = [
  { frosting: "#e3b7ef", shade: "#cb95dc", wrapper: "#f1d35e", pleat: "#d6b43a", topping: star },
  { frosting: "#a6e0da", shade: "#7fc9c2", wrapper: "#e0647f", pleat: "#bf4763", topping: cherry },
  { frosting: "#ffc9a3", shade: "#f2ab7c", wrapper: "#6f8fc9", pleat: "#5273b0", topping: sprinkles },
];

function recipeFor(flavour: string): Recipe {
  const key = flavour.toLowerCase().replace(/[^a-z]/g, "");
  const sum = Array.from(key, (letter) => letter.charCodeAt(0)).reduce((total, code) => total + code, 0);
  return recipes[key] ?? others[sum % others.length] ?? others[0];
}

/** A decorative cupcake of the given flavour, as wide as its container and hidden from screen readers. */
export function Cupcake({ flavour, className }: { flavour: string; className?: string | undefined }) {
  const { frosting, shade, wrapper, pleat, topping } = recipeFor(flavour);
  return (
    <svg className={className} viewBox="0 0 120 132" aria-hidden="true" focusable="false">
      <path d="M22 78h76l-10.5 44a6 6 0 0 1-6 5h-43a6 6 0 0 1-6-5z" fill={wrapper} />
      <path d="m35 82 5 41M48.5 82l2.5 42M62 82v42M75 82l-2.5 42M88 82l-5.5 41" stroke={pleat} strokeWidth="4" strokeLinecap="round" />
      <path d="M18 80c3 7 9 7 12 1 3 6 9 6 12 0 3 6 9 6 12 0 3 6 9 6 12 0 3 6 9 6 12 0 3 6 9 6 12 0 3 6 9 6 12-1l-2-10H20z" fill={shade} />
      <path d="M60 52c32 0 46 6 46 17 0 9-9 13-20 12-18-2-34 2-52 0C23 80 14 77 14 69c0-11 14-17 46-17z" fill={frosting} />
      <path d="M29 62c16 7 44 8 63-3 0 9-12 14-32 14-18 0-30-4-31-11z" fill={shade} />
      <path d="M60 34c24 0 35 6 35 15 0 10-14 15-35 15s-35-4-35-14c0-9 11-16 35-16z" fill={frosting} />
      <path d="M38 44c12 6 32 6 46-2 0 7-9 11-23 11-13 0-22-3-23-9z" fill={shade} />
      <path d="M62 13c4 6 21 9 21 19 0 9-10 14-23 14s-23-4-23-12c0-10 20-10 25-21z" fill={frosting} />
      <path d="M34 60c-5 1-9 4-10 7M43 41c-4 1-6 3-7 5" stroke="#fff" strokeOpacity=".55" strokeWidth="4" strokeLinecap="round" fill="none" />
      {topping}
    </svg>
  );
}
