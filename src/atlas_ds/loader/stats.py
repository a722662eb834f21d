"""Where the time of an epoch was spent, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from atlas_ds.sizes import format_size


@dataclass(slots=True)
class Stats:
    """Times in seconds. reading and transforming are summed over threads; waiting and consumer are of the training loop."""

    batches: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    """since the first batch was requested"""
    waiting: float = 0.0
    """the loop waited for a batch"""
    consumer: float = 0.0
    """the loop had a batch"""
    reading: float = 0.0
    """threads read and decoded, and ran transform_example and collate_fn"""
    transforming: float = 0.0
    """threads ran transform, made tensors and pinned memory"""
    by_example: bool = False
    """examples are read one by one, so `reading` includes transforms"""
    threads: int = 0
    most_bytes: int = 0
    """largest size of the batches that were ready at one time"""
    quality: float | None = None
    """D of a window order: the variance of a batch mean relative to that under a true shuffle; 1 is best"""
    quality_is_worst: bool = False
    """no ICC is recorded: D is the value for sorted data"""
    skipped: int = 0
    skips: list[tuple[int, str]] = field(default_factory=list)
    """(row, error) of the first 1,000 bad samples"""

    @property
    def bottleneck(self) -> str:
        """ "consumer", "reading" or "transforming"."""
        if self.waiting <= 0.1 * (self.waiting + self.consumer):
            return "consumer"
        return "reading" if self.reading >= self.transforming else "transforming"

    def __str__(self) -> str:
        if self.batches == 0:
            return "no batches yet"
        total = max(self.waiting + self.consumer, 1e-9)
        work = max(self.reading + self.transforming, 1e-9)
        rate = self.rows / max(self.seconds, 1e-9)
        reading = "reading, transform_example and collate_fn" if self.by_example else "reading and decoding"
        shares = f"{100 * self.reading / work:.0f} % {reading}, {100 * self.transforming / work:.0f} % transforms and tensors"
        lines = [
            f"{self.batches:,} batches, {self.rows:,} rows, {format_size(self.bytes)} in {self.seconds:.2f} s: {rate:,.0f} rows/s",
            f"the loop waited for data {100 * self.waiting / total:.0f} % of its time and used it {100 * self.consumer / total:.0f} %",
            f"{self.threads} threads: {shares}; at most {format_size(self.most_bytes)} ready",
            EXAMPLES if self.by_example and self.bottleneck == "reading" else WORDS[self.bottleneck],
        ]
        if self.quality is not None:
            worst = " at worst (no ICC is recorded; write with icc=[...] to measure it)" if self.quality_is_worst else ""
            lines.append(f"window order: the mean of a batch varies {self.quality:.2f} times as much as under a true shuffle{worst}; 1 or less is good")
        if self.skipped:
            row, error = self.skips[0]
            lines.append(f"{self.skipped} bad samples; the first is row {row}: {error}")
        return "\n".join(lines)


WORDS = {
    "consumer": "bottleneck: the training loop; data is always ready",
    "reading": "bottleneck: reading; more num_threads, a faster disk or fewer columns would help",
    "transforming": "bottleneck: transforms; make them cheaper, or move them to processes (transform_example= and transform_processes=N)",
}
EXAMPLES = "bottleneck: reading examples one by one; transform(batch) instead, more num_threads, or processes (transform_processes=N) would help"
