"""Tokens per second over HTTP as a share of the kernel's own, in the same run.

Each repeat measures the kernel before and after the service, with as many rows as there are
streams and as many threads as the service has. The processor time for a token, of all threads,
is compared too: it depends less on the other load of the machine.
"""

import time
from dataclasses import dataclass

from benchmarks.harness.kernels import NATIVE_INT8
from benchmarks.harness.servers import UNROLL
from benchmarks.harness.statistics import ratio
from benchmarks.measurements.serving import ServingPlan
from benchmarks.measurements.serving import measure as measure_service
from benchmarks.measurements.stepping import KernelStepper
from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel

KEY_FIELDS = ("size", "streams")


@dataclass(frozen=True, kw_only=True)
class KernelShareMeasurement:
    """Tokens/s and processor microseconds of a token, over HTTP and in the kernel alone."""

    size: str
    streams: int
    http_tokens_per_second: float
    kernel_tokens_per_second: float
    share: float
    http_cpu_microseconds: float
    kernel_cpu_microseconds: float
    cpu_share: float
    tokens_per_write: float


@dataclass(frozen=True)
class _KernelSpeed:
    tokens_per_second: float
    cpu_microseconds: float


def make_kernel(network: LanguageModel, rows: int, threads: int) -> Kernel:
    """The served kernel. [END] is suppressed, so that no row ends."""
    architecture: LanguageModelArchitecture = network.architecture
    end = architecture.vocabulary - 1
    return NATIVE_INT8.make(
        network, capacity=rows, threads=threads, end=end, suppressed=frozenset({end})
    )


def measure_all(plan: ServingPlan, kernels: dict[str, Kernel]) -> list[KernelShareMeasurement]:
    """Measures every size and number of streams, in all repeats."""
    measurements = []
    for repeat in range(plan.repeats):
        for size, kernel in kernels.items():
            for streams in plan.streams:
                measurement = measure(plan, kernel, size, streams)
                measurements.append(measurement)
                print(
                    f"{repeat + 1}/{plan.repeats}  {size:7} {streams:3} streams: "
                    f"{measurement.share:.0%} of the kernel's tokens/s, "
                    f"{measurement.cpu_share:.0%} of the processor time",
                    flush=True,
                )
    return measurements


def measure(plan: ServingPlan, kernel: Kernel, size: str, streams: int) -> KernelShareMeasurement:
    """The service between two measurements of the kernel."""
    before = _kernel_speed(kernel, streams, plan.seconds / 2)
    service = measure_service(plan, UNROLL, size, streams)
    after = _kernel_speed(kernel, streams, plan.seconds / 2)
    speed = (before.tokens_per_second + after.tokens_per_second) / 2
    cpu = (before.cpu_microseconds + after.cpu_microseconds) / 2
    service_cpu = 1000 * service.processor_seconds_per_1000_tokens
    return KernelShareMeasurement(
        size=size,
        streams=streams,
        http_tokens_per_second=service.tokens_per_second,
        kernel_tokens_per_second=speed,
        share=ratio(service.tokens_per_second, speed),
        http_cpu_microseconds=service_cpu,
        kernel_cpu_microseconds=cpu,
        cpu_share=ratio(cpu, service_cpu),
        tokens_per_write=service.tokens_per_write,
    )


def _kernel_speed(kernel: Kernel, rows: int, seconds: float) -> _KernelSpeed:
    stepper = KernelStepper(kernel, rows)
    stepper.burst()
    begin, cpu_begin, steps = time.perf_counter(), time.process_time(), 0
    while steps == 0 or time.perf_counter() - begin < seconds:
        steps += stepper.burst()
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu_begin
    return _KernelSpeed(rows * steps / elapsed, 1e6 * cpu / (rows * steps))
