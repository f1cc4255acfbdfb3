import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import de from "./locales/de.json";
import en from "./locales/en.json";

interface Tree {
  [key: string]: string | string[] | Tree;
}

/** Returns the texts of a catalogue by key; a list counts as one text. */
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

/** Translations of the server's English terms, which a catalogue may omit. */
const optional = /^(words|reasons|problems|fields)\./;
const required = (catalogue: Tree) => new Map([...texts(catalogue)].filter(([key]) => !optional.test(key)));

describe("the catalogues", () => {
  it("have the same keys", () => {
    expect([...required(de).keys()].sort()).toEqual([...required(en).keys()].sort());
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

  it("have no unused text", () => {
    const sources = (folder: string): string[] =>
      readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return sources(path);
        return /\.tsx?$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name) ? [readFileSync(path, "utf8")] : [];
      });
    const all = sources(import.meta.dirname).join("\n");
    const unused = [...required(en).keys()].map((key) => key.replace(/_(zero|one|two|few|many|other)$/, "")).filter((key) => !mentions(all, key));
    expect(unused).toEqual([]);
  });
});

/** Reports whether a source contains the key, or a template that starts with its parent: `age.${level}`. */
function mentions(all: string, key: string): boolean {
  if (all.includes(`"${key}"`)) return true;
  const parent = key.slice(0, key.lastIndexOf(".") + 1);
  return parent !== "" && all.includes("`" + parent + "${");
}
