/** Runs training: steps of the native session on batches of a loader, measurements, checkpoints. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { LOSS_SCALE, LOSS_SCALES } from "../../../passes/index.js";
import { fail, hashGraph, type Tensor, type Trainer, type TrainingOutcome, type TrainingTask, toBytes, toNumbers } from "../../core/index.js";
import { contentKey, type Dataset } from "../data/index.js";
import { nativeExecutor } from "../engine/native.js";
import { evaluate } from "../evaluate.js";
import { bindData } from "../feeds.js";
import { type Checkpoint, findCheckpoint, keyOf, writeCheckpoint } from "./checkpoint.js";
import { compileTraining } from "./compile.js";
import { diverged } from "./diverged.js";
import { indexLimits } from "./indices.js";
import { checkData, checkValidation, dataInputs, feedsOf } from "./inputs.js";
import { type DataSource, openLoader, openSource, stepsOf } from "./loader.js";
import { rateAt } from "./schedule.js";

/** Where the trainer finds data and leaves checkpoints. */
export interface TrainerOptions {
  /** Finds a data set by its name in the plan. */
  source(reference: string): DataSource;
  /** Folder of checkpoints. */
  readonly out: string;
  readonly threads: number;
  /** Called when training begins: `signal` ends it with a checkpoint; `done` is called at its end. */
  readonly interruptible?: (says: string) => { readonly signal: AbortSignal; done(): void };
}

const CHECKPOINT_MS = 30_000;
/** A loss that many times the first one's is beyond any use. */
const EXPLODED = 1000;

/** The trainer on the native engine. */
export const createTrainer = (options: TrainerOptions): Trainer => ({ train: (task) => run(task, options) });

interface Course {
  readonly total: number;
  readonly perEpoch: number;
  readonly batch: number;
  readonly every: number;
}

async function run(task: TrainingTask, o: TrainerOptions): Promise<TrainingOutcome> {
  const s = task.settings;
  const source = o.source(s.data);
  const data = await openSource(source);
  if (data.size === 0) fail("CEC5002", { message: `data set ${data.name} is empty` });
  checkData(task.graph, data);
  const validation = s.validate === undefined ? null : await openSource(o.source(s.validate));
  if (validation !== null) checkValidation(task.graph, validation);
  const batch = Math.min(s.batch, data.size);
  const perEpoch = stepsOf(data.size, batch);
  const total = s.steps ?? s.epochs * perEpoch;
  const course: Course = { total, perEpoch, batch, every: s.evaluateEvery > 0 ? s.evaluateEvery : perEpoch };
  const path = s.checkpoint === "" ? null : resolve(o.out, s.checkpoint);
  const parts = await partsOf(task, data, validation);
  const from = path === null ? null : findCheckpoint(path, parts, task.warn);
  const { session, lowered } = await compileTraining(task.graph, from?.states ?? task.initial, {
    threads: o.threads,
    precision: s.precision,
    recompute: s.recompute,
    batch,
  });
  const loader = await openLoader(
    { source, batch, seed: s.seed, augment: s.augment, limits: indexLimits(task.graph) },
    data,
    s.workers,
    from?.step ?? 0,
  );
  const measure = async (): Promise<number> => top1Of(task, session.states, validation as Dataset, o.threads);
  const inputs = dataInputs(task.graph);
  let best = from?.best ?? null;
  let bestStates = from?.bestStates ?? new Map<string, Tensor>();
  let [loss, firstLoss] = [from?.loss ?? Number.NaN, from?.firstLoss ?? Number.NaN];
  let [skipped, underflow] = [from?.skipped ?? 0, from?.underflow ?? 0];
  const scaled = s.precision === "f16";
  let step = from?.step ?? 0;
  let stopped = from?.done ?? false;
  const started = performance.now();
  let saved = started;
  const begin = step;
  const save = (done: boolean): void => {
    if (path !== null)
      writeCheckpoint(path, {
        key: keyOf(parts),
        parts,
        step,
        done,
        best,
        loss,
        firstLoss,
        skipped,
        underflow,
        states: session.states,
        bestStates,
      } satisfies Checkpoint);
    saved = performance.now();
  };
  const stop = o.interruptible?.("training ends with a checkpoint of the last step");
  try {
    while (step < total && !stopped) {
      if (task.signal?.aborted || stop?.signal.aborted) {
        save(false);
        fail("CEC1005", { message: `training was interrupted after step ${step}`, help: "the same command goes on from there" });
      }
      const feeds = feedsOf(await loader.next(), inputs, rateAt(s, step, total), step, total);
      const out = await session.step(feeds);
      const now = toNumbers(out["loss"] as Tensor)[0] as number;
      const norm = toNumbers(out["gradient_norm"] as Tensor)[0] as number;
      if (Number.isNaN(firstLoss)) firstLoss = now;
      const overflowed = scaled && !Number.isFinite(norm) && scaleOf(session.states) >= LOSS_SCALES[0];
      if (!Number.isFinite(now) || (!Number.isFinite(norm) && !overflowed) || now > EXPLODED * Math.max(1, firstLoss))
        await diverged(session, lowered, feeds, step, now, norm, path !== null && existsSync(path));
      if (overflowed) skipped++;
      else if (scaled) underflow += share(out["gradient_underflow"]);
      loss = Number.isNaN(loss) ? now : 0.95 * loss + 0.05 * now;
      step++;
      if (validation !== null && (step % course.every === 0 || step === total)) {
        const top1 = await measure();
        const better = best === null || top1 > best.top1;
        if (better) bestStates = copyOf(session.states);
        best = better || best === null ? { step, top1, since: 0, latest: top1 } : { ...best, since: best.since + 1, latest: top1 };
        stopped = s.patience > 0 && best.since >= s.patience;
        if (s.checkpointEvery === 0) save(false);
      }
      if (s.checkpointEvery > 0 ? step % s.checkpointEvery === 0 : performance.now() - saved > CHECKPOINT_MS) save(false);
      task.progress(
        step / total,
        describe(step, begin, course, loss, best?.top1 ?? null, performance.now() - started) +
          (scaled ? `, loss scale ${scaleOf(session.states)}, ${skipped} skipped` : ""),
      );
    }
    if (from?.done !== true) save(true);
    const kept = s.keep === "best" && best !== null ? bestStates : copyOf(session.states);
    const trained = new Map([...kept].filter(([name]) => task.initial.has(name)));
    trained.delete(LOSS_SCALE);
    const scaling = scaled ? { scale: scaleOf(session.states), skipped, underflow: underflow / Math.max(1, step - skipped) } : null;
    const measured =
      s.keep === "best" || best === null ? { top1: best?.top1 ?? null, bestStep: best?.step ?? step } : { top1: best.latest, bestStep: step };
    return { states: trained, steps: step, loss, ...measured, scaling };
  } finally {
    stop?.done();
    await loader.close();
    session.dispose();
  }
}

const scaleOf = (states: ReadonlyMap<string, Tensor>): number => toNumbers(states.get(LOSS_SCALE) as Tensor)[0] as number;
/** No gradient that is not 0: nothing is lost. */
const share = (t: Tensor | undefined): number => (t === undefined ? 0 : toNumbers(t)[0] || 0);

const copyOf = (states: ReadonlyMap<string, Tensor>): Map<string, Tensor> =>
  new Map([...states].map(([n, t]) => [n, { ...t, data: (t.data as Float32Array).slice() }]));

/** Everything that the course depends on, in the plan's terms. */
async function partsOf(task: TrainingTask, data: Dataset, validation: Dataset | null): Promise<Record<string, string>> {
  const { checkpoint: _, checkpointEvery: __, workers: ___, recompute: ____, data: _____, validate: ______, ...settings } = task.settings;
  const weights = createHash("sha256");
  for (const [name, t] of task.initial) weights.update(name).update(toBytes(t));
  const contents = async (d: Dataset | null): Promise<string> => JSON.stringify(d && [d.name, d.shapes, await contentKey(d)]);
  return {
    "model, loss or optimizer": hashGraph(task.graph, { names: true }),
    "weights at the start": weights.digest("hex"),
    data: await contents(data),
    validate: await contents(validation),
    ...Object.fromEntries(
      Object.entries(settings).map(([k, v]) => [k.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), JSON.stringify(v) ?? "not given"]),
    ),
  };
}

/** Top-1 accuracy of the model with these weights, in percent. */
async function top1Of(task: TrainingTask, states: ReadonlyMap<string, Tensor>, data: Dataset, threads: number): Promise<number> {
  const graph = await task.deploy(states);
  const session = await nativeExecutor({ threads }).prepare(graph);
  try {
    const { results } = await evaluate(bindData(data, graph), { model: session }, { output: task.output, signal: task.signal });
    return results["model"]?.values.top1 ?? fail("CEC5003", { message: `data set ${data.name} has no labels to measure top1 with` });
  } finally {
    session.dispose();
  }
}

/** Loss, metric, pace and time left. */
function describe(step: number, begin: number, c: Course, loss: number, top1: number | null, ms: number): string {
  const done = step - begin;
  const left = Math.round(((c.total - step) * ms) / Math.max(1, done) / 1000);
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  return [
    `step ${step} of ${c.total}`,
    `loss ${loss.toFixed(4)}`,
    ...(top1 === null ? [] : [`top1 ${top1.toFixed(2)} %`]),
    `${Math.round((done * c.batch * 1000) / Math.max(1, ms))} images/s`,
    `${clock} left`,
  ].join(", ");
}
