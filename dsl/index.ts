/** The language: models, data and plans in `.cplan` files. */
import { CecError, type Diagnostic, diagnostic, suggest } from "../compiler/core/diagnostics/index.js";
import { compiledOf } from "./check.js";
import type { CheckedFile, Literal } from "./checked.js";
import { Elaborator } from "./elaborate.js";
import type { ModelSink } from "./sink.js";

export { type CheckOptions, checkFile, checkText } from "./check.js";
export { parseDataReference } from "./check-plan.js";
export * from "./checked.js";
export * from "./declarations.js";
export { builtins } from "./evaluate.js";
export { format } from "./format.js";
export { grammarEbnf } from "./grammar.js";
export * from "./sink.js";

/**
 * Runs a model's body into a sink.
 * @param args values of the model's parameters; the others take their defaults
 * @returns false when there were faults, which went to `report`
 */
export function elaborate<V>(
  file: CheckedFile,
  model: string,
  args: Readonly<Record<string, Literal>>,
  sink: ModelSink<V>,
  report: (d: Diagnostic) => void,
): boolean {
  const compiled = compiledOf(file);
  const item = compiled?.models.get(model);
  if (compiled === undefined || item === undefined) {
    report(diagnostic("CEC2012", { message: `there is no model \`${model}\``, help: suggest(model, file.models.keys()) }));
    return false;
  }
  try {
    new Elaborator(compiled.context, sink).run(item, args);
    return true;
  } catch (error) {
    // Blocks and expressions nest within their limits, and together still exceed the stack.
    if (error instanceof RangeError && error.message.includes("call stack")) {
      report(
        diagnostic("CEC2015", {
          message: `model ${model} nests too deep`,
          help: "name parts of its expressions with bindings",
          span: item.name.span,
        }),
      );
      return false;
    }
    if (!(error instanceof CecError) || error.exitCode === 70) throw error;
    for (const d of error.diagnostics) report(d);
    return false;
  }
}
