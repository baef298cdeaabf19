/** Sessions and observers of the native engine. */
import { fail } from "../../compiler/core/diagnostics/index.js";
import { fromBytes, type Tensor } from "../../compiler/core/ir/tensor.js";
import type { ElementType } from "../../compiler/core/ir/types.js";
import {
  type AddonObserver,
  type AddonProgram,
  type AddonResult,
  type AddonSession,
  type AddonTensor,
  checkThreads,
  guarded,
  loadAddon,
  type MemoryPlan,
  translate,
} from "./addon.js";

export const isas = ["scalar", "neon", "neondot", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"] as const;
export type Isa = (typeof isas)[number];

export interface ProgramOptions {
  /** Upper bound of the instruction set; default: the best of this CPU that `CEC_MAX_ISA` allows. */
  readonly isa?: Isa;
}

export interface SessionOptions extends ProgramOptions {
  /** Threads of one run, 1 to 256; default 1. Results do not depend on it. */
  readonly threads?: number;
  /** Names of intermediate tensors that each run returns besides the outputs. */
  readonly keep?: readonly string[];
  /** Collect the time of each op, see `NativeSession.profile`. */
  readonly profile?: boolean;
}

export interface TensorInfo {
  readonly name: string;
  readonly type: ElementType;
  /** `null` for a dynamic dimension. */
  readonly dims: readonly (number | null)[];
}

/** A loaded program with its packed weights; several sessions may share it. */
export interface NativeProgram {
  readonly inputs: readonly TensorInfo[];
  /** Inputs and results of ops: what can be kept and observed. */
  readonly tensors: readonly TensorInfo[];
  /** Bytes held for weights. */
  readonly constantBytes: number;
}

export interface OpProfile {
  readonly kind: string;
  readonly name: string;
  /** Sum over all runs. */
  readonly nanoseconds: number;
  readonly calls: number;
}

/** Statistics of one tensor over all runs that an observer saw; NaN and infinities only count in `nanCount` and `infCount`. */
export interface ObservedTensor {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  /** Moving averages of the extremes of each run: each counts for a tenth, the first in full. */
  readonly averageMin: number;
  readonly averageMax: number;
  readonly nanCount: number;
  readonly infCount: number;
  /** Counts of equal bins over [lo, hi); edges are multiples of the width, which is a power of two, so 0 is an edge. Empty data: lo = hi = 0. */
  readonly histogram: { readonly lo: number; readonly hi: number; readonly counts: Float64Array };
  /** Extremes and moments per index of the last axis, with `perChannel`. */
  readonly channelMin?: Float32Array;
  readonly channelMax?: Float32Array;
  readonly channelMean?: Float64Array;
  readonly channelMeanSquare?: Float64Array;
}

export interface ObserverOptions {
  /** Bins of the histogram, 2 to 1,048,576; default 2048. */
  readonly bins?: number;
  readonly perChannel?: boolean;
}

export interface NativeObserver {
  read(): Record<string, ObservedTensor>;
}

export interface NativeSession {
  readonly program: NativeProgram;
  readonly inputs: readonly TensorInfo[];
  readonly outputNames: readonly string[];
  /**
   * Runs the program off the event loop; calls on one session take turns. The arrays of `feeds` are read in place: do not change or transfer them
   * before the promise settles.
   * @throws CecError CEC6004 to CEC6008
   */
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  /** As `run`, and updates the observer with each tensor it watches. */
  observe(feeds: Readonly<Record<string, Tensor>>, observer: NativeObserver): Promise<Record<string, Tensor>>;
  /** Time per op; empty without the option `profile`. */
  profile(): OpProfile[];
  /** The memory plan for inputs of these shapes: the one that runs. @throws CecError as `run` */
  memoryPlan(shapes: readonly (readonly number[])[]): MemoryPlan;
  /** Bytes of working memory that the latest shapes need. */
  arenaBytes(): number;
  /** Frees the session once its runs have ended. Further calls throw CEC6007. */
  dispose(): void;
}

const programs = new WeakMap<NativeProgram, AddonProgram>();
const observers = new WeakMap<NativeObserver, AddonObserver>();

const infoOf = (t: { readonly name: string; readonly type: string; readonly dims: readonly number[] }): TensorInfo => ({
  name: t.name,
  type: t.type as ElementType,
  dims: t.dims.map((d) => (d < 0 ? null : d)),
});

/**
 * Checks a `.cecb` file and packs its weights. The bytes may be dropped afterwards.
 * @throws CecError CEC6001 to CEC6003, CEC6006, CEC6007, CEC6009
 */
export function loadProgram(bytes: Uint8Array, options: ProgramOptions = {}): NativeProgram {
  const addon = loadAddon();
  const native = guarded(() => new addon.Program(bytes, options.isa));
  const program: NativeProgram = { inputs: native.inputs.map(infoOf), tensors: native.tensors.map(infoOf), constantBytes: native.constantBytes };
  programs.set(program, native);
  return program;
}

/** The addon's object behind a program. */
export function programOf(program: NativeProgram): AddonProgram {
  return programs.get(program) ?? fail("CEC6007", { message: "this is no program of this engine" });
}

/** Feeds in the program's order. */
function orderFeeds(inputs: readonly TensorInfo[], feeds: Readonly<Record<string, Tensor>>): AddonTensor[] {
  for (const name of Object.keys(feeds)) {
    if (!inputs.some((i) => i.name === name)) {
      fail("CEC6005", { message: `the program has no input "${name}"`, help: `its inputs are ${inputs.map((i) => `"${i.name}"`).join(", ")}` });
    }
  }
  return inputs.map(({ name }) => {
    const feed = feeds[name];
    if (feed === undefined)
      fail("CEC6005", { message: `the input "${name}" is missing`, help: `give ${inputs.map((i) => `"${i.name}"`).join(", ")}` });
    // Callers in plain JavaScript may give anything.
    if (feed === null || typeof feed !== "object" || !Array.isArray(feed.dims) || !ArrayBuffer.isView(feed.data))
      fail("CEC6005", { message: `the input "${name}" is no numeric tensor`, at: { tensor: name } });
    return { type: feed.type, dims: feed.dims, data: feed.data };
  });
}

const resultsOf = (rows: readonly AddonResult[]): Record<string, Tensor> =>
  Object.fromEntries(rows.map((r) => [r.name, fromBytes(r.type as ElementType, r.dims, new Uint8Array(r.buffer as ArrayBuffer))]));

/**
 * A session over a program file, or over a program that is already loaded.
 *
 * @example
 * const session = createSession(readFileSync("model.cecb"), { threads: 2 });
 * const { logits } = await session.run({ image: { type: "f32", dims: [1, 32, 32, 3], data: new Float32Array(3072) } });
 * session.dispose();
 */
export function createSession(source: Uint8Array | NativeProgram, options: SessionOptions = {}): NativeSession {
  const addon = loadAddon();
  const program = source instanceof Uint8Array ? loadProgram(source, options.isa === undefined ? {} : { isa: options.isa }) : source;
  const handle = programs.get(program);
  if (handle === undefined) fail("CEC6007", { message: "createSession takes the bytes of a program or what loadProgram gave" });
  const session: AddonSession = guarded(() => new addon.Session(handle, checkThreads(options.threads), options.keep ?? [], options.profile ?? false));
  // Runs of one session follow each other: waiting for a turn must not hold a thread of libuv's pool.
  let last: Promise<unknown> = Promise.resolve();
  let disposed = false;
  const start = (feeds: Readonly<Record<string, Tensor>>, observer?: AddonObserver): Promise<Record<string, Tensor>> => {
    const turn = last.then(async () => {
      const ordered = orderFeeds(program.inputs, feeds);
      try {
        return resultsOf(await session.run(ordered, observer));
      } catch (error) {
        throw translate(error);
      }
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  const alive = (): void => {
    if (disposed) fail("CEC6007", { message: "the session was disposed" });
  };
  return {
    program,
    inputs: program.inputs,
    outputNames: session.outputNames(),
    async run(feeds) {
      alive();
      return start(feeds);
    },
    async observe(feeds, observer) {
      alive();
      const native = observers.get(observer);
      if (native === undefined) fail("CEC6007", { message: "observe takes what createObserver gave" });
      return start(feeds, native);
    },
    profile() {
      alive();
      return guarded(() => session.profile());
    },
    memoryPlan(shapes) {
      alive();
      return guarded(() => session.memoryPlan(shapes));
    },
    arenaBytes() {
      alive();
      return session.arenaBytes();
    },
    dispose() {
      disposed = true;
      void last.then(() => session.dispose());
    },
  };
}

/** An observer of the named tensors; several sessions over the same program may feed it. Memory is constant, whatever the number of runs. */
export function createObserver(
  session: NativeSession | NativeProgram,
  tensorNames: readonly string[],
  options: ObserverOptions = {},
): NativeObserver {
  const addon = loadAddon();
  const handle = programs.get("program" in session ? session.program : session);
  if (handle === undefined) fail("CEC6007", { message: "createObserver takes a session or a program of this engine" });
  const native = guarded(() => new addon.Observer(handle, tensorNames, options.bins ?? 2048, options.perChannel ?? false));
  const observer: NativeObserver = {
    read: () => Object.fromEntries(guarded(() => native.read()).map(({ name, ...statistics }) => [name, statistics])),
  };
  observers.set(observer, native);
  return observer;
}
