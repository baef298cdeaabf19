/**
 * Running compiled models: `import { Session } from "cec/runtime"`.
 *
 * Needs the native addon and nothing of the compiler but its error type.
 */
import { fail } from "../../compiler/core/diagnostics/index.js";
import { type AddonProgram, type AddonResult, type AddonSession, type AddonTensor, guarded, loadAddon, translate } from "./addon.js";

/** Element types of inputs and outputs, and the arrays that hold them. f16 and bf16 are their bits; bool is 0 or 1. */
const arrays = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  i16: Int16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  u64: BigUint64Array,
  bool: Uint8Array,
} as const;

export type DataType = keyof typeof arrays;
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** An input: its values, row-major; `dims` may be left out where the model leaves at most one dimension free. */
export type Feed<A extends TypedArray = TypedArray> = A | { readonly data: A; readonly dims: readonly number[] };

export interface Output<A extends TypedArray = TypedArray> {
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly data: A;
}

/** An input or output as the model declares it; `null` is a free dimension. */
export interface Port {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly (number | null)[];
}

export interface LoadOptions {
  /** Threads of one run, 1 to 256; default 1. Results do not depend on it. */
  readonly threads?: number;
  /** Upper bound of the instruction set, a name that `cec doctor` prints; default: the best of this CPU that `CEC_MAX_ISA` allows. */
  readonly isa?: string;
  readonly signal?: AbortSignal;
}

export interface RunOptions<O> {
  /** Ends the run before its next op, or before it starts while others are ahead of it. The promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Runs on the calling thread, which does nothing else meanwhile. For models that take less than a millisecond, where handing over to another thread and
   * back costs as much as the run, and for worker threads.
   */
  readonly blocking?: boolean;
  /** Arrays that these outputs are written to; they must have the outputs' exact sizes. */
  readonly outputs?: { readonly [K in keyof O]?: O[K] extends Output<infer A> ? A : TypedArray };
}

export interface BatchOptions {
  /** Samples in one run; default 32. */
  readonly maxBatch?: number;
  readonly signal?: AbortSignal;
}

export interface BatcherOptions {
  readonly maxBatch?: number;
  /** How long the first of a batch waits for others, in ms; default 2. */
  readonly maxDelayMs?: number;
}

export type Feeds = { readonly [name: string]: Feed };
export type Outputs = { readonly [name: string]: Output };

const shown = (p: Port): string => `${p.type}[${p.dims.map((d) => d ?? "?").join(", ")}]`;
const countOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
const isTyped = (v: unknown): v is TypedArray => ArrayBuffer.isView(v) && !(v instanceof DataView);

/** Dims of a feed: those given, or the declared ones with the free one worked out. */
function dimsOf(port: Port, feed: Feed): readonly number[] {
  const { name } = port;
  const data = isTyped(feed) ? feed : feed?.data;
  if (!isTyped(data) || !(data instanceof arrays[port.type])) {
    const got = isTyped(data) ? data.constructor.name : data === null ? "null" : typeof data;
    return fail("CEC6005", {
      message: `the input "${name}" is ${shown(port)}, which takes a ${arrays[port.type].name}; it is a ${got}`,
      at: { tensor: name },
    });
  }
  if (!isTyped(feed)) {
    if (!Array.isArray(feed.dims) || countOf(feed.dims) !== data.length)
      fail("CEC6005", {
        message: `the input "${name}" has ${data.length} values, its dims [${feed.dims}] take ${countOf(feed.dims ?? [])}`,
        at: { tensor: name },
      });
    if (feed.dims.length !== port.dims.length || feed.dims.some((d, i) => port.dims[i] !== null && port.dims[i] !== d))
      fail("CEC6005", { message: `the input "${name}" is ${shown(port)}, which dims [${feed.dims}] do not fit`, at: { tensor: name } });
    return feed.dims;
  }
  const known = countOf(port.dims.map((d) => d ?? 1));
  const free = port.dims.filter((d) => d === null).length;
  if (free > 1)
    fail("CEC6005", {
      message: `the input "${name}" is ${shown(port)}: with ${free} free dimensions its dims must be given`,
      help: "give { data, dims }",
      at: { tensor: name },
    });
  if (free === 0 ? data.length !== known : known === 0 || data.length % known !== 0)
    fail("CEC6005", {
      message: `the input "${name}" has ${data.length} values; ${shown(port)} takes ${free === 0 ? known : `a multiple of ${known}`}`,
      at: { tensor: name },
    });
  return port.dims.map((d) => d ?? data.length / known);
}

function outputOf(row: AddonResult, target: TypedArray | undefined): Output {
  const type = row.type as DataType;
  const make = arrays[type];
  return { type, dims: row.dims, data: target ?? new make(row.buffer as ArrayBuffer) };
}

const portOf = (t: { readonly name: string; readonly type: string; readonly dims: readonly number[] }): Port => ({
  name: t.name,
  type: t.type as DataType,
  dims: t.dims.map((d) => (d < 0 ? null : d)),
});

/**
 * A compiled model that is ready to run. `I` and `O` are the types of its inputs and outputs; `cec types MODEL.cecb` writes them.
 *
 * Everything heavy happens off the event loop. Runs of one session take turns; several sessions run at once, and worker threads may have their own.
 *
 * @example
 * const session = await Session.load("model.cecb", { threads: 2 });
 * const { logits } = await session.run({ image: new Float32Array(3 * 32 * 32) });
 * console.log(logits.dims, logits.data);
 * session.dispose();
 */
export class Session<I extends { readonly [K in keyof I]: Feed } = Feeds, O extends { readonly [K in keyof O]: Output } = Outputs> {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Bytes held for weights. */
  readonly weightBytes: number;
  readonly #native: AddonSession;
  #last: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(program: AddonProgram, threads: number) {
    this.inputs = program.inputs.map(portOf);
    this.outputs = program.outputs.map(portOf);
    this.weightBytes = program.constantBytes;
    this.#native = guarded(() => new (loadAddon().Session)(program, threads, [], false));
    // The session holds it from here on: its memory goes when the session does, not when the garbage collector comes by.
    program.dispose();
  }

  /**
   * Loads a `.cecb` file, mapped into memory, or its bytes, and packs the weights for this CPU. A mapped file must not be changed in place while it is in
   * use; replace it by renaming.
   *
   * @throws CecError CEC6001 damaged · CEC6002, CEC6003 not for this engine · CEC6006 memory · CEC6007 no such file, wrong options · CEC6009 not built
   */
  static async load<I extends { readonly [K in keyof I]: Feed } = Feeds, O extends { readonly [K in keyof O]: Output } = Outputs>(
    source: string | URL | Uint8Array,
    options: LoadOptions = {},
  ): Promise<Session<I, O>> {
    const { fileURLToPath } = await import("node:url");
    options.signal?.throwIfAborted();
    const from = source instanceof URL ? fileURLToPath(source) : source;
    try {
      const program = await loadAddon().loadProgram(from, options.isa);
      options.signal?.throwIfAborted();
      return new Session<I, O>(program, options.threads ?? 1);
    } catch (error) {
      throw translate(error);
    }
  }

  /** Bytes of working memory that the latest shapes need. */
  get arenaBytes(): number {
    this.#alive();
    return this.#native.arenaBytes();
  }

  /**
   * Runs the model. Arrays of inputs are read in place, of given outputs written in place (`SharedArrayBuffer` too): do not change or transfer them
   * before the promise settles. Arrays of other outputs are new.
   *
   * @throws CecError CEC6004 to CEC6008; the signal's reason when it is aborted
   */
  async run(feeds: I, options: RunOptions<O> = {}): Promise<O> {
    this.#alive();
    const ordered = this.#order(feeds as Feeds);
    const targets = this.#targets(options.outputs as { readonly [name: string]: TypedArray } | undefined);
    const { signal } = options;
    signal?.throwIfAborted();
    const turn = this.#last.then(async () => {
      signal?.throwIfAborted();
      const cancel = new Int32Array(1);
      const abort = (): void => {
        cancel[0] = 1;
      };
      signal?.addEventListener("abort", abort, { once: true });
      try {
        const rows = await this.#native.run(ordered, undefined, targets, cancel, options.blocking ?? false);
        return Object.fromEntries(rows.map((r, i) => [r.name, outputOf(r, targets[i] ?? undefined)])) as unknown as O;
      } catch (error) {
        if (signal?.aborted === true && (error as { readonly code?: unknown }).code === "CEC6013") throw signal.reason;
        throw translate(error);
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Runs samples in batches: each is fed without its first dimension (or with 1 there), and the results come apart again.
   *
   * @throws CecError CEC6005 where the model does not leave the first dimension of every input and output free
   */
  async runBatch(samples: readonly I[], { maxBatch = 32, signal }: BatchOptions = {}): Promise<O[]> {
    this.#alive();
    this.#checkBatch(maxBatch);
    const out: O[] = [];
    for (let at = 0; at < samples.length; at += maxBatch) {
      const part = samples.slice(at, at + maxBatch);
      const joined = Object.fromEntries(this.inputs.map((port) => [port.name, this.#join(port, part as readonly Feeds[], at)]));
      const whole = (await this.run(joined as unknown as I, signal === undefined ? {} : { signal })) as unknown as Outputs;
      for (let i = 0; i < part.length; i++) {
        out.push(
          Object.fromEntries(
            Object.entries(whole).map(([name, { type, dims, data }]) => {
              if (dims[0] !== part.length)
                fail("CEC6005", {
                  message: `the output "${name}" has the dims [${dims}] for a batch of ${part.length}: it cannot be taken apart`,
                  at: { tensor: name },
                });
              const each = data.length / part.length;
              return [name, { type, dims: [1, ...dims.slice(1)], data: data.slice(i * each, (i + 1) * each) }];
            }),
          ) as unknown as O,
        );
      }
    }
    return out;
  }

  /**
   * Collects single calls into batches: the first waits up to `maxDelayMs` for others. A sample that cannot be fed fails alone.
   *
   * @example
   * const batcher = session.batcher({ maxBatch: 8, maxDelayMs: 5 });
   * const results = await Promise.all(images.map((image) => batcher.run({ image })));
   */
  batcher({ maxBatch = 32, maxDelayMs = 2 }: BatcherOptions = {}): { run(sample: I): Promise<O> } {
    this.#checkBatch(maxBatch);
    interface Waiting {
      readonly sample: I;
      readonly resolve: (value: O) => void;
      readonly reject: (reason: unknown) => void;
    }
    let waiting: Waiting[] = [];
    let timer: NodeJS.Timeout | undefined;
    const flush = (): void => {
      clearTimeout(timer);
      timer = undefined;
      const batch = waiting;
      waiting = [];
      this.runBatch(
        batch.map((w) => w.sample),
        { maxBatch },
      ).then(
        (results) => {
          batch.forEach((w, i) => {
            w.resolve(results[i] as O);
          });
        },
        (error) => {
          for (const w of batch) w.reject(error);
        },
      );
    };
    return {
      run: async (sample) => {
        this.#alive();
        for (const port of this.inputs) this.#join(port, [sample as unknown as Feeds], 0);
        return new Promise<O>((resolve, reject) => {
          waiting.push({ sample, resolve, reject });
          if (waiting.length >= maxBatch) flush();
          else timer ??= setTimeout(flush, maxDelayMs);
        });
      },
    };
  }

  /** Frees the session once its runs have ended; runs that are waiting still take place. Further calls are refused with CEC6007. */
  dispose(): void {
    this.#disposed = true;
    void this.#last.then(() => this.#native.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Resolves when the runs have ended and the memory is free. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    await this.#last;
  }

  #alive(): void {
    if (this.#disposed) fail("CEC6007", { message: "the session was disposed" });
  }

  #order(feeds: Feeds): AddonTensor[] {
    const names = this.inputs.map((p) => `"${p.name}" ${shown(p)}`).join(", ");
    if (feeds === null || typeof feeds !== "object") fail("CEC6005", { message: "the inputs must be an object of arrays", help: `give ${names}` });
    for (const name of Object.keys(feeds))
      if (!this.inputs.some((p) => p.name === name))
        fail("CEC6005", { message: `the model has no input "${name}"`, help: `its inputs are ${names}` });
    return this.inputs.map((port) => {
      const feed = feeds[port.name];
      if (feed === undefined) return fail("CEC6005", { message: `the input "${port.name}" is missing`, help: `give ${names}` });
      const dims = dimsOf(port, feed);
      return { type: port.type, dims, data: isTyped(feed) ? feed : feed.data };
    });
  }

  #targets(given: { readonly [name: string]: TypedArray } | undefined): (TypedArray | null)[] {
    for (const [name, array] of Object.entries(given ?? {})) {
      const port = this.outputs.find((p) => p.name === name);
      if (port === undefined)
        fail("CEC6005", {
          message: `the model has no output "${name}"`,
          help: `its outputs are ${this.outputs.map((p) => `"${p.name}" ${shown(p)}`).join(", ")}`,
        });
      if (!(array instanceof arrays[port.type]))
        fail("CEC6005", { message: `the output "${name}" is ${shown(port)}, which takes a ${arrays[port.type].name}`, at: { tensor: name } });
    }
    return this.outputs.map((p) => given?.[p.name] ?? null);
  }

  #checkBatch(maxBatch: number): void {
    if (!Number.isInteger(maxBatch) || maxBatch < 1) fail("CEC6007", { message: `maxBatch is ${maxBatch}; it must be a whole number from 1 on` });
    const fixed = this.inputs.find((p) => p.dims[0] !== null);
    if (fixed !== undefined)
      fail("CEC6005", {
        message: `the input "${fixed.name}" is ${shown(fixed)}: its first dimension is fixed, so samples cannot be batched`,
        help: "build the model with a free batch dimension (N), or call run",
      });
  }

  /** The same input of several samples, one after the other. */
  #join(port: Port, samples: readonly Feeds[], first: number): { data: TypedArray; dims: readonly number[] } {
    const one: Port = { ...port, dims: [1, ...port.dims.slice(1)] };
    const parts = samples.map((sample, i) => {
      const feed = sample[port.name];
      if (feed === undefined) return fail("CEC6005", { message: `the input "${port.name}" of sample ${first + i} is missing` });
      if (isTyped(feed)) return { dims: dimsOf(one, feed), data: feed };
      const dims = feed.dims?.length === port.dims.length - 1 ? [1, ...feed.dims] : feed.dims;
      return { dims: dimsOf(one, { data: feed.data, dims }), data: feed.data };
    });
    const [head] = parts;
    const rest = (head?.dims ?? []).slice(1);
    if (parts.some((p) => p.dims.slice(1).some((d, i) => d !== rest[i])))
      fail("CEC6005", { message: `samples of the input "${port.name}" differ in shape: a batch takes equal ones`, at: { tensor: port.name } });
    if (parts.length === 1 && head !== undefined) return head;
    const each = countOf(rest);
    const data = new arrays[port.type](parts.length * each);
    parts.forEach((p, i) => {
      (data as Float32Array).set(p.data as Float32Array, i * each);
    });
    return { data, dims: [parts.length, ...rest] };
  }
}

const identifier = /^[A-Za-z_$][\w$]*$/;
const property = (name: string): string => (identifier.test(name) ? name : JSON.stringify(name));

/**
 * TypeScript types of a model's inputs and outputs, for `Session.load<Inputs, Outputs>`.
 * @param prefix of the interfaces' names, as `Mobilenet` in `MobilenetInputs`
 */
export function typesOf(model: { readonly inputs: readonly Port[]; readonly outputs: readonly Port[] }, prefix = ""): string {
  const block = (title: string, ports: readonly Port[], wrap: (array: string) => string): string =>
    [
      `export interface ${prefix}${title} {`,
      ...ports.flatMap((p) => [`  /** ${shown(p)} */`, `  readonly ${property(p.name)}: ${wrap(arrays[p.type].name)};`]),
      "}",
    ].join("\n");
  return `// Written by \`cec types\`.
import type { Feed, Output } from "cec/runtime";

${block("Inputs", model.inputs, (a) => `Feed<${a}>`)}

${block("Outputs", model.outputs, (a) => `Output<${a}>`)}
`;
}
