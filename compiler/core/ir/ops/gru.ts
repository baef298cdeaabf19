import { bool01 } from "./_attrs.js";
import { recurrent } from "./_recurrent.js";

export const gru = recurrent("gru", "Gated recurrent unit over a sequence", 3, 6, { linear_before_reset: bool01.optional() });
