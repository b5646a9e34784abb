"""Models whose next token's scores depend on the last token alone, for goldens of searches.

They have few different scores, so most choices of a search are among equal ones. Runs with every transformers
that the scripts which use it are pinned to.
"""

import json

import torch
import transformers
from transformers.modeling_outputs import CausalLMOutput


class TableConfig(transformers.PretrainedConfig):
    model_type = "score_table"


class TableModel(transformers.PreTrainedModel, transformers.GenerationMixin):
    config_class = TableConfig

    def __init__(self, config, logits):
        super().__init__(config)
        self.table = torch.nn.Parameter(logits)

    def forward(self, input_ids, attention_mask=None, **_):
        return CausalLMOutput(logits=self.table[input_ids])


def make_table(chance, vocab, num_values, make_cases):
    """The table as the tests read it, with the cases that `make_cases` makes of the model."""
    row = [chance.randrange(num_values) * 0.75 for _ in range(vocab)]
    # All rows have the same values in other orders, so that sums over different beams are often equal too.
    logits = torch.tensor([chance.sample(row, vocab) for _ in range(vocab)])
    model = TableModel(TableConfig(vocab_size=vocab), logits).eval()
    model.generation_config = transformers.GenerationConfig()
    scores = torch.log_softmax(logits, dim=-1)
    values = sorted(set(scores.flatten().tolist()))
    rows = [[values.index(value) for value in row] for row in scores.tolist()]
    return {"vocab": vocab, "values": values, "rows": rows, "cases": make_cases(model, vocab)}


def write_or_check(folder, files, check):
    """Writes {name: content}, or ends the program if what is there differs."""
    for name, content in files.items():
        text = json.dumps(content, separators=(",", ":")).replace('{"prompt"', '\n{"prompt"') + "\n"
        path = folder / name
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            raise SystemExit(f"{path} differs from what transformers gives")
