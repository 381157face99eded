"""What the docs point to is there: files, headings, modules and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

NAMED = re.compile(
    r"(?:rsagent_ros(?!/msg|/action|/srv)|training|test|benchmarks|examples|config|launch|environment|docs)/[\w./-]*\w"
)
"""A path from the root of the repository, as it stands in a code span or a command."""


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    return (target for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")) if "://" not in target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_in_code_spans_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it names what is gone, too
    spans = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    named = {word for span in spans for word in span.split() if NAMED.fullmatch(word)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_benchmarks_by_name_are_there(page: Path) -> None:
    for name in re.findall(r"benchmarks/run\.py (\w+)", page.read_text(encoding="utf-8")):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def tree_of_contributing() -> Iterator[str]:
    """The paths in CONTRIBUTING.md's tree: names that begin a line or follow one by two spaces, below their folder."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders: list[tuple[int, str]] = []
    for line in text.split("## Where things are", 1)[1].split("## Rules", 1)[0].splitlines():
        if not line.startswith("    "):
            continue
        depth = len(line) - len(line.lstrip())
        folders = [(at, folder) for at, folder in folders if at < depth]
        above = folders[-1][1] if folders else ""
        names = re.match(r"((?:[\w./]+(?:/|\.py)(?:  )?)+)", line.strip())
        assert names, line
        yield from (above + name for name in names[1].split())
        folders.append((depth, above + names[1].split()[0]))


def test_the_tree_in_contributing_is_there() -> None:
    paths = list(tree_of_contributing())
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_modules_that_the_architecture_names_are_there() -> None:
    modules = [str(path.relative_to(ROOT)) for path in (ROOT / "rsagent_ros").rglob("*.py")]
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not any(module.endswith(f"/{name}") for module in modules)] == []
