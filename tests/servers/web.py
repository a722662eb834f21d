"""A real web server with ranges: nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.ports import free_port, wait_until_open

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; default_type application/octet-stream; types {{ }}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
PATIENCE = 20.0


@contextmanager
def serving(root: Path, folder: Path) -> Iterator[str]:
    """Serves the files below root; yields the URL. folder: for nginx's own files."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    assert nginx is not None, "nginx is not installed: make build does it"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, root=root))
    server = subprocess.Popen([nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)])
    try:
        wait_until_open(port, server, PATIENCE, (folder / "error.log").read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
