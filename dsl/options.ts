/** Arguments held against a zod schema, with messages at the argument that is at fault. */
import { z } from "zod";
import { CecError, type Diagnostic, diagnostic, nearest, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Expr } from "./ast.js";
import { evaluateOption, isTensor, kindOf, type Scope, type Value } from "./evaluate.js";

/** Option names of a schema; `null` where it is no object. */
export function optionNames(schema: z.ZodType): string[] | null {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : null;
}

/** Options that name something of the plan, by what their metadata say. */
export function namingOptions(schema: z.ZodType, what: "model" | "data"): string[] {
  if (!(schema instanceof z.ZodObject)) return [];
  const named = (s: z.ZodType): boolean =>
    s.meta()?.["names"] === what || ((s instanceof z.ZodOptional || s instanceof z.ZodDefault) && named(s.unwrap() as z.ZodType));
  return Object.entries(schema.shape as Readonly<Record<string, z.ZodType>>).flatMap(([key, s]) => (named(s) ? [key] : []));
}

/** A name like the one given, or the list of what there is, or what to do where there is nothing. */
export function hint(name: string, candidates: Iterable<string>, nothing: string): string {
  const all = [...candidates];
  return all.length === 0 ? nothing : suggest(name, all);
}

/** Gathers faults instead of throwing the first. */
export type Report = (d: Diagnostic) => void;

/** Runs; faults go to `report`. `undefined` when there was one. */
export function attempt<T>(report: Report, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof CecError) || error.exitCode === 70) throw error;
    for (const d of error.diagnostics) report(d);
    return undefined;
  }
}

export interface OptionsInput {
  /** For messages: `pass quantize`, `layer conv2d`. */
  readonly what: string;
  readonly schema: z.ZodType;
  readonly positional: readonly string[];
  readonly args: readonly Argument[];
  /** Place of the whole call. */
  readonly span: Span;
  readonly scope: Scope;
  readonly report: Report;
  /** Keys beside the schema's, which the caller looks after. */
  readonly extra?: readonly string[];
  /** Options whose value is known later: what the schema says of them is no fault yet. */
  readonly later?: ReadonlySet<string>;
}

export interface ReadOptions {
  /** As given, positional ones under their names. */
  readonly given: Readonly<Record<string, Value>>;
  /** Places of their values. */
  readonly spans: ReadonlyMap<string, Span>;
  /** As the schema parsed them; `null` when something is at fault. */
  readonly parsed: Readonly<Record<string, unknown>> | null;
}

/** Reads arguments: names those given by position, evaluates, and checks names, types and ranges. */
export function readOptions(input: OptionsInput): ReadOptions {
  const { what, schema, positional, args, span, scope, report, extra = [] } = input;
  const names = optionNames(schema);
  const given: Record<string, Value> = {};
  const expressions = new Map<string, Expr>();
  const spans = (): ReadonlyMap<string, Span> => new Map([...expressions].map(([key, e]) => [key, e.span]));
  let ok = true;
  const complain = (d: Diagnostic): void => {
    ok = false;
    report(d);
  };
  let position = 0;
  for (const a of args) {
    const key = a.key?.name ?? positional[position++];
    if (key === undefined) {
      complain(
        diagnostic("CEC2011", {
          message: `${what} takes ${positional.length === 0 ? "no arguments by position" : `at most ${positional.length} argument${positional.length === 1 ? "" : "s"} by position`}`,
          help: names === null || names.length === 0 ? "leave it out" : `name it: ${names.slice(0, 6).join(", ")}`,
          span: a.span,
        }),
      );
      continue;
    }
    if (a.key !== null && names !== null && !names.includes(key) && !extra.includes(key)) {
      complain(
        diagnostic("CEC2005", {
          message: `${what} has no option \`${key}\``,
          help: hint(key, names, "it takes none"),
          span: a.key.span,
        }),
      );
      continue;
    }
    if (expressions.has(key)) {
      complain(
        diagnostic("CEC2011", {
          message: `\`${key}\` is given twice`,
          help: a.key === null ? `it is also the argument at place ${position}` : "leave one out",
          span: a.span,
        }),
      );
      continue;
    }
    expressions.set(key, a.value);
    const value = attempt(complain, () => evaluateOption(a.value, scope));
    if (value !== undefined) given[key] = value;
  }
  if (!ok) return { given, spans: spans(), parsed: null };
  for (const [key, v] of Object.entries(given)) {
    if (!extra.includes(key) && isTensor(v))
      complain(diagnostic("CEC2011", { message: `\`${key}\` of ${what} is no tensor`, span: expressions.get(key)?.span ?? span }));
  }
  if (!ok) return { given, spans: spans(), parsed: null };
  const own = Object.fromEntries(Object.entries(given).filter(([k]) => !extra.includes(k)));
  const result = schema.safeParse(own);
  if (result.success) return { given, spans: spans(), parsed: result.data as Readonly<Record<string, unknown>> };
  const seen = new Set<string>();
  for (const issue of result.error.issues) {
    const key = String(issue.path[0] ?? "");
    if (input.later?.has(key) === true) continue;
    const d = explain(issue, what, schema, own, expressions, span, scope);
    const id = `${d.message}`;
    if (!seen.has(id)) complain(d);
    seen.add(id);
  }
  return { given, spans: spans(), parsed: null };
}

type Issue = z.core.$ZodIssue;

/** The expression at a path within the arguments. */
function exprAt(path: readonly PropertyKey[], expressions: ReadonlyMap<string, Expr>): Expr | undefined {
  let e = expressions.get(String(path[0]));
  for (const step of path.slice(1)) {
    const inner: Expr | undefined =
      e?.kind === "record"
        ? e.entries.find((a) => a.key?.name === String(step))?.value
        : e?.kind === "list" && typeof step === "number"
          ? e.items[step]
          : undefined;
    if (inner === undefined) return e;
    e = inner;
  }
  return e;
}

/** The schema of a value within the arguments, where it can be followed. */
function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  let s: z.ZodType | undefined = schema;
  for (const step of [...path, null]) {
    while (s instanceof z.ZodDefault || s instanceof z.ZodOptional || s instanceof z.ZodNullable) s = s.unwrap() as z.ZodType;
    if (step === null || s === undefined) return s;
    if (s instanceof z.ZodObject) s = (s.shape as Readonly<Record<string, z.ZodType>>)[String(step)];
    else if (s instanceof z.ZodRecord) s = s.valueType as z.ZodType;
    else s = s instanceof z.ZodArray ? (s.element as z.ZodType) : undefined;
  }
  return s;
}

const kinds: Readonly<Record<string, string>> = {
  number: "a number",
  int: "a whole number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  object: "a record",
  record: "a record",
};

const shown = (v: unknown): string =>
  typeof v === "string" ? `\`${v}\`` : typeof v === "number" || typeof v === "boolean" || v === null ? String(v) : kindOf(v as Value);

function explain(
  issue: Issue,
  what: string,
  schema: z.ZodType,
  own: Readonly<Record<string, unknown>>,
  expressions: ReadonlyMap<string, Expr>,
  span: Span,
  scope: Scope,
): Diagnostic {
  const key = issue.path.map(String).join(".");
  const first = String(issue.path[0] ?? "");
  const e = exprAt(issue.path, expressions);
  const at = e?.span ?? span;
  const value = issue.path.reduce<unknown>((v, k) => (v as Readonly<Record<PropertyKey, unknown>> | undefined)?.[k], own);
  if (issue.path.length > 0 && !Object.hasOwn(own, first)) {
    return diagnostic("CEC2011", { message: `${what} needs \`${first}\``, help: `add \`${first}: …\``, span });
  }
  if (value === undefined) {
    return diagnostic("CEC2011", { message: `${what} needs \`${key}\``, help: `add \`${String(issue.path.at(-1))}: …\``, span: at });
  }
  const word = e?.kind === "name" && scope.get(e.name) === undefined ? e.name : undefined;
  const near = word === undefined ? undefined : nearest(word, scope.names());
  const asWord =
    word === undefined
      ? {}
      : { help: near === undefined ? `\`${word}\` is not defined here, so it is taken as a word` : `did you mean \`${near}\`?` };
  switch (issue.code) {
    case "unrecognized_keys": {
      const unknown = issue.keys[0] ?? "";
      const inner = schemaAt(schema, issue.path);
      const names = inner === undefined ? null : optionNames(inner);
      return diagnostic("CEC2005", {
        message: `\`${key === "" ? what : key}\` has no option \`${unknown}\``,
        ...(names === null ? {} : { help: hint(unknown, names, "it takes none") }),
        span: (e?.kind === "record" ? e.entries.find((a) => a.key?.name === unknown)?.key?.span : undefined) ?? at,
      });
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      const near = typeof value === "string" ? suggest(value, values) : "";
      return diagnostic("CEC2006", {
        message: `${shown(value)} is no value of \`${key}\``,
        why: `it is one of ${values.join(", ")}`,
        ...(near === "" ? {} : { help: near }),
        span: at,
      });
    }
    case "invalid_type":
      return diagnostic("CEC2006", {
        message: `\`${key}\` takes ${kinds[issue.expected] ?? issue.expected}, and this is ${shown(value)}`,
        ...asWord,
        span: at,
      });
    case "invalid_union":
      return diagnostic("CEC2006", {
        message: `${shown(value)} is no value of \`${key}\``,
        why: [...new Set(issue.errors.flatMap((list) => list.slice(0, 1).map((i) => i.message)))].join("; or "),
        ...asWord,
        span: at,
      });
    default:
      return diagnostic("CEC2006", {
        message: `${key === "" ? what : `\`${key}\``}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`,
        why: `it is ${shown(value)}`,
        span: at,
      });
  }
}
