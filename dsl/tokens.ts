/** Tokens of the language. Comments are kept aside for the formatter. */
import { createToken, type IToken, Lexer, type TokenType } from "chevrotain";

/** Longest file that is read: more is taken for something else than a plan. */
export const MAX_CHARACTERS = 1 << 18;

/** The same in tokens: parsing costs some microseconds for each. */
export const MAX_TOKENS = 50_000;

/** A string ends on its line; escapes are checked later, so that the message can say which one is wrong. Scanned by hand: no backtracking on hostile text. */
function matchString(text: string, from: number): [string] | null {
  if (text[from] !== '"') return null;
  for (let i = from + 1; i < text.length; i++) {
    const c = text[i];
    if (c === "\\" && text[i + 1] !== "\n" && text[i + 1] !== "\r") i++;
    else if (c === '"') return [text.slice(from, i + 1)];
    else if (c === "\n" || c === "\r") return null;
  }
  return null;
}

export const Name = createToken({ name: "Name", pattern: /[A-Za-z_][A-Za-z0-9_]*/, label: "name" });
export const Str = createToken({ name: "String", pattern: matchString, start_chars_hint: ['"'], line_breaks: false, label: "string" });
/** A number with a unit: 1.0%, 0.3x, 4MiB, 2ms. */
export const Quantity = createToken({
  name: "Quantity",
  pattern: /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:%|x|[KMG]i?B|B|ms|us|s|dB)(?![A-Za-z0-9_])/,
  label: "number with unit",
});
export const Num = createToken({ name: "Number", pattern: /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/, label: "number" });

export const Space = createToken({ name: "Space", pattern: /[ \t\r\n\uFEFF]+/, line_breaks: true, group: Lexer.SKIPPED });
export const Comment = createToken({ name: "Comment", pattern: /\/\/[^\n\r]*/, group: "comments" });

const symbol = (name: string, pattern: string): TokenType => createToken({ name, pattern, label: `\`${pattern}\`` });
export const Pipe = symbol("Pipe", "|>");
export const LessEqual = symbol("LessEqual", "<=");
export const GreaterEqual = symbol("GreaterEqual", ">=");
export const EqualEqual = symbol("EqualEqual", "==");
export const NotEqual = symbol("NotEqual", "!=");
export const Less = symbol("Less", "<");
export const Greater = symbol("Greater", ">");
export const Assign = symbol("Assign", "=");
export const Plus = symbol("Plus", "+");
export const Minus = symbol("Minus", "-");
export const Star = symbol("Star", "*");
export const Slash = symbol("Slash", "/");
export const Percent = symbol("Percent", "%");
export const LParen = symbol("LParen", "(");
export const RParen = symbol("RParen", ")");
export const LBracket = symbol("LBracket", "[");
export const RBracket = symbol("RBracket", "]");
export const LBrace = symbol("LBrace", "{");
export const RBrace = symbol("RBrace", "}");
export const Comma = symbol("Comma", ",");
export const Colon = symbol("Colon", ":");
export const Dot = symbol("Dot", ".");

const keyword = (word: string): TokenType => createToken({ name: `Kw_${word}`, pattern: word, longer_alt: Name, label: `\`${word}\`` });
const words = [
  "import",
  "use",
  "param",
  "data",
  "model",
  "block",
  "plan",
  "extends",
  "input",
  "output",
  "return",
  "for",
  "in",
  "repeat",
  "if",
  "else",
  "let",
  "and",
  "or",
  "not",
  "true",
  "false",
  "null",
  "source",
  "calibrate",
  "evaluate",
  "on",
  "require",
  "emit",
  "seed",
  "drop",
] as const;
export type Keyword = (typeof words)[number];
/** Keyword tokens by word. */
export const kw = Object.fromEntries(words.map((w) => [w, keyword(w)])) as Readonly<Record<Keyword, TokenType>>;
export const keywords: readonly Keyword[] = words;
export const isKeyword = (t: IToken): boolean => t.tokenType.name.startsWith("Kw_");

export const allTokens: TokenType[] = [
  Space,
  Comment,
  Str,
  Quantity,
  Num,
  Pipe,
  LessEqual,
  GreaterEqual,
  EqualEqual,
  NotEqual,
  Less,
  Greater,
  Assign,
  Plus,
  Minus,
  Star,
  Slash,
  Percent,
  LParen,
  RParen,
  LBracket,
  RBracket,
  LBrace,
  RBrace,
  Comma,
  Colon,
  Dot,
  ...words.map((w) => kw[w]),
  Name,
];

export const lexer = new Lexer(allTokens, { positionTracking: "full", ensureOptimizations: false });
