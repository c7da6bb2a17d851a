"""Branch-free parts of compiled arithmetic, so that one instruction works for several series at once.

A conditional expression is a branch. The compiler can undo most of these, but where two of them store, it
makes masked stores of them, which cost some twenty times a plain one on several processors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

_LN2 = np.float32(np.log(2.0))
_F = np.float32


def _choose(typing_context: Any, flag: Any, yes: Any, no: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return yes(types.boolean, yes, yes), generate


def _cast_to_bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def _cast_from_bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


def _fetch(typing_context: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        how = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, how, how, how])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        # To be written, into every cache, as data.
        builder.call(prefetch, [address, how(1), how(3), how(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


choose: Any = intrinsic(_choose)
"""`choose(flag, yes, no)` is `yes if flag else no`; both are computed. The two have one type."""
fetch: Any = intrinsic(_fetch)
"""`fetch(array, place)`: that number is soon wanted; the memory may begin to bring it."""
_bits: Any = intrinsic(_cast_to_bits)
_from_bits: Any = intrinsic(_cast_from_bits)


@njit(forceinline=True)
def short(value):  # type: ignore[no-untyped-def]
    """The nearest number of which 16 bits are enough: the upper half of a float32, 0.4 % apart."""
    return _from_bits((_bits(_F(value)) + np.int32(0x8000)) & np.int32(-0x10000))


@njit(forceinline=True)
def larger(one, other):  # type: ignore[no-untyped-def]
    """The maximum of two numbers."""
    return choose(one > other, one, other)


@njit(forceinline=True)
def smaller(one, other):  # type: ignore[no-untyped-def]
    """The minimum of two numbers."""
    return choose(one < other, one, other)


@njit(forceinline=True)
def within(value, bound):  # type: ignore[no-untyped-def]
    """The value, cut at -bound and bound."""
    return larger(smaller(value, bound), -bound)


@njit(forceinline=True)
def halves(word):  # type: ignore[no-untyped-def]
    """The two short numbers of a float32 of `joined`."""
    return _from_bits(_bits(word) & np.int32(-0x10000)), _from_bits(_bits(word) << np.int32(16))


@njit(forceinline=True)
def joined(upper, lower):  # type: ignore[no-untyped-def]
    """Two short numbers in the bits of one float32, which is no number to reckon with."""
    return _from_bits(_bits(_F(upper)) | ((_bits(_F(lower)) >> np.int32(16)) & np.int32(0xFFFF)))


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def logarithm(value):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal float32, to 2e-6.

    ln(m 2^e) = e ln 2 + ln m, and ln(1 + t) = t P(t) for t below 1, P by least squares towards minimax.
    """
    bits = _bits(value)
    exponent = _F((bits >> np.int32(23)) - np.int32(127))
    t = _from_bits((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)) - _F(1)
    series = _F(0.31764908) + t * (_F(-0.19376099) + t * (_F(0.08556997) + t * _F(-0.01833888)))
    return exponent * _LN2 + t * (_F(0.99990164) + t * (_F(-0.49787508) + t * series))


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def exponential(value):  # type: ignore[no-untyped-def]
    """E to the float32 `value`, to 1e-6 of it, for -80 to 80: 2^k e^r with |r| < 0.35."""
    turns = np.floor(value * _F(1 / np.log(2.0)) + _F(0.5))
    r = value - turns * _LN2
    series = _F(1 / 24) + r * (_F(1 / 120) + r * _F(1 / 720))
    series = _F(1) + r * (_F(1) + r * (_F(0.5) + r * (_F(1 / 6) + r * series)))
    return series * _from_bits((np.int32(turns) + np.int32(127)) << np.int32(23))
