from dataclasses import replace

import pytest

from earmark.core.errors import InputError
from earmark.evaluation.protocols.open_set import OpenSetLists, read_lists
from earmark.evaluation.protocols.trials import TrialClip, write_list


def test_silence_in_the_training_list_is_one_more_class(lists):
    assert lists.classes == ("yes", "no", "go", "_silence_")
    without = replace(lists, train=tuple(clip for clip in lists.train if clip.label != "_silence_"))
    assert without.classes == ("yes", "no", "go")


def test_unknowns_are_seen_where_the_training_list_has_their_word(lists):
    seen = {clip.label for clip, is_seen in zip(lists.test, lists.is_seen, strict=True) if is_seen}
    assert seen == {"cat", "dog"}
    truth = dict(zip((clip.label for clip in lists.test), lists.truth(lists.test).tolist(), strict=True))
    assert truth == {"yes": 0, "no": 1, "go": 2, "_silence_": 3, "cat": 4, "dog": 4, "bird": 4, "tree": 4}


def test_lists_are_read_from_their_folder(tmp_path, lists):
    write_list(lists.train[::-1] + lists.train[:2], tmp_path / "train.txt")  # a training list may repeat a clip
    write_list(lists.test, tmp_path / "test.txt")
    found = read_lists(tmp_path, ["yes", "no"])
    assert found.targets == ("yes", "no")
    assert (len(found.train), found.test, found.validation) == (len(lists.train) + 2, lists.test, ())
    write_list([TrialClip("yes", "v.wav")], tmp_path / "val.txt")
    assert read_lists(tmp_path, ["yes"]).validation == (TrialClip("yes", "v.wav"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ()}, "targets"),
        ({"targets": ("yes", "yes")}, "targets: yes, yes"),
        ({"targets": ("yes", "bird")}, "train list.*'bird'.*_silence_, cat, dog, go, no, yes"),
        ({"targets": ("yes", "no", "go", "cat", "dog", "bird")}, "train list.*'bird'"),
        ({"test": (TrialClip("yes", "a.wav"),)}, "test list.*'no'"),
        ({"validation": (TrialClip("yes", "yes/e_nohash_0.wav"),)}, "yes/e_nohash_0.wav"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(lists, changes, message):
    with pytest.raises(InputError, match=message):
        replace(lists, **changes)


def test_a_test_without_any_unknown_is_refused(lists):
    known = tuple(clip for clip in lists.test if clip.label in lists.classes)
    with pytest.raises(InputError, match="test list"):
        replace(lists, test=known)


def test_a_message_about_lists_names_their_folder(tmp_path):
    write_list([TrialClip("yes", "a.wav")], tmp_path / "train.txt")
    write_list([TrialClip("yes", "a.wav"), TrialClip("cat", "b.wav")], tmp_path / "test.txt")
    with pytest.raises(InputError, match=rf"{tmp_path}: test list: a.wav"):
        read_lists(tmp_path, ["yes"])


def test_paths_are_those_of_all_lists_once():
    lists = OpenSetLists(("a",), (TrialClip("a", "2"), TrialClip("a", "2")), (TrialClip("a", "3"), TrialClip("b", "1")))
    assert lists.paths == ["1", "2", "3"]
