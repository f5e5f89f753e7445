"""npm packages that only tests use, pinned like the page's own in ``webslm.bundle.npm``."""

from __future__ import annotations

from dataclasses import replace

from webslm.bundle import npm

# The last line of TypeScript that is plain JavaScript: one archive for every machine.
TYPESCRIPT = npm.Package(
    name="typescript",
    version="5.9.3",
    integrity=(
        "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8"
        "wtm6M5TgSw=="
    ),
    module="lib/tsc.js",
    licence="LICENSE.txt",
    also=("lib/_tsc.js", "lib/lib.*.d.ts"),
)
# What TypeScript's own description of the browser lacks.
WEBGPU_TYPES = npm.Package(
    name="@webgpu/types",
    version="0.1.74",
    integrity=(
        "sha512-lgiI4hbuLcI9unnm2cL/tvCaQU45dp0xcLWJh5uB/9MBGvIA4F8XIk7nSiBeg+K4xWGYwgZKn80L"
        "mERI5CxoTA=="
    ),
    module="dist/index.d.ts",
)
_BIOME_ARCHIVES = {
    ("linux", "x86_64"): (
        "linux-x64",
        "sha512-XIk3pLQT56I6Tti+u0DF8FtSNXjCMTPbxVTzfJ9cS2t1ImVKvrqV5b52GuEaJg6/wuiXvz0sjfb5"
        "saB4TPRjzA==",
    ),
    ("linux", "aarch64"): (
        "linux-arm64",
        "sha512-0Bjim8lKwnrvXUHoI4k3Tb51BjoiLEwDnovCI8nSzkk6wj3dShiuAjrx6+X0Hjf4ejR1sRZgTQiS"
        "DHlpy9vB7w==",
    ),
    ("darwin", "arm64"): (
        "darwin-arm64",
        "sha512-DHyj+JnRHcn4YdvpiqgTFZMYKSPELMCfFpNNlEuu1L8DKTGXhzW7raIwdsbo2Ie9nCljQLAQkVWQ"
        "k/mwM0ueiA==",
    ),
}
# The page's linter: one program for each kind of machine, without dependencies.
BIOME = {
    machine: npm.Package(
        name=f"@biomejs/cli-{kind}",
        version="2.6.8",
        integrity=integrity,
        module="package.json",
        licence="package.json",
        also=("biome",),
    )
    for machine, (kind, integrity) in _BIOME_ARCHIVES.items()
}
WEB_LLM_TYPES = replace(npm.WEB_LLM, also=("lib/*.d.ts",))
MARKED_TYPES = replace(npm.MARKED, also=("lib/marked.d.ts",))
JINJA_TYPES = replace(npm.JINJA, also=("dist/*.d.ts",))
# The last major version with files that a page can load without a bundler.
REACT = npm.Package(
    name="react",
    version="18.3.1",
    integrity=(
        "sha512-wS+hAgJShR0KhEvPJArfuPVN1+Hz1t0Y6n5jLrGQbkb4urgPE/0Rve+1kMB1v/oWgHgm4WIcV+i7"
        "F2pTVj+2iQ=="
    ),
    module="umd/react.production.min.js",
)
REACT_DOM = npm.Package(
    name="react-dom",
    version="18.3.1",
    integrity=(
        "sha512-5m4nQKp+rZRb09LNH59GM4BxTh9251/ylbKIbpe7TpGxfJ+9kv6BLkLBXIjjspbgbnIBNqlI23tR"
        "nTWT0snUIw=="
    ),
    module="umd/react-dom.production.min.js",
)
