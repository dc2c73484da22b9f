"""Report pages: self-contained, with all text escaped."""

from training.reports.html import ReportTable, Section, render_page
from training.reports.plotting import draw_plot


def test_text_is_escaped_and_images_are_embedded() -> None:
    """HTML in titles, texts and cells is shown as text; the page has no script and no link."""
    table = ReportTable(("text", "loss"), [("<script>alert(1)</script>", "1.25"), ("b", "10 %")])
    plot = draw_plot("t", lambda _: None)
    section = Section(name="x", title="T & U", text="<b>", plot=plot, table=table)
    page = render_page("A < B", "why", [section])
    assert "<title>A &lt; B</title>" in page
    assert "<h2>T &amp; U</h2>\n<p>&lt;b&gt;</p>" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert '<img src="data:image/svg+xml;base64,' in page
    dark = '<source media="(prefers-color-scheme: dark)" srcset="data:image/svg+xml;base64,'
    assert dark in page
    assert "color-scheme: light dark" in page
    assert 'width="960" height="540"' in page
    assert "://" not in page
    assert '<td class="number">1.25</td>' in page
    assert "<td>b</td>" in page


def test_cells_below_running_text_name_their_column() -> None:
    """On a narrow screen they have no heading; long names may break after an underscore."""
    table = ReportTable(("text", 'a "b"'), [("<i>long</i>", "bill_due")], prose=True)
    page = render_page("t", "", [Section(name="x", title="x", table=table)])
    assert '<table class="prose">' in page
    assert '<td data-column="text">&lt;i&gt;long&lt;/i&gt;</td>' in page
    assert '<td data-column="a &#34;b&#34;">bill_<wbr>due</td>' in page


def test_columns_of_numbers_are_aligned_on_the_right() -> None:
    """Signs, percentages, footnote marks and dashes for missing values belong to numbers."""
    rows = [("-1,000*", "3.1%", "one", "–"), ("2e-05", "", "2", "4 %")]
    columns = ReportTable(("a", "b", "c", "d"), rows).columns
    assert [column.numeric for column in columns] == [True, True, False, True]


def test_a_section_shows_only_what_it_has() -> None:
    """Without text, plot and table it is a heading."""
    page = render_page("t", "i", [Section(name="x", title="x")])
    assert '<section id="x">\n<h2>x</h2>\n</section>' in page
