import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vitest/config";

const server = "http://127.0.0.1:8080";

/** Prints the gzipped size of the built JavaScript; budget.test.ts enforces the limit. */
const weigh: Plugin = {
  name: "weigh",
  writeBundle(_, bundle) {
    const scripts = Object.values(bundle).filter((file) => file.type === "chunk");
    const weight = (some: typeof scripts) => (some.reduce((sum, script) => sum + gzipSync(script.code).length, 0) / 1000).toFixed(1);
    const at = scripts.filter(({ isEntry, name }) => isEntry || name === "StationScreen").flatMap(({ fileName, imports }) => [fileName, ...imports]);
    const [first, later] = [scripts.filter(({ fileName }) => at.includes(fileName)), scripts.filter(({ fileName }) => !at.includes(fileName))];
    this.info(`JavaScript: ${weight(first)} kB gzip of 150 kB allowed for the first view of a kitchen, and ${weight(later)} kB for the rest`);
  },
};

export default defineConfig({
  plugins: [react(), weigh],
  build: {
    // Browsers with light-dark() and :has().
    target: ["chrome123", "firefox121", "safari17.5"],
    // The Content-Security-Policy refuses data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Shared modules go into one chunk: a dozen small ones would cost a request each.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "shared", test: /\/src\//, minShareCount: 2 }] } } },
  },
  server: {
    proxy: {
      "/api": server,
      "/ordermonitorhub": { target: server, ws: true },
    },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}", "*.test.ts"],
    setupFiles: ["src/testing.ts"],
  },
});
