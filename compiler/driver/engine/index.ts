/** Choosing an engine: our own where it runs all ops, ONNX Runtime otherwise, and saying so. */
import { supportedByNative } from "../../../passes/index.js";
import { nativeIsBuilt } from "../../../runtime-native/ts/index.js";
import { type Executor, fail, type Graph } from "../../core/index.js";
import { nativeExecutor } from "./native.js";
import { loadOrt, ortExecutor } from "./ort.js";

export const engineNames = ["native", "ort"] as const;
export type EngineName = (typeof engineNames)[number];

export interface ChosenEngine {
  readonly name: EngineName;
  readonly executor: Executor;
  /** Why it is not the native engine, for the user; `null` where nothing needs saying. */
  readonly note: string | null;
}

/** One line on the ops that the native engine lacks. */
function lacking(graph: Graph): string | null {
  const missing = supportedByNative(graph);
  if (missing.length === 0) return null;
  const kinds = new Map<string, string>();
  for (const { op, reason } of missing) kinds.set(op.kind === "carry" ? String(op.attrs["op_type"]) : op.kind, reason);
  const listed = [...kinds].slice(0, 4).map(([k, why]) => `${k} (${why})`);
  return `${missing.length} op${missing.length === 1 ? "" : "s"}: ${listed.join("; ")}${kinds.size > 4 ? `; and ${kinds.size - 4} more kinds` : ""}`;
}

/**
 * @param wanted the user's choice; without it the native engine, or ONNX Runtime where the graph holds an op that the native engine lacks
 * @throws CecError CEC6002 when the native engine was asked for, or nothing else is there; CEC6011 when ONNX Runtime was asked for and is not installed
 */
export async function chooseEngine(graph: Graph, wanted: EngineName | undefined, threads: number): Promise<ChosenEngine> {
  const ort = (note: string | null): ChosenEngine => ({ name: "ort", executor: ortExecutor({ threads }), note });
  if (wanted === "ort") {
    if ((await loadOrt()) === null) fail("CEC6011", { message: "ONNX Runtime is not installed", help: "npm install onnxruntime-node@1.30.0" });
    return ort(null);
  }
  const missing = lacking(graph);
  if (missing === null && (wanted === "native" || nativeIsBuilt())) return { name: "native", executor: nativeExecutor({ threads }), note: null };
  if (wanted === "native")
    return fail("CEC6002", {
      message: "the native engine does not run this model",
      why: `it lacks ${missing}`,
      help: "use `--engine ort` (npm install onnxruntime-node@1.30.0)",
    });
  if ((await loadOrt()) !== null)
    return ort(
      missing === null ? "the native engine is not built: ONNX Runtime takes over" : `the native engine lacks ${missing}: ONNX Runtime takes over`,
    );
  return fail(missing === null ? "CEC6009" : "CEC6002", {
    message: missing === null ? "the native engine is not built" : "no engine at hand runs this model",
    ...(missing === null ? {} : { why: `the native engine lacks ${missing}, and ONNX Runtime is not installed` }),
    help: missing === null ? "npm run build:native" : "npm install onnxruntime-node@1.30.0",
  });
}
