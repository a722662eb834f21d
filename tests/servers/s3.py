"""A real S3: SeaweedFS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

KEY, SECRET, REGION = "AKtest123456", "CANARYsecret123456", "us-east-1"
PATIENCE = 60.0  # seconds to wait for a server


class S3(NamedTuple):
    """endpoint: its URL. options: what a store needs to read there."""

    endpoint: str

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": REGION, "allow_http": True}

    def client(self, **config: Any) -> Any:
        import boto3
        from botocore.config import Config

        same = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        return boto3.client("s3", endpoint_url=self.endpoint, config=Config(s3={"addressing_style": "path"}, **config), **same)

    def upload(self, folder: Path, bucket: str, prefix: str) -> str:
        """Puts the files of a folder into a bucket; returns their URL."""
        client = self.client()
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                client.put_object(Bucket=bucket, Key=f"{prefix}/{file.relative_to(folder).as_posix()}", Body=file.read_bytes())
        return f"s3://{bucket}/{prefix}"


def free_ports(count: int) -> list[int]:
    """Ports from which on 10,000 higher is free too: each service of SeaweedFS has a second one there."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port > 50_000 or port in found:
                continue
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    return found


@contextmanager
def running(buckets: tuple[str, ...] = ("data",)) -> Iterator[S3]:
    folder = Path(tempfile.mkdtemp(prefix="atlas-s3-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    master, volume, filer, port = free_ports(4)
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [{"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}))
    weed = shutil.which("weed", path=sysconfig.get_path("scripts")) or "weed"
    command = [
        weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}", "-volume.preStopSeconds=0", "-filer",
        f"-filer.port={filer}", "-s3", f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=20",
        "-master.telemetry=false",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        found = S3(f"http://127.0.0.1:{port}")
        wait_until_ready(found, buckets, server, folder / "log")
        yield found
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(s3: S3, buckets: tuple[str, ...], server: subprocess.Popen[bytes], log: Path) -> None:
    """Until what is put can be read: after a start, SeaweedFS answers with errors for some seconds."""
    from botocore.exceptions import BotoCoreError, ClientError

    client, end = s3.client(), time.monotonic() + PATIENCE
    while True:
        try:
            for bucket in buckets:
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=buckets[0], Key="ready", Body=b"yes")
            assert client.get_object(Bucket=buckets[0], Key="ready")["Body"].read() == b"yes"
            client.delete_object(Bucket=buckets[0], Key="ready")
            return
        except (BotoCoreError, ClientError, AssertionError):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"SeaweedFS did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.2)
