/** Memory plans of models in the native engine. */
import { readFileSync } from "node:fs";
import { createSession, type MemoryPlan, serialize } from "../../runtime-native/ts/index.js";
import { fail, suggest } from "../core/index.js";
import { lowerGraph } from "./engine/native.js";
import { loadModel } from "./model.js";
import { cleanForEngine } from "./prepare.js";

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    return fail("CEC1004", { message: `${path} cannot be read`, why: (error as Error).message });
  }
}

/**
 * The plan of a model, or of a `.cecb` program as it is.
 * @param shapes dims of inputs, as `1,3,224,224`; free dimensions of the others are 1
 * @throws CecError CEC1004 for names and dims that do not fit, CEC6001 to CEC6009 from the engine
 */
export async function memoryOf(path: string, shapes: Readonly<Record<string, string>>): Promise<MemoryPlan> {
  let program: Uint8Array;
  if (path.endsWith(".cecb")) {
    program = bytesOf(path);
  } else {
    const { graph } = await loadModel(path);
    await cleanForEngine(graph);
    program = serialize((await lowerGraph(graph)).graph);
  }
  const session = createSession(program);
  try {
    const names = session.inputs.map((i) => i.name);
    for (const name of Object.keys(shapes))
      if (!names.includes(name))
        fail("CEC1004", { message: `the model has no input "${name}"`, help: suggest(name, names) || `its inputs are ${names.join(", ")}` });
    return session.memoryPlan(
      session.inputs.map((input) => {
        const given = shapes[input.name];
        if (given === undefined) return input.dims.map((d) => d ?? 1);
        const dims = given.split(",").map(Number);
        if (given.trim() === "" || dims.some((d) => !Number.isInteger(d) || d < 0))
          fail("CEC1004", { message: `--shape ${input.name}=${given} is no list of whole numbers`, help: `as in --shape ${input.name}=1,3,224,224` });
        return dims;
      }),
    );
  } finally {
    session.dispose();
  }
}
