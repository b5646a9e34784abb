"""GGUF blocks for make_gguf_goldens.py: random blocks of every format, and given numbers in a format."""

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

# The byte offsets of a block's f16 scales. All other bytes of a block may have any value.
SCALE_PLACES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
                Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
                Type.Q6_K: [208]}


def random_blocks(kind, shape, scale, rng):
    """Returns a tensor's bytes: random numbers, with f16 scales of about `scale` and of both signs."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (*shape[:-1], shape[-1] // elements, size), dtype=numpy.uint8)
    for place in SCALE_PLACES[kind]:
        halves = (rng.standard_normal(blocks.shape[:-1]) * scale).astype(numpy.float16)
        blocks[..., place:place + 2] = halves[..., None].view(numpy.uint8)
    return blocks.reshape(*shape[:-1], -1)


def encode(value, kind, rng):
    """Returns `value` in the format `kind`. The package writes some formats; for the others, encode_k rounds to
    the nearest numbers."""
    if kind in (Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0):
        return gguf.quantize(value, kind)
    return encode_k(value, kind, rng)


def set_bits(blocks, place, numbers, bits, groups):
    """Writes numbers [.., n * groups * 32]: 32 bytes hold `groups` rows of 32 numbers, one above the other in bits."""
    parts = numbers.reshape(*numbers.shape[:-1], -1, groups, 32)
    packed = numpy.zeros((*parts.shape[:-2], 32), numpy.uint8)
    for part in range(groups):
        packed |= (parts[..., part, :] << (bits * part)).astype(numpy.uint8)
    packed = packed.reshape(*blocks.shape[:-1], -1)
    blocks[..., place:place + packed.shape[-1]] |= packed


def encode_k(value, kind, rng):
    """Returns a K-quantized tensor. Besides the f16 scale its blocks have random small scales, so that each field
    of the format matters; with these scales the nearest numbers are chosen."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = random_blocks(kind, value.shape, 1.0, rng).reshape(*value.shape[:-1], -1, size)
    rows = value.reshape(*value.shape[:-1], -1, 256)
    for place in SCALE_PLACES[kind]:
        spread = numpy.abs(rows).max(-1) / {Type.Q2_K: 15, Type.Q3_K: 100, Type.Q4_K: 480,
                                            Type.Q5_K: 960, Type.Q6_K: 2400}[kind]
        if place in (2, 82):
            spread = spread * {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}[kind]
        data[..., place:place + 2] = spread.astype(numpy.float16)[..., None].view(numpy.uint8)
    # The package tells what each number decodes to: each number is tried for all elements.
    levels = {Type.Q2_K: 4, Type.Q3_K: 8, Type.Q4_K: 16, Type.Q5_K: 32, Type.Q6_K: 64}[kind]
    best = numpy.full(rows.shape, numpy.inf)
    chosen = numpy.zeros(rows.shape, numpy.int64)
    for number in range(levels):
        decoded = decode_k(with_numbers(data, kind, numpy.full(rows.shape, number)), kind, value.shape)
        error = numpy.abs(decoded.reshape(rows.shape) - rows)
        chosen = numpy.where(error < best, number, chosen)
        best = numpy.minimum(best, error)
    return with_numbers(data, kind, chosen).reshape(*value.shape[:-1], -1)


def decode_k(data, kind, shape):
    return gguf.dequantize(data.reshape(*shape[:-1], -1), kind)


def with_numbers(data, kind, numbers):
    """Returns the blocks with the same scales and with other numbers."""
    out = data.copy()
    fields = {Type.Q2_K: [(16, 2, 4, 0)], Type.Q3_K: [(32, 2, 4, 0), (0, 1, 8, 2)],
              Type.Q4_K: [(16, 4, 2, 0)], Type.Q5_K: [(48, 4, 2, 0), (16, 1, 8, 4)],
              Type.Q6_K: [(128, 2, 4, 4)]}[kind]  # byte offset, bits, parts in a byte, first bit of the number
    for place, bits, parts, shift in fields:
        out[..., place:place + 256 * bits // 8] = 0
        set_bits(out, place, (numbers >> shift) & ((1 << bits) - 1), bits, parts)
    if kind == Type.Q6_K:  # parts 0 and 1 are in the low bits, 2 and 3 above them
        low = (numbers & 15).reshape(*numbers.shape[:-1], 2, 2, 2, 32).swapaxes(-2, -3)
        out[..., 0:128] = 0
        set_bits(out, 0, low.reshape(numbers.shape), 4, 2)
    return out
