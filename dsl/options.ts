/** Arguments held against a zod schema, with messages at the argument that is at fault. */
import { z } from "zod";
import { CecError, type Diagnostic, diagnostic, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Expr } from "./ast.js";
import { evaluateOption, isTensor, kindOf, type Scope, type Value } from "./evaluate.js";

/** Option names of a schema; `null` where it is no object. */
export function optionNames(schema: z.ZodType): string[] | null {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : null;
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
  /** Options that the caller fills in later: their absence is no fault. */
  readonly later?: ReadonlySet<string>;
}

export interface ReadOptions {
  /** As given, positional ones under their names. */
  readonly given: Readonly<Record<string, Value>>;
  /** As the schema parsed them; `null` when something is at fault. */
  readonly parsed: Readonly<Record<string, unknown>> | null;
}

/** Reads arguments: names those given by position, evaluates, and checks names, types and ranges. */
export function readOptions(input: OptionsInput): ReadOptions {
  const { what, schema, positional, args, span, scope, report, extra = [] } = input;
  const names = optionNames(schema);
  const given: Record<string, Value> = {};
  const expressions = new Map<string, Expr>();
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
      const help = suggest(key, names);
      complain(
        diagnostic("CEC2005", {
          message: `${what} has no option \`${key}\``,
          help: help !== "" ? help : names.length === 0 ? "it takes none" : `it has ${names.join(", ")}`,
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
  if (!ok) return { given, parsed: null };
  for (const [key, v] of Object.entries(given)) {
    if (!extra.includes(key) && isTensor(v))
      complain(diagnostic("CEC2011", { message: `\`${key}\` of ${what} is no tensor`, span: expressions.get(key)?.span ?? span }));
  }
  if (!ok) return { given, parsed: null };
  const own = Object.fromEntries(Object.entries(given).filter(([k]) => !extra.includes(k)));
  const result = schema.safeParse(own);
  if (result.success) return { given, parsed: result.data as Readonly<Record<string, unknown>> };
  const seen = new Set<string>();
  for (const issue of result.error.issues) {
    const key = String(issue.path[0] ?? "");
    if (input.later?.has(key) === true && given[key] === undefined) continue;
    const d = explain(issue, what, own, expressions, span, scope);
    const id = `${d.message}`;
    if (!seen.has(id)) complain(d);
    seen.add(id);
  }
  return { given, parsed: null };
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

const shown = (v: unknown): string =>
  typeof v === "string" ? `\`${v}\`` : typeof v === "number" || typeof v === "boolean" || v === null ? String(v) : kindOf(v as Value);

function explain(
  issue: Issue,
  what: string,
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
  if (issue.path.length > 0 && !(first in own)) {
    return diagnostic("CEC2011", { message: `${what} needs \`${first}\``, help: `add \`${first}: …\``, span });
  }
  const word = e?.kind === "name" && scope.get(e.name) === undefined ? e.name : undefined;
  switch (issue.code) {
    case "unrecognized_keys":
      return diagnostic("CEC2005", {
        message: `\`${key === "" ? what : key}\` has no option \`${issue.keys[0] ?? ""}\``,
        span: at,
      });
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
        message: `\`${key}\` takes ${issue.expected}, and this is ${shown(value)}`,
        ...(word === undefined ? {} : { help: `\`${word}\` is not defined here, so it is taken as a word` }),
        span: at,
      });
    case "invalid_union":
      return diagnostic("CEC2006", {
        message: `${shown(value)} is no value of \`${key}\``,
        why: [...new Set(issue.errors.flatMap((list) => list.slice(0, 1).map((i) => i.message)))].join("; or "),
        ...(word === undefined ? {} : { help: `\`${word}\` is not defined here, so it is taken as a word` }),
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
