"""Every dependency is listed with a licence, and the list is that of the installed wheels."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from webslm.basics.paths import PACKAGE

# Run as a program over this checkout; nothing imports or ships it.
PROGRAMS = {"codespell"}
PAGE = PACKAGE.parent / "docs" / "reference" / "licences.md"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the page is of CPython 3.11's wheels")
def test_page_is_not_stale() -> None:
    from scripts.licences import page

    assert PAGE.read_text(encoding="utf-8") == page(), "make licences"


def test_every_package_has_a_licence() -> None:
    rows = re.findall(
        r"^\| (\S+) \| \S+ \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) > 80
    assert [name for name, licence in rows if not licence or licence == "UNKNOWN"] == []
    copyleft = {name for name, licence in rows if "GPL" in licence and "LGPL" not in licence}
    assert copyleft == PROGRAMS


def test_installed_packages_fit_together() -> None:
    words = (sys.executable, "-m", "pip", "check", "--disable-pip-version-check")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
