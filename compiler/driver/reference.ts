/** Reference pages, generated from the passes' own declarations. */
import { z } from "zod";
import { passes } from "../../passes/index.js";
import type { PassDefinition } from "../core/index.js";

interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly default?: unknown;
  /** What the option names: see `modelOption` and `dataOption`. */
  readonly names?: "model" | "data";
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
}

function typeText(s: JsonSchema): string {
  if (s.names !== undefined) return s.names === "model" ? "path of a model" : "data set";
  if (s.enum !== undefined) return s.enum.map((e) => `\`${String(e)}\``).join(" \\| ");
  if (s.anyOf !== undefined) return s.anyOf.map(typeText).join(" or ");
  if (s.type === "array") return `list of ${s.items === undefined ? "values" : typeText(s.items)}`;
  if (s.type === "object") return s.properties === undefined ? "record" : `record of ${Object.keys(s.properties).join(", ")}`;
  const least = s.minimum ?? s.exclusiveMinimum;
  const bounded = (v: number | undefined): v is number => v !== undefined && Math.abs(v) < Number.MAX_SAFE_INTEGER;
  const range =
    bounded(least) || bounded(s.maximum) ? `, ${bounded(least) ? `from ${least}` : ""}${bounded(s.maximum) ? ` to ${s.maximum}` : ""}` : "";
  return `${s.type ?? "value"}${range}`;
}

const list = (v: string | readonly string[]): string => (typeof v === "string" ? v : v.join(", "));

/** One pass as Markdown. */
export function passSection(p: PassDefinition): string {
  const schema = z.toJSONSchema(p.options, { io: "input", unrepresentable: "any" }) as JsonSchema;
  const options = Object.entries(schema.properties ?? {});
  const positional = p.positional ?? [];
  const lines = [
    `### \`${p.name.replaceAll("-", "_")}\``,
    "",
    `${p.summary}.`,
    "",
    ...(p.description === undefined ? [] : [p.description, ""]),
    `Takes level ${list(p.from)}, gives ${p.to === "same" ? "the same" : p.to}. Keeps ${p.keeps === "bit-exact" ? "every bit" : p.keeps === "values" ? "values, up to float rounding" : "less than the values: lossy"}.`,
    "",
  ];
  if (options.length > 0) {
    lines.push("| option | type | default | what |", "|---|---|---|---|");
    for (const [name, s] of options)
      lines.push(
        `| \`${name}\`${positional.includes(name) ? " (by position)" : ""} | ${typeText(s)} | ${s.default === undefined ? "" : `\`${JSON.stringify(s.default)}\``} | ${(s.description ?? "").replaceAll("|", "\\|")} |`,
      );
    lines.push("");
  }
  const statistics = Object.entries(p.statistics);
  if (statistics.length > 0) lines.push(`Statistics: ${statistics.map(([k, v]) => `\`${k}\` (${v})`).join(", ")}.`, "");
  return `${lines.join("\n")}\n`;
}

/** The whole page. */
export function passReference(): string {
  return [
    "# Passes",
    "",
    "Generated from the declarations by `cec passes --markdown`; do not edit. A plan calls a pass by its name, with options in braces:",
    '`quantize int8 { range: mse, keep: ["fc"] }`.',
    "",
    ...[...passes.values()].map(passSection),
  ].join("\n");
}
