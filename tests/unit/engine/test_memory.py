"""What a stage takes of the machine's memory, and what the machine has to give."""

from __future__ import annotations

import subprocess
import sys

import psutil

from webslm.engine.machine.memory import PeakMemory, available_memory

MIB = 1 << 20
HOLD = "held = bytes(range(256)) * (4096 * {}); print('held', flush=True); input()"


def test_peak_counts_the_processes_that_a_stage_started() -> None:
    words = [sys.executable, "-c", HOLD.format(128)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with PeakMemory() as alone:
        pass
    with subprocess.Popen(words, text=True, **pipes) as child:  # type: ignore[call-overload]
        assert child.stdout.readline() == "held\n"
        with PeakMemory() as both:
            pass
        child.communicate("\n")
    assert both.peak_bytes - alone.peak_bytes > 100 * MIB


def test_peak_is_of_the_time_before_memory_was_given_back() -> None:
    memory = PeakMemory()
    with memory:
        before = memory.peak_bytes
        held = bytes(range(256)) * (4096 * 64)
        while memory.peak_bytes < before + 32 * MIB:
            pass
        del held
    assert memory.peak_bytes >= before + 32 * MIB


def test_available_memory_is_a_part_of_the_machines() -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total
