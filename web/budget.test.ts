// @vitest-environment node
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

type Manifest = Partial<Record<string, { file: string; imports?: string[] }>>;

describe("the built client", () => {
  const dist = mkdtempSync(join(tmpdir(), "ecupcakes-web-"));
  beforeAll(async () => {
    vi.stubEnv("NODE_ENV", "production"); // Otherwise React comes with its development tools.
    await build({ root: import.meta.dirname, logLevel: "warn", build: { outDir: dist, emptyOutDir: true, manifest: "manifest.json" } });
  }, 60_000);
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(dist, { recursive: true });
  });
  const assets = (ending: string) => readdirSync(join(dist, "assets")).filter((name) => name.endsWith(ending));
  const read = (name: string) => readFileSync(join(dist, name));

  const weight = (scripts: string[]) => scripts.reduce((sum, name) => sum + gzipSync(read(name)).length, 0);

  // What a kitchen's page needs before it shows the queue: the page's own scripts, and the screen with what it imports.
  const ofKitchen = () => {
    const manifest = JSON.parse(read("manifest.json").toString()) as Manifest;
    const needed = new Set<string>();
    const add = (key: string) => {
      const chunk = manifest[key];
      if (!chunk || needed.has(chunk.file)) return;
      needed.add(chunk.file);
      chunk.imports?.forEach(add);
    };
    for (const key of ["index.html", "src/features/kitchen/StationScreen.tsx"]) {
      expect(manifest).toHaveProperty([key]);
      add(key);
    }
    return [...needed];
  };

  it("needs at most 150 kB of JavaScript over the wire for the first view of a kitchen, and 80 kB for all else", () => {
    const all = assets(".js").map((name) => join("assets", name));
    const first = ofKitchen();
    expect(all).toEqual(expect.arrayContaining(first));
    expect(weight(first)).toBeLessThanOrEqual(150_000);
    expect(weight(all)).toBeLessThanOrEqual(weight(first) + 80_000);
  });

  it("has its charting library only where there is a chart", () => {
    const page = read("index.html").toString();
    const withChart = assets(".js").filter((name) => read(join("assets", name)).toString().includes("u-wrap"));
    expect(withChart).toHaveLength(1);
    for (const name of withChart) expect(page).not.toContain(name);
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
