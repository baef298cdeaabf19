/** Runs a model's body at compile time: loops, conditions and blocks come down to calls of layers, which the sink turns into IR. */
import { CecError, type Diagnostic, diagnostic, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Block, Call, Expr, Item, Operator, Parameter, Statement } from "./ast.js";
import type { Literal } from "./checked.js";
import type { Declarations, LayerDeclaration } from "./declarations.js";
import { builtins, evaluate, evaluateOption, fault, isList, isTensor, kindOf, type Scope, Tensor, truth, type Value } from "./evaluate.js";
import { Layered } from "./layered.js";
import { readOptions } from "./options.js";
import type { ModelSink } from "./sink.js";

export interface Limits {
  readonly iterations: number;
  readonly depth: number;
  readonly layers: number;
  readonly steps: number;
  /** Expressions evaluated and elements copied. */
  readonly work: number;
}

/** What a call of a block costs beside its statements. */
const BLOCK_WORK = 100;

/** More than this is taken for a mistake: CEC2015. */
export const limits: Limits = { iterations: 10_000, depth: 100, layers: 100_000, steps: 1_000_000, work: 20_000_000 };

/** Blocks in reach. */
export type Blocks = Layered<Block>;

export interface ModelContext {
  readonly declarations: Declarations;
  readonly params: ReadonlyMap<string, Value>;
  readonly blocks: Blocks;
  readonly env: (name: string) => string | undefined;
}

type ModelItem = Extract<Item, { kind: "model" }>;

class Returned {
  readonly value: Value;
  constructor(value: Value) {
    this.value = value;
  }
}

/** Names of a body: assignments of loops and branches reach the whole body. */
interface Frame {
  readonly values: Map<string, Value>;
  readonly blocks: Blocks;
  /** Front part of layer names. */
  readonly path: string;
  readonly counters: Map<string, number>;
  readonly depth: number;
  /** What blocks inside see beside their parameters. */
  readonly outer: ReadonlyMap<string, Value>;
}

export class Elaborator<V> {
  readonly #context: ModelContext;
  readonly #sink: ModelSink<V>;
  readonly #names = new Set<string>();
  #layers = 0;
  #steps = 0;
  #work = 0;

  constructor(context: ModelContext, sink: ModelSink<V>) {
    this.#context = context;
    this.#sink = sink;
  }

  /** @throws CecError with spans */
  run(model: ModelItem, args: Readonly<Record<string, Literal>>): void {
    const values = new Map<string, Value>(this.#context.params);
    const given: Argument[] = [];
    for (const [name, value] of Object.entries(args)) {
      if (!model.params.some((p) => p.name.name === name))
        fault("CEC2011", model.name.span, {
          message: `model ${model.name.name} has no parameter \`${name}\``,
          help: suggest(
            name,
            model.params.map((p) => p.name.name),
          ),
        });
      values.set(name, value as Value);
    }
    this.#bindDefaults(model.params, values, new Set(Object.keys(args)), `model ${model.name.name}`, model.name.span, given);
    const outputs = { count: 0 };
    const frame: Frame = {
      values,
      blocks: withBlocks(this.#context.blocks, model.body),
      path: "",
      counters: new Map(),
      depth: 0,
      outer: new Map(values),
    };
    const returned = this.#body(model.body, frame, outputs);
    if (returned !== undefined)
      fault("CEC2002", model.name.span, { message: "`return` stands only in blocks", help: "models have `output NAME = …`" });
    if (outputs.count === 0)
      fault("CEC2011", model.name.span, { message: `model ${model.name.name} has no output`, help: "end it with `output NAME = …`" });
  }

  #bindDefaults(
    params: readonly Parameter[],
    values: Map<string, Value>,
    bound: ReadonlySet<string>,
    what: string,
    span: Span,
    _given: readonly Argument[],
  ): void {
    for (const p of params) {
      if (bound.has(p.name.name)) continue;
      if (p.default === null) fault("CEC2011", span, { message: `${what} needs \`${p.name.name}\``, help: `give it a value: \`${p.name.name}: …\`` });
      values.set(p.name.name, evaluate(p.default, this.#constants(values)));
    }
  }

  #constants(values: ReadonlyMap<string, Value>): Scope {
    return { get: (n) => values.get(n), names: () => values.keys(), env: this.#context.env };
  }

  #step(span: Span): void {
    if (++this.#steps > limits.steps)
      fault("CEC2015", span, { message: `the model runs more than ${limits.steps} statements`, help: "look for a loop that goes on too long" });
  }

  #charge = (units: number, span: Span): void => {
    this.#work += units;
    if (this.#work > limits.work)
      fault("CEC2015", span, { message: "the model computes too much before it is built", help: "look for a loop that goes on too long" });
  };

  #scope(frame: Frame): Scope {
    return {
      charge: this.#charge,
      get: (n) => frame.values.get(n),
      names: () => frame.values.keys(),
      env: this.#context.env,
      call: (call, piped) => this.#call(call, piped, frame),
      operate: (op, a, b, span) => this.#operate(op, a, b, span, frame),
      shape: (v, span) =>
        this.#sink.shape(v.value as V)?.map((d): Value => d) ?? fault("CEC2018", span, { message: "the shape of this tensor is not known" }),
    };
  }

  /** Gives the value of `return`, where one was reached. */
  #body(statements: readonly Statement[], frame: Frame, outputs: { count: number }): Returned | undefined {
    for (const s of statements) {
      this.#step(s.span);
      const r = this.#statement(s, frame, outputs);
      if (r !== undefined) return r;
    }
    return undefined;
  }

  #statement(s: Statement, frame: Frame, outputs: { count: number }): Returned | undefined {
    const scope = this.#scope(frame);
    switch (s.kind) {
      case "block":
        return undefined;
      case "input": {
        const dims = s.dims.map((d): number | string => {
          if (d.kind === "name" && frame.values.get(d.name) === undefined) return d.name;
          const v = evaluate(d, scope);
          if ((typeof v === "number" && Number.isInteger(v) && v >= 0) || typeof v === "string") return v;
          return fault("CEC2011", d.span, { message: "a dimension is a whole number from 0 up, or a name such as N" });
        });
        this.#claim(s.name.name, s.name.span);
        frame.values.set(s.name.name, new Tensor(this.#guard(s.span, () => this.#sink.input(s.name.name, s.type.name, dims, s.span))));
        return undefined;
      }
      case "output": {
        const value = s.value === null ? evaluate({ kind: "name", name: s.name.name, span: s.name.span }, scope) : evaluate(s.value, scope);
        if (!isTensor(value))
          return fault("CEC2018", s.value?.span ?? s.name.span, { message: `an output is a tensor, and this is ${kindOf(value)}` });
        this.#guard(s.span, () => this.#sink.output(s.name.name, value.value as V, s.span));
        outputs.count++;
        return undefined;
      }
      case "return":
        return new Returned(evaluate(s.value, scope));
      case "bind":
        frame.values.set(s.name.name, evaluate(s.value, scope));
        return undefined;
      case "for": {
        const list = evaluate(s.list, scope);
        if (!isList(list))
          return fault("CEC2018", s.list.span, {
            message: `\`for\` goes over a list, and this is ${kindOf(list)}`,
            help: "such as range(0, 3) or [16, 32]",
          });
        return this.#loop(list, s.name.name, s.body, frame, outputs, s.span);
      }
      case "repeat": {
        const n = evaluate(s.times, scope);
        if (typeof n !== "number" || !Number.isInteger(n) || n < 0)
          return fault("CEC2018", s.times.span, { message: "`repeat` takes a whole number from 0 up" });
        if (n > limits.iterations)
          return fault("CEC2015", s.times.span, { message: `the loop runs ${n} times`, why: `at most ${limits.iterations} are allowed` });
        return this.#loop(new Array<Value>(n).fill(0), null, s.body, frame, outputs, s.span);
      }
      case "if": {
        for (const b of s.branches) if (truth(evaluate(b.condition, scope), b.condition.span)) return this.#body(b.body, frame, outputs);
        return this.#body(s.otherwise, frame, outputs);
      }
    }
  }

  #loop(
    list: readonly Value[],
    name: string | null,
    body: readonly Statement[],
    frame: Frame,
    outputs: { count: number },
    span: Span,
  ): Returned | undefined {
    if (list.length > limits.iterations)
      fault("CEC2015", span, { message: `the loop runs ${list.length} times`, why: `at most ${limits.iterations} are allowed` });
    for (const v of list) {
      this.#step(span);
      if (name !== null) frame.values.set(name, v);
      const r = this.#body(body, frame, outputs);
      if (r !== undefined) return r;
    }
    return undefined;
  }

  #claim(name: string, span: Span): void {
    if (this.#names.has(name))
      fault("CEC2007", span, { message: `the name \`${name}\` is taken in this model`, help: "layers and inputs of a model have different names" });
    this.#names.add(name);
  }

  /** `layer1.conv2d_2`: the n-th call of that name in its block. */
  #nameOf(callee: string, given: Value | undefined, span: Span, frame: Frame): string {
    if (given !== undefined) {
      if (typeof given !== "string" || given === "") fault("CEC2006", span, { message: "a name is a string" });
      const name = frame.path + given;
      this.#claim(name, span);
      return name;
    }
    for (;;) {
      const n = (frame.counters.get(callee) ?? 0) + 1;
      frame.counters.set(callee, n);
      const name = `${frame.path}${callee}_${n}`;
      if (this.#names.has(name)) continue;
      this.#names.add(name);
      return name;
    }
  }

  /** Faults of the sink (shapes that do not fit) are shown at the call. */
  #guard<T>(span: Span, run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof CecError)) throw error;
      throw new CecError(
        error.diagnostics.map((d): Diagnostic => ({ ...d, span: d.span ?? span })),
        error.exitCode,
      );
    }
  }

  #call(call: Call, piped: Value | undefined, frame: Frame): Value {
    const { name } = call.callee;
    const block = frame.blocks.get(name);
    if (block !== undefined) return this.#block(block, call, piped, frame);
    const layer = this.#context.declarations.layers.get(name);
    if (layer !== undefined) return this.#layer(layer, call, piped, frame);
    return unknownCallee(call, this.#context, frame.blocks);
  }

  #block(block: Block, call: Call, piped: Value | undefined, frame: Frame): Value {
    if (frame.depth >= limits.depth)
      fault("CEC2015", call.span, {
        message: `blocks call each other more than ${limits.depth} deep`,
        help: "a block must not call itself without end",
      });
    const scope = this.#scope(frame);
    this.#charge(BLOCK_WORK + frame.outer.size, call.span);
    const values = new Map<string, Value>(frame.outer);
    const bound = new Set<string>();
    const set = (key: string, v: Value, span: Span): void => {
      if (bound.has(key)) fault("CEC2011", span, { message: `\`${key}\` is given twice` });
      bound.add(key);
      values.set(key, v);
    };
    let position = 0;
    let own: Value | undefined;
    if (piped !== undefined) {
      const p =
        block.params[position++] ??
        fault("CEC2011", call.span, { message: `block ${block.name.name} takes no arguments, so nothing can be piped into it` });
      set(p.name.name, piped, call.span);
    }
    for (const a of call.args) {
      if (a.key?.name === "name" && !block.params.some((p) => p.name.name === "name")) {
        own = evaluateOption(a.value, scope);
        continue;
      }
      const key = a.key?.name ?? block.params[position++]?.name.name;
      if (key === undefined) fault("CEC2011", a.span, { message: `block ${block.name.name} takes ${block.params.length} arguments` });
      if (!block.params.some((p) => p.name.name === key))
        fault("CEC2011", a.span, {
          message: `block ${block.name.name} has no parameter \`${key}\``,
          help: suggest(
            key,
            block.params.map((p) => p.name.name),
          ),
        });
      set(key, evaluate(a.value, scope), a.span);
    }
    this.#bindDefaults(block.params, values, bound, `block ${block.name.name}`, call.span, []);
    const path = `${this.#nameOf(block.name.name, own, call.span, frame)}.`;
    const inner: Frame = {
      values,
      blocks: withBlocks(frame.blocks, block.body),
      path,
      counters: new Map(),
      depth: frame.depth + 1,
      outer: frame.outer,
    };
    const returned = this.#body(block.body, inner, { count: 0 });
    return returned === undefined
      ? fault("CEC2011", block.name.span, { message: `block ${block.name.name} returns nothing`, help: "end it with `return …`" })
      : returned.value;
  }

  #layer(layer: LayerDeclaration, call: Call, piped: Value | undefined, frame: Frame): Value {
    const scope = this.#scope(frame);
    const operands: Tensor<V>[] = [];
    const take = (v: Value, span: Span): boolean => {
      if (isTensor(v)) operands.push(v as Tensor<V>);
      else if (layer.inputs === "variadic" && isList(v) && v.length > 0 && v.every(isTensor)) operands.push(...(v as Tensor<V>[]));
      else if (layer.inputs !== "variadic" && operands.length < layer.inputs)
        fault("CEC2011", span, {
          message: `layer ${layer.name} takes ${layer.inputs === 1 ? "a tensor" : `${layer.inputs} tensors`} first, and this is ${kindOf(v)}`,
        });
      else return false;
      return true;
    };
    if (piped !== undefined && !take(piped, call.span))
      fault("CEC2011", call.span, { message: `${kindOf(piped)} cannot be piped into layer ${layer.name}` });
    const rest: Argument[] = [];
    for (const a of call.args) {
      const wants = a.key === null && (layer.inputs === "variadic" || operands.length < layer.inputs);
      if (!wants || !take(tensorsOf(a.value, scope), a.span)) rest.push(a);
    }
    if (operands.length === 0 || (layer.inputs !== "variadic" && operands.length !== layer.inputs))
      fault("CEC2011", call.span, {
        message: `layer ${layer.name} takes ${layer.inputs === "variadic" ? "tensors" : `${layer.inputs} tensor${layer.inputs === 1 ? "" : "s"}`}, not ${operands.length}`,
      });
    if (++this.#layers > limits.layers) fault("CEC2015", call.span, { message: `the model has more than ${limits.layers} layers` });
    const faults: Diagnostic[] = [];
    const read = readOptions({
      what: `layer ${layer.name}`,
      schema: layer.options,
      positional: layer.positional,
      args: rest,
      span: call.span,
      scope,
      report: (d) => faults.push(d),
      extra: ["name"],
    });
    if (read.parsed === null) throw new CecError(faults);
    const name = this.#nameOf(layer.name, read.given["name"], call.span, frame);
    const results = this.#guard(call.span, () =>
      this.#sink.layer(
        layer,
        operands.map((t) => t.value),
        read.parsed ?? {},
        name,
        call.span,
      ),
    );
    return results.length === 1 ? new Tensor(results[0] as V) : results.map((r) => new Tensor(r));
  }

  /** `x + y` is the layer add; a number beside a tensor goes through the layer scale. */
  #operate(op: Operator, a: Value, b: Value, span: Span, frame: Frame): Value {
    const layers = this.#context.declarations.layers;
    const make = (name: string, operands: readonly Tensor[], options: Readonly<Record<string, unknown>>): Value => {
      const layer = layers.get(name) ?? fault("CEC2010", span, { message: `there is no layer \`${name}\` for \`${op}\`` });
      const results = this.#guard(span, () =>
        this.#sink.layer(
          layer,
          operands.map((t) => t.value as V),
          layer.options.parse(options) as Readonly<Record<string, unknown>>,
          this.#nameOf(name, undefined, span, frame),
          span,
        ),
      );
      return new Tensor(results[0] as V);
    };
    const names = { "+": "add", "-": "sub", "*": "mul", "/": "div" } as const;
    if (isTensor(a) && isTensor(b)) return make(names[op as keyof typeof names], [a, b], {});
    const number = isTensor(a) ? b : a;
    const t = (isTensor(a) ? a : b) as Tensor;
    if (typeof number !== "number") return fault("CEC2018", span, { message: `\`${op}\` takes tensors and numbers, and this is ${kindOf(number)}` });
    switch (op) {
      case "+":
        return make("scale", [t], { factor: 1, offset: number });
      case "*":
        return make("scale", [t], { factor: number });
      case "-":
        return isTensor(a) ? make("scale", [t], { factor: 1, offset: -number }) : make("scale", [t], { factor: -1, offset: number });
      default:
        if (!isTensor(a)) return fault("CEC2018", span, { message: "a number cannot be divided by a tensor" });
        return number === 0 ? fault("CEC2018", span, { message: "division by zero" }) : make("scale", [t], { factor: 1 / number });
    }
  }
}

/** A positional argument that may be a tensor: bare names that are not defined are faults here. */
const tensorsOf = (e: Expr, scope: Scope): Value =>
  e.kind === "name" && scope.get(e.name) === undefined ? evaluateOption(e, scope) : evaluate(e, scope);

export function unknownCallee(call: Call, context: ModelContext, blocks: Blocks): never {
  const { name, span } = call.callee;
  throw new CecError([
    diagnostic("CEC2010", {
      message: `there is no layer, block or function \`${name}\``,
      help: suggest(name, [...context.declarations.layers.keys(), ...blocks.keys(), ...Object.keys(builtins)]),
      span,
    }),
  ]);
}

export function withBlocks(outer: Blocks, body: readonly Statement[]): Blocks {
  const own = body.filter((s): s is Block => s.kind === "block");
  return own.length === 0
    ? outer
    : new Layered(
        outer,
        own.map((b) => [b.name.name, b] as const),
      );
}
