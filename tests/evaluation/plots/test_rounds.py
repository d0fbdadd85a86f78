from earmark.evaluation.plots.rounds import rounds_plot


def test_every_round_has_a_tick():
    figure = rounds_plot([30.0, 32.0, 31.0], 1, ylabel="MAP (%)")
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["start", "round 1", "round 2"]
