/** Compile-time values: what expressions of plans and models come to. */
import { CecError, type Code, type Details, diagnostic, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Call, Expr, Operator } from "./ast.js";
import type { Literal } from "./checked.js";

/** A tensor of a model, as the sink gave it. */
export class Tensor<V = unknown> {
  readonly value: V;
  constructor(value: V) {
    this.value = value;
  }
}

export type Value = number | boolean | string | null | Tensor | readonly Value[] | { readonly [key: string]: Value };

export const isTensor = (v: Value | undefined): v is Tensor => v instanceof Tensor;
export const isList = (v: Value | undefined): v is readonly Value[] => Array.isArray(v);
export const isRecord = (v: Value | undefined): v is { readonly [key: string]: Value } =>
  typeof v === "object" && v !== null && !isTensor(v) && !Array.isArray(v);

/** Fails with a diagnostic at a place in the text. */
export function fault(code: Code, span: Span, details: Omit<Details, "span">): never {
  throw new CecError([diagnostic(code, { ...details, span })]);
}

export function kindOf(v: Value): string {
  if (v === null) return "null";
  if (isTensor(v)) return "a tensor";
  if (isList(v)) return "a list";
  if (typeof v === "object") return "a record";
  return typeof v === "boolean" ? "true or false" : typeof v === "number" ? "a number" : "a string";
}

/** Names in reach, and what calls mean there. */
export interface Scope {
  get(name: string): Value | undefined;
  names(): Iterable<string>;
  /** Values of `${NAME}` that are no names in scope. */
  env(name: string): string | undefined;
  /** Calls that are no functions of the language: layers and blocks. `piped` is the value before `|>`. */
  call?(call: Call, piped: Value | undefined): Value;
  /** Operators on tensors. */
  operate?(op: Operator, left: Value, right: Value, span: Span): Value;
  /** Counts work, so that loops over large values end: CEC2015. */
  charge?(units: number, span: Span): void;
  /** For `shape(x)`. */
  shape?(v: Tensor, span: Span): Value;
}

const MAX_LIST = 10_000;
/** Elements of a list or record with those of its elements: lists of lists that double are small only in memory. */
const MAX_ELEMENTS = 100_000;
const MAX_STRING = 1 << 20;

const elements = new WeakMap<object, number>();

/** Notes how many elements a list or record holds in all. */
function counted<T extends readonly Value[] | { readonly [key: string]: Value }>(v: T, span: Span): T {
  let n = 1;
  for (const x of Array.isArray(v) ? (v as readonly Value[]) : Object.values(v))
    n += typeof x === "object" && x !== null ? (elements.get(x) ?? 1) : 1;
  if (n > MAX_ELEMENTS) fault("CEC2015", span, { message: `a value grows beyond ${MAX_ELEMENTS} elements` });
  elements.set(v, n);
  return v;
}

/** Unicode, quotes and usual letters. */
const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", '"': '"', "\\": "\\", $: "$" };

const tooLong = (span: Span): never => fault("CEC2015", span, { message: `a string grows beyond ${MAX_STRING} characters` });

/** The text of a string literal, with `${NAME}` filled in. */
export function stringText(raw: string, span: Span, scope: Scope): string {
  const body = raw.slice(1, raw.endsWith('"') && raw.length > 1 ? -1 : undefined);
  let out = "";
  for (let i = 0; i < body.length; i++) {
    const c = body[i] as string;
    if (c === "\\") {
      const next = body[++i] ?? "";
      const known = escapes[next];
      if (known === undefined)
        fault("CEC2001", span, { message: `\`\\${next}\` is no escape`, help: 'escapes are \\n, \\t, \\", \\\\ and \\$; paths may use /' });
      out += known;
    } else if (c === "$" && body[i + 1] === "{") {
      const end = body.indexOf("}", i);
      const name = end < 0 ? "" : body.slice(i + 2, end);
      if (!/^[A-Za-z_]\w*$/.test(name)) fault("CEC2001", span, { message: "`${` does not enclose a name", help: "write \\$ for a dollar sign" });
      const value = scope.get(name);
      const text =
        value !== undefined && (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
          ? String(value)
          : scope.env(name);
      if (text !== undefined && out.length + text.length > MAX_STRING) tooLong(span);
      if (text === undefined)
        fault("CEC2013", span, {
          message: `the environment variable ${name} is not set`,
          help: name === "CEC_DATA" ? "set it to the folder of the data" : `run with ${name}=… before the command`,
        });
      out += text;
      i = end;
    } else out += c;
  }
  return out;
}

function numberOf(v: Value, span: Span, what: string): number {
  return typeof v === "number" ? v : fault("CEC2018", span, { message: `${what} takes numbers, and this is ${kindOf(v)}` });
}

function equal(a: Value, b: Value): boolean {
  if (isList(a) && isList(b)) return a.length === b.length && a.every((x, i) => equal(x, b[i] as Value));
  return a === b;
}

function operate(op: Operator, a: Value, b: Value, span: Span, scope: Scope): Value {
  if ((isTensor(a) || isTensor(b)) && scope.operate !== undefined && ["+", "-", "*", "/"].includes(op)) return scope.operate(op, a, b, span);
  switch (op) {
    case "==":
    case "!=":
      if (isList(a)) scope.charge?.(elements.get(a) ?? a.length, span);
      return equal(a, b) === (op === "==");
    case "+":
      if (typeof a === "string" && typeof b === "string") return a.length + b.length > MAX_STRING ? tooLong(span) : a + b;
      if (isList(a) && isList(b)) {
        if (a.length + b.length > MAX_LIST) fault("CEC2015", span, { message: `a list grows beyond ${MAX_LIST} elements` });
        scope.charge?.(a.length + b.length, span);
        return counted([...a, ...b], span);
      }
      return numberOf(a, span, "`+`") + numberOf(b, span, "`+`");
    case "-":
      return numberOf(a, span, "`-`") - numberOf(b, span, "`-`");
    case "*":
      return numberOf(a, span, "`*`") * numberOf(b, span, "`*`");
    case "/":
    case "%": {
      const [x, y] = [numberOf(a, span, `\`${op}\``), numberOf(b, span, `\`${op}\``)];
      if (y === 0) fault("CEC2018", span, { message: "division by zero" });
      return op === "/" ? x / y : ((x % y) + y) % y;
    }
    case "<":
      return numberOf(a, span, "`<`") < numberOf(b, span, "`<`");
    case "<=":
      return numberOf(a, span, "`<=`") <= numberOf(b, span, "`<=`");
    case ">":
      return numberOf(a, span, "`>`") > numberOf(b, span, "`>`");
    case ">=":
      return numberOf(a, span, "`>=`") >= numberOf(b, span, "`>=`");
    default:
      return fault("CEC2018", span, { message: `\`${op}\` does not work here` });
  }
}

export function truth(v: Value, span: Span): boolean {
  return typeof v === "boolean"
    ? v
    : fault("CEC2018", span, { message: `a condition is true or false, and this is ${kindOf(v)}`, help: "compare it: `x == 1`" });
}

type Builtin = (args: readonly Value[], call: Call, scope: Scope) => Value;

const each = (args: readonly Value[], call: Call): number[] =>
  (args.length === 1 && isList(args[0]) ? args[0] : args).map((a) => numberOf(a, call.span, call.callee.name));

const one =
  (f: (n: number) => number): Builtin =>
  (args, call) =>
    f(numberOf(args[0] ?? null, call.span, call.callee.name));

/** Functions of the language. */
export const builtins: Readonly<Record<string, { readonly summary: string; readonly arity: readonly [number, number]; readonly run: Builtin }>> = {
  range: {
    summary: "whole numbers from the first (0 where absent) up to, without, the last, in steps of the third",
    arity: [1, 3],
    run(args, call, scope) {
      const n = args.map((a) => numberOf(a, call.span, "range"));
      const [from, to, step] = n.length === 1 ? [0, n[0] as number, 1] : [n[0] as number, n[1] as number, n[2] ?? 1];
      if (step === 0 || !Number.isFinite((to - from) / step))
        fault("CEC2018", call.span, { message: "range takes finite numbers and a step that is not 0" });
      const count = Math.max(0, Math.ceil((to - from) / step));
      if (count > MAX_LIST) fault("CEC2015", call.span, { message: `range gives ${count} numbers`, why: `lists hold at most ${MAX_LIST}` });
      scope.charge?.(count, call.span);
      return Array.from({ length: count }, (_, i) => from + i * step);
    },
  },
  len: {
    summary: "length of a list or string",
    arity: [1, 1],
    run: ([v], call) =>
      isList(v) || typeof v === "string"
        ? v.length
        : fault("CEC2018", call.span, { message: `len takes a list or a string, and this is ${kindOf(v ?? null)}` }),
  },
  min: { summary: "least of numbers or of a list", arity: [1, 100], run: (args, call) => Math.min(...each(args, call)) },
  max: { summary: "greatest of numbers or of a list", arity: [1, 100], run: (args, call) => Math.max(...each(args, call)) },
  floor: { summary: "rounds down", arity: [1, 1], run: one(Math.floor) },
  ceil: { summary: "rounds up", arity: [1, 1], run: one(Math.ceil) },
  round: { summary: "rounds to the nearest whole number", arity: [1, 1], run: one(Math.round) },
  abs: { summary: "magnitude", arity: [1, 1], run: one(Math.abs) },
  shape: {
    summary: "list of a tensor's dimensions",
    arity: [1, 1],
    run: ([v], call, scope) =>
      isTensor(v) && scope.shape !== undefined
        ? scope.shape(v, call.span)
        : fault("CEC2018", call.span, { message: `shape takes a tensor, and this is ${kindOf(v ?? null)}` }),
  },
};

function callValue(call: Call, piped: Value | undefined, scope: Scope): Value {
  const { name } = call.callee;
  if (Object.hasOwn(builtins, name)) {
    const f = builtins[name] as (typeof builtins)[string];
    const named = call.args.find((a) => a.key !== null);
    if (named !== undefined) fault("CEC2011", named.span, { message: `${name} takes no named arguments` });
    const args = [...(piped === undefined ? [] : [piped]), ...call.args.map((a) => evaluate(a.value, scope))];
    if (args.length < f.arity[0] || args.length > f.arity[1])
      fault("CEC2011", call.span, {
        message: `${name} takes ${f.arity[0] === f.arity[1] ? f.arity[0] : `${f.arity[0]} to ${f.arity[1]}`} argument${f.arity[1] === 1 ? "" : "s"}, not ${args.length}`,
      });
    return f.run(args, call, scope);
  }
  if (scope.call !== undefined) return scope.call(call, piped);
  return fault("CEC2003", call.callee.span, { message: `there is no function \`${name}\``, help: suggest(name, Object.keys(builtins)) });
}

/** A literal such as 1e999 has no value. */
export const finite = (n: number, span: Span): number =>
  Number.isFinite(n) ? n : fault("CEC2015", span, { message: "the number is too large", why: "numbers go up to 1.8e308" });

/** The value of an expression. Throws CecError for the user's faults. */
export function evaluate(e: Expr, scope: Scope): Value {
  scope.charge?.(1, e.span);
  switch (e.kind) {
    case "number":
      return finite(e.value, e.span);
    case "constant":
      return e.value;
    case "quantity":
      return fault("CEC2018", e.span, {
        message: `a number with the unit \`${e.unit}\` stands only in requirements`,
        help: e.unit === "%" ? "for the remainder, write spaces: `a % b`" : "leave the unit out",
      });
    case "string":
      return stringText(e.raw, e.span, scope);
    case "name": {
      const v = scope.get(e.name);
      return v === undefined ? fault("CEC2003", e.span, { message: `\`${e.name}\` is not defined`, help: suggest(e.name, scope.names()) }) : v;
    }
    case "call":
      return callValue(e.call, undefined, scope);
    case "list":
      return counted(
        e.items.map((i) => evaluate(i, scope)),
        e.span,
      );
    case "record":
      return counted(recordOf(e.entries, scope, evaluate), e.span);
    case "prefix": {
      const v = evaluate(e.operand, scope);
      if (e.op === "not") return e.times % 2 === 1 ? !truth(v, e.span) : truth(v, e.span);
      if (isTensor(v) && scope.operate !== undefined) return e.times % 2 === 1 ? scope.operate("*", v, -1, e.span) : v;
      const n = numberOf(v, e.span, "`-`");
      return e.times % 2 === 1 ? -n : n;
    }
    case "chain": {
      let left = evaluate(e.first, scope);
      for (const { op, right, opSpan } of e.rest) {
        if (op === "and" || op === "or") {
          const l = truth(left, e.first.span);
          left = l === (op === "and") ? truth(evaluate(right, scope), right.span) : l;
        } else left = operate(op, left, evaluate(right, scope), opSpan, scope);
      }
      return left;
    }
    case "index": {
      let base = evaluate(e.base, scope);
      for (const index of e.indices) {
        const i = evaluate(index, scope);
        if (!isList(base)) return fault("CEC2018", e.base.span, { message: `only lists have elements, and this is ${kindOf(base)}` });
        if (typeof i !== "number" || !Number.isInteger(i)) return fault("CEC2018", index.span, { message: "an index is a whole number" });
        const v: Value | undefined = base.at(i);
        if (v === undefined) return fault("CEC2018", index.span, { message: `index ${i} is outside the list, which has ${base.length} elements` });
        base = v;
      }
      return base;
    }
    case "pipe": {
      let v = evaluate(e.first, scope);
      for (const c of e.calls) v = callValue(c, v, scope);
      return v;
    }
  }
}

export function recordOf(entries: readonly Argument[], scope: Scope, value: (e: Expr, scope: Scope) => Value): { readonly [key: string]: Value } {
  const out: Record<string, Value> = Object.create(null) as Record<string, Value>;
  for (const a of entries) {
    if (a.key === null) continue;
    if (a.key.name in out) fault("CEC2007", a.key.span, { message: `\`${a.key.name}\` is given twice` });
    out[a.key.name] = value(a.value, scope);
  }
  return { ...out };
}

/** As `evaluate`, but a bare name that is not in scope is a word for the schema to judge: `range: mse`. */
export function evaluateOption(e: Expr, scope: Scope): Value {
  if (e.kind === "name" && scope.get(e.name) === undefined) return e.name;
  if (e.kind === "list")
    return counted(
      e.items.map((i) => evaluateOption(i, scope)),
      e.span,
    );
  if (e.kind === "record") return counted(recordOf(e.entries, scope, evaluateOption), e.span);
  return evaluate(e, scope);
}

/** A value without tensors. */
export const literalOf = (v: Value): Literal => v as Literal;

/** A scope of fixed values. */
export const constantScope = (values: ReadonlyMap<string, Value>, env: (name: string) => string | undefined): Scope => ({
  get: (n) => values.get(n),
  names: () => values.keys(),
  env,
});
