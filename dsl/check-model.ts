/** Faults of a model that can be seen without running it: names, calls, and arguments that do not depend on parameters. */
import { diagnostic, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Block, Call, Expr, Ident, Item, Parameter, Statement } from "./ast.js";
import type { LayerDeclaration } from "./declarations.js";
import { type Blocks, type ModelContext, unknownCallee, withBlocks } from "./elaborate.js";
import { builtins, constantScope, type Scope } from "./evaluate.js";
import { Layered } from "./layered.js";
import { attempt, hint, optionNames, type Report, readOptions } from "./options.js";

type Walk = (e: Expr) => void;

/** Names that a body may use. */
export type Names = Layered<true>;

export const paramNames = (context: ModelContext): Names =>
  new Layered(
    null,
    [...context.params.keys()].map((n) => [n, true] as const),
  );

/** True when an expression's value is in the text itself. */
function isPlain(e: Expr): boolean {
  switch (e.kind) {
    case "number":
    case "constant":
      return true;
    case "string":
      return !e.raw.includes("${");
    case "list":
      return e.items.every(isPlain);
    case "record":
      return e.entries.every((a) => isPlain(a.value));
    case "prefix":
      return isPlain(e.operand);
    default:
      return false;
  }
}

export function checkModel(model: Extract<Item, { kind: "model" }>, context: ModelContext, partial: boolean, report: Report): void {
  checkBody(model.params, model.body, paramNames(context), context.blocks, context, report, "model");
  const outputs = (list: readonly Statement[]): boolean =>
    list.some(
      (s) =>
        s.kind === "output" ||
        (s.kind === "if" && (s.branches.some((b) => outputs(b.body)) || outputs(s.otherwise))) ||
        ((s.kind === "for" || s.kind === "repeat") && outputs(s.body)),
    );
  if (!partial && !outputs(model.body))
    report(
      diagnostic("CEC2011", { message: `model ${model.name.name} has no output`, help: "end it with `output NAME = …`", span: model.name.span }),
    );
}

export function checkBlock(block: Block, outer: Names, blocks: Blocks, context: ModelContext, report: Report): void {
  checkBody(block.params, block.body, outer, blocks, context, report, "block");
}

function checkBody(
  params: readonly Parameter[],
  body: readonly Statement[],
  outer: Names,
  outerBlocks: Blocks,
  context: ModelContext,
  report: Report,
  kind: "model" | "block",
): void {
  const withParams: Names = new Layered(outer);
  const blocks = withBlocks(outerBlocks, body);
  const seen = new Set<string>();
  for (const p of params) {
    if (seen.has(p.name.name)) report(diagnostic("CEC2007", { message: `the parameter \`${p.name.name}\` is there twice`, span: p.name.span }));
    seen.add(p.name.name);
    withParams.set(p.name.name, true);
  }
  const defined: Names = new Layered(withParams);
  const unknown = (id: Ident): void =>
    report(diagnostic("CEC2003", { message: `\`${id.name}\` is not defined`, help: suggest(id.name, defined.keys()), span: id.span }));

  const walk: Walk = (e) => {
    switch (e.kind) {
      case "name":
        if (!defined.has(e.name)) unknown(e);
        return;
      case "call":
        return call(e.call, false);
      case "pipe":
        walk(e.first);
        for (const c of e.calls) call(c, true);
        return;
      case "list":
        return void e.items.forEach(walk);
      case "record":
        return void e.entries.forEach((a) => walk(a.value));
      case "prefix":
        return walk(e.operand);
      case "chain":
        walk(e.first);
        for (const r of e.rest) walk(r.right);
        return;
      case "index":
        walk(e.base);
        return void e.indices.forEach(walk);
      default:
        return;
    }
  };
  /** Values of options may be bare words. */
  const walkOption: Walk = (e) => {
    if (e.kind === "name") return;
    if (e.kind === "list") return void e.items.forEach(walkOption);
    walk(e);
  };

  function call(c: Call, piped: boolean): void {
    const { name } = c.callee;
    if (Object.hasOwn(builtins, name)) return void c.args.forEach((a) => walk(a.value));
    const block = blocks.get(name);
    if (block !== undefined) return blockCall(block, c, piped);
    const layer = context.declarations.layers.get(name);
    if (layer === undefined) {
      attempt(report, () => unknownCallee(c, context, blocks));
      for (const a of c.args) walkOption(a.value);
      return;
    }
    layerCall(layer, c, piped);
  }

  function layerCall(layer: LayerDeclaration, c: Call, piped: boolean): void {
    const variadic = layer.inputs === "variadic";
    const wanted = layer.inputs === "variadic" ? Number.POSITIVE_INFINITY : layer.inputs;
    let tensors = piped ? 1 : 0;
    const options: Argument[] = [];
    let ok = true;
    for (const a of c.args) {
      if (a.key !== null || tensors >= wanted || (variadic && isPlain(a.value))) {
        walkOption(a.value);
        options.push(a);
        continue;
      }
      tensors++;
      if (isPlain(a.value)) {
        ok = false;
        report(
          diagnostic("CEC2011", {
            message: `layer ${layer.name} takes ${wanted === 1 ? "a tensor" : `${wanted} tensors`} first`,
            help: `write \`x |> ${layer.name}(…)\` or \`${layer.name}(x, …)\``,
            span: a.span,
          }),
        );
      } else walk(a.value);
    }
    if (!ok) return;
    if (variadic ? tensors === 0 : tensors < wanted)
      return report(
        diagnostic("CEC2011", {
          message: `layer ${layer.name} takes ${variadic ? "tensors" : `${wanted} tensor${wanted === 1 ? "" : "s"}`}, not ${tensors}`,
          span: c.span,
        }),
      );
    layerOptions(layer, c, options);
  }

  /** Options that can be judged before the model runs: all, or those that stand in the text. */
  function layerOptions(layer: LayerDeclaration, c: Call, options: readonly Argument[]): void {
    const word = (e: Expr): boolean => e.kind === "name" && !defined.has(e.name);
    const known = (a: Argument): boolean => isPlain(a.value) || word(a.value);
    const scope: Scope = { ...constantScope(new Map(), context.env), names: () => defined.keys() };
    const input = { what: `layer ${layer.name}`, span: c.span, scope, report, extra: ["name"] };
    if (options.every(known)) {
      readOptions({ ...input, schema: layer.options, positional: layer.positional, args: options });
      return;
    }
    const names = optionNames(layer.options);
    const given: Argument[] = [];
    const later = new Set<string>();
    let position = 0;
    for (const a of options) {
      const name = a.key?.name ?? layer.positional[position++];
      // What depends on parameters counts as given, with a value that is judged later.
      given.push(known(a) ? a : { ...a, value: { kind: "constant", value: null, span: a.value.span } });
      if (name !== undefined && !known(a)) later.add(name);
    }
    if (names === null) return;
    readOptions({ ...input, schema: layer.options, positional: layer.positional, args: given, later });
  }

  function blockCall(block: Block, c: Call, piped: boolean): void {
    const names = block.params.map((p) => p.name.name);
    let position = piped ? 1 : 0;
    const given = new Set(piped ? names.slice(0, 1) : []);
    for (const a of c.args) {
      walk(a.value);
      const key = a.key?.name ?? names[position++];
      if (key === undefined || (!names.includes(key) && key !== "name")) {
        report(
          diagnostic("CEC2011", {
            message:
              key === undefined
                ? `block ${block.name.name} takes ${names.length} argument${names.length === 1 ? "" : "s"}`
                : `block ${block.name.name} has no parameter \`${key}\``,
            help: key === undefined ? `they are ${names.join(", ")}` : hint(key, names, "it takes none"),
            span: a.span,
          }),
        );
      } else given.add(key);
    }
    for (const p of block.params)
      if (p.default === null && !given.has(p.name.name))
        report(
          diagnostic("CEC2011", { message: `block ${block.name.name} needs \`${p.name.name}\``, help: `add \`${p.name.name}: …\``, span: c.span }),
        );
  }

  function statements(list: readonly Statement[], top: boolean): void {
    for (const s of list) {
      switch (s.kind) {
        case "block":
          if (!top) report(diagnostic("CEC2002", { message: "a block stands at the top of its model or file", span: s.name.span }));
          checkBlock(s, withParams, blocks, context, report);
          break;
        case "input":
          if (kind === "block")
            report(diagnostic("CEC2002", { message: "`input` stands only in models", help: "blocks have parameters", span: s.span }));
          // A name that is not defined is a symbolic dimension.
          for (const d of s.dims) if (d.kind !== "name") walk(d);
          defined.set(s.name.name, true);
          break;
        case "output":
          if (kind === "block")
            report(diagnostic("CEC2002", { message: "`output` stands only in models", help: "blocks end with `return …`", span: s.span }));
          if (s.value !== null) walk(s.value);
          else if (!defined.has(s.name.name)) unknown(s.name);
          break;
        case "return":
          if (kind === "model")
            report(diagnostic("CEC2002", { message: "`return` stands only in blocks", help: "models have `output NAME = …`", span: s.span }));
          walk(s.value);
          break;
        case "bind":
          walk(s.value);
          defined.set(s.name.name, true);
          break;
        case "for":
          walk(s.list);
          defined.set(s.name.name, true);
          statements(s.body, false);
          break;
        case "repeat":
          walk(s.times);
          statements(s.body, false);
          break;
        case "if":
          for (const b of s.branches) {
            walk(b.condition);
            statements(b.body, false);
          }
          statements(s.otherwise, false);
          break;
      }
    }
  }
  statements(body, true);
}
