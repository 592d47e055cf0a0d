"""The C structures of ``src/layers.h``: matrices, layers, stacks, frames and their sampling."""

from __future__ import annotations

import ctypes

import torch

TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.uint8: 3}  # wb_type


class CMatrix(ctypes.Structure):
    """``wb_matrix``."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outputs", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("type", ctypes.c_int32),
    )


class CLayer(ctypes.Structure):
    """``wb_layer``."""

    _fields_ = (
        ("attention_norm", ctypes.c_void_p),
        ("query_key_value", CMatrix),
        ("out", CMatrix),
        ("mlp_norm", ctypes.c_void_p),
        ("gate_up", CMatrix),
        ("down", CMatrix),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    )


class CStack(ctypes.Structure):
    """``wb_stack``."""

    _fields_ = (
        ("layers", ctypes.POINTER(CLayer)),
        *((name, ctypes.c_void_p) for name in ("norm", "cos", "sin")),
        *(
            (name, ctypes.c_int64)
            for name in (
                *("count", "hidden", "heads", "groups", "head_dim"),
                *("intermediate", "batch", "slots"),
            )
        ),
        ("epsilon", ctypes.c_float),
        ("cache_type", ctypes.c_int32),
    )


class CFrame(ctypes.Structure):
    """``wb_frame``."""

    _fields_ = (
        ("backbone", CStack),
        ("depth", CStack),
        ("head", CMatrix),
        ("projector", CMatrix),
        ("depth_heads", ctypes.POINTER(CMatrix)),
        ("audio_table", ctypes.c_void_p),
        ("depth_table", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("codebooks", "codes", "vocabulary")),
        ("audio_type", ctypes.c_int32),
        ("depth_type", ctypes.c_int32),
    )


class CSampling(ctypes.Structure):
    """``wb_sampling``."""

    _fields_ = (
        ("temperature", ctypes.c_float),
        ("depth_temperature", ctypes.c_float),
        ("top_k", ctypes.c_int64),
        ("depth_top_k", ctypes.c_int64),
    )
