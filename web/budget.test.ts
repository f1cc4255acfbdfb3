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
    vi.stubEnv("NODE_ENV", "production"); // Otherwise the build contains React's development version.
    await build({ root: import.meta.dirname, logLevel: "warn", build: { outDir: dist, emptyOutDir: true, manifest: "manifest.json" } });
  }, 60_000);
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(dist, { recursive: true });
  });
  const assets = (ending: string) => readdirSync(join(dist, "assets")).filter((name) => name.endsWith(ending));
  const read = (name: string) => readFileSync(join(dist, name));

  const weight = (scripts: string[]) => scripts.reduce((sum, name) => sum + gzipSync(read(name)).length, 0);

  // The chunks of the first view of a kitchen: the entry, the station screen, and their static imports.
  const kitchenChunks = () => {
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

  it("needs at most 150 kB of gzipped JavaScript for the first view of a kitchen, and 80 kB for the rest", () => {
    const all = assets(".js").map((name) => join("assets", name));
    const first = kitchenChunks();
    expect(all).toEqual(expect.arrayContaining(first));
    expect(weight(first)).toBeLessThanOrEqual(150_000);
    expect(weight(all)).toBeLessThanOrEqual(weight(first) + 80_000);
  });

  it("loads the charting library only on demand", () => {
    const page = read("index.html").toString();
    const withChart = assets(".js").filter((name) => read(join("assets", name)).toString().includes("u-wrap"));
    expect(withChart).toHaveLength(1);
    for (const name of withChart) expect(page).not.toContain(name);
  });

  it("contains nothing that the Content-Security-Policy blocks", () => {
    const page = read("index.html").toString();
    expect(page).not.toMatch(/<script(?![^>]*\ssrc=)/);
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/);
    const foreign = /(?:src|href)="(?:https?:)?\/\/|url\((?:["']?)(?:https?:|data:|\/\/)/;
    expect(page).not.toMatch(foreign);
    for (const name of assets(".css")) expect(read(join("assets", name)).toString()).not.toMatch(foreign);
  });
});
