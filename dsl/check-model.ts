/** Faults of a model that can be seen without running it: names, calls, and arguments that do not depend on parameters. */
import { diagnostic, suggest } from "../compiler/core/diagnostics/index.js";
import type { Argument, Block, Call, Expr, Ident, Item, Parameter, Statement } from "./ast.js";
import { type ModelContext, unknownCallee, withBlocks } from "./elaborate.js";
import { builtins, constantScope } from "./evaluate.js";
import { attempt, optionNames, type Report, readOptions } from "./options.js";

type Walk = (e: Expr) => void;

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
  checkBody(model.params, model.body, new Set(context.params.keys()), context.blocks, context, report, "model");
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

export function checkBlock(
  block: Block,
  outer: ReadonlySet<string>,
  blocks: ReadonlyMap<string, Block>,
  context: ModelContext,
  report: Report,
): void {
  checkBody(block.params, block.body, outer, blocks, context, report, "block");
}

function checkBody(
  params: readonly Parameter[],
  body: readonly Statement[],
  outer: ReadonlySet<string>,
  outerBlocks: ReadonlyMap<string, Block>,
  context: ModelContext,
  report: Report,
  kind: "model" | "block",
): void {
  const defined = new Set(outer);
  const blocks = withBlocks(outerBlocks, body);
  const seen = new Set<string>();
  for (const p of params) {
    if (seen.has(p.name.name)) report(diagnostic("CEC2007", { message: `the parameter \`${p.name.name}\` is there twice`, span: p.name.span }));
    seen.add(p.name.name);
    defined.add(p.name.name);
  }
  const withParams = new Set(defined);
  const unknown = (id: Ident): void =>
    report(diagnostic("CEC2003", { message: `\`${id.name}\` is not defined`, help: suggest(id.name, defined), span: id.span }));

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
        return walk(e.index);
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
    let tensors = layer.inputs === "variadic" ? Number.POSITIVE_INFINITY : layer.inputs - (piped ? 1 : 0);
    const options: Argument[] = [];
    let plain = true;
    for (const a of c.args) {
      if (a.key === null && tensors > 0 && !(layer.inputs === "variadic" && isPlain(a.value))) {
        tensors--;
        walk(a.value);
      } else {
        walkOption(a.value);
        options.push(a);
        plain &&= isPlain(a.value);
      }
    }
    const names = optionNames(layer.options);
    if (plain) {
      readOptions({
        what: `layer ${name}`,
        schema: layer.options,
        positional: layer.positional,
        args: options,
        span: c.span,
        scope: constantScope(new Map(), context.env),
        report,
        extra: ["name"],
      });
      return;
    }
    for (const a of options) {
      if (a.key !== null && names !== null && a.key.name !== "name" && !names.includes(a.key.name))
        report(
          diagnostic("CEC2005", {
            message: `layer ${name} has no option \`${a.key.name}\``,
            help: suggest(a.key.name, names) || `it has ${names.join(", ")}`,
            span: a.key.span,
          }),
        );
    }
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
            help: key === undefined ? `they are ${names.join(", ")}` : suggest(key, names) || `it has ${names.join(", ")}`,
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
          defined.add(s.name.name);
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
          defined.add(s.name.name);
          break;
        case "for":
          walk(s.list);
          defined.add(s.name.name);
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
