/** Programs that step: some inputs are state, and outputs are their next values, written in place. */
import { fail } from "../../compiler/core/diagnostics/index.js";
import { fromBytes, type Tensor } from "../../compiler/core/ir/tensor.js";
import type { ElementType } from "../../compiler/core/ir/types.js";
import { type AddonStatistics, type AddonTensor, checkThreads, guarded, loadAddon, type MemoryPlan, translate } from "./addon.js";
import type { NativeProgram, OpProfile, SessionOptions, TensorInfo } from "./session.js";
import { loadProgram, programOf } from "./session.js";

/** A tensor that each step changes. */
export interface State {
  readonly input: string;
  /** The output that is its next value. */
  readonly output: string;
  /** Its value before the first step; the session copies it. */
  readonly tensor: Tensor;
}

/** A program whose states live between runs. */
export interface TrainingSession {
  readonly program: NativeProgram;
  /** The live values of all states by their inputs' names: what they hold between steps may be read, copied and written. */
  readonly states: ReadonlyMap<string, Tensor>;
  /**
   * One run; gives the outputs that are no states. Do not touch the states before the promise settles. A step that fails may leave some states updated.
   * @throws CecError CEC6004 to CEC6008
   */
  step(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  /** The first tensors, in the order of the program, that hold NaN or infinities in a step on these feeds; states are restored. */
  firstNonFinite(feeds: Readonly<Record<string, Tensor>>): Promise<string | null>;
  /** The tensor of these names with the greatest magnitude in a step on these feeds, those that are not finite left out; states are restored. */
  greatest(feeds: Readonly<Record<string, Tensor>>, names: readonly string[]): Promise<{ readonly name: string; readonly magnitude: number } | null>;
  profile(): OpProfile[];
  arenaBytes(): number;
  dispose(): void;
}

/**
 * A session whose states are updated in place.
 *
 * @throws CecError as `createSession`; CEC6007 for states that the program does not have
 * @example
 * const session = createTrainingSession(serialize(lowered), states, { threads: 2 });
 * const { loss } = await session.step({ image, labels, learning_rate });
 */
export function createTrainingSession(bytes: Uint8Array, given: readonly State[], options: Omit<SessionOptions, "keep"> = {}): TrainingSession {
  const addon = loadAddon();
  const program = loadProgram(bytes, options.isa === undefined ? {} : { isa: options.isa });
  const updates = given.flatMap((s) => [s.input, s.output]);
  const session = guarded(() => new addon.Session(programOf(program), checkThreads(options.threads), [], options.profile ?? false, updates));
  const states = new Map(given.map((s): [string, Tensor] => [s.input, { ...s.tensor, data: (s.tensor.data as Float32Array).slice() }]));
  const stateOf = new Map(given.map((s) => [s.output, states.get(s.input) as Tensor]));
  const targets = session.outputNames().map((name) => (stateOf.get(name)?.data as Float32Array | undefined) ?? null);
  const run = async (feeds: Readonly<Record<string, Tensor>>, observer?: Parameters<typeof session.run>[1]): Promise<Record<string, Tensor>> => {
    const ordered = program.inputs.map(({ name }): AddonTensor => {
      const feed = states.get(name) ?? feeds[name];
      if (feed === undefined) return fail("CEC6005", { message: `the input "${name}" is missing`, at: { tensor: name } });
      return { type: feed.type, dims: feed.dims, data: feed.data as Float32Array };
    });
    try {
      const rows = await session.run(ordered, observer, targets);
      return Object.fromEntries(
        rows.flatMap((r) => (r.buffer === undefined ? [] : [[r.name, fromBytes(r.type as ElementType, r.dims, new Uint8Array(r.buffer))]])),
      );
    } catch (error) {
      throw translate(error);
    }
  };
  /** What a step with the present states computes; they stay as they are. */
  const observed = async (feeds: Readonly<Record<string, Tensor>>): Promise<ReadonlyMap<string, AddonStatistics>> => {
    const before = [...states.values()].map((t) => (t.data as Float32Array).slice());
    const names = program.tensors.filter((t) => t.type === "f32").map((t) => t.name);
    const observer = guarded(() => new addon.Observer(programOf(program), names, 2, false));
    try {
      await run(feeds, observer);
    } finally {
      [...states.values()].forEach((t, i) => {
        (t.data as Float32Array).set(before[i] as Float32Array);
      });
    }
    return new Map(observer.read().map((s) => [s.name, s]));
  };
  return {
    program,
    states,
    step: (feeds) => run(feeds),
    async firstNonFinite(feeds) {
      const seen = await observed(feeds);
      return program.tensors.find((t) => nonFinite(seen.get(t.name)) > 0)?.name ?? null;
    },
    async greatest(feeds, names) {
      const seen = await observed(feeds);
      const found = names.flatMap((name) => {
        const s = seen.get(name);
        return s === undefined || nonFinite(s) > 0 ? [] : [{ name, magnitude: Math.max(-s.min, s.max) }];
      });
      return found.reduce<(typeof found)[number] | null>((most, f) => (most === null || f.magnitude > most.magnitude ? f : most), null);
    },
    profile: () => guarded(() => session.profile()),
    arenaBytes: () => session.arenaBytes(),
    dispose: () => session.dispose(),
  };
}

/**
 * The memory plan of a step: the one that runs, states in place. Nothing is run, and no states are held.
 *
 * @param updates pairs of an input and the output that is its next value
 * @param shapes of all inputs, in the program's order
 * @throws CecError as `createTrainingSession`
 */
export function planTraining(
  bytes: Uint8Array,
  updates: readonly Pick<State, "input" | "output">[],
  shapes: (inputs: readonly TensorInfo[]) => readonly (readonly number[])[],
  threads = 1,
): MemoryPlan {
  const addon = loadAddon();
  const program = loadProgram(bytes);
  const pairs = updates.flatMap((s) => [s.input, s.output]);
  const session = guarded(() => new addon.Session(programOf(program), threads, [], false, pairs));
  try {
    return guarded(() => session.memoryPlan(shapes(program.inputs)));
  } finally {
    session.dispose();
  }
}

const nonFinite = (s: AddonStatistics | undefined): number => (s === undefined ? 0 : s.nanCount + s.infCount);
