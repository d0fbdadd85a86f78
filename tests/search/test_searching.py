import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import EarmarkError, InputError
from earmark.search import (
    IndexSettings,
    Query,
    QueryTake,
    Recording,
    SearchSettings,
    open_index,
    query_from_takes,
    search,
    update_index,
)
from earmark.search.windows import window_lengths


@pytest.fixture
def opened(index):
    return open_index(index)


@pytest.fixture
def query(take, sum_encoder):
    return query_from_takes("rise", [QueryTake(take)], sum_encoder)


def slow_search(opened, query, top, settings=None):
    """Score all windows in a plain loop; hits in a file overlap by at most half of the shorter one."""
    settings = settings or SearchSettings()
    contents = opened.contents.encoder
    low, high = (tempo * query.duration_s / contents.hop_s for tempo in settings.tempo_range)
    windows = []
    for segment in opened.segments:
        for region, (file, first, count) in enumerate(segment.regions.tolist()):
            if file in segment.removed:
                continue
            begin = int(segment.offsets[region])
            frames = segment.dequantize(begin, begin + count).astype(np.float64)
            for length in [length for length in window_lengths(contents.hop_s) if low <= length <= high]:
                for stop in range((length + 1) // 2, count + 1):
                    window = frames[max(0, stop - length) : stop]
                    edges = np.round(length * np.arange(contents.parts + 1) / contents.parts).astype(int)
                    edges = np.clip(edges + stop - length, 0, count)
                    width = contents.width // contents.parts
                    total = np.concatenate(
                        [
                            frames[edges[part] : edges[part + 1], part * width : (part + 1) * width].sum(axis=0)
                            for part in range(contents.parts)
                        ]
                    )
                    score = float(total @ query.vector / np.linalg.norm(total))
                    windows.append((score, segment.files[file].path, first + max(0, stop - length), first + stop))
                    assert len(window)
    hits: list[tuple[float, str, int, int]] = []
    for score, file, start, stop in sorted(windows, reverse=True):
        shares = [
            (min(stop, other[3]) - max(start, other[2])) / min(stop - start, other[3] - other[2])
            for other in hits
            if other[1] == file
        ]
        if all(share <= settings.overlap for share in shares):
            hits.append((score, file, start, stop))
        if len(hits) == top:
            break
    return hits


def test_a_word_is_found_by_a_take_of_another_voice(opened, query, talks):
    hits = search(opened, query, top=3)
    assert {hit.file for hit in hits} == {str(talks / f"{number}.wav") for number in (0, 2, 4)}
    for hit in hits:
        assert (hit.start_s, hit.end_s) == pytest.approx((1.4, 2.0), abs=0.15)
        assert 0.8 < hit.score <= 1
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_hits_are_those_of_a_plain_loop_over_all_windows(opened, query):
    found = [(hit.score, hit.file, hit.start_s, hit.end_s) for hit in search(opened, query, top=6)]
    hop_s = opened.contents.encoder.hop_s
    expected = [
        (score, file, start * hop_s, stop * hop_s) for score, file, start, stop in slow_search(opened, query, 6)
    ]
    assert [file for _, file, _, _ in found] == [file for _, file, _, _ in expected]
    for one, other in zip(found, expected, strict=True):
        assert one[0] == pytest.approx(other[0], abs=2e-3)
        assert one[2:] == pytest.approx(other[2:], abs=0.05)


def test_hits_do_not_depend_on_the_chunk_size(opened, query):
    whole = search(opened, query, top=8)
    assert search(opened, query, top=8, settings=SearchSettings(chunk_frames=13)) == whole


def test_hits_in_a_file_do_not_overlap(opened, query):
    hits = search(opened, query, top=200)
    for rank, hit in enumerate(hits):
        for other in hits[:rank]:
            if other.file == hit.file:
                shared = min(hit.end_s, other.end_s) - max(hit.start_s, other.start_s)
                assert shared <= 0.5 * min(hit.end_s - hit.start_s, other.end_s - other.start_s) + 1e-6


def test_threshold_and_top_limit_the_hits(opened, query):
    every = search(opened, query, top=None)
    assert len(every) > 8
    assert search(opened, query, top=5) == every[:5]
    threshold = every[2].score
    assert search(opened, query, top=None, threshold=threshold) == every[:3]
    assert search(opened, query, threshold=1.0) == []


def test_files_can_be_left_out(opened, query, talks):
    hits = search(opened, query, top=3, without=[str(talks / "0.wav")])
    assert str(talks / "0.wav") not in {hit.file for hit in hits}
    assert len(hits) == 3


def test_a_dropped_file_is_not_found(index, talks, query, sum_encoder):
    (talks / "0.wav").unlink()
    update_index(index, [], sum_encoder, folders=[talks], segment_frames=10)  # without a merge
    opened = open_index(index)
    assert opened.file_count == 5
    assert str(talks / "0.wav") not in {hit.file for hit in search(opened, query, top=50)}


def test_an_index_without_frames_has_no_hits(tmp_path, query, sum_encoder):
    update_index(tmp_path / "index", [], sum_encoder)
    assert search(open_index(tmp_path / "index"), query) == []
    audio.write(tmp_path / "silent.wav", np.zeros(50_000))
    update_index(tmp_path / "index", [Recording(tmp_path / "silent.wav")], sum_encoder)
    assert search(open_index(tmp_path / "index"), query) == []


def test_a_query_of_another_encoder_is_refused(opened, query):
    other = Query("rise", query.vector, query.duration_s, "0" * 16)
    with pytest.raises(InputError, match="sums"):
        search(opened, other)


def test_faiss_is_refused_without_a_neighbor_index(opened, query):
    with pytest.raises(InputError, match="FAISS"):
        search(opened, query, exact=False)


@pytest.fixture
def fast(tmp_path, recordings, sum_encoder):
    """An index that is searched through FAISS."""
    settings = IndexSettings(neighbors_from_h=0)
    update_index(tmp_path / "fast.index", recordings[:4], sum_encoder, settings=settings)
    update_index(tmp_path / "fast.index", recordings, sum_encoder)
    return open_index(tmp_path / "fast.index")


def test_faiss_finds_the_hits_of_an_exact_search(fast, opened, query):
    assert fast.has_neighbors
    assert not opened.has_neighbors
    assert search(fast, query, top=3) == search(fast, query, top=3, exact=True) == search(opened, query, top=3)


def test_a_damaged_neighbor_index_is_an_error(fast, query):
    path = fast.segments[0].folder / "windows.faiss"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EarmarkError, match=r"windows\.faiss: damaged") as caught:
        search(fast, query)
    assert "\n" not in str(caught.value)
    assert search(fast, query, exact=True)


def test_a_damaged_segment_is_an_error(index):
    (folder,) = (index / "segments").iterdir()
    for name in ("files.json", "sections.npy", "frames.npy", "scales.npy", "norms.npy"):
        whole = (folder / name).read_bytes()
        for size in (0, 5, 200):
            (folder / name).write_bytes(whole[:size])
            with pytest.raises(EarmarkError, match="damaged") as caught:
                open_index(index)
            assert "\n" not in str(caught.value)
        (folder / name).write_bytes(whole)
    assert open_index(index).file_count == 6


def test_a_missing_segment_and_a_missing_index_are_errors(index, tmp_path):
    with pytest.raises(InputError, match="no index"):
        open_index(tmp_path / "absent")
    (folder,) = (index / "segments").iterdir()
    (folder / "frames.npy").unlink()
    with pytest.raises(EarmarkError, match=r"frames\.npy"):
        open_index(index)


@pytest.mark.parametrize("seed", range(3))
def test_hits_of_every_length_are_inside_their_file(seed, tmp_path, say, sum_encoder):
    rng = np.random.default_rng(seed)
    for number in range(3):
        audio.write(tmp_path / f"{number}.wav", say("rise", before_s=rng.uniform(0, 3), after_s=0.1, seed=number))
    update_index(tmp_path / "index", [Recording(path) for path in sorted(tmp_path.glob("*.wav"))], sum_encoder)
    opened = open_index(tmp_path / "index")
    vector = rng.standard_normal(sum_encoder.dimension).astype(np.float32)
    for duration_s in (0.1, 0.4, 2.9):
        query = Query("x", vector / np.linalg.norm(vector), duration_s, sum_encoder.fingerprint)
        for hit in search(opened, query, top=None):
            assert 0 <= hit.start_s < hit.end_s <= audio.duration_s(hit.file) + 1e-3
