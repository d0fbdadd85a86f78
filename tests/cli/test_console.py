from earmark.cli import console
from earmark.core.progress import no_progress


def test_progress_is_drawn_only_on_a_terminal(capsys):
    with console.progress_bar() as progress:
        progress("reading", 1, 2)
    assert progress is no_progress
    assert capsys.readouterr() == ("", "")


def test_each_stage_has_a_bar_and_its_detail_may_change(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as rich sees it
    monkeypatch.setenv("COLUMNS", "200")
    with console.progress_bar() as progress:
        progress("reading [red].wav", 0, None)
        progress("reading [red].wav", 2, 2)
        progress("training (loss 2.31)", 0, 10)
        progress("training (loss 2.12)", 10, 10)
        progress("training (loss 0.50)", 0, 10)
    output = capsys.readouterr()
    assert output.out == ""
    last = output.err.split("\r")[-1] if "\r" in output.err else output.err
    assert "reading [red].wav" in output.err
    assert "loss 0.50" in output.err
    assert "loss" not in last  # the bars are gone


def test_calls_that_come_too_fast_are_not_drawn(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.progress_bar() as progress:
        for done in range(100_000):
            progress("reading", done, 200_000)
    assert len(capsys.readouterr().err) < 10_000
