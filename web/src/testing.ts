import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";
if (typeof navigator !== "undefined") await import("./i18n");

afterEach(cleanup);
