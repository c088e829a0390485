from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as theirs

from lightning_shap.checksum import crc32c


@settings(deadline=None)
@given(st.binary(min_size=4, max_size=3000), st.integers(1, 9))
@example(b"1234", 1)
@example(b"\0" * 1024, 1)
@example(b"a byte more than parts" * 47, 1)
def test_it_is_tensorboards_own_whatever_the_length(data, times):
    assert crc32c(times * data) == theirs(times * data)


def test_it_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
