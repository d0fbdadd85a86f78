import librosa
import numpy as np

from earmark.training.spatial.plain import PlainMfcc


def test_plain_mfcc_are_those_of_librosa_in_its_order(say):
    wave = say(300, 900)[:16_000]
    (row,) = PlainMfcc().embed_batch([wave])
    expected = librosa.feature.mfcc(y=32768 * wave, sr=16_000, n_mfcc=20)
    np.testing.assert_allclose(row.reshape(20, 32), expected, atol=0.02)
    assert PlainMfcc().embed_batch([]).shape == (0, 640)
