/**
 * Running compiled models: `import { Session } from "cec/runtime"`.
 *
 * Needs the native addon and nothing of the compiler but its error type.
 */
import { fail } from "../../compiler/core/diagnostics/index.js";
import { type AddonProgram, type AddonSession, type AddonTensor, checkThreads, guarded, loadAddon, translate } from "./addon.js";
import {
  arrays,
  countOf,
  detached,
  dimsOf,
  type Feed,
  type Feeds,
  isTyped,
  type Output,
  type Outputs,
  outputOf,
  type Port,
  portOf,
  shown,
  type TypedArray,
} from "./ports.js";

export type { DataType, Feed, Feeds, Output, Outputs, Port, TypedArray } from "./ports.js";

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

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || (typeof signal?.throwIfAborted === "function" && typeof signal.addEventListener === "function")) return;
  fail("CEC6007", { message: "the option `signal` is no AbortSignal", help: "give the `signal` of an AbortController, or leave it out" });
}

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
    checkSignal(options.signal);
    const threads = checkThreads(options.threads);
    options.signal?.throwIfAborted();
    const from = source instanceof URL ? fileURLToPath(source) : source;
    try {
      const program = await loadAddon().loadProgram(from, options.isa);
      options.signal?.throwIfAborted();
      return new Session<I, O>(program, threads);
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
    checkSignal(options.signal);
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
    checkSignal(signal);
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
      if (detached(array))
        fail("CEC6005", { message: `the array for the output "${name}" is gone: it was transferred`, help: "give another", at: { tensor: name } });
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
      const dims = Array.isArray(feed.dims) && feed.dims.length === port.dims.length - 1 ? [1, ...feed.dims] : feed.dims;
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
