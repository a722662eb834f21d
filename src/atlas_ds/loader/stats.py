"""Where the time of an epoch was spent, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from atlas_ds.sizes import format_size
from atlas_ds.store.filling import Filling


class Link:
    """What the store of a dataset was asked for since a moment.

    Attributes
    ----------
    requests, bytes
        What came, counted when it is there.
    blocks
        Blocks in these requests.
    hits
        Reads of a column (of rows one after another in a block) that found it in the cache or in
        memory.
    busy
        Seconds in which at least one request was under way.
    waited
        Seconds in which threads waited for requests, summed over the threads that ask ahead and those that read.
    retries
        Requests that were tried again.
    evictions
        Blocks that went from the cache to make room.
    """

    def __init__(self, filling: Filling) -> None:
        self._filling = filling
        self._begin = filling.counts()

    def counts(self) -> dict[str, float]:
        """All of them, by name."""
        return {name: value - self._begin[name] for name, value in self._filling.counts().items()}

    def in_words(self, seconds: float) -> str:
        """seconds: of the epoch."""
        now = self.counts()
        if not now["requests"]:
            return f"the store: nothing was asked for; all {now['hits']:,.0f} reads found their block in the cache or in memory"
        rate = f"{format_size(now['bytes'] / max(now['busy'], 1e-9))}/s"
        share = 100 * min(1.0, now["busy"] / max(seconds, 1e-9))
        text = f"the store: {now['requests']:,.0f} requests, {format_size(now['bytes'])}; the link was busy {share:.0f} % of the time, at {rate}"
        there = 100 * now["hits"] / max(1.0, now["hits"] + now["blocks"])
        text += f"; {there:.0f} % of the reads found their block in the cache or in memory"
        more = [f"{now[name]:,.0f} {words}" for name, words in (("retries", "requests tried again"), ("evictions", "blocks evicted")) if now[name]]
        return "; ".join([text, *more])


@dataclass(slots=True)
class Stats:
    """Where the time of an epoch went; `print` says it in words.

    docs/guide/train.md#is-the-loader-fast-enough tells how to read it. `reading` and `transforming`
    are summed over threads; `waiting` and `consumer` are the loop's own, one after another.

    Attributes
    ----------
    batches, rows, bytes
        What the loop was given so far.
    seconds
        Since the first batch was requested.
    waiting
        Seconds in which the loop waited for a batch.
    consumer
        Seconds in which the loop had a batch.
    reading
        Seconds in which threads read and decoded, and ran `transform_example` and `collate_fn`.
    transforming
        Seconds in which threads ran `transform`, made tensors and pinned them.
    by_example
        Whether examples are read one by one, so that `reading` has transforms in it.
    threads
        How many threads read.
    most_bytes
        The most bytes that were ready at any time.
    quality
        Of a window order: the variance of a batch's mean relative to a true shuffle's; 1 is best.
        docs/order.md has the formula.
    quality_is_worst
        No ICC is recorded: `quality` is what sorted data would have.
    skipped
        How many bad samples there were.
    skips
        The row and the error of the first 1,000 of them.
    links
        For each dataset at a URL, a `Link`: what its store was asked for.
    """

    batches: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    consumer: float = 0.0
    reading: float = 0.0
    transforming: float = 0.0
    by_example: bool = False
    threads: int = 0
    most_bytes: int = 0
    quality: float | None = None
    quality_is_worst: bool = False
    skipped: int = 0
    skips: list[tuple[int, str]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def bottleneck(self) -> str:
        """What to make faster: "consumer", "reading" or "transforming"."""
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
        lines += [link.in_words(self.seconds) for link in self.links]
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
