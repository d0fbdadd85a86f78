import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.evaluation.embedders import EncoderEmbedder, embed_clips, embed_speech, stacked
from earmark.evaluation.protocols.trials import TrialClip

PATHS = ["rise/0.wav", "fall/1.wav", "rise/2.wav", "other/3.wav", "fall/0.wav"]


@pytest.mark.parametrize("batch_clips", [1, 2, 256])
def test_every_clip_is_embedded_once_in_batches_of_the_given_size(corpus, stand_in, batch_clips):
    sizes, calls = [], []

    def embed_batch(waves):
        sizes.append(len(waves))
        return stand_in.embed_batch(waves)

    vectors = embed_clips(
        PATHS + PATHS[:2], corpus[1], embed_batch, batch_clips=batch_clips, progress=lambda *at: calls.append(at)
    )
    assert list(vectors) == PATHS
    assert sum(sizes) == 5
    assert max(sizes) == min(batch_clips, 5)
    assert calls[-1] == ("embedding clips", 5, 5)
    for path in PATHS:
        np.testing.assert_array_equal(vectors[path], stand_in.embed(audio.read(corpus[1] / path)))


def test_an_exported_encoder_embeds_the_spoken_part_or_the_whole(corpus, stand_in):
    wave = audio.read(corpus[1] / PATHS[0])
    spoken = EncoderEmbedder(stand_in)
    np.testing.assert_array_equal(spoken.embed_batch([wave])[0], embed_speech(stand_in)(wave))
    np.testing.assert_array_equal(EncoderEmbedder(stand_in, spoken=False).embed_batch([wave])[0], stand_in.embed(wave))
    assert (spoken.name, spoken.fingerprint, spoken.classes) == ("stand-in", "57a4d1" * 8, ())
    assert spoken.classify(np.ones((1, 60))) is None


def test_embeddings_of_another_shape_are_refused(corpus):
    with pytest.raises(InputError, match=r"5 waves gave embeddings of shape \(1, 3\)"):
        embed_clips(PATHS, corpus[1], lambda _: np.ones((1, 3)))


def test_a_clip_without_embedding_is_named():
    with pytest.raises(InputError, match=r"b.wav"):
        stacked([TrialClip("a", "a.wav"), TrialClip("b", "b.wav")], {"a.wav": np.ones(2)})
