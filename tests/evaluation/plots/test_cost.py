import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.evaluation import plots
from earmark.evaluation.simulation.costs import Cost, read_costs, write_costs


@pytest.fixture
def costs():
    sizes = np.array([250, 500, 1000, 2000])
    return {"matrix": Cost(sizes, 2e-7 * sizes**2.0), "anchor": Cost(sizes, 3e-6 * sizes)}


def test_both_axes_are_logarithmic_and_marked_with_the_sizes(costs, legend_of):
    (axes,) = plots.cost_plot(costs, title="position", of="clips").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["250", "500", "1,000", "2,000"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("number n of clips", "CPU seconds")
    assert legend_of(axes.get_legend()) == ["matrix", "anchor", "O(n)", "O(n²)"]


def test_the_gray_lines_grow_linearly_and_quadratically_through_the_last_points(costs, lines_of):
    lines = {line.get_label(): line.get_data() for line in lines_of(plots.cost_plot(costs).axes[0])}
    for guide, power, measured in (("O(n)", 1, "anchor"), ("O(n²)", 2, "matrix")):
        x, y = lines[guide]
        assert np.log(y[1] / y[0]) / np.log(x[1] / x[0]) == pytest.approx(power)
        assert y[1] == pytest.approx(lines[measured][1][-1])


def test_a_single_line_is_drawn_between_both_gray_lines(costs, lines_of):
    lines = lines_of(plots.cost_plot({"anchor": costs["anchor"]}).axes[0])
    assert {line.get_label() for line in lines} == {"anchor", "O(n)", "O(n²)"}


def test_a_table_is_read_as_it_was_written(costs, tmp_path):
    write_costs(tmp_path / "cost.csv", costs)
    found = read_costs(tmp_path / "cost.csv")
    assert list(found) == ["matrix", "anchor"]
    for name, cost in costs.items():
        np.testing.assert_array_equal(found[name].sizes, cost.sizes)
        np.testing.assert_array_equal(found[name].seconds, cost.seconds)
    (tmp_path / "cost.csv").write_text("n,matrix\n1\n")
    with pytest.raises(InputError, match=r"cost\.csv"):
        read_costs(tmp_path / "cost.csv")
