#!/usr/bin/env python3
"""Writes tests/golden/checkpoint/: small files by torch.save, and the tensors that torch reads from them.

Needs torch (made with 2.6) and safetensors. The tests need neither: they read the files made here.
  accepted/*.bin    files that dray must read; expected.json has every tensor's dtype, shape and bytes
  refused/*.bin     files that dray must refuse; expected.json has a part of the message
Storage keys of the legacy container are addresses, so those files differ in bytes from run to run.
"""

import io
import json
import os
import pathlib
import pickle
import shutil
import zipfile
from collections import OrderedDict

import safetensors.torch
import torch

OUT = pathlib.Path(__file__).parent / "checkpoint"
DTYPES = {
    torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float64: "f64",
    torch.int8: "i8", torch.uint8: "u8", torch.int16: "i16", torch.int32: "i32", torch.int64: "i64",
    torch.bool: "bool",
}


def values(shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    return torch.randint(0, 100, shape, generator=generator).to(dtype)


def describe(state_dict):
    """Returns the row-major bytes of every tensor that dray reads; None for those that it lists as unreadable."""
    tensors = {}
    for name, tensor in state_dict.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        tensor = tensor.detach()
        expanded = tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.dtype not in DTYPES or expanded:
            tensors[name] = None
            continue
        flat = tensor.contiguous().reshape(-1)
        tensors[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "dense": tensor.is_contiguous(),
            "hex": bytes(flat.view(torch.uint8).tolist()).hex() if tensor.numel() else "",
        }
    return tensors


def module_state_dict():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
    model.register_buffer("position_ids", torch.arange(8).expand((1, -1)))
    model.register_buffer("mask", torch.tril(torch.ones(3, 3, dtype=torch.bool)))
    return model.state_dict()


def accepted_cases():
    yield "dtypes", {str(d).split(".")[1]: values((2, 3), d) for d in DTYPES}, {}
    table = values((5, 4), torch.float16)
    yield "tied", OrderedDict(embed=table, head=table, row=table[2]), {}
    base = values((4, 6))
    yield "views", {"transposed": base.t(), "columns": base[:, 1:5:2], "tail": base[2:],
                    "permuted": values((2, 3, 4)).permute(2, 0, 1), "base": base}, {}
    yield "parameters", {"p": torch.nn.Parameter(values((3,))),
                         "frozen": torch.nn.Parameter(values((2, 2)), requires_grad=False)}, {}
    yield "module", module_state_dict(), {}
    yield "odd_shapes", {"scalar": torch.tensor(3.5), "empty": torch.zeros(0), "empty2": torch.zeros(3, 0, 2),
                         "one": torch.ones(1, 1, 1), "rank8": values((1, 2, 1, 2, 1, 2, 1, 2))}, {}
    yield "unreadable", {"complex": torch.zeros(2, dtype=torch.complex64),
                         "float8": torch.zeros(3).to(torch.float8_e4m3fn),
                         "expanded": torch.ones(1).expand(1000), "good": values((2,))}, {}
    yield "not_only_tensors", {"w": values((2,)), "epoch": 3, "lr": 1e-3, "note": "text", "none": None,
                               "on": True, "config": {"a": [1, 2, (3,)]}, "dtype": torch.float16,
                               "size": torch.Size([1, 2]), "device": torch.device("cpu"),
                               "big": 2**80, "negative": -5, "wide": 2**40}, {}
    with_state = torch.nn.Parameter(values((2,)))
    with_state.tensor_model_parallel = True
    attributed = values((3,), seed=5)
    attributed.partition_dim = 0
    yield "attributes", {"p": with_state, "t": attributed}, {}
    run = values((1010,))  # one SETITEMS opcode takes at most 1000 items
    yield "many", {f"t.{i}": run[i] for i in range(1010)}, {}
    names = {"weird name/with.dots-and ünïcode": values((2,)), "x" * 300: values((2,), seed=2)}
    yield "names", names, {}
    for protocol in (3, 4, 5):
        yield f"protocol{protocol}", module_state_dict(), {"pickle_protocol": protocol}
    legacy = {"_use_new_zipfile_serialization": False}
    yield "legacy_module", module_state_dict(), legacy
    yield "legacy_tied", OrderedDict(embed=table, head=table, row=table[2], flipped=table.t()), legacy
    yield "legacy_dtypes", {str(d).split(".")[1]: values((2, 3), d) for d in DTYPES}, legacy
    yield "legacy_protocol4", module_state_dict(), {**legacy, "pickle_protocol": 4}


class Call:
    """An object whose pickle is a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Plain:
    def __init__(self):
        self.weight = torch.zeros(2)


def replace_entries(path, entries):
    """Writes the archive at `path` again without compression; `entries` (suffix -> bytes) replace its own."""
    with zipfile.ZipFile(path) as old:
        content = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, data in content.items():
            suffix = name.split("/", 1)[1]
            new.writestr(zipfile.ZipInfo(name), entries.get(suffix, data))


def refused_cases():
    """Yields (name, object, options, part of the message)."""
    evil = {"w": values((2,)), "x": Call(os.system, "touch /tmp/never")}
    yield "os_system", evil, {}, "posix.system"
    yield "os_system_legacy", evil, {"_use_new_zipfile_serialization": False}, "posix.system"
    yield "os_system_protocol4", evil, {"pickle_protocol": 4}, "posix.system"
    yield "eval", {"w": Call(eval, "1")}, {}, "eval"
    yield "exec_as_root", Call(exec, "pass"), {}, "exec"
    yield "getattr", {"w": Call(getattr, 1, "real")}, {}, "getattr"
    yield "import", {"w": Call(__import__, "os")}, {}, "__import__"
    yield "torch_load", {"w": Call(torch.load, "/dev/null")}, {}, "torch"
    yield "bytes", {"w": values((2,)), "b": b"bytes"}, {}, "_codecs.encode"
    yield "set", {"w": values((2,)), "s": {1, 2}}, {}, "set"
    yield "whole_module", torch.nn.Linear(2, 2), {}, "Linear"
    yield "plain_object", {"w": Plain()}, {}, "Plain"
    yield "numpy", {"w": values((2,)), "n": torch.ones(2).numpy()}, {}, "numpy"
    yield "nested", {"state_dict": {"w": values((2,))}, "epoch": 1}, {}, "state_dict"
    yield "nested_ordered", {"model": module_state_dict()}, {}, "model"
    yield "list", [values((2,))], {}, "a list, not a state dict"
    yield "tensor", values((2,)), {}, "not a state dict"
    yield "no_tensors", {"a": 1}, {}, "no tensors"
    yield "empty", {}, {}, "no tensors"
    yield "integer_key", {1: values((2,))}, {}, "a key of the state dict is an integer"
    quantised = torch.quantize_per_tensor(values((2,)), 0.1, 0, torch.qint8)
    yield "quantised", {"q": quantised}, {}, "quantised"
    yield "sparse", {"s": torch.eye(3).to_sparse()}, {}, "sparse"
    yield "meta", {"m": torch.empty(2, device="meta")}, {}, "without data"


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "accepted").mkdir(parents=True)
    (OUT / "refused").mkdir()
    expected = {"accepted": {}, "refused": {}}
    for name, state_dict, options in accepted_cases():
        torch.save(state_dict, OUT / "accepted" / f"{name}.bin", **options)
        expected["accepted"][f"{name}.bin"] = describe(state_dict)

    path = OUT / "accepted" / "rezipped.bin"  # as by another program: no descriptors, no ZIP64 records
    torch.save(module_state_dict(), path)
    replace_entries(path, {})
    expected["accepted"][path.name] = describe(module_state_dict())

    for name, obj, options, message in refused_cases():
        torch.save(obj, OUT / "refused" / f"{name}.bin", **options)
        expected["refused"][f"{name}.bin"] = message
    path = OUT / "refused" / "big_endian.bin"
    torch.save({"w": values((2,))}, path)
    replace_entries(path, {"byteorder": b"big"})
    expected["refused"][path.name] = "byte order"
    path = OUT / "refused" / "plain_pickle.bin"
    path.write_bytes(pickle.dumps({"w": [1.0, 2.0]}))
    expected["refused"][path.name] = "not with the magic number"
    path = OUT / "refused" / "script_module.bin"
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    expected["refused"][path.name] = "compression method"
    path = OUT / "refused" / "safetensors.bin"
    safetensors.torch.save_file({"w": values((2,))}, path)
    expected["refused"][path.name] = "torch.save did not write it"

    (OUT / "expected.json").write_text(json.dumps(expected, indent=None, sort_keys=True, separators=(",", ":")) + "\n")
    print(sum(len(v) for v in expected.values()), "files,",
          sum(f.stat().st_size for f in OUT.rglob("*")), "bytes")


if __name__ == "__main__":
    main()
