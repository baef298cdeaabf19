/** From the statements of a plan to the flat list of passes that the manager runs, and what can be said of them before anything runs. */
import { type Diagnostic, diagnostic, fail, suggest } from "../diagnostics/index.js";
import type { Level } from "../ir/graph.js";
import type { PassLine } from "../ir/parse.js";
import type { PassCall, PassDefinition, Statement } from "./define.js";

/** One pass of a flat pipeline. */
export interface PassStep {
  readonly pass: PassDefinition;
  /** As the pass's schema parsed them. */
  readonly options: unknown;
  /** Place in the pipeline, from 1. */
  readonly index: number;
  /** The statement of a plan that stands for it, alone or with others. */
  readonly statement?: Statement;
}

const takes = (pass: PassDefinition): readonly Level[] => (typeof pass.from === "string" ? [pass.from] : pass.from);

/** Parses options against the pass's schema; throws CEC2006 in the terms of the pass. */
export function parseOptions(pass: PassDefinition, options: unknown): unknown {
  const parsed = pass.options.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  return fail("CEC2006", {
    message: `pass ${pass.name}: ${parsed.error.issues.map((i) => `${i.path.length === 0 ? "options" : `\`${i.path.join(".")}\``}: ${i.message}`).join("; ")}`,
    help: `see the options of ${pass.name} in docs/reference`,
  });
}

/** Statements may stand for statements; more than this is a pass that expands to itself. */
const MAX_EXPANSION = 16;

/** Replaces statements that stand for several passes by those, and parses all options. */
export function flatten(calls: readonly PassCall[], firstIndex = 1): PassStep[] {
  const steps: PassStep[] = [];
  const visit = (call: PassCall, path: readonly string[], statement: Statement | undefined): void => {
    if (path.length > MAX_EXPANSION) {
      fail("CEC9001", { message: `pass ${path[0]} expands without end`, why: `${path.slice(0, 4).join(" → ")} → …` });
    }
    const options = parseOptions(call.pass, call.options);
    if (call.pass.expand === undefined)
      steps.push({ pass: call.pass, options, index: firstIndex + steps.length, ...(statement === undefined ? {} : { statement }) });
    else for (const inner of call.pass.expand(options)) visit(inner, [...path, call.pass.name], statement);
  };
  for (const call of calls) visit(call, [], call.statement);
  return steps;
}

/** What a user knows a step by. */
const stepName = ({ statement, pass }: PassStep): string => statement?.name ?? pass.name;

/** Checks that each pass takes the level that the one before gives; gives the last level. Throws CEC4004, naming both, at the statement of a plan. */
export function checkLevels(start: Level, steps: readonly PassStep[]): Level {
  let level = start;
  let giver: PassStep | undefined;
  for (const step of steps) {
    const { pass, statement } = step;
    const wanted = takes(pass);
    if (!wanted.includes(level)) {
      const [name, before] = [stepName(step), giver === undefined ? "the source" : stepName(giver)];
      const givers = [...new Set(steps.filter((s) => s.pass.to !== "same" && wanted.includes(s.pass.to)).map(stepName))].filter((s) => s !== name);
      fail("CEC4004", {
        message: `pass ${name} cannot stand after ${before}`,
        why: `${name} takes graphs of level ${wanted.join(" or ")}, and ${before} gives level ${level}`,
        help:
          name === before
            ? `leave one ${name} out`
            : givers.length > 0
              ? `put ${name} after ${givers.join(" or ")}`
              : giver !== undefined && wanted.includes(start)
                ? `put ${name} before ${before}`
                : `a pass that gives level ${wanted[0]} must stand before it`,
        ...(statement === undefined ? {} : { span: statement.span }),
      });
    }
    if (pass.to !== "same") {
      level = pass.to;
      giver = step;
    }
  }
  return level;
}

/**
 * Pass calls by name, as `cec opt --pass` and RUN lines give them.
 * @throws CecError CEC2004 for a name that the registry lacks
 */
export function resolvePasses(lines: readonly PassLine[], registry: ReadonlyMap<string, PassDefinition>): PassCall[] {
  return lines.map(({ name, options }) => {
    // Plans write names with `_`, declarations with `-`; a registry may hold either.
    const pass = registry.get(name) ?? registry.get(name.replaceAll("_", "-")) ?? registry.get(name.replaceAll("-", "_"));
    return pass === undefined
      ? fail("CEC2004", { message: `there is no pass \`${name}\``, help: suggest(name, registry.keys()) })
      : { pass, options };
  });
}

/** Warns of options that were given and change nothing beside the others. */
export function ignoredOptions(calls: readonly PassCall[]): Diagnostic[] {
  return calls.flatMap(({ pass, options, statement }) =>
    (pass.ignored?.(options) ?? []).map(({ option, why }) =>
      diagnostic("CEC4032", {
        severity: "warning",
        message: `\`${option}\` of ${statement?.name ?? pass.name} has no effect`,
        why,
        help: "leave it out",
        ...(statement === undefined ? {} : { span: statement.options?.[option] ?? statement.span }),
      }),
    ),
  );
}
