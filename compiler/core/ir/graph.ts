/**
 * The graph IR: ops in stable topological order over SSA values.
 *
 * An op is data (`kind`, operands, attributes, regions); what a kind means stands in its file under `ops/`. Semantics and attribute names of a kind are
 * those of the newest ONNX operator of that name (`batch_normalization` is `BatchNormalization`), so import and export are renamings wherever
 * possible. Constants are ops of kind `constant` that hold a `Blob`.
 *
 * A `Graph` keeps users up to date through its mutators; passes do not call these but record patches (`pass/rewrite.ts`).
 */
import { type Blob, fromBytes, type Tensor } from "./tensor.js";
import { type Dim, type Type, UNKNOWN } from "./types.js";

/** Graph levels in pipeline order: a pass says which it takes and which it gives. */
export const levels = ["float", "annotated", "quantized", "lowered"] as const;
export type Level = (typeof levels)[number];

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Attribute values. Integers are safe JS integers; a `Blob` holds what is only carried (serialized protos, tensors in attributes). */
export type AttrValue = number | string | boolean | readonly number[] | readonly string[] | Blob;
export type Attrs = Readonly<Record<string, AttrValue>>;

export interface Value {
  /** Unique within the graph, without `%`. Names of graph inputs and of tensors that came from a file are kept. */
  name: string;
  type: Type;
  /** The op that gives this value; `null` for a graph input. */
  readonly producer: Op | null;
  /** Which output of the producer, or which graph input. */
  readonly index: number;
  /** Elements of a small integer value as far as they are known, symbols included (`["N", 64]`): filled by shape inference. */
  content?: readonly Dim[];
  readonly doc?: string;
}

/** Where an op came from: its name in the model file or its place in a plan. */
export interface Location {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

export interface Op {
  readonly kind: string;
  /** `null` stands for an optional operand that is absent. */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attrs: Attrs;
  /** Bodies of control flow; empty for all other ops. A region's inputs are its formal inputs followed by the values it captures, which are also the last operands of the op. */
  readonly regions: readonly Graph[];
  /** The node's name: stable through passes, what `keep`, overrides and reports speak of. May be empty. */
  name: string;
  readonly loc?: Location;
  /** Facts that passes leave for later passes (quantization specs): plain JSON, printed and parsed with the op. */
  annotations: Readonly<Record<string, Json>>;
  /** Only for kind `constant`. */
  readonly data?: Blob;
  readonly doc?: string;
}

/** An op while its graph owns it: the same object, writable. */
type MutableOp = { -readonly [K in keyof Op]: Op[K] };

export interface GraphOutput {
  /** The name that users see; survives whatever happens to the value. */
  readonly name: string;
  readonly value: Value;
}

/** Facts about the model file that survive a round trip. */
export interface ModelMeta {
  readonly producer?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: number;
  readonly doc?: string;
  readonly irVersion?: number;
  /** Opset imports of the source by domain ("" is ai.onnx). */
  readonly opsets?: Readonly<Record<string, number>>;
  readonly properties?: Readonly<Record<string, string>>;
  /** Local functions, serialized FunctionProtos, carried unchanged. */
  readonly functions?: readonly Blob[];
  readonly graphDoc?: string;
  /** Properties of the graph itself, beside those of the model. */
  readonly graphProperties?: Readonly<Record<string, string>>;
  /** Doc strings of outputs by name; those of inputs and ops stand with them. */
  readonly outputDocs?: Readonly<Record<string, string>>;
}

export interface OpSpec {
  readonly kind: string;
  readonly inputs: readonly (Value | null)[];
  readonly attrs?: Attrs;
  /** Types of the outputs; shape inference refines them. Give `UNKNOWN` where none is known. */
  readonly types: readonly Type[];
  /** Wanted value names, made unique. */
  readonly outputNames?: readonly string[];
  readonly name?: string;
  readonly loc?: Location;
  readonly regions?: readonly Graph[];
  readonly annotations?: Readonly<Record<string, Json>>;
  readonly data?: Blob;
  readonly doc?: string;
}

export class Graph {
  name: string;
  level: Level = "float";
  meta: ModelMeta = {};
  /** Names of the passes that were applied, printed in the header. */
  pipeline: string[] = [];
  readonly #inputs: Value[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #ops: Op[] = [];
  readonly #users = new Map<Value, Set<Op>>();
  readonly #names = new Map<string, Value>();
  readonly #numbers = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }
  get outputs(): readonly GraphOutput[] {
    return this.#outputs;
  }
  /** All ops, constants among them, in topological order. */
  get ops(): readonly Op[] {
    return this.#ops;
  }

  /** Ops of one kind, in order. A snapshot: the graph may change while it is walked. */
  opsOf(...kinds: readonly string[]): Op[] {
    return this.#ops.filter((op) => kinds.includes(op.kind));
  }

  constants(filter: { readonly minBytes?: number } = {}): Op[] {
    return this.#ops.filter((op) => op.kind === "constant" && (op.data?.byteLength ?? 0) >= (filter.minBytes ?? 0));
  }

  value(name: string): Value | undefined {
    return this.#names.get(name);
  }

  /** Distinct ops that read the value, in graph order of insertion. */
  users(value: Value): Op[] {
    return [...(this.#users.get(value) ?? [])];
  }

  /** The one op that reads the value, if there is exactly one and it is no graph output. */
  onlyUser(value: Value): Op | null {
    const users = this.#users.get(value);
    if (users === undefined || users.size !== 1 || this.isOutput(value)) return null;
    const [user] = users;
    return (user as Op).inputs.filter((v) => v === value).length === 1 ? (user as Op) : null;
  }

  isOutput(value: Value): boolean {
    return this.#outputs.some((o) => o.value === value);
  }

  /** True while the op stands in this graph. */
  owns(op: Op): boolean {
    const [first] = op.outputs;
    return first === undefined ? this.#ops.includes(op) : this.#names.get(first.name) === first;
  }

  isUsed(value: Value): boolean {
    return (this.#users.get(value)?.size ?? 0) > 0 || this.isOutput(value);
  }

  uniqueName(wanted: string): string {
    if (wanted !== "" && !this.#names.has(wanted)) return wanted;
    const base = wanted === "" ? "v" : wanted;
    // Counts on from the last number given: starting at 1 each time is quadratic in graphs of thousands of nameless ops.
    for (let i = this.#numbers.get(base) ?? 1; ; i++) {
      const name = `${base}.${i}`;
      if (this.#names.has(name)) continue;
      this.#numbers.set(base, i);
      return name;
    }
  }

  #makeValue(name: string, type: Type, producer: Op | null, index: number): Value {
    const value: Value = { name: this.uniqueName(name), type, producer, index };
    this.#names.set(value.name, value);
    return value;
  }

  addInput(name: string, type: Type, doc?: string): Value {
    const value = this.#makeValue(name, type, null, this.#inputs.length);
    if (doc !== undefined) (value as { doc?: string }).doc = doc;
    this.#inputs.push(value);
    return value;
  }

  addOutput(name: string, value: Value): void {
    this.#outputs.push({ name, value });
  }

  setOutput(index: number, value: Value): void {
    const old = this.#outputs[index];
    if (old === undefined) throw new RangeError(`graph ${this.name} has no output ${index}`);
    this.#outputs[index] = { name: old.name, value };
  }

  removeOutput(name: string): void {
    const at = this.#outputs.findIndex((o) => o.name === name);
    if (at < 0) throw new RangeError(`graph ${this.name} has no output "${name}"`);
    this.#outputs.splice(at, 1);
  }

  /** Drops the outputs after the first `count`: for values that were made outputs only to keep them alive through lowering. */
  truncateOutputs(count: number): void {
    this.#outputs.length = Math.min(count, this.#outputs.length);
  }

  /** Adds an op at the end, or before `before`. */
  addOp(spec: OpSpec, before?: Op): Op {
    const outputs: Value[] = [];
    const op: MutableOp = {
      kind: spec.kind,
      inputs: [...spec.inputs],
      outputs,
      attrs: spec.attrs ?? {},
      regions: spec.regions ?? [],
      name: spec.name ?? "",
      annotations: spec.annotations ?? {},
      ...(spec.loc === undefined ? {} : { loc: spec.loc }),
      ...(spec.data === undefined ? {} : { data: spec.data }),
      ...(spec.doc === undefined ? {} : { doc: spec.doc }),
    };
    spec.types.forEach((type, i) => {
      outputs.push(this.#makeValue(spec.outputNames?.[i] ?? spec.name ?? spec.kind, type, op, i));
    });
    if (before === undefined) this.#ops.push(op);
    else {
      const at = this.#ops.indexOf(before);
      if (at < 0) throw new Error(`op ${before.kind} "${before.name}" is not in graph ${this.name}`);
      this.#ops.splice(at, 0, op);
    }
    for (const v of op.inputs) if (v !== null) this.#addUse(v, op);
    return op;
  }

  addConstant(name: string, type: Type, data: Blob, before?: Op): Value {
    return this.addOp({ kind: "constant", inputs: [], types: [type], outputNames: [name], data }, before).outputs[0] as Value;
  }

  #addUse(value: Value, op: Op): void {
    let users = this.#users.get(value);
    if (users === undefined) {
      users = new Set();
      this.#users.set(value, users);
    }
    users.add(op);
  }

  setInput(op: Op, index: number, value: Value | null): void {
    const inputs = op.inputs as (Value | null)[];
    while (inputs.length <= index) inputs.push(null);
    const old = inputs[index] ?? null;
    inputs[index] = value;
    if (old !== null && !inputs.includes(old)) this.#users.get(old)?.delete(op);
    if (value !== null) this.#addUse(value, op);
  }

  setAttrs(op: Op, attrs: Attrs): void {
    (op as MutableOp).attrs = attrs;
  }

  /** Makes every reader of `from`, graph outputs included, read `to`. */
  replaceAllUses(from: Value, to: Value): void {
    for (const user of this.users(from)) {
      user.inputs.forEach((v, i) => {
        if (v === from) this.setInput(user, i, to);
      });
    }
    this.#outputs.forEach((o, i) => {
      if (o.value === from) this.setOutput(i, to);
    });
  }

  /** Gives `value` a name; a value that had it gets another. */
  rename(value: Value, name: string): void {
    if (value.name === name) return;
    const holder = this.#names.get(name);
    this.#names.delete(value.name);
    if (holder !== undefined) {
      this.#names.delete(name);
      holder.name = this.uniqueName(`${name}.0`);
      this.#names.set(holder.name, holder);
    }
    value.name = name;
    this.#names.set(name, value);
  }

  /** Removes an op whose results nobody reads. */
  removeOp(op: Op): void {
    for (const v of op.outputs) {
      if (this.isUsed(v)) throw new Error(`op ${op.kind} "${op.name}" cannot be removed: %${v.name} is still read`);
    }
    const at = this.#ops.indexOf(op);
    if (at < 0) throw new Error(`op ${op.kind} "${op.name}" is not in graph ${this.name}`);
    this.#ops.splice(at, 1);
    for (const v of op.inputs) if (v !== null) this.#users.get(v)?.delete(op);
    for (const v of op.outputs) {
      this.#names.delete(v.name);
      this.#users.delete(v);
    }
  }

  /** Moves an op so that it stands directly before another (for patches that read later values). */
  moveBefore(op: Op, before: Op): void {
    this.#ops.splice(this.#ops.indexOf(op), 1);
    this.#ops.splice(this.#ops.indexOf(before), 0, op);
  }

  /**
   * Sorts ops topologically and stably (Kahn, lowest original position first); returns the ops on a cycle, empty when there is none.
   * Needed after import, where files may list nodes in any order.
   */
  sort(): Op[] {
    const position = new Map(this.#ops.map((op, i) => [op, i]));
    const waiting = new Map<Op, number>();
    const ready: number[] = [];
    const push = (n: number): void => {
      let i = ready.push(n) - 1;
      while (i > 0) {
        const p = (i - 1) >> 1;
        if ((ready[p] as number) <= (ready[i] as number)) break;
        [ready[p], ready[i]] = [ready[i] as number, ready[p] as number];
        i = p;
      }
    };
    const pop = (): number => {
      const top = ready[0] as number;
      const last = ready.pop() as number;
      if (ready.length > 0) {
        ready[0] = last;
        for (let i = 0; ; ) {
          let c = 2 * i + 1;
          if (c >= ready.length) break;
          if (c + 1 < ready.length && (ready[c + 1] as number) < (ready[c] as number)) c++;
          if ((ready[i] as number) <= (ready[c] as number)) break;
          [ready[c], ready[i]] = [ready[i] as number, ready[c] as number];
          i = c;
        }
      }
      return top;
    };
    for (const [op, i] of position) {
      const producers = new Set(op.inputs.flatMap((v) => (v?.producer != null && position.has(v.producer) ? [v.producer] : [])));
      waiting.set(op, producers.size);
      if (producers.size === 0) push(i);
    }
    const sorted: Op[] = [];
    while (ready.length > 0) {
      const op = this.#ops[pop()] as Op;
      sorted.push(op);
      const users = new Set(op.outputs.flatMap((v) => this.users(v)));
      for (const user of users) {
        const left = (waiting.get(user) as number) - 1;
        waiting.set(user, left);
        if (left === 0) push(position.get(user) as number);
      }
    }
    if (sorted.length < this.#ops.length) {
      const done = new Set(sorted);
      return this.#ops.filter((op) => !done.has(op));
    }
    this.#ops.splice(0, this.#ops.length, ...sorted);
    return [];
  }

  /** A deep copy; blobs are shared. `map`, where given, receives old value → new value. */
  clone(map: Map<Value, Value> = new Map()): Graph {
    const out = new Graph(this.name);
    out.level = this.level;
    out.meta = this.meta;
    out.pipeline = [...this.pipeline];
    for (const v of this.#inputs) {
      const w = out.addInput(v.name, v.type, v.doc);
      if (v.content !== undefined) w.content = v.content;
      map.set(v, w);
    }
    for (const op of this.#ops) {
      const copy = out.addOp({
        ...op,
        inputs: op.inputs.map((v) => (v === null ? null : (map.get(v) as Value))),
        types: op.outputs.map((v) => v.type),
        outputNames: op.outputs.map((v) => v.name),
        regions: op.regions.map((r) => r.clone()),
      });
      op.outputs.forEach((v, i) => {
        const w = copy.outputs[i] as Value;
        if (v.content !== undefined) w.content = v.content;
        map.set(v, w);
      });
    }
    for (const o of this.#outputs) out.addOutput(o.name, map.get(o.value) as Value);
    return out;
  }
}

export const isConstant = (value: Value | null | undefined): value is Value & { readonly producer: Op } => value?.producer?.kind === "constant";

/** The tensor of a constant value with a static type, or `null` when the value is no constant. Reads the bytes: hold the result only as long as needed. */
export function constantTensor(value: Value | null | undefined): Tensor | null {
  if (!isConstant(value) || value.type.kind !== "tensor" || value.producer.data === undefined) return null;
  const dims = value.type.shape as readonly number[];
  return fromBytes(value.type.elem, dims, value.producer.data.bytes());
}

/** Attribute readers with defaults: `num(op, "axis", -1)`. */
export const num = (op: { readonly attrs: Attrs }, name: string, otherwise: number): number => {
  const v = op.attrs[name];
  return typeof v === "number" ? v : otherwise;
};
export const nums = (op: { readonly attrs: Attrs }, name: string, otherwise: readonly number[] = []): readonly number[] => {
  const v = op.attrs[name];
  return Array.isArray(v) ? (v as readonly number[]) : otherwise;
};
export const str = (op: { readonly attrs: Attrs }, name: string, otherwise: string): string => {
  const v = op.attrs[name];
  return typeof v === "string" ? v : otherwise;
};
export const flag = (op: { readonly attrs: Attrs }, name: string, otherwise = false): boolean => {
  const v = op.attrs[name];
  return typeof v === "boolean" ? v : typeof v === "number" ? v !== 0 : otherwise;
};

export const unknownTypes = (n: number): Type[] => new Array<Type>(n).fill(UNKNOWN);
