import {
  type CalibrationSource,
  constantTensor,
  type Executor,
  type Feeds,
  type Graph,
  opDefinition,
  type Tensor,
  type Value,
} from "../../../../compiler/core/index.js";

/** Runs graphs by the ops' scalar reference evaluation. */
export const referenceExecutor: Executor = {
  name: "reference",
  async prepare(graph: Graph, { keep = [] } = {}) {
    return {
      async run(feeds: Feeds) {
        const values = new Map<Value, Tensor>();
        for (const v of graph.inputs) values.set(v, feeds[v.name] as Tensor);
        for (const op of graph.ops) {
          const results =
            op.kind === "constant"
              ? [constantTensor(op.outputs[0]) as Tensor]
              : (opDefinition(op.kind)?.evaluate?.(
                  op,
                  op.inputs.map((v) => (v === null ? null : (values.get(v) as Tensor))),
                ) ?? []);
          op.outputs.forEach((v, i) => {
            values.set(v, results[i] as Tensor);
          });
        }
        const out: Record<string, Tensor> = {};
        for (const name of keep) out[name] = values.get(graph.value(name) as Value) as Tensor;
        for (const o of graph.outputs) out[o.name] = values.get(o.value) as Tensor;
        return out;
      },
      dispose() {},
    };
  },
  async observe() {
    throw new Error("not needed here");
  },
};

export const samplesOf = (...batches: Feeds[]): CalibrationSource => ({
  size: batches.length,
  async *batches() {
    yield* batches;
  },
});
