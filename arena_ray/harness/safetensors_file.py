"""Write and read safetensors files with nothing but torch: eight bytes of header length, a JSON header, raw values.

*Source*: the format section of the safetensors README. Equal tensors give equal bytes.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, Dict, Iterator, Tuple

from .large_arrays import memory_at

DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
_TORCH_NAMES = {code: name.split(".")[1] for name, code in DTYPES.items()}


def write(file: Any, tensors: Dict[str, Any]) -> None:
    """Write *tensors* (dense torch tensors of a dtype in :data:`DTYPES`, on any device) to *file*."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # wide ones first: all lie aligned
    header: Dict[str, Any] = {"__metadata__": {"format": "pt"}} if names else {}
    offset = 0
    for name in names:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        place = {"dtype": DTYPES[str(tensor.dtype)], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        header[name], offset = place, end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in names:
        dense = tensors[name].detach().cpu().contiguous()
        if dense.numel():
            file.write(memory_at(dense.data_ptr(), dense.numel() * dense.element_size()))


def read(data: bytes) -> Iterator[Tuple[str, Any]]:
    """Yield the name and tensor of each entry of a safetensors file's *data*.

    Raises:
        ValueError: *data* is no safetensors file.
    """
    torch: Any = sys.modules["torch"]
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = dict(json.loads(data[8 : 8 + length].decode()))
    except (struct.error, TypeError, ValueError) as exc:
        raise ValueError(f"not a safetensors file: {exc}") from exc
    header.pop("__metadata__", None)
    values = memoryview(bytearray(data[8 + length :]))
    for name, place in header.items():
        begin, end = place["data_offsets"]
        dtype = getattr(torch, _TORCH_NAMES[place["dtype"]])
        if begin == end:
            yield name, torch.empty(place["shape"], dtype=dtype)
            continue
        raw = torch.frombuffer(values[begin:end], dtype=torch.uint8).clone()
        yield name, raw.view(dtype).reshape(place["shape"])
