/** Parsers of option values that several commands share. Their errors are CEC1001. */
import { availableParallelism } from "node:os";
import { Option } from "commander";
import { fail } from "../../core/index.js";
import { type EngineName, engineNames } from "../engine/index.js";

const reject = (message: string, help: string): never => fail("CEC1001", { message, help });

export function wholeNumber(name: string, least: number, most: number) {
  return (text: string): number => {
    const n = Number(text);
    return Number.isInteger(n) && n >= least && n <= most
      ? n
      : reject(`${name} takes a whole number from ${least} to ${most}, not \`${text}\``, `such as ${name} ${least}`);
  };
}

export function positiveNumber(name: string, most: number) {
  return (text: string): number => {
    const n = Number(text);
    return n > 0 && n <= most ? n : reject(`${name} takes a number above 0 and up to ${most}, not \`${text}\``, `such as ${name} 0.5`);
  };
}

/** `k=v`, collected. */
export function keyValue(name: string) {
  return (text: string, before: Readonly<Record<string, string>>): Record<string, string> => {
    const at = text.indexOf("=");
    if (at <= 0) return reject(`${name} takes name=value, not \`${text}\``, `such as ${name} x=1`);
    const key = text.slice(0, at);
    return { ...before, [key]: text.slice(at + 1) };
  };
}

export const numbers =
  (name: string) =>
  (text: string): number[] => {
    const list = text.split(",").map((t) => Number(t.trim()));
    return list.length > 0 && list.every(Number.isFinite) && text.trim() !== ""
      ? list
      : reject(`${name} takes numbers with commas between, not \`${text}\``, `such as ${name} 0.5,0.5,0.5`);
  };

export const collect = (text: string, before: readonly string[]): string[] => [...before, text];

export const engineOption = (): Option =>
  new Option("--engine <name>", "engine; by default native, or ort where native lacks an op").choices([...engineNames]);
/** Results do not depend on threads: commands that only compute use all cores, those that measure use one. */
export const threadsOption = (otherwise = Math.min(16, availableParallelism()), what = "all cores"): Option =>
  new Option("--threads <n>", "threads of the engine").argParser(wholeNumber("--threads", 1, 256)).default(otherwise, what);
export const jsonOption = (): Option => new Option("--json", "print the result as JSON");
export const setOption = (): Option =>
  new Option("--set <name=value>", "sets a `param` of the plan file; may be repeated").argParser(keyValue("--set")).default({}, "none");

export const sweepOption = (): Option =>
  new Option("--sweep <name=a,b,…>", "builds once for each value of a `param`, each in a folder of its own; may be repeated").argParser(
    (text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
      const found = keyValue("--sweep")(text, {});
      const name = Object.keys(found).find((k) => k in before);
      return name === undefined
        ? { ...before, ...found }
        : reject(`--sweep ${name} is given twice`, "list all its values in one, with commas between");
    },
  );

export interface EngineOptions {
  readonly engine?: EngineName;
  readonly threads: number;
}
