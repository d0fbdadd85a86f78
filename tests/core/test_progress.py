from functools import partial

from earmark.core.progress import follow, no_progress, within


def test_items_are_reported_one_by_one():
    calls: list[object] = []

    def progress(*call):
        calls.append(call)

    for item in follow(["a", "b"], "reading", progress):
        calls.append(item)
    assert calls == [("reading", 0, 2), "a", ("reading", 1, 2), "b", ("reading", 2, 2)]


def test_items_without_length_have_no_total_unless_it_is_given():
    calls: list[object] = []
    list(follow(iter("ab"), "reading", lambda *call: calls.append(call)))
    assert calls == [("reading", 0, None), ("reading", 1, None), ("reading", 2, None)]
    calls.clear()
    list(follow(iter("ab"), "reading", lambda *call: calls.append(call), total=5))
    assert calls[-1] == ("reading", 2, 5)


def test_items_of_an_earlier_run_count_as_done():
    calls: list[object] = []
    list(follow("ab", "reading", lambda *call: calls.append(call), first=3))
    assert calls == [("reading", 3, 5), ("reading", 4, 5), ("reading", 5, 5)]


def test_stages_nest():
    calls: list[object] = []
    inner = within("round 2", lambda *call: calls.append(call))
    partial(inner, "mining")(1, 10)
    assert calls == [("round 2: mining", 1, 10)]


def test_progress_can_be_ignored():
    assert list(follow("ab", "reading", no_progress)) == ["a", "b"]
