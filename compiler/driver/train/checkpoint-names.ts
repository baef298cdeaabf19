/** Files that a plan's statements leave their checkpoints in, from the output folder: each has one of its own. */
import { isAbsolute, normalize } from "node:path";
import { z } from "zod";
import type { CheckedPlan, PlanStep } from "../../../dsl/index.js";
import { type Diagnostic, diagnostic, type PassDefinition } from "../../core/index.js";

type PassOf = (step: PlanStep) => PassDefinition;

/** What the pass calls its checkpoint where the plan says nothing; `null` for passes without one. */
function defaultName({ options }: PassDefinition): string | null {
  const name = options instanceof z.ZodObject ? (options.shape as Record<string, z.ZodType>)["checkpoint"]?.safeParse(undefined).data : undefined;
  return typeof name === "string" ? name : null;
}

const given = (s: PlanStep): string | null => (typeof s.options["checkpoint"] === "string" ? s.options["checkpoint"] : null);

/** One name a step, `null` for those that do not train: what the plan says, or the pass's own with a number where that is taken (`training-2.ckpt`). */
export function checkpointNames(steps: readonly PlanStep[], passOf: PassOf): (string | null)[] {
  const taken = new Set(steps.flatMap((s) => given(s) ?? []).map(normalize));
  return steps.map((s) => {
    const own = defaultName(passOf(s));
    if (own === null || given(s) !== null) return own && given(s);
    let name = own;
    for (let n = 2; taken.has(name); n++) name = own.replace(/(\.\w+)?$/, (end) => `-${n}${end}`);
    taken.add(name);
    return name;
  });
}

/** Names that are taken twice, by another output, or that lie outside the output folder. */
export function checkpointFaults({ steps, emits }: CheckedPlan, passOf: PassOf): Diagnostic[] {
  const files = new Map([["report.json", "the build's own report"], ...emits.map((e) => [normalize(e.path), "an output"] as const)]);
  return steps.flatMap((s) => {
    const name = given(s);
    if (name === null || name === "" || defaultName(passOf(s)) === null) return [];
    const path = normalize(name);
    const span = s.spans?.["checkpoint"] ?? s.span;
    if (isAbsolute(path) || /^\.\.?([\\/]|$)|[\\/]$/.test(path))
      return diagnostic("CEC2006", {
        message: `\`checkpoint\` of ${s.name} is a file in the output folder, and "${name}" is none`,
        help: "give a name such as `night.ckpt`, or leave it out",
        span,
      });
    const other = files.get(path);
    files.set(path, `the checkpoint of another ${s.name}`);
    if (other === undefined) return [];
    return diagnostic("CEC2007", {
      message: `the checkpoint of ${s.name} has the name of ${other}: ${name}`,
      help: "give it another name, or leave it out: each statement then has one of its own",
      span,
    });
  });
}
