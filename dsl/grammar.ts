/** The grammar as EBNF, read from the parser itself, so that it cannot drift from what is parsed. */
import { tokenLabel } from "chevrotain";
import { planParser } from "./parser.js";
import { allTokens } from "./tokens.js";

const labels = new Map(allTokens.map((t) => [t.name, tokenLabel(t)]));

/** Terminals as they are written; classes of tokens in capitals. */
function terminal(name: string): string {
  const label = labels.get(name) ?? name;
  return label.startsWith("`") ? `"${label.slice(1, -1)}"` : name.toUpperCase();
}

const join = (parts: readonly ISerializedGastAny[]): string => parts.map(text).join(" ");
const grouped = (parts: readonly ISerializedGastAny[]): string => (parts.length === 1 ? join(parts) : `( ${join(parts)} )`);

function text(p: ISerializedGastAny): string {
  switch (p.type) {
    case "NonTerminal":
      return p.name;
    case "Terminal":
      return terminal(p.name);
    case "Option":
      return `[ ${join(p.definition)} ]`;
    case "Repetition":
      return `{ ${join(p.definition)} }`;
    case "RepetitionMandatory":
      return `${grouped(p.definition)} { ${join(p.definition)} }`;
    case "RepetitionWithSeparator":
      return `[ ${join(p.definition)} { ${text(p.separator as ISerializedGastAny)} ${join(p.definition)} } ]`;
    case "RepetitionMandatoryWithSeparator":
      return `${join(p.definition)} { ${text(p.separator as ISerializedGastAny)} ${join(p.definition)} }`;
    case "Alternation":
      return `( ${p.definition.map((a) => join(a.definition)).join(" | ")} )`;
    default:
      return join(p.definition as readonly ISerializedGastAny[]);
  }
}

interface ISerializedGastAny {
  readonly type: string;
  readonly name: string;
  readonly definition: readonly ISerializedGastAny[];
  readonly separator?: ISerializedGastAny;
}

/** Alternatives of a rule stand below each other. */
function rule(name: string, definition: readonly ISerializedGastAny[]): string {
  const only = definition.length === 1 ? definition[0] : undefined;
  if (only?.type === "Alternation" && only.definition.length > 3) {
    const alternatives = only.definition.map((a) => join(a.definition));
    return `${name}\n  = ${alternatives.join("\n  | ")} ;`;
  }
  return `${name} = ${join(definition)} ;`;
}

/** One production a rule, in the order of the parser. */
export function grammarEbnf(): string {
  const rules = planParser().getSerializedGastProductions() as unknown as readonly ISerializedGastAny[];
  return rules.map((r) => rule(r.name, r.definition)).join("\n");
}
