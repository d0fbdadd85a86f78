import numpy as np
import pytest

from earmark import audio
from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.search import QueryTake, query_from_keyword, query_from_takes
from earmark.spotting.keyword import Keyword


def test_a_query_is_the_spoken_part_of_its_take(take, sum_encoder):
    detected = query_from_takes("rise", [QueryTake(take)], sum_encoder)
    assert detected.duration_s == pytest.approx(0.65, abs=0.1)
    assert np.linalg.norm(detected.vector) == pytest.approx(1)
    given = query_from_takes("rise", [QueryTake(take, 0.4, 1.0)], sum_encoder)
    assert given.duration_s == pytest.approx(0.6)
    assert detected.vector @ given.vector > 0.98


def test_a_query_of_several_takes_is_their_mean(take, talks, sum_encoder):
    takes = [QueryTake(take), QueryTake(talks / "0.wav", 1.4, 2.0)]
    first, second = (query_from_takes("rise", [one], sum_encoder) for one in takes)
    both = query_from_takes("rise", takes, sum_encoder)
    mean = first.vector + second.vector
    assert both.vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_keyword_is_a_query(sum_encoder):
    vectors = np.eye(2, sum_encoder.dimension, dtype=np.float32)
    keyword = Keyword(
        name="two", takes=(), embeddings=vectors, duration_s=0.7, threshold=0.5, encoder=sum_encoder.fingerprint
    )
    query = query_from_keyword(keyword)
    assert (query.name, query.duration_s, query.encoder) == ("two", 0.7, sum_encoder.fingerprint)
    assert query.vector[:2] == pytest.approx([0.7071, 0.7071], abs=1e-3)


def test_a_take_that_is_no_word_is_refused(tmp_path, sum_encoder, say, hush):
    def refused(key, wave, start_s=None, end_s=None):
        audio.write(tmp_path / "take.wav", wave)
        with pytest.raises(InputError, match=rf"{key}"):
            query_from_takes("word", [QueryTake(tmp_path / "take.wav", start_s, end_s)], sum_encoder)

    refused("no speech", hush(2))
    refused("no speech", np.zeros(20_000))
    refused(r"0\.1 to 3 s", say("rise", seconds=4))
    refused(r"0\.1 to 3 s", say("rise"), 0.5, 0.55)
    refused(r"^start_s", say("rise"), 7.0, 8.0)
    refused(r"^end_s", say("rise"), 0.9, 0.5)
    refused(r"^end_s", say("rise"), None, 0.0)
    refused("70 s", hush(70))
    with pytest.raises(AudioError):
        query_from_takes("word", [QueryTake(tmp_path / "absent.wav")], sum_encoder)
    with pytest.raises(InputError, match=r"^takes"):
        query_from_takes("word", [], sum_encoder)
