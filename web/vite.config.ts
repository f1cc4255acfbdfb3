import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vitest/config";

const server = "http://127.0.0.1:8080";

/** Prints what the built JavaScript weighs over the wire; budget.test.ts holds it to its limit. */
const weigh: Plugin = {
  name: "weigh",
  writeBundle(_, bundle) {
    const scripts = Object.values(bundle).filter((file) => file.type === "chunk");
    const weight = (some: typeof scripts) => (some.reduce((sum, script) => sum + gzipSync(script.code).length, 0) / 1000).toFixed(1);
    const at = scripts.filter(({ isEntry, name }) => isEntry || name === "StationScreen").flatMap(({ fileName, imports }) => [fileName, ...imports]);
    const [first, later] = [scripts.filter(({ fileName }) => at.includes(fileName)), scripts.filter(({ fileName }) => !at.includes(fileName))];
    this.info(`JavaScript: ${weight(first)} kB gzip of 150 kB allowed for the first view of a kitchen, and ${weight(later)} kB for all else`);
  },
};

export default defineConfig({
  plugins: [react(), weigh],
  build: {
    // The browsers that know light-dark() and :has(); kitchen tablets update themselves.
    target: ["chrome123", "firefox121", "safari17.5"],
    // The Content-Security-Policy refuses data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What several pages have in common is one file: a dozen of small ones each cost a request.
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
