// Checks the dashboards against Grafana's published schema, of the versions
// they are meant for: a field that the schema does not know, a value of the
// wrong type or a word that is none of those allowed is an error. The schema is
// TypeScript, so each dashboard is written down as a constant of its type and
// given to the compiler.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const folder = join(import.meta.dirname, "../../deploy/grafana");
const modules = join(import.meta.dirname, "../../node_modules");
const schemas = ["@grafana/schema", "grafana-schema-11"];

const source = (schema) => {
  const panelcfg = (kind, name) => join(modules, schema, `dist/esm/raw/composable/${kind}/panelcfg/x/${name}PanelCfg_types.gen`);
  let text = `
import type { Dashboard, Panel, RowPanel } from "${schema}";
import type { Options as GraphOptions, FieldConfig as GraphField } from "${panelcfg("timeseries", "TimeSeries")}";
import type { Options as StatOptions } from "${panelcfg("stat", "Stat")}";
// JSON has the values of enums, not their names.
type Plain<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Known<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]?: Known<T[K]> } : T;
`;
  const constant = (name, type, value) => {
    text += `export const ${name}: ${type} = ${JSON.stringify(value, null, 1)};\n`;
  };
  for (const [d, file] of readdirSync(folder).filter((f) => f.endsWith(".json")).entries()) {
    const dashboard = JSON.parse(readFileSync(join(folder, file), "utf8"));
    text += `// ${file}\n`;
    const { panels, ...rest } = dashboard;
    constant(`dashboard${d}`, "Plain<Dashboard>", rest);
    for (const [p, panel] of panels.entries()) {
      const name = `panel${d}x${p}`;
      if (panel.type === "row") {
        constant(name, "Plain<RowPanel>", panel);
        continue;
      }
      // What the general schema leaves open is the kind of panel's own.
      constant(name, "Plain<Panel>", panel);
      constant(`${name}options`, `Known<${panel.type === "stat" ? "StatOptions" : "GraphOptions"}>`, panel.options);
      constant(`${name}custom`, "Known<GraphField>", panel.fieldConfig.defaults.custom ?? {});
    }
  }
  return text;
};

let failed = 0;
for (const schema of schemas) {
  const name = join(import.meta.dirname, `${schema.replace(/\W/g, "-")}.ts`);
  const text = source(schema);
  const options = { strict: true, noEmit: true, skipLibCheck: true, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, moduleResolution: ts.ModuleResolutionKind.Bundler, types: [], paths: { "@grafana/schema": [join(modules, schema)] } };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (file, ...more) => (file === name ? ts.createSourceFile(file, text, options.target) : getSourceFile.call(host, file, ...more));
  host.fileExists = (file) => file === name || fileExists.call(host, file);
  host.readFile = (file) => (file === name ? text : readFile.call(host, file));
  const problems = ts.getPreEmitDiagnostics(ts.createProgram([name], options, host));
  for (const p of problems) {
    const line = p.file === undefined ? "" : `${p.file.text.slice(0, p.start).split("\n").findLast((l) => /^export const/.test(l))} `;
    console.error(`${schema}: ${line}${ts.flattenDiagnosticMessageText(p.messageText, "\n")}`);
  }
  failed += problems.length;
}
process.exit(failed === 0 ? 0 : 1);
