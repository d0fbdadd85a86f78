import numpy as np
import pytest

from earmark import audio
from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.search import Take, query_of, query_of_keyword
from earmark.spotting.keyword import Keyword


def test_a_query_is_the_spoken_part_of_its_take(take, sum_encoder):
    query = query_of("rise", [Take(take)], sum_encoder)
    assert query.duration_s == pytest.approx(0.65, abs=0.1)
    assert np.linalg.norm(query.vector) == pytest.approx(1)
    told = query_of("rise", [Take(take, 0.4, 1.0)], sum_encoder)
    assert told.duration_s == pytest.approx(0.6)
    assert query.vector @ told.vector > 0.98


def test_several_takes_are_their_mean(take, talks, sum_encoder):
    takes = [Take(take), Take(talks / "0.wav", 1.4, 2.0)]
    first, second = (query_of("rise", [one], sum_encoder) for one in takes)
    both = query_of("rise", takes, sum_encoder)
    mean = first.vector + second.vector
    assert both.vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_keyword_is_a_query(sum_encoder):
    vectors = np.eye(2, sum_encoder.dimension, dtype=np.float32)
    query = query_of_keyword(
        Keyword(
            name="two", takes=(), embeddings=vectors, duration_s=0.7, threshold=0.5, encoder=sum_encoder.fingerprint
        )
    )
    assert (query.name, query.duration_s, query.encoder) == ("two", 0.7, sum_encoder.fingerprint)
    assert query.vector[:2] == pytest.approx([0.7071, 0.7071], abs=1e-3)


def test_what_cannot_be_looked_for_is_told_with_a_cure(tmp_path, sum_encoder, say, hush):
    def refused(wave, start_s=None, end_s=None):
        audio.write(tmp_path / "take.wav", wave)
        with pytest.raises(InputError) as told:
            query_of("word", [Take(tmp_path / "take.wav", start_s, end_s)], sum_encoder)
        assert str(told.value).startswith(f"{tmp_path / 'take.wav'}: ")
        return str(told.value)

    assert "holds no speech" in refused(hush(2))
    assert "holds no speech" in refused(np.zeros(20_000))
    assert "a query lasts 0.1 to 3 s" in refused(say("rise", seconds=4))
    assert "a query lasts 0.1 to 3 s" in refused(say("rise"), 0.5, 0.55)
    assert "ends at 1.40 s" in refused(say("rise"), 7.0, 8.0)
    assert "--to 0.5 s is not after --from 0.9 s" in refused(say("rise"), 0.9, 0.5)
    assert "--to 0 s is not after --from 0 s" in refused(say("rise"), None, 0.0)
    assert "say where it stands" in refused(hush(70))
    with pytest.raises(AudioError, match="no such file"):
        query_of("word", [Take(tmp_path / "absent.wav")], sum_encoder)
    with pytest.raises(InputError, match="name at least one"):
        query_of("word", [], sum_encoder)
