/**
 * Patches: the only way in which a pass changes a graph. Each patch is numbered across the whole pipeline, so that
 * `--stop-after-patch N` and `cec bisect` can find the rewrite that broke a model.
 */

import type { Attrs, Graph, Json, Op, OpSpec, Value } from "../ir/graph.js";
import { inferOp } from "../ir/infer.js";
import { blobOf, type Tensor } from "../ir/tensor.js";
import { type Type, tensorType, UNKNOWN } from "../ir/types.js";

/** What `insert` needs; types are inferred where they are not given. */
export type NewOp = Omit<OpSpec, "types" | "kind" | "inputs"> & {
  readonly types?: readonly Type[];
  /** Number of outputs when types are not given; 1 by default. */
  readonly outputs?: number;
};

/** The edits of one patch. All insertions stand directly before the patch's anchor (at the end of the graph where there is none), in the order they are made. */
export interface Edit {
  /** A new graph input, after those that are there. */
  addInput(name: string, type: Type): Value;
  /** A new graph output, after those that are there. */
  addOutput(name: string, value: Value): void;
  removeOutput(name: string): void;
  insert(kind: string, inputs: readonly (Value | null)[], options?: NewOp): Op;
  constant(name: string, tensor: Tensor): Value;
  setInput(op: Op, index: number, value: Value | null): void;
  setAttrs(op: Op, attrs: Attrs): void;
  annotate(op: Op, key: string, json: Json | undefined): void;
  setName(op: Op, name: string): void;
  setType(value: Value, type: Type): void;
  /** Redirects all readers; where `to` was made in this patch it takes over the name of `from`. */
  replaceAllUses(from: Value, to: Value): void;
  /** Removes an op whose results nobody reads any more. */
  erase(op: Op): void;
  /** Removes the op and, upwards, every op that only it kept alive. */
  eraseDead(op: Op): void;
}

export interface PatchRecord {
  readonly number: number;
  readonly pass: string;
  readonly at: string;
  readonly reason: string;
}

export interface Rewriter {
  /** One patch: `edit` makes all its changes, anchored at `at`; `null` is the end of the graph. */
  patch(at: Op | null, reason: string, edit: (edit: Edit) => void): void;
  /** One patch: replaces the results of `op` by those of another op or by a value, and removes what died. */
  replace(op: Op, by: Op | Value, reason: string): void;
  /** One patch: removes an op that nobody reads. */
  remove(op: Op, reason: string): void;
  setAttrs(op: Op, attrs: Attrs, reason: string): void;
  annotate(op: Op, key: string, json: Json | undefined, reason: string): void;
}

/** Thrown through a pass to end the pipeline after the wanted patch; the manager catches it. */
export class StopAfterPatch extends Error {}

export interface RewriterHooks {
  readonly pass: string;
  /** Number of the next patch, shared over the pipeline. */
  next(): number;
  /** Called after each patch; throws `StopAfterPatch` when the pipeline is to end. */
  done(record: PatchRecord): void;
}

const isOp = (x: Op | Value): x is Op => "outputs" in x;

export function createRewriter(graph: Graph, hooks: RewriterHooks): Rewriter {
  const patch = (at: Op | null, reason: string, change: (edit: Edit) => void): void => {
    const label = at === null ? graph.name : at.name || (at.outputs[0]?.name ?? at.kind);
    const before = at ?? undefined;
    const fresh = new Set<Value>();
    const erase = (op: Op): void => graph.removeOp(op);
    // A loop, not a recursion: dead chains are as long as models are deep.
    const eraseDead = (op: Op): void => {
      const waiting = [op];
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        if (next.outputs.some((v) => graph.isUsed(v)) || !graph.owns(next)) continue;
        const producers = next.inputs.flatMap((v) => (v?.producer == null ? [] : [v.producer]));
        graph.removeOp(next);
        waiting.push(...producers.reverse());
      }
    };
    change({
      addInput(name, type) {
        const value = graph.addInput(name, type);
        fresh.add(value);
        return value;
      },
      addOutput: (name, value) => graph.addOutput(name, value),
      removeOutput: (name) => graph.removeOutput(name),
      insert(kind, inputs, options = {}) {
        const { types, outputs = 1, ...rest } = options;
        const op = graph.addOp({ ...rest, kind, inputs, types: types ?? new Array<Type>(outputs).fill(UNKNOWN) }, before);
        if (types === undefined) inferOp(graph, op);
        for (const v of op.outputs) fresh.add(v);
        return op;
      },
      constant(name, t) {
        const value = graph.addConstant(name, tensorType(t.type, t.dims), blobOf(t), before);
        fresh.add(value);
        return value;
      },
      setInput: (op, index, value) => graph.setInput(op, index, value),
      setAttrs: (op, attrs) => graph.setAttrs(op, attrs),
      annotate(op, key, json) {
        const { [key]: _, ...rest } = op.annotations;
        op.annotations = json === undefined ? rest : { ...rest, [key]: json };
      },
      setName(op, name) {
        op.name = name;
      },
      setType(value, type) {
        value.type = type;
      },
      replaceAllUses(from, to) {
        graph.replaceAllUses(from, to);
        if (fresh.has(to)) graph.rename(to, from.name);
      },
      erase,
      eraseDead,
    });
    hooks.done({ number: hooks.next(), pass: hooks.pass, at: label, reason });
  };
  return {
    patch,
    replace(op, by, reason) {
      patch(op, reason, (edit) => {
        if (isOp(by)) for (const v of op.outputs) edit.replaceAllUses(v, by.outputs[v.index] as Value);
        else edit.replaceAllUses(op.outputs[0] as Value, by);
        edit.eraseDead(op);
      });
    },
    remove: (op, reason) => patch(op, reason, (edit) => edit.eraseDead(op)),
    setAttrs: (op, attrs, reason) => patch(op, reason, (edit) => edit.setAttrs(op, attrs)),
    annotate: (op, key, json, reason) => patch(op, reason, (edit) => edit.annotate(op, key, json)),
  };
}
