"""Turn compiled objects into the ``.wasm`` model library that web-llm loads.

``runtime`` builds TVM's C++ runtime once per toolchain, ``objects`` takes the objects out of a
compiled executable, ``link`` joins both, ``abi`` reads the result back and holds it against
``contract``, the names that one web-llm release provides and needs. ``overlay/`` is our C++.

Whole path: ``objects.write_library(executable, runtime.build_runtime(cache_dir), out)``.
"""
