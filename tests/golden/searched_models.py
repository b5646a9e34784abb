"""What the goldens of searches have in common on decoders and encoder-decoders.

Runs with every transformers that the scripts which use it are pinned to.
"""

import json
import pathlib

import transformers

HERE = pathlib.Path(__file__).parent
# Both activations, both kinds of head, other buckets, start tokens and head sizes than the usual ones.
ENCODER_DECODERS = ("mt5", "t5", "t5-buckets", "t5-one-head", "t5-v1_1", "text", "ul2")


def load_encoder_decoder(name):
    """The model in float32, with the one member of its generation config that searches must have."""
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(HERE / "encoder_decoders" / name,
                                                               attn_implementation="eager").float()
    start = model.config.decoder_start_token_id
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=start)
    return model.eval()


def prompts_of(name):
    """The prompts of a committed model; those of an encoder-decoder are its sources."""
    if name in ENCODER_DECODERS:
        golden, key = HERE / "encoder_decoders" / name, "sources"
    else:
        golden, key = HERE / "models" / name, "prompts"
    return [prompt["ids"] for prompt in json.loads((golden / "golden.json").read_text())[key]]


def answer_of(model, prompt, sequence):
    """The new tokens of a sequence that generate() returned: an encoder-decoder's begins with one given token."""
    return sequence[1 if model.config.is_encoder_decoder else len(prompt):]
