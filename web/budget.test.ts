// @vitest-environment node
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

describe("the built client", () => {
  const dist = mkdtempSync(join(tmpdir(), "ecupcakes-web-"));
  beforeAll(async () => {
    vi.stubEnv("NODE_ENV", "production"); // Otherwise React comes with its development tools.
    await build({ root: import.meta.dirname, logLevel: "warn", build: { outDir: dist, emptyOutDir: true } });
  }, 60_000);
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(dist, { recursive: true });
  });
  const assets = (ending: string) => readdirSync(join(dist, "assets")).filter((name) => name.endsWith(ending));
  const read = (name: string) => readFileSync(join(dist, name));

  it("needs at most 150 kB of JavaScript over the wire for the first page of a kitchen", () => {
    // What index.html loads; other pages fetch their own part when they are opened.
    const scripts = assets(".js").filter((name) => read("index.html").toString().includes(name));
    expect(scripts).not.toEqual([]);
    const bytes = scripts.reduce((sum, name) => sum + gzipSync(read(join("assets", name))).length, 0);
    expect(bytes).toBeLessThanOrEqual(150_000);
  });

  it("has nothing that the Content-Security-Policy refuses", () => {
    const page = read("index.html").toString();
    expect(page).not.toMatch(/<script(?![^>]*\ssrc=)/);
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/);
    const foreign = /(?:src|href)="(?:https?:)?\/\/|url\((?:["']?)(?:https?:|data:|\/\/)/;
    expect(page).not.toMatch(foreign);
    for (const name of assets(".css")) expect(read(join("assets", name)).toString()).not.toMatch(foreign);
  });
});
