"""CRC-32C, the checksum of TensorBoard's records, of many bytes at a time.

TensorBoard's own goes from byte to byte in Python: a quarter of a second a megabyte, in which no
other thread of the process runs. Here a text is cut into parts whose checksums grow side by side,
and are then joined: to come before further bytes moves a checksum in a way that is linear over its
bits.

Source: RFC 3720, appendix B.4; Adler's `crc32_combine` in zlib.
"""

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
ALL_ONES = 0xFFFFFFFF
PARTS = 1024  # a power of two
BITS = np.arange(32, dtype=np.uint32)


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes, at least four."""
    width = -(-len(data) // PARTS)
    padded = np.zeros(PARTS * width, dtype=np.uint8)  # zeros in front change nothing
    text = padded[len(padded) - len(data) :]
    text[:] = np.frombuffer(data, dtype=np.uint8)
    text[:4] ^= 0xFF  # as if the checksum had begun with ones
    columns = np.ascontiguousarray(padded.reshape(PARTS, width).T)
    # After the parts come single bits, to see where they move while a part passes.
    sums = np.concatenate([np.zeros(PARTS, dtype=np.uint32), np.uint32(1) << BITS])
    for column in columns:
        lowest = sums.astype(np.uint8)
        lowest[:PARTS] ^= column
        sums >>= np.uint32(8)
        sums ^= _TABLE[lowest]
    sums, moves = sums[:PARTS], sums[PARTS:]
    while len(sums) > 1:
        sums = _moved(sums[0::2], moves) ^ sums[1::2]
        moves = _moved(moves, moves)
    return int(sums[0]) ^ ALL_ONES


def _moved(sums: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Each checksum (n,) after zeros that move its bits as ``moves`` (32,) says."""
    return np.bitwise_xor.reduce(np.where(sums[:, None] >> BITS & 1, moves, np.uint32(0)), axis=1)


def _table() -> np.ndarray:
    """The checksum of each single byte."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ POLYNOMIAL, table >> 1).astype(np.uint32)
    return table


_TABLE = _table()
