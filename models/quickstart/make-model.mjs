/**
 * Makes the quick start's model with the programmatic API: elaborates `shapes_net` with seeded random convolutions, runs it on generated pictures, and fits
 * the classifier to its features by ridge regression (Hoerl, Kennard 1970): least squares with a small penalty, solved in closed form. No training, no
 * download. Usage: node make-model.mjs OUT.onnx
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { bindData, chooseEngine, definePass, exportOnnx, f32, findPass, loadModel, openData, openPlan, runPipeline, z } from "cec";

const CLASSES = 10;
const PENALTY = 1e-3;

const plan = fileURLToPath(new URL("shapes.cplan", import.meta.url));

/** Solves A X = B for a symmetric positive matrix, in place: Cholesky. `a` is n x n, `b` n x m, both by rows. */
function solve(a, b, n, m) {
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < j; k++) {
      const l = a[j * n + k];
      if (l !== 0) for (let i = j; i < n; i++) a[i * n + j] -= a[i * n + k] * l;
    }
    const d = 1 / Math.sqrt(a[j * n + j]);
    for (let i = j; i < n; i++) a[i * n + j] *= d;
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) for (let c = 0; c < m; c++) b[i * m + c] -= a[i * n + k] * b[k * m + c];
    for (let c = 0; c < m; c++) b[i * m + c] /= a[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) for (let c = 0; c < m; c++) b[i * m + c] -= a[k * n + i] * b[k * m + c];
    for (let c = 0; c < m; c++) b[i * m + c] /= a[i * n + i];
  }
}

/** A pass of our own: puts fitted weights into the classifier. */
const setClassifier = (weights, bias) =>
  definePass({
    name: "set-classifier",
    summary: "Put fitted weights into the classifier",
    from: "float",
    to: "same",
    keeps: "lossy",
    options: z.object({}).strict(),
    statistics: { set: "weights set" },
    run({ graph, rewrite, count }) {
      const gemm = graph.opsOf("gemm").find((op) => op.name === "classifier");
      rewrite.patch(gemm, "fitted in closed form", (edit) => {
        edit.setInput(gemm, 1, edit.constant("classifier.fitted", weights));
        edit.setInput(gemm, 2, edit.constant("classifier.fitted_bias", bias));
      });
      count("set", 2);
    },
  });

async function main(out) {
  const { graph } = await loadModel(`${plan}#shapes_net`);
  const declared = (await openPlan(plan)).data.get("shapes.train");
  const data = bindData(await openData(declared.name, declared.kind, declared.options, declared.baseDir), graph);
  const { executor } = await chooseEngine(graph, undefined, 2);
  const session = await executor.prepare(graph);

  // Normal equations of the features (and a constant 1) against one-hot labels, gathered batch by batch.
  let n = 0;
  let gram = new Float64Array(0);
  let right = new Float64Array(0);
  let samples = 0;
  for await (const { feeds, labels, count } of data.batches(50)) {
    const { features } = await session.run(feeds);
    const width = features.dims[1];
    if (n === 0) {
      n = width + 1;
      gram = new Float64Array(n * n);
      right = new Float64Array(n * CLASSES);
    }
    for (let s = 0; s < count; s++) {
      const x = new Float64Array(n).fill(1);
      x.set(features.data.subarray(s * width, (s + 1) * width));
      for (let i = 0; i < n; i++) {
        const xi = x[i];
        if (xi === 0) continue;
        for (let j = 0; j <= i; j++) gram[i * n + j] += xi * x[j];
        for (let c = 0; c < CLASSES; c++) right[i * CLASSES + c] += xi * (labels[s] === c ? 1 : -1 / (CLASSES - 1));
      }
      samples++;
    }
  }
  session.dispose();
  let trace = 0;
  for (let i = 0; i < n; i++) trace += gram[i * n + i];
  for (let i = 0; i < n; i++) gram[i * n + i] += (PENALTY * trace) / n;
  solve(gram, right, n, CLASSES);

  const weights = new Float32Array(CLASSES * (n - 1));
  const bias = new Float32Array(CLASSES);
  for (let c = 0; c < CLASSES; c++) {
    for (let i = 0; i < n - 1; i++) weights[c * (n - 1) + i] = right[i * CLASSES + c];
    bias[c] = right[(n - 1) * CLASSES + c];
  }
  // The features were an output for fitting only: the logits, which are the first, stay.
  graph.truncateOutputs(1);
  await runPipeline(graph, [
    { pass: setClassifier(f32([CLASSES, n - 1], weights), f32([CLASSES], bias)), options: {} },
    { pass: findPass("eliminate_dead_code"), options: {} },
  ]);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, exportOnnx(graph).bytes);
  process.stdout.write(`made ${out} from ${samples} generated pictures\n`);
}

await main(process.argv[2] ?? "shapes.onnx");
