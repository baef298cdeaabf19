/** Finds and loads the native addon, and types what it exports. Nothing outside this folder sees these types. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CecError, diagnostic, fail, isCode } from "../../compiler/core/diagnostics/index.js";
import type { MomentsJob, RoundingProblem, RoundingResult } from "../../compiler/core/pass/executor.js";

export interface AddonTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

export interface AddonResult {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  /** Absent where the result was written to an array of the caller. */
  readonly buffer?: ArrayBuffer;
}

export interface AddonTensorInfo {
  readonly name: string;
  readonly type: string;
  /** -1 for a dynamic dimension. */
  readonly dims: readonly number[];
}

export interface AddonProgram {
  readonly inputs: readonly AddonTensorInfo[];
  readonly outputs: readonly AddonTensorInfo[];
  readonly tensors: readonly AddonTensorInfo[];
  readonly constantBytes: number;
  /** Lets go of the program; sessions of it go on. */
  dispose(): void;
}

export interface AddonObserver {
  read(): AddonStatistics[];
}

export interface AddonStatistics {
  readonly name: string;
  readonly count: number;
  readonly nanCount: number;
  readonly infCount: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  readonly averageMin: number;
  readonly averageMax: number;
  readonly histogram: { readonly lo: number; readonly hi: number; readonly counts: Float64Array };
  readonly channelMin?: Float32Array;
  readonly channelMax?: Float32Array;
  readonly channelMean?: Float64Array;
  readonly channelMeanSquare?: Float64Array;
}

/** Where a session keeps what its ops compute; sizes in bytes, `first`, `last` and `liveStep` are indices of `steps`. */
export interface MemoryPlan {
  readonly arenaBytes: number;
  /** Largest sum of the bytes needed at one step: no arena can be smaller. */
  readonly liveBytes: number;
  readonly liveStep: number;
  /** The sum of all buffers, without sharing. */
  readonly totalBytes: number;
  /** Weights, packed and as in the file. */
  readonly weightBytes: number;
  readonly outputBytes: number;
  readonly steps: readonly string[];
  readonly buffers: readonly {
    /** The first tensor in these bytes, or the op whose scratch they are. */
    readonly name: string;
    /** Further tensors in the same bytes. */
    readonly shares: readonly string[];
    readonly scratch: boolean;
    readonly offset: number;
    readonly bytes: number;
    readonly first: number;
    readonly last: number;
  }[];
}

export interface AddonSession {
  memoryPlan(shapes: readonly (readonly number[])[]): MemoryPlan;
  /** Feeds and targets in the order of the program's inputs and outputs; the run ends with CEC6013 before its next op once `cancel[0]` is not 0. */
  run(
    feeds: readonly AddonTensor[],
    observer?: AddonObserver,
    targets?: readonly (ArrayBufferView | null)[],
    cancel?: Int32Array,
    /** On the calling thread. */
    here?: boolean,
  ): Promise<AddonResult[]>;
  profile(): { readonly kind: string; readonly name: string; readonly nanoseconds: number; readonly calls: number }[];
  outputNames(): string[];
  arenaBytes(): number;
  dispose(): void;
}

export interface Addon {
  readonly Program: new (bytes: Uint8Array, isa?: string) => AddonProgram;
  /** Off the event loop; a path is mapped into memory. */
  loadProgram(source: string | Uint8Array, isa?: string): Promise<AddonProgram>;
  /** `updates` holds pairs of an input and the output that is its next value, one after the other. */
  readonly Session: new (
    program: AddonProgram,
    threads: number,
    keep: readonly string[],
    profile: boolean,
    updates?: readonly string[],
  ) => AddonSession;
  readonly Observer: new (program: AddonProgram, names: readonly string[], bins: number, perChannel: boolean) => AddonObserver;
  cpuInfo(): {
    readonly isa: string;
    readonly maxIsa: string;
    readonly capIsValid: boolean;
    readonly features: string[];
    readonly kernels: {
      readonly family: string;
      readonly name: string;
      readonly isa: string;
      readonly supported: boolean;
      readonly selected: boolean;
    }[];
  };
  opKinds(): string[];
  addMoments(jobs: readonly MomentsJob[], threads: number): Promise<number[]>;
  roundWeights(problem: Omit<RoundingProblem, "method"> & { readonly adaround: boolean } & RoundingResult, threads: number): Promise<number[]>;
}

/** The folder that holds `runtime-native/`, found upwards from this file: sources and `dist/` lie at different depths. */
function packageRoot(): string | null {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    if (existsSync(join(at, "runtime-native", "CMakeLists.txt"))) return at;
    if (dirname(at) === at) return null;
  }
}

let loaded: Addon | undefined;

/** True when the addon's file is there. */
export function nativeIsBuilt(): boolean {
  const root = packageRoot();
  return root !== null && existsSync(join(root, "runtime-native", "build", "Release", "cec.node"));
}

export function loadAddon(): Addon {
  if (loaded !== undefined) return loaded;
  const root = packageRoot();
  const path = join(root ?? ".", "runtime-native", "build", "Release", "cec.node");
  const help = "run `npm run build:native`; it needs CMake and a C++17 compiler (Debian: apt-get install cmake g++)";
  if (root === null || !existsSync(path)) fail("CEC6009", { message: "the native engine is not built", why: `${path} does not exist`, help });
  try {
    loaded = createRequire(import.meta.url)(path) as Addon;
    return loaded;
  } catch (error) {
    return fail("CEC6009", { message: "the native engine cannot be loaded", why: `${path}: ${(error as Error).message}`, help });
  }
}

/** Turns a coded exception of the addon into a `CecError`; others pass. */
export function translate(error: unknown): unknown {
  const code = (error as { readonly code?: unknown } | null)?.code;
  if (error instanceof Error && typeof code === "string" && isCode(code)) return new CecError([diagnostic(code, { message: error.message })]);
  return error;
}

export function guarded<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translate(error);
  }
}

const MOST_THREADS = 256;

/** The option `threads`; 1 where it is left out. */
export function checkThreads(threads: number | undefined): number {
  const n = threads ?? 1;
  return Number.isInteger(n) && n >= 1 && n <= MOST_THREADS
    ? n
    : fail("CEC6007", { message: `threads is ${String(n)}; it must be a whole number from 1 to ${MOST_THREADS}` });
}
