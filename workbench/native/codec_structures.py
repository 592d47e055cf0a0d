"""The native codec's structures, as ``native/include/workbench_native.h`` declares them."""

from __future__ import annotations

import ctypes


class CFilter(ctypes.Structure):
    """``wb_filter``."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "taps", "dilation", "repeat")),
        ("replicate", ctypes.c_int32),
        ("depthwise", ctypes.c_int32),
    )


class CResidual(ctypes.Structure):
    """``wb_residual``."""

    _fields_ = tuple((name, CFilter) for name in ("narrow", "widen", "shortcut"))


class CUpsampling(ctypes.Structure):
    """``wb_upsampling``."""

    _fields_ = (
        ("up", CFilter),
        ("residuals", ctypes.POINTER(CResidual)),
        ("count", ctypes.c_int64),
    )


class CLayer(ctypes.Structure):
    """``wb_codec_layer``."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("attention_norm", "attention_shift", "mlp_norm", "mlp_shift")
        ),
        *((name, CFilter) for name in ("query_key_value", "out", "up", "down")),
    )


class CCodec(ctypes.Structure):
    """``wb_codec``."""

    _fields_ = (
        ("table", ctypes.c_void_p),
        *((name, CFilter) for name in ("semantic_out", "acoustic_out", "upsample")),
        ("layers", ctypes.POINTER(CLayer)),
        ("frequencies", ctypes.c_void_p),
        ("first", CFilter),
        ("stages", ctypes.POINTER(CUpsampling)),
        ("last", CFilter),
        *(
            (name, ctypes.c_int64)
            for name in (
                *("books", "entries", "dim", "semantic"),
                *("count", "hidden", "heads", "groups", "head_dim", "window"),
                "stage_count",
            )
        ),
        ("epsilon", ctypes.c_float),
        ("rotary_scale", ctypes.c_float),
    )


class CStreams(ctypes.Structure):
    """``wb_codec_streams``."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("state", "keys", "values", "positions", "used")),
        ("batch", ctypes.c_int64),
        ("slots", ctypes.c_int64),
    )
