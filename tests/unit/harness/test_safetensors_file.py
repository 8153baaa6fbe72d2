import io

import pytest
import safetensors.torch
import torch

from arena_ray.harness import safetensors_file

TENSORS = {
    "agent.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4).t(),
    "agent.half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "norm.count": torch.tensor(7),
    "mask": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 3, dtype=torch.float64),
    "byte": torch.tensor([255], dtype=torch.uint8),
    "wide": torch.tensor([[-1.0]], dtype=torch.float64),
}


def written(tensors):
    file = io.BytesIO()
    safetensors_file.write(file, tensors)
    return file.getvalue()


def same(left, right):
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert (tensor.dtype, tensor.shape) == (right[name].dtype, right[name].shape)
        assert torch.equal(tensor.nan_to_num(), right[name].nan_to_num())


def test_safetensors_package_reads_what_we_write():
    same(safetensors.torch.load(written(TENSORS)), TENSORS)


def test_we_read_what_the_safetensors_package_writes():
    dense = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    same(dict(safetensors_file.read(safetensors.torch.save(dense))), TENSORS)


def test_equal_weights_give_equal_bytes_in_any_order():
    assert written(TENSORS) == written({name: TENSORS[name].clone() for name in reversed(TENSORS)})


def test_file_without_tensors_is_valid():
    assert dict(safetensors_file.read(written({}))) == {}
    assert safetensors.torch.load(written({})) == {}


@pytest.mark.parametrize("data", [b"", b"12345678", b"\x03\0\0\0\0\0\0\0[7]", b"\xff" * 20])
def test_other_files_are_refused(data):
    with pytest.raises(ValueError, match="not a safetensors file"):
        dict(safetensors_file.read(data))
