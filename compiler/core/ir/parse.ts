/**
 * Parser of the IR's text form (`print.ts`).
 *
 * The grammar stands in docs/ir-text.md; the methods of `Reader` follow it rule by rule.
 *
 * What the printer never writes, but test files may: types left out (inferred with `infer`), `splat`, `iota`, `random` and, where a file is an
 * expectation, `any` for a constant whatever its bytes.
 */
import { CecError, fail, isCode } from "../diagnostics/index.js";
import { type Attrs, type AttrValue, Graph, type Json, type Level, type Location, levels, type ModelMeta, type OpSpec, type Value } from "./graph.js";
import { inferGraph } from "./infer.js";
import { createLexer, type Lexer, type Token } from "./lexer.js";
import { type Blob, blobOf } from "./tensor.js";
import {
  byteSize,
  type Dim,
  type ElementType,
  elementCount,
  formatType,
  isElementType,
  isStatic,
  type QuantParams,
  type Type,
  tensorType,
  UNKNOWN,
} from "./types.js";
import { denseTensor, MAX_WRITTEN, readNumber, writtenTensor } from "./values.js";

/** Gives the bytes of a hash; `undefined` where it does not hold them. */
export type BlobStore = (sha256: string) => Blob | undefined;

export interface ParseOptions {
  readonly blobs?: BlobStore;
  /** Named in messages. */
  readonly file?: string;
  /** Infers types after parsing: for texts that leave them out. */
  readonly infer?: boolean;
  /** Accepts constants `= any`, which hold no bytes: for expectations only. */
  readonly wildcards?: boolean;
}

export interface PassLine {
  readonly name: string;
  readonly options: Readonly<Record<string, Json>>;
}

/** A file of IR text: the graph, and what its header says. */
export interface IrFile {
  readonly graph: Graph;
  /** Passes to run, from `// RUN:` lines (reproducers, test files). */
  readonly run: readonly PassLine[];
  /** `// key: value` lines of the header, RUN and pipeline among them. */
  readonly header: readonly { readonly key: string; readonly value: string }[];
}

/** Regions and JSON nest at most this deep, as in ONNX import. */
const MAX_DEPTH = 64;

const isHashPart = (c: number): boolean => (c >= 48 && c <= 58) || (c >= 97 && c <= 122);
const isBase64 = (c: number): boolean => (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || (c >= 47 && c <= 57) || c === 43 || c === 61;

const shown = (t: Token): string =>
  t.kind === "bad" || t.kind === "end" ? t.text : t.kind === "value" ? `%${t.text}` : `\`${t.text.slice(0, 40)}\``;

class Reader {
  readonly lexer: Lexer;
  readonly options: ParseOptions;
  constructor(text: string, options: ParseOptions) {
    this.lexer = createLexer(text, options.file ?? "<ir>");
    this.options = options;
  }

  get token(): Token {
    return this.lexer.token;
  }
  error(message: string, why?: string, at?: Token): never {
    return this.lexer.error(message, why, at);
  }
  expected(what: string): never {
    return this.error(`expected ${what}, found ${shown(this.token)}`);
  }
  atEnd(): boolean {
    return this.token.kind === "end";
  }
  is(text: string, kind: "punct" | "word" = "punct"): boolean {
    return this.token.kind === kind && this.token.text === text;
  }
  accept(text: string, kind: "punct" | "word" = "punct"): boolean {
    if (!this.is(text, kind)) return false;
    this.lexer.next();
    return true;
  }
  punct(text: string): void {
    if (!this.accept(text)) this.expected(`\`${text}\``);
  }
  keyword(text: string): void {
    if (!this.accept(text, "word")) this.expected(`\`${text}\``);
  }
  take(kind: Token["kind"], what: string): string {
    if (this.token.kind !== kind) this.expected(what);
    return this.lexer.next().text;
  }
  key(): string {
    return this.token.kind === "string" ? this.lexer.next().text : this.take("word", "a name");
  }
  /** `item { "," item }` up to `close`, which is taken. */
  list<T>(close: string, item: () => T): T[] {
    const out: T[] = [];
    if (this.accept(close)) return out;
    do out.push(item());
    while (this.accept(","));
    this.punct(close);
    return out;
  }
  number(what = "a number"): number {
    if (this.accept("nan", "word")) return Number.NaN;
    if (this.accept("inf", "word")) return Number.POSITIVE_INFINITY;
    return readNumber(this.take("number", what));
  }
  integer(what: string): number {
    const at = this.token;
    const v = this.number(what);
    if (!Number.isSafeInteger(v) || v < 0) this.error(`expected ${what}, found ${shown(at)}`, "it must be a whole number from 0 to 2^53", at);
    return v;
  }

  // Types

  dim(): Dim {
    if (this.accept("?")) return "?";
    if (this.token.kind === "word" || this.token.kind === "string") return this.lexer.next().text;
    return this.integer("a dimension (a size, a symbol or `?`)");
  }

  /** A type, and the known contents that may follow it. */
  typed(): { readonly type: Type; readonly content?: readonly Dim[] } {
    const type = this.type();
    if (!this.accept("is", "word")) return { type };
    this.punct("[");
    // Contents are elements, so they may be negative.
    const content = this.list("]", (): Dim => {
      if (this.token.kind !== "number") return this.dim();
      const at = this.token;
      const v = this.number();
      // Beyond 2^53 as well: slices end at the greatest i64.
      if (!Number.isInteger(v)) this.error("a known element must be a whole number", undefined, at);
      return v;
    });
    return { type, content };
  }

  type(): Type {
    const at = this.token;
    const name = this.take("word", "a type");
    if (name === "unknown") return UNKNOWN;
    if (name === "opaque") {
      if (!this.is("<")) this.expected("`<`");
      let first = true;
      const proto = this.lexer.raw((c) => {
        const ok = first ? c === 60 : isBase64(c);
        first = false;
        return ok;
      });
      this.punct(">");
      return { kind: "opaque", proto: proto.slice(1) };
    }
    if (!isElementType(name)) this.error(`there is no element type \`${name.slice(0, 40)}\``, undefined, at);
    this.punct("[");
    if (this.accept("*")) {
      this.punct("]");
      return this.quantized(name, null);
    }
    return this.quantized(
      name,
      this.list("]", () => this.dim()),
    );
  }

  quantized(elem: ElementType, shape: readonly Dim[] | null): Type {
    if (!this.accept("q", "word")) return tensorType(elem, shape);
    this.punct("(");
    const numbers = (word: string): number[] => {
      this.keyword(word);
      this.punct("=");
      return this.accept("[") ? this.list("]", () => this.number()) : [this.number()];
    };
    const scale = numbers("scale");
    this.punct(",");
    const zeroPoint = numbers("zp");
    let axis: number | null = null;
    if (this.accept(",")) {
      this.keyword("axis");
      this.punct("=");
      axis = this.integer("an axis");
    }
    this.punct(")");
    const quant: QuantParams = { scale, zeroPoint, axis };
    return tensorType(elem, shape, quant);
  }

  // Values of attributes, annotations, metadata

  blob(bytes: number | null): Blob {
    const at = this.token;
    if (!this.is("sha256", "word")) this.expected("`sha256:` and a hash");
    const text = this.lexer.raw(isHashPart);
    const hash = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
    if (hash === undefined) this.error("expected `sha256:` and 64 hex digits", undefined, at);
    const blob = this.options.blobs?.(hash);
    if (blob === undefined) {
      fail("CEC4010", {
        message: `the bytes of constant sha256:${hash.slice(0, 12)}… are not at hand`,
        why: "IR text names constants by the hash of their bytes, and no store given here holds this one",
        help: "keep the .blobs folder beside the .cir file, or name the model that the constants come from",
        at: { file: this.options.file ?? "<ir>" },
      });
    }
    if (bytes !== null && blob.byteLength !== bytes) {
      this.error(`the blob holds ${blob.byteLength} bytes, the type takes ${bytes}`, undefined, at);
    }
    return blob;
  }

  json(depth = 0): Json {
    if (depth > MAX_DEPTH) this.error(`values nest more than ${MAX_DEPTH} deep`);
    const { kind, text } = this.token;
    if (kind === "string") {
      this.lexer.next();
      return text;
    }
    if (kind === "word" && (text === "true" || text === "false" || text === "null")) {
      this.lexer.next();
      return text === "null" ? null : text === "true";
    }
    if (this.accept("[")) return this.list("]", () => this.json(depth + 1));
    if (this.accept("{")) return this.fields((): Json => this.json(depth + 1));
    return this.number("a value");
  }

  /** `key: value` or `key = value` pairs up to `}`. */
  fields<T>(value: (key: string) => T): Record<string, T> {
    const seen = new Set<string>();
    const entries = this.list("}", (): [string, T] => {
      const at = this.token;
      const key = this.key();
      if (seen.has(key)) this.error(`\`${key}\` is given twice`, undefined, at);
      seen.add(key);
      if (!this.accept(":") && !this.accept("=")) this.expected("`:` or `=`");
      return [key, value(key)];
    });
    // fromEntries defines own properties, so that a key "__proto__" is a key like any other.
    return Object.fromEntries(entries);
  }

  attr(): AttrValue {
    if (this.accept("blob", "word")) return this.blob(null);
    const at = this.token;
    const v = this.json();
    const plain = typeof v === "number" || typeof v === "string" || typeof v === "boolean";
    const list = Array.isArray(v) && (v.every((x) => typeof x === "number") || v.every((x) => typeof x === "string"));
    if (!plain && !list) this.error("an attribute is a number, string, flag, blob, or a list of numbers or of strings", undefined, at);
    return v as AttrValue;
  }

  meta(): ModelMeta {
    this.punct("{");
    const at = this.token;
    const fields = this.fields((key): unknown => {
      if (key !== "functions") return this.json();
      this.punct("[");
      return this.list("]", () => {
        this.keyword("blob");
        return this.blob(null);
      });
    });
    for (const [key, v] of Object.entries(fields)) {
      const check = metaFields[key as keyof ModelMeta];
      if (!Object.hasOwn(metaFields, key) || !check(v))
        this.error(`\`${key.slice(0, 40)}\` is no fact of a model, or has a value of the wrong kind`, undefined, at);
    }
    return fields as ModelMeta;
  }

  // Graphs

  graph(depth: number): Graph {
    if (depth > MAX_DEPTH) this.error(`regions nest more than ${MAX_DEPTH} deep`);
    this.keyword("graph");
    const graph = new Graph(this.take("at", "`@` and the graph's name"));
    this.keyword("level");
    this.punct("=");
    const at = this.token;
    const level = this.take("word", "a level");
    if (!(levels as readonly string[]).includes(level))
      this.error(`there is no level \`${level.slice(0, 40)}\``, `levels are ${levels.join(", ")}`, at);
    graph.level = level as Level;
    this.punct("{");
    while (!this.accept("}")) this.line(graph, depth);
    return graph;
  }

  line(graph: Graph, depth: number): void {
    if (this.accept("in", "word")) {
      const name = this.fresh(graph, new Set());
      this.punct(":");
      const { type, content } = this.typed();
      const doc = this.accept("doc", "word") ? this.take("string", "a string") : undefined;
      const value = graph.addInput(name, type, doc);
      if (content !== undefined) value.content = content;
    } else if (this.accept("const", "word")) this.constant(graph, depth);
    else if (this.accept("out", "word")) {
      const named = this.token.kind === "string" ? this.lexer.next().text : undefined;
      if (named !== undefined) this.punct("=");
      const value = this.used(graph);
      graph.addOutput(named ?? value.name, value);
    } else if (this.accept("meta", "word")) graph.meta = this.meta();
    else this.op(graph, depth);
  }

  /** A name that this line defines. */
  fresh(graph: Graph, beside: Set<string>): string {
    const at = this.token;
    const name = this.take("value", "a value such as %x");
    if (name === "") this.error("a value needs a name", undefined, at);
    if (graph.value(name) !== undefined || beside.has(name)) this.error(`%${name} is defined twice`, "each value is written once", at);
    beside.add(name);
    return name;
  }

  used(graph: Graph): Value {
    const at = this.token;
    const name = this.take("value", "a value such as %x");
    return graph.value(name) ?? this.error(`%${name} is not defined above`, "an op may read only inputs and results of ops before it", at);
  }

  suffixes(depth: number): Partial<OpSpec> {
    const out: { -readonly [K in keyof OpSpec]?: OpSpec[K] } = {};
    for (;;) {
      if (this.token.kind === "at") out.name = this.lexer.next().text;
      else if (this.accept("loc", "word")) out.loc = this.location();
      else if (this.accept("doc", "word")) out.doc = this.take("string", "a string");
      else if (this.accept("ann", "word")) {
        this.punct("{");
        out.annotations = this.fields(() => this.json());
      } else if (this.is("regions", "word")) {
        this.lexer.next();
        this.punct("{");
        const regions: Graph[] = [];
        while (!this.accept("}")) regions.push(this.graph(depth + 1));
        out.regions = regions;
      } else return out;
    }
  }

  location(): Location {
    this.punct("(");
    const file = this.take("string", "a file name");
    const line = this.accept(":") ? this.integer("a line") : undefined;
    const column = line !== undefined && this.accept(":") ? this.integer("a column") : undefined;
    this.punct(")");
    return { file, ...(line === undefined ? {} : { line }), ...(column === undefined ? {} : { column }) };
  }

  constant(graph: Graph, depth: number): void {
    const name = this.fresh(graph, new Set());
    this.punct(":");
    const at = this.token;
    const { type, content } = this.typed();
    this.punct("=");
    const data = this.initializer(type, at);
    const op = graph.addOp({
      kind: "constant",
      inputs: [],
      types: [type],
      outputNames: [name],
      ...(data === null ? {} : { data }),
      ...this.suffixes(depth),
    });
    const value = op.outputs[0] as Value;
    if (content !== undefined) value.content = content;
  }

  initializer(type: Type, at: Token): Blob | null {
    const word = this.token;
    if (this.accept("any", "word")) {
      if (this.options.wildcards !== true) this.error("`any` stands only in expectations", undefined, word);
      return null;
    }
    if (type.kind !== "tensor" || !isStatic(type.shape))
      this.error(`a constant cannot be ${formatType(type)}: all sizes must be known`, undefined, at);
    const { elem, shape: dims } = type;
    const count = elementCount(dims) as number;
    const bytes = byteSize(elem, count);
    if (!Number.isSafeInteger(count) || !Number.isSafeInteger(bytes)) this.error(`a constant of ${count} elements is too large`, undefined, at);
    if (this.accept("blob", "word")) return this.blob(elem === "string" ? null : bytes);
    const dense = this.accept("dense", "word");
    if (dense) {
      this.punct("[");
      const texts = this.list("]", () => (elem === "string" ? this.take("string", "a string") : this.element()));
      const tensor = denseTensor(elem, dims, texts);
      if (tensor === null)
        this.error(`these ${texts.length} values do not fit ${formatType(type)}`, "count and range must be those of the type", word);
      return blobOf(tensor);
    }
    const how = (["splat", "iota", "random"] as const).find((w) => this.accept(w, "word"));
    if (how === undefined) return this.expected("`blob`, `dense`, `splat`, `iota` or `random`");
    if (count > MAX_WRITTEN) this.error(`${count} written elements are more than ${MAX_WRITTEN}`, undefined, at);
    this.punct("(");
    const args = this.list(")", () => this.number());
    const tensor = writtenTensor(how, elem, dims, args);
    if (tensor === null) this.error(`\`${how}(${args.join(", ")})\` does not fit ${formatType(type)}`, undefined, word);
    return blobOf(tensor);
  }

  element(): string {
    if (this.accept("true", "word")) return "1";
    if (this.accept("false", "word")) return "0";
    if (this.is("nan", "word") || this.is("inf", "word")) return this.lexer.next().text;
    return this.take("number", "a number");
  }

  op(graph: Graph, depth: number): void {
    const names: string[] = [];
    const beside = new Set<string>();
    if (this.token.kind === "value") {
      do names.push(this.fresh(graph, beside));
      while (this.accept(","));
      this.punct("=");
    }
    const kind = this.token.kind === "string" ? this.lexer.next().text : this.take("word", "an op, `in`, `const`, `out` or `}`");
    const inputs: (Value | null)[] = [];
    // Operands start on the op's line, so that an op without any does not take the next line's results for them.
    if (!this.token.newLine && (this.token.kind === "value" || this.is("_", "word"))) {
      do inputs.push(this.accept("_", "word") ? null : this.used(graph));
      while (this.accept(","));
    }
    const attrs: Attrs = this.accept("{") ? this.fields(() => this.attr()) : {};
    const at = this.token;
    const typed: ReturnType<Reader["typed"]>[] = [];
    if (this.accept(":")) {
      do typed.push(this.typed());
      while (this.accept(","));
      if (typed.length !== names.length) this.error(`${typed.length} types for ${names.length} results`, undefined, at);
    }
    const op = graph.addOp({
      kind,
      inputs,
      attrs,
      types: names.map((_, i) => typed[i]?.type ?? UNKNOWN),
      outputNames: names,
      ...this.suffixes(depth),
    });
    typed.forEach(({ content }, i) => {
      if (content !== undefined) (op.outputs[i] as Value).content = content;
    });
  }

  passes(): PassLine[] {
    const out: PassLine[] = [];
    while (!this.atEnd()) {
      const name = this.take("word", "a pass");
      const options = this.accept("{") ? this.fields(() => this.json()) : {};
      out.push({ name, options });
      if (!this.accept(";") && !this.accept(",") && !this.atEnd()) this.expected("`;` or the end");
    }
    return out;
  }
}

const isText = (v: unknown): boolean => typeof v === "string";
const isNumber = (v: unknown): boolean => typeof v === "number";
const recordOf =
  (item: (v: unknown) => boolean) =>
  (v: unknown): boolean =>
    typeof v === "object" && v !== null && !Array.isArray(v) && Object.values(v).every(item);

const metaFields: { readonly [K in keyof Required<ModelMeta>]: (v: unknown) => boolean } = {
  producer: isText,
  producerVersion: isText,
  domain: isText,
  modelVersion: isNumber,
  doc: isText,
  irVersion: isNumber,
  opsets: recordOf(isNumber),
  properties: recordOf(isText),
  functions: Array.isArray,
  graphDoc: isText,
  graphProperties: recordOf(isText),
  outputDocs: recordOf(isText),
};

/** Anything that is no coded error is a fault of the parser itself, and said so. */
function guarded<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (e) {
    if (e instanceof CecError && e.diagnostics.every((d) => isCode(d.code))) throw e;
    return fail("CEC9001", { message: `the IR parser failed on ${file}: ${e instanceof Error ? e.message : String(e)}` });
  }
}

/**
 * Reads a file of IR text with its header.
 * @throws CecError CEC4002 with line and column; CEC4010 for a blob that the store lacks; with `infer`, what inference rejects
 */
export function parseIrFile(text: string, options: ParseOptions = {}): IrFile {
  return guarded(options.file ?? "<ir>", () => {
    const reader = new Reader(text, options);
    reader.keyword("cir");
    const at = reader.token;
    const version = reader.take("number", "the version of the text form, 1");
    if (version !== "1") reader.error(`text of version ${version} cannot be read`, "this version of cec reads `cir 1`", at);
    const comments = [...reader.lexer.comments];
    const header = comments.flatMap((line) => {
      const found = /^([A-Za-z-]{1,40}):\s*(.*)$/.exec(line);
      return found === null ? [] : [{ key: found[1] as string, value: found[2] as string }];
    });
    const graph = reader.graph(0);
    if (reader.token.kind !== "end") reader.expected("the end of the text");
    graph.pipeline = header.flatMap((h) => (h.key === "pipeline" ? h.value.split(",").filter((n) => n !== "") : []));
    if (options.infer === true) inferGraph(graph);
    const run = header.flatMap((h) => (h.key === "RUN" ? parsePasses(h.value, options.file) : []));
    return { graph, run, header };
  });
}

/** Reads one graph. See `parseIrFile`. */
export const parseGraph = (text: string, options: ParseOptions = {}): Graph => parseIrFile(text, options).graph;

/**
 * Reads pass calls as `cec opt --pass` and RUN lines give them: `fold-batch-norm; quantize {scheme: "int8", keep: ["fc"]}`.
 * @throws CecError CEC4002
 */
export const parsePasses = (text: string, file = "<passes>"): PassLine[] => guarded(file, () => new Reader(text, { file }).passes());

/** Reads a type as `formatType` writes it. */
export const parseType = (text: string): Type =>
  guarded("<type>", () => {
    const reader = new Reader(text, { file: "<type>" });
    const type = reader.type();
    if (reader.token.kind !== "end") reader.expected("the end of the type");
    return type;
  });

/** A store of the blobs that a map holds. */
export const blobStore =
  (blobs: ReadonlyMap<string, Blob>): BlobStore =>
  (sha256) =>
    blobs.get(sha256);

/** Looks in each store in turn. */
export const joinStores =
  (...stores: readonly BlobStore[]): BlobStore =>
  (sha256) => {
    for (const store of stores) {
      const blob = store(sha256);
      if (blob !== undefined) return blob;
    }
    return undefined;
  };
