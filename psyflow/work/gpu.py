"""Whether this process has to do with a GPU, which a fork would break without a word.

Nothing is imported or started to find that out: only what is loaded is asked.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["uses_gpu"]

_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/render", "/dev/dxg", "/dev/accel")
_DRIVER = "libcuda.so.1"
_NOT_INITIALISED = 3


def uses_gpu() -> bool:
    """Tell whether a library of this process has begun to use a GPU.

    Examples
    --------
    >>> uses_gpu()
    False
    """
    return _has_driver_begun() or _torch_says_so() or _jax_says_so() or _has_mapped_a_device()


def _has_driver_begun() -> bool:
    """Ask CUDA itself, whichever library has loaded it, if one has.

    A fork of a process in which it was initialised cannot use it, even without a context.
    """
    try:
        driver = ctypes.CDLL(_DRIVER, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        count = ctypes.c_int()
        return bool(driver.cuDeviceGetCount(ctypes.byref(count)) != _NOT_INITIALISED)
    except (OSError, AttributeError):
        return False  # it is not loaded, or is not what it is called


def _torch_says_so() -> bool:
    for name in ("torch.cuda", "torch.xpu"):
        is_initialized = _attribute(name, "is_initialized")
        if callable(is_initialized) and is_initialized():
            return True
    return False


def _jax_says_so() -> bool:
    backends = _attribute("jax._src.xla_bridge", "_backends")
    return isinstance(backends, dict) and bool(backends.keys() - {"cpu", "interpreter"})


def _attribute(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)


def _has_mapped_a_device() -> bool:
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False  # open files tell, too
    return any(device in maps for device in _DEVICES)
