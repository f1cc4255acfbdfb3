import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import de from "./locales/de.json";
import en from "./locales/en.json";

interface Tree {
  [key: string]: string | string[] | Tree;
}

/** Each text of a catalogue by its key; a list counts as one. */
function texts(tree: Tree, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") found.set(prefix + key, value);
    else if (Array.isArray(value)) found.set(prefix + key, value.join("\n"));
    else for (const [inner, text] of texts(value, `${prefix}${key}.`)) found.set(inner, text);
  }
  return found;
}

const placeholders = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map(([, name]) => name).sort();

/** What translates the server's own, English words: a catalogue may have it or not. */
const optional = /^(words|reasons|problems|fields)\./;
const must = (catalogue: Tree) => new Map([...texts(catalogue)].filter(([key]) => !optional.test(key)));

describe("the catalogues", () => {
  it("have the same keys", () => {
    expect([...must(de).keys()].sort()).toEqual([...must(en).keys()].sort());
  });

  it("have the same placeholders in each text", () => {
    const english = texts(en);
    for (const [key, text] of texts(de)) {
      const other = english.get(key);
      if (other !== undefined) expect(placeholders(text), key).toEqual(placeholders(other));
    }
  });

  it("have no empty text", () => {
    for (const catalogue of [en, de]) for (const [key, text] of texts(catalogue)) expect(text.trim(), key).not.toBe("");
  });

  it("have no text that no page uses", () => {
    const sources = (folder: string): string[] =>
      readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return sources(path);
        return /\.tsx?$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name) ? [readFileSync(path, "utf8")] : [];
      });
    const all = sources(import.meta.dirname).join("\n");
    const unused = [...must(en).keys()].map((key) => key.replace(/_(zero|one|two|few|many|other)$/, "")).filter((key) => !mentions(all, key));
    expect(unused).toEqual([]);
  });
});

/** Whether a source has the key as it is, or begins it with a template: `age.${level}`. */
function mentions(all: string, key: string): boolean {
  if (all.includes(`"${key}"`)) return true;
  const parent = key.slice(0, key.lastIndexOf(".") + 1);
  return parent !== "" && all.includes("`" + parent + "${");
}
