/** A file with its imports: declarations gathered, every fault reported, plans and models checked. */
import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { type Diagnostic, diagnostic, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { Block, DataCall, Ident, Item } from "./ast.js";
import { checkBlock, checkModel, paramNames } from "./check-model.js";
import { checkPlan, type PlanContext, type PlanItem } from "./check-plan.js";
import type { CheckedData, CheckedFile, CheckedModel, CheckedParam, CheckedPlan, Literal } from "./checked.js";
import type { Callable, Declarations } from "./declarations.js";
import type { ModelContext } from "./elaborate.js";
import { constantScope, evaluate, fault, isList, isTensor, literalOf, type Scope, stringText, type Value } from "./evaluate.js";
import { Layered } from "./layered.js";
import { attempt, hint, readOptions } from "./options.js";
import { parse } from "./parser.js";
import { MAX_CHARACTERS } from "./tokens.js";

export interface CheckOptions {
  readonly declarations: Declarations;
  /** `--set` values by the name of their param. */
  readonly set?: Readonly<Record<string, string>>;
  /** Environment variables that strings may name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Loads the module of a `use`. What it throws is the module's fault. */
  loadPlugin?(path: string): Promise<readonly Callable[]>;
  /** Faults of a plan that is right by the declarations: whether its passes fit each other. */
  checkPlan?(plan: CheckedPlan): readonly Diagnostic[];
  /** Reads a file; for tests and editors. */
  readFile?(path: string): string;
}

type ModelItem = Extract<Item, { kind: "model" }>;

interface Placed<T> {
  readonly item: T;
  readonly file: string;
}

/** What elaboration needs of a file, kept beside the plain result. */
export interface Compiled {
  readonly models: ReadonlyMap<string, ModelItem>;
  readonly context: ModelContext;
}

const compiled = new WeakMap<CheckedFile, Compiled>();
export const compiledOf = (file: CheckedFile): Compiled | undefined => compiled.get(file);

const IMPORTS = 1000;
const MAX_DECLARATIONS = 10_000;
/** Plans copy what they take over. */
const MAX_CHAIN = 100;
/** Reading stops here: who has so many repairs some first. */
const MAX_FAULTS = 100;

class TooManyFaults extends Error {}

const isSyntax = (d: Diagnostic): boolean => d.code === "CEC2001" || d.code === "CEC2002";

/** Behind the fault on its line, or around it. */
const overlaps = (fault: Span, s: Span): boolean =>
  s.start.offset >= fault.start.offset ? s.start.line === fault.start.line : fault.start.offset < s.end.offset;

class Checker {
  readonly diagnostics: Diagnostic[] = [];
  readonly sources = new Map<string, string>();
  readonly items: Placed<Item>[] = [];
  readonly names = new Map<string, Ident>();
  readonly values = new Map<string, Value>();
  readonly options: CheckOptions;
  readonly scope: Scope;
  /** Files with syntax faults. */
  readonly #partial = new Set<string>();
  /** Names that such files declare somewhere: their declaration may be what did not parse. */
  readonly #lost = new Set<string>();
  /** Where those faults are. */
  readonly #syntax: Span[] = [];
  readonly #stack: string[] = [];

  constructor(options: CheckOptions) {
    this.options = options;
    const { env = {} } = options;
    this.scope = constantScope(this.values, (n) => (Object.hasOwn(env, n) ? env[n] : undefined));
  }

  report = (d: Diagnostic): void => {
    // What is said about a call that did not parse is an echo of its syntax fault.
    const { span } = d;
    if (span !== undefined && !isSyntax(d) && this.#syntax.some((s) => s.file === span.file && overlaps(s, span))) return;
    // What a statement declares that did not parse is not unknown.
    if (span !== undefined && this.#lost.size > 0 && (d.code === "CEC2003" || d.code === "CEC2010" || d.code === "CEC2012")) {
      const name = /^\w+/.exec(this.sources.get(span.file)?.slice(span.start.offset, span.end.offset) ?? "")?.[0] ?? "";
      if (this.#lost.has(name)) return;
    }
    // A variable that is not set is one fault, however often it is named.
    if (d.code === "CEC2013" && this.diagnostics.some((e) => e.code === "CEC2013" && e.message === d.message)) return;
    this.diagnostics.push(d);
    if (this.diagnostics.length >= MAX_FAULTS) throw new TooManyFaults();
  };

  /** Reports what was not said of the same place before: plans that extend another have its statements too. */
  once(d: Diagnostic): void {
    const at = d.span?.start.offset;
    if (!this.diagnostics.some((e) => e.code === d.code && e.message === d.message && e.span?.start.offset === at)) this.report(d);
  }

  /** Parses a file and, before its own items, those of its imports. */
  load(path: string, text: string | null, from: Span | null): void {
    if (this.#stack.includes(path)) {
      this.report(
        diagnostic("CEC2008", {
          message: "the imports form a cycle",
          why: [...this.#stack.slice(this.#stack.indexOf(path)), path].join(" imports "),
          ...(from === null ? {} : { span: from }),
        }),
      );
      return;
    }
    if (this.sources.has(path)) return;
    if (this.sources.size >= IMPORTS) {
      this.report(diagnostic("CEC2015", { message: `more than ${IMPORTS} files are imported`, ...(from === null ? {} : { span: from }) }));
      return;
    }
    let source = text;
    if (source === null) {
      try {
        source = (this.options.readFile ?? readText)(path);
      } catch (error) {
        this.report(
          diagnostic("CEC2008", {
            message: `cannot read ${path}`,
            why: error instanceof Error ? error.message : String(error),
            help: from === null ? "check the path" : "import paths are relative to the file that holds them",
            ...(from === null ? {} : { span: from }),
          }),
        );
        return;
      }
    }
    this.sources.set(path, source);
    const parsed = parse(source, path);
    for (const d of parsed.diagnostics) {
      this.report(d);
      if (d.span !== undefined) this.#syntax.push(d.span);
    }
    if (parsed.diagnostics.length > 0) {
      this.#partial.add(path);
      for (const m of source.matchAll(/\b(?:data|param|model|block|plan|input|for|let)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\s*=/g))
        this.#lost.add(m[1] ?? m[2] ?? "");
    }
    this.#stack.push(path);
    for (const item of parsed.items) {
      if (item.kind === "import") {
        const target = attempt(this.report, () => this.#pathOf(item.path, path));
        if (target !== undefined) this.load(target, null, item.span);
      } else if (this.items.length >= MAX_DECLARATIONS) {
        this.report(diagnostic("CEC2015", { message: `more than ${MAX_DECLARATIONS} declarations`, span: item.span }));
        break;
      } else this.items.push({ item, file: path });
    }
    this.#stack.pop();
  }

  #pathOf(e: { readonly kind: string; readonly span: Span }, file: string): string {
    const raw = "raw" in e ? String(e.raw) : "";
    const path = stringText(raw, e.span, this.scope);
    return isAbsolute(path) ? path : resolve(dirname(file), path);
  }

  /** One namespace for all declarations of a file and its imports. */
  claim(id: Ident): boolean {
    const before = this.names.get(id.name);
    if (before === undefined) {
      this.names.set(id.name, id);
      return true;
    }
    this.report(
      diagnostic("CEC2007", {
        message: `\`${id.name}\` is declared twice`,
        why: `the first is at ${before.span.file}:${before.span.start.line}`,
        help: "give one another name",
        span: id.span,
      }),
    );
    return false;
  }

  params(): Map<string, CheckedParam> {
    const out = new Map<string, CheckedParam>();
    const set = this.options.set ?? {};
    for (const { item } of this.items) {
      if (item.kind !== "param" || !this.claim(item.name)) continue;
      attempt(this.report, () => {
        const value = evaluate(item.value, this.scope);
        const type = item.type?.name ?? typeOf(value, item.value.span);
        if (!paramTypes.includes(type))
          fault("CEC2006", item.type?.span ?? item.span, {
            message: `\`${type}\` is no type of a param`,
            help: suggest(type, paramTypes),
          });
        if (!fitsType(value, type)) fault("CEC2006", item.value.span, { message: `the default of \`${item.name.name}\` is no ${type}` });
        const given = Object.hasOwn(set, item.name.name) ? set[item.name.name] : undefined;
        const settled = given === undefined ? value : parseSet(item.name, type, given);
        this.values.set(item.name.name, settled);
        out.set(item.name.name, { name: item.name.name, type, value: literalOf(settled), default: literalOf(value) });
      });
    }
    for (const name of Object.keys(set)) {
      if (this.names.has(name) && this.items.some(({ item }) => item.kind === "param" && item.name.name === name)) continue;
      this.report(
        diagnostic("CEC2017", {
          message: `there is no param \`${name}\``,
          help: hint(name, out.keys(), "the file declares none"),
        }),
      );
    }
    return out;
  }

  data(): { data: Map<string, CheckedData>; broken: Set<string> } {
    const data = new Map<string, CheckedData>();
    const broken = new Set<string>();
    const add = (name: string, call: DataCall, file: string): void => {
      const { dataKinds } = this.options.declarations;
      const kind = Object.hasOwn(dataKinds, call.kind.name) ? dataKinds[call.kind.name] : undefined;
      broken.add(name);
      if (kind === undefined)
        return this.report(
          diagnostic("CEC2012", {
            message: `there is no kind of data \`${call.kind.name}\``,
            help: suggest(call.kind.name, Object.keys(dataKinds)),
            span: call.kind.span,
          }),
        );
      const read = readOptions({
        what: `data ${call.kind.name}`,
        schema: kind.options,
        positional: [],
        args: call.args,
        span: call.span,
        scope: this.scope,
        report: this.report,
      });
      if (read.parsed === null) return;
      broken.delete(name);
      data.set(name, { name, kind: call.kind.name, options: read.given, baseDir: dirname(file), span: call.span });
    };
    for (const { item, file } of this.items) {
      if (item.kind === "data" && this.claim(item.name)) add(item.name.name, item.call, file);
      if (item.kind === "data-group" && this.claim(item.name)) {
        const seen = new Set<string>();
        for (const s of item.splits) {
          if (seen.has(s.name.name)) this.report(diagnostic("CEC2007", { message: `the part \`${s.name.name}\` is there twice`, span: s.name.span }));
          seen.add(s.name.name);
          add(`${item.name.name}.${s.name.name}`, s.call, file);
        }
      }
    }
    return { data, broken };
  }

  models(): { checked: Map<string, CheckedModel>; compiled: Compiled } {
    const own = new Map<string, Block>();
    const models = new Map<string, ModelItem>();
    for (const { item } of this.items) {
      if (item.kind === "block" && this.claim(item.name)) own.set(item.name.name, item);
      if (item.kind === "model" && this.claim(item.name)) models.set(item.name.name, item);
    }
    const blocks = new Layered(null, own);
    const context: ModelContext = { declarations: this.options.declarations, params: this.values, blocks, env: this.scope.env };
    const names = paramNames(context);
    for (const b of own.values()) checkBlock(b, names, blocks, context, this.report);
    const checked = new Map<string, CheckedModel>();
    for (const [name, m] of models) {
      const before = this.diagnostics.length;
      checkModel(m, context, this.#partial.size > 0, this.report);
      if (this.diagnostics.slice(before).some((d) => d.severity === "error")) continue;
      const constants = m.params.map((p) => ({
        name: p.name.name,
        default:
          p.default === null
            ? undefined
            : attempt(
                () => {},
                () => literalOf(evaluate(p.default as never, this.scope)),
              ),
      }));
      checked.set(name, { name, params: constants, span: m.name.span });
    }
    return { checked, compiled: { models, context } };
  }

  async plugins(): Promise<Map<string, { pass: Callable; file: string }>> {
    const out = new Map<string, { pass: Callable; file: string }>();
    for (const { item, file } of this.items) {
      if (item.kind !== "use") continue;
      const path = attempt(this.report, () => this.#pathOf(item.path, file));
      if (path === undefined) continue;
      const { loadPlugin } = this.options;
      if (loadPlugin === undefined) {
        this.report(diagnostic("CEC2016", { message: "plug-ins cannot be loaded here", span: item.span }));
        continue;
      }
      try {
        for (const pass of await loadPlugin(path)) {
          const name = pass.name.replaceAll("-", "_");
          if (this.options.declarations.passes.has(name) || out.has(name))
            this.report(
              diagnostic("CEC2007", { message: `the pass \`${name}\` of ${path} is there already`, help: "give it another name", span: item.span }),
            );
          else out.set(name, { pass, file: path });
        }
      } catch (error) {
        this.report(
          diagnostic("CEC2016", {
            message: `cannot load ${path}`,
            why: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error),
            help: "`use` takes a JavaScript module that exports passes made by `definePass`",
            span: item.span,
          }),
        );
      }
    }
    return out;
  }

  plans(context: Omit<PlanContext, "baseDir" | "text" | "partial" | "report">): Map<string, CheckedPlan> {
    const items = new Map<string, Placed<PlanItem>>();
    for (const { item, file } of this.items) if (item.kind === "plan" && this.claim(item.name)) items.set(item.name.name, { item, file });
    const done = new Map<string, CheckedPlan | null>();
    const visit = (name: string, path: readonly string[]): CheckedPlan | null => {
      const known = done.get(name);
      if (known !== undefined) return known;
      const { item, file } = items.get(name) as Placed<PlanItem>;
      let base: CheckedPlan | null = null;
      let missing = false;
      if (item.base !== null) {
        const b = item.base.name;
        if (!items.has(b)) {
          missing = true;
          this.report(diagnostic("CEC2012", { message: `there is no plan \`${b}\``, help: suggest(b, items.keys()), span: item.base.span }));
        } else if (path.length > MAX_CHAIN) {
          missing = true;
          this.report(diagnostic("CEC2015", { message: `plans extend each other more than ${MAX_CHAIN} deep`, span: item.base.span }));
        } else if (path.includes(b)) {
          missing = true;
          this.report(
            diagnostic("CEC2009", {
              message: `plan ${name} extends itself`,
              why: [...path.slice(path.indexOf(b)), b].join(" extends "),
              help: "one of them must stand alone",
              span: item.base.span,
            }),
          );
        } else {
          base = visit(b, [...path, b]);
          missing = base === null;
        }
      }
      // Below a base with faults only the plan's own are reported: what it lacks may come from there.
      const empty: CheckedPlan | null = missing
        ? {
            name,
            span: item.span,
            baseDir: "",
            seed: 0,
            source: { kind: "file", format: "", path: "", span: item.span },
            calibrate: null,
            evaluate: [
              { metrics: Object.keys(this.options.declarations.metrics), data: { name: "", slice: null, span: item.span }, span: item.span },
            ],
            steps: [],
            requires: [],
            emits: [],
          }
        : base;
      const plan = checkPlan(item, empty, {
        ...context,
        baseDir: dirname(file),
        text: this.sources.get(file) ?? "",
        partial: this.#partial.has(file),
        report: this.report,
      });
      done.set(name, missing ? null : plan);
      return missing ? null : plan;
    };
    for (const name of items.keys()) visit(name, [name]);
    return new Map([...done].flatMap(([n, p]): [string, CheckedPlan][] => (p === null ? [] : [[n, p]])));
  }
}

const paramTypes: readonly string[] = ["int", "float", "bool", "string", "list"];

function typeOf(v: Value, span: Span): string {
  if (typeof v === "number") return Number.isInteger(v) ? "int" : "float";
  if (typeof v === "boolean") return "bool";
  if (typeof v === "string") return "string";
  if (isList(v)) return "list";
  return fault("CEC2006", span, { message: "a param is a number, a string, true or false, or a list" });
}

function fitsType(v: Value, type: string): boolean {
  switch (type) {
    case "int":
      return Number.isInteger(v);
    case "float":
      return typeof v === "number";
    case "bool":
      return typeof v === "boolean";
    case "string":
      return typeof v === "string";
    default:
      return isList(v) && !v.some(isTensor);
  }
}

function parseSet(name: Ident, type: string, text: string): Value {
  const bad = (): never =>
    fault("CEC2017", name.span, {
      message: `param ${name.name}=${text}: \`${text}\` is no ${type}`,
      help: `such as ${name.name}=${{ int: "4", float: "0.5", bool: "true", string: "text", list: "[1,2]" }[type]}`,
    });
  switch (type) {
    case "int":
      return /^-?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : bad();
    case "float":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : bad();
    case "bool":
      return text === "true" ? true : text === "false" ? false : bad();
    case "string":
      return text;
    default:
      try {
        const v = JSON.parse(text) as Literal;
        return Array.isArray(v) ? (v as Value) : bad();
      } catch {
        return bad();
      }
  }
}

interface Found extends Pick<CheckedFile, "params" | "data" | "models" | "plans"> {
  readonly compiled: Compiled | null;
}

async function everything(c: Checker, path: string, text: string | null): Promise<Found> {
  c.load(resolve(path), text, null);
  const params = c.params();
  const { data, broken } = c.data();
  const { checked, compiled } = c.models();
  const plugins = await c.plugins();
  const models = new Map(
    [...compiled.models].map(([n, m]) => [n, m.params.map((p) => ({ name: p.name.name, required: p.default === null }))] as const),
  );
  const plans = c.plans({ declarations: c.options.declarations, scope: c.scope, data, brokenData: broken, models, plugins });
  return { params, data, models: checked, plans, compiled };
}

/** Reads a regular file of a plan's size: a device or a film would not end. */
function readText(path: string): string {
  const s = statSync(path);
  if (!s.isFile()) throw new Error("it is no regular file");
  if (s.size > 4 * MAX_CHARACTERS) throw new Error(`it has ${s.size} bytes, more than any plan`);
  return readFileSync(path, "utf8");
}

/** Checks a text as if it stood at `path`. Never throws for the user's faults: they are in `diagnostics`. */
export async function checkText(text: string | null, path: string, options: CheckOptions): Promise<CheckedFile> {
  const c = new Checker(options);
  let found: Found = { params: new Map(), data: new Map(), models: new Map(), plans: new Map(), compiled: null };
  try {
    found = await everything(c, path, text);
    for (const plan of found.plans.values()) for (const d of options.checkPlan?.(plan) ?? []) c.once(d);
  } catch (error) {
    if (!(error instanceof TooManyFaults)) throw error;
    c.diagnostics.push(
      diagnostic("CEC2015", { severity: "note", message: `reading stopped after ${MAX_FAULTS} faults`, help: "repair some, then check again" }),
    );
  }
  const order = new Map([...c.sources.keys()].map((f, i) => [f, i]));
  const place = (d: Diagnostic): number =>
    d.severity === "note" ? Number.POSITIVE_INFINITY : d.span === undefined ? -1 : (order.get(d.span.file) ?? 0) * 2 ** 32 + d.span.start.offset;
  const file: CheckedFile = {
    path,
    diagnostics: c.diagnostics
      .map((d, i) => ({ d, i }))
      .sort((a, b) => place(a.d) - place(b.d) || a.i - b.i)
      .map(({ d }) => d),
    models: found.models,
    data: found.data,
    plans: found.plans,
    params: found.params,
    sources: c.sources,
  };
  if (found.compiled !== null) compiled.set(file, found.compiled);
  return file;
}

/** Checks a file. Never throws for the user's faults: they are in `diagnostics`. */
export const checkFile = (path: string, options: CheckOptions): Promise<CheckedFile> => checkText(null, path, options);
