/**
 * The native engine: programs, sessions, observers.
 *
 * Inputs and outputs of a program are in the layout that its graph gives them (lowered graphs are channels-last inside).
 */
import { loadAddon, nativeIsBuilt } from "./addon.js";
import { createObserver, createSession, type Isa, loadProgram } from "./session.js";

export { type MemoryPlan, nativeIsBuilt } from "./addon.js";
export { roundingKernels } from "./rounding.js";
export { serialize } from "./serialize.js";
export {
  createObserver,
  createSession,
  type Isa,
  isas,
  loadProgram,
  type NativeObserver,
  type NativeProgram,
  type NativeSession,
  type ObservedTensor,
  type ObserverOptions,
  type OpProfile,
  type ProgramOptions,
  type SessionOptions,
  type TensorInfo,
} from "./session.js";

export interface CpuInfo {
  /** What kernels are picked for: the best of the CPU, or `CEC_MAX_ISA` if that is lower. */
  readonly isa: Isa;
  readonly maxIsa: Isa;
  /** False when `CEC_MAX_ISA` names no instruction set. */
  readonly capIsValid: boolean;
  readonly features: readonly string[];
  readonly kernels: readonly KernelInfo[];
}

export interface KernelInfo {
  readonly family: string;
  readonly name: string;
  readonly isa: Isa;
  /** Runs on this machine. */
  readonly supported: boolean;
  /** What the dispatcher picks. */
  readonly selected: boolean;
}

/** @throws CecError CEC6009 when the addon is not built */
export const cpuInfo = (): CpuInfo => loadAddon().cpuInfo() as CpuInfo;

export { createTrainingSession, planTraining, type State, type TrainingSession } from "./training.js";

let kinds: ReadonlySet<string> | undefined;
/** Kinds of ops that the engine runs. */
export function nativeOpKinds(): ReadonlySet<string> {
  kinds ??= new Set(loadAddon().opKinds());
  return kinds;
}

export interface NativeEngine {
  readonly loadProgram: typeof loadProgram;
  readonly createSession: typeof createSession;
  readonly createObserver: typeof createObserver;
  readonly cpuInfo: typeof cpuInfo;
  readonly opKinds: typeof nativeOpKinds;
  readonly isBuilt: typeof nativeIsBuilt;
}

/**
 * Loads the addon `runtime-native/build/Release/cec.node`.
 * @throws CecError CEC6009 with the command that builds it
 */
export function loadNative(): NativeEngine {
  loadAddon();
  return { loadProgram, createSession, createObserver, cpuInfo, opKinds: nativeOpKinds, isBuilt: nativeIsBuilt };
}
