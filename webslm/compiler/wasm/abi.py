"""Own the check of a linked library against a web-llm contract, by reading the file alone.

Proven by reading: the host provides every import, every export web-llm calls is there, no initial
data lies where its JavaScript writes. **Not** proven: that a function is registered. A global
function's name is looked for as a C string in the initial data, which shows that the runtime
holds the unit that registers it, not that it ran. Tests instantiate a library and ask the registry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Metric
from webslm.compiler.wasm.binary import Import, Sections, read_sections
from webslm.compiler.wasm.contract import WEB_LLM, Contract


@dataclass(frozen=True)
class LibraryAbi:
    """What a library asks for, offers, and where its data lies."""

    imports: tuple[Import, ...]
    exports: tuple[str, ...]
    data_addresses: tuple[int | None, ...]
    """Start of each data segment; None where it is not a constant."""
    data_end: int
    """First address after the initial data."""
    size_bytes: int

    def facts(self) -> dict[str, Metric]:
        """Return what library.json says of the interface."""
        return {
            "imports": [f"{item.module}.{item.name}" for item in self.imports],
            "exports": [*self.exports],
            "data_end": self.data_end,
        }


def inspect_library(path: Path) -> LibraryAbi:
    """Read a library's interface.

    Raises:
        StageFailed: The file is not a WebAssembly module.
    """
    return _summarize(path, read_sections(path))


def check_abi(
    path: Path,
    *,
    required_global_functions: Iterable[str] = (),
    contract: Contract = WEB_LLM,
) -> LibraryAbi:
    """Hold a library against a contract and return its interface.

    Args:
        path: The linked library.
        required_global_functions: Registry names it needs beyond the contract's, such as the
            builtins that its bytecode calls.
        contract: What the page's web-llm provides and needs.

    Raises:
        StageFailed: Everything that is wrong, by name, in one message.
    """
    sections = read_sections(path)
    abi = _summarize(path, sections)
    wanted = contract.global_functions | set(required_global_functions)
    problems = [
        *_foreign_imports(abi, contract),
        *(f"missing export '{name}'" for name in sorted(contract.exports - set(abi.exports))),
        *_low_data(abi, contract),
        *(f"missing global function '{name}'" for name in sorted(_absent(sections, wanted))),
    ]
    if problems:
        raise StageFailed(
            f"{path.name}: not loadable by web-llm {contract.web_llm}: {'; '.join(problems)}",
            hint="the runtime, the compiler and web-llm must be of one pinned matrix row",
        )
    return abi


def _summarize(path: Path, sections: Sections) -> LibraryAbi:
    ends = [seg.address + len(seg.data) for seg in sections.segments if seg.address is not None]
    return LibraryAbi(
        imports=sections.imports,
        exports=sections.exports,
        data_addresses=tuple(segment.address for segment in sections.segments),
        data_end=max(ends, default=0),
        size_bytes=path.stat().st_size,
    )


def _foreign_imports(abi: LibraryAbi, contract: Contract) -> list[str]:
    return [
        f"import '{item.module}.{item.name}' ({item.kind}) is not provided"
        for item in abi.imports
        if item.kind != "function" or item.name not in contract.imports.get(item.module, ())
    ]


def _low_data(abi: LibraryAbi, contract: Contract) -> list[str]:
    floor = contract.first_data_address
    return [
        f"data at address {address} lies below {floor}, where web-llm writes"
        if address is not None
        else "data at an address that is known only at run time"
        for address in abi.data_addresses
        if address is None or address < floor
    ]


def _absent(sections: Sections, names: Iterable[str]) -> list[str]:
    # The linker merges equal string endings, so nothing is known of the byte before a name.
    return [
        name
        for name in names
        if not any(name.encode() + b"\0" in segment.data for segment in sections.segments)
    ]
