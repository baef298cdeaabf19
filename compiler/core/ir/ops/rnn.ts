import { recurrent } from "./_recurrent.js";

export const rnn = recurrent("rnn", "Plain recurrent network over a sequence", 1, 6, {});
