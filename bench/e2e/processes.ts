/** Whole processes, measured from outside. */
import { spawnSync } from "node:child_process";

export interface Measured {
  readonly seconds: number;
  /** Of all threads: hardly moved by what else the machine does. */
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

const PEAK = `
import resource, subprocess, sys
r = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print("PEAK", u.ru_maxrss, "CPU", u.ru_utime + u.ru_stime, file=sys.stderr)
sys.exit(r.returncode)`;

/** Wall time of a process, and the peak of its resident memory as the kernel counts it. Throws with its output where it fails. */
export function measure(command: string, args: readonly string[]): Measured {
  const started = performance.now();
  const r = spawnSync("python3", ["-c", PEAK, command, ...args], { encoding: "utf8" });
  const seconds = (performance.now() - started) / 1000;
  const peak = /PEAK (\d+) CPU ([\d.]+)/.exec(r.stderr);
  if (r.status !== 0 || peak === null) throw new Error(`${command} ${args.join(" ")} failed:\n${r.stdout}\n${r.stderr}`);
  return { seconds, cpuSeconds: Number(peak[2]), peakMiB: Math.round(Number(peak[1]) / 1024) };
}

/** Lines of JSON that a process prints. */
export function jsonLines<T>(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): T[] {
  const r = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 2 ** 26 });
  if (r.status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${r.stdout}\n${r.stderr}`);
  return r.stdout
    .split("\n")
    .filter((l) => l.startsWith("{"))
    .map((l) => JSON.parse(l) as T);
}
