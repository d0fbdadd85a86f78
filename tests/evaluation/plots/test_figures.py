import subprocess
import sys

from earmark.evaluation import plots


def test_a_saved_figure_is_a_png_of_its_size(tmp_path, curves):
    plots.save(plots.det_plot(curves), tmp_path / "det.png", dpi=100)
    data = (tmp_path / "det.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(data[at : at + 4]) for at in (16, 20)] == [560, 540]


def test_plotting_leaves_pyplot_alone():
    code = "import sys, earmark.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
