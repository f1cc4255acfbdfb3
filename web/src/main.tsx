import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Provider } from "react-redux";
import { App } from "./App";
import { applyPreferredLanguage } from "./i18n";
import { newStore } from "./store";
import "./tokens.css";
import "./base.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");

await applyPreferredLanguage();

createRoot(root).render(
  <StrictMode>
    <Provider store={newStore()}>
      <App />
    </Provider>
  </StrictMode>,
);
