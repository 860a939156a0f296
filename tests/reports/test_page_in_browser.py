"""The page as a reader meets it: sorted, filtered, followed, by keyboard, on a telephone, without script, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seq2seq_lightning.reports.html import write_report
from tests.reports.browser import chromium
from tests.reports.generated import ablation, write_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CRAFTED = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table of three rows by two seeds, whose outputs are crafted."""
    folder, config = tmp_path_factory.mktemp("page"), ablation(rows=3, seeds=2)
    results = write_runs(folder, config, updates=500, spoil=lambda words: f"{words} {CRAFTED}")
    return write_report(folder / config.name, config, results).as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page at the width of a desk; at the end nothing may have complained or been fetched."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(240_000)  # a machine that does other work besides
    complaints, fetched = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address)
    yield page
    assert complaints == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
    page.close()


def column(page: Page, table: str, number: int) -> list[str]:
    """The words of one column, top to bottom, of the rows that are shown."""
    return page.locator(f"#{table} tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_a_column_is_sorted_by_its_numbers_and_says_so(page: Page) -> None:
    head = page.locator("#runs thead th", has_text="test/exact_match")
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    values = [float(words) for words in column(page, "runs", 3)]
    assert values == sorted(values) and len(set(values)) > 2
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert [float(words) for words in column(page, "runs", 3)] == values[::-1]
    assert head.get_attribute("aria-sort") == "descending"


def test_empty_places_stand_last_either_way(page: Page) -> None:
    button = page.locator("#results thead th", has_text="published").get_by_role("button")
    for numbers in (["40 (3)", "60 (3)", "80 (3)"], ["80 (3)", "60 (3)", "40 (3)"]):
        button.click()
        assert column(page, "results", 3) == [*numbers, "", "", ""]


def test_rows_are_filtered_by_all_words(page: Page) -> None:
    bar = page.locator("#section-runs .bar")
    bar.get_by_role("searchbox").fill("attention 2")
    assert column(page, "runs", 1) == ["attention"]
    assert bar.locator("output").inner_text() == "1 of 6 rows"
    bar.get_by_role("searchbox").fill("")
    assert len(column(page, "runs", 1)) == 6


def test_links_lead_to_records_and_sections(page: Page) -> None:
    for href in page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))"):
        assert page.locator(href).count() == 1
    link = page.locator("#runs tbody a").first
    assert '"schema": 1' in (Path(str(link.evaluate("link => decodeURI(link.pathname)")))).read_text()


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    button = page.locator("#runs thead th", has_text="seed").get_by_role("button")
    button.focus()
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert column(page, "runs", 2) == ["1", "1", "1", "2", "2", "2"]
    page.keyboard.press("Space")
    assert column(page, "runs", 2) == ["2", "2", "2", "1", "1", "1"]


def test_outputs_of_two_rows_stand_side_by_side(page: Page) -> None:
    heads = page.locator("#outputs-table thead th:visible")
    assert heads.all_inner_texts() == ["source", "reference", "fixed vector", "attention"]
    page.get_by_label("Right").select_option("row 2")
    assert heads.all_inner_texts() == ["source", "reference", "fixed vector", "row 2"]
    assert page.locator("#outputs-table td", has_text=CRAFTED).count() > 0
    assert page.evaluate("window.harmed") is None


def test_no_width_scrolls_the_page_sideways(page: Page) -> None:
    for width in (320, 375, 768):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        widths = page.locator(".picture").evaluate_all("each => each.map(one => one.getBoundingClientRect().width)")
        assert min(widths) > min(width, 340) - 40


def test_words_stand_out_from_what_is_behind_them(page: Page) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 : 1, on white and on black."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found: dict[str, Any] = page.evaluate(CONTRASTS)
        assert len(found) >= 5
        assert {name: round(each, 2) for name, each in found.items() if each < 4.5} == {}


def test_on_paper_nothing_is_cut_and_no_tool_is_printed(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden() and page.locator(".bar").first.is_hidden()
    overflows = "each => each.map(one => getComputedStyle(one).overflowX)"
    assert set(page.locator(".scroll").evaluate_all(overflows)) == {"visible"}


def test_without_script_all_is_shown(browser: Browser, address: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.set_default_timeout(240_000)
    page.goto(address)
    assert page.locator("#runs tbody tr:visible").count() == 6
    assert page.locator("#outputs-table thead th:visible").count() == 5
    page.close()


CONTRASTS = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((each) => {
      const share = each / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = {};
  const names = ["h1", ".source", ".caption", ".verdict strong", ".badge", "thead th", "td", "td a", "footer p"];
  for (const name of names) {
    const element = document.querySelector(name);
    if (!element) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    found[name] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return found;
}"""
