"""A release is one version: tag, package and the changelog's newest section."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from scripts.release import ROOT, NotReleasable, notes, package_version, sections
from tests.docs.workflows import WORKFLOWS, workflow
from webslm import __version__

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n### Added\n- It.\n"


def checkout(root: Path, version: str = "1.2.0", changelog: str = CHANGELOG) -> Path:
    """Write what a release is read from."""
    (root / "webslm").mkdir()
    (root / "webslm" / "__init__.py").write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    (root / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return root


def test_versions_of_this_checkout_can_become_a_release() -> None:
    assert package_version() == __version__
    released = [Version(name) for name, _, _ in sections() if name != "Unreleased"]
    assert released == sorted(set(released), reverse=True)
    # What is not released yet stands under Unreleased; what is has its own section.
    assert sections()[0][0] == "Unreleased" or released[0] == Version(__version__)
    assert all(version <= Version(__version__) for version in released)


def test_tag_that_agrees_gets_its_section(tmp_path: Path) -> None:
    assert notes("v1.2.0", checkout(tmp_path)) == "### Added\n- It."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "told"),
    [
        ("v1.3.0", "1.2.0", CHANGELOG, "the tag is v1.3.0, webslm/__init__.py says 1.2.0"),
        ("1.2.0", "1.2.0", CHANGELOG, "the tag is 1.2.0"),
        ("v1.3.0", "1.3.0", CHANGELOG, "CHANGELOG.md begins with 1.2.0"),
        ("v1.2.0", "1.2.0", "# Changelog\n\n## [Unreleased]\n- It.\n", "begins with no version"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace(" - 2026-01-31", ""), "needs a date"),
        ("v1.2.0", "1.2.0", CHANGELOG.split("###")[0], "is empty"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("d]\n", "d]\n- More.\n", 1), "under Unreleased"),
    ],
)
def test_what_does_not_agree_is_refused(
    tag: str, version: str, changelog: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(NotReleasable, match=told.replace(".", r"\.")):
        notes(tag, checkout(tmp_path, version, changelog))


def test_workflow_asks_before_it_builds() -> None:
    job = workflow(WORKFLOWS / "release.yml")["jobs"]["build"]
    scripts = [step.get("run", "") for step in job["steps"]]
    assert any("scripts/release.py" in script for script in scripts)
    words = (sys.executable, str(ROOT / "scripts" / "release.py"), "v0.0.0")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("release: the tag is v0.0.0")
