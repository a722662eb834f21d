"""Commands that read a dataset at a URL: on a real S3 and a real web server, with options and with the environment."""

import json
import subprocess
import sys

import pytest

from atlas_ds.cli.text import as_options
from servers import s3, web

READING = {"info": [], "head": ["-n", "2"], "verify": [], "bench": ["--seconds", "0.01", "--rounds", "1", "--rows", "50"]}


@pytest.fixture
def url(server, cars):
    return server.upload(cars, "data", "cars-by-command")


@pytest.fixture
def plain(monkeypatch):
    """Without the S3 that the environment may name."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT", "ALLOW_HTTP", "REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    return monkeypatch


def options(server, **more):
    given = server.options | more
    return [word for name, value in given.items() if value is not None for word in ("--storage-option", f"{name}={value}")]


def told(done):
    """What a command prints, without what differs between two runs."""
    code, out, err = done
    facts = [json.loads(line) for line in out.splitlines()]
    for one in facts:
        for name in ("path", "seconds", "shards", "answers", "bytes"):
            one.pop(name, None)
    return code, facts, err


@pytest.mark.parametrize("command", READING)
def test_a_url_is_read_as_a_folder(cli, server, url, cars, plain, command):
    more = [*READING[command], "--json"]
    wanted = told(cli(command, cars, *more))
    assert wanted[0] == 0 and wanted[1]
    assert told(cli(command, url, *options(server), *more)) == wanted
    for name, value in {"ACCESS_KEY_ID": s3.KEY, "SECRET_ACCESS_KEY": s3.SECRET, "ENDPOINT": server.endpoint, "ALLOW_HTTP": "true"}.items():
        plain.setenv(f"AWS_{name}", value)
    assert told(cli(command, url, *more)) == wanted


@pytest.mark.parametrize("command", READING)
def test_a_web_server_is_read_as_a_folder(cli, cars, tmp_path, command):
    more = [*READING[command], "--json"]
    with web.serving(cars.parent, tmp_path / "nginx") as root:
        assert told(cli(command, f"{root}/cars", "--storage-option", "allow_http=TRUE", *more)) == told(cli(command, cars, *more))
        code, out, err = cli(command, f"{root}/cars", *more)
        assert (code, out) == (1, "") and "pass --storage-option allow_http=true" in err and err.count("\n") == 1


def test_a_dataset_at_a_url_is_repaired_and_shuffled(cli, server, url, cars, tmp_path):
    code, _, err = cli("repair", url, *options(server))
    assert code == 1 and "--output is needed" in err
    assert cli("repair", url, "--output", tmp_path / "saved", *options(server))[::2] == (0, "")
    assert cli("shuffle", url, tmp_path / "mixed", "--memory", "100kB", "--quiet", *options(server))[::2] == (0, "")
    assert cli("shuffle", cars, tmp_path / "same", "--quiet")[0] == 0
    assert cli("head", tmp_path / "mixed", "-n", "600") == cli("head", tmp_path / "same", "-n", "600")
    assert cli("head", tmp_path / "saved", "-n", "600") == cli("head", cars, "-n", "600")


def test_a_damaged_dataset_at_a_url_is_repaired(cli, server, cars, tmp_path):
    shard = sorted(cars.glob("*.atlas"))[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    url = server.upload(cars, "data", "damaged")
    code, out, _ = cli("verify", url, *options(server))
    assert code == 1 and f"try: atlas-ds repair {url} --output FOLDER" in out
    code, out, _ = cli("repair", url, "--output", tmp_path / "saved", *options(server))
    assert code == 1 and "lost" in out
    code, _, err = cli("repair", url, "--output", tmp_path / "none", *options(server, endpoint="http://127.0.0.1:1", timeout=0.3))
    assert code == 1 and "cannot be read" in err and not (tmp_path / "none").exists(), "a store that cannot be asked has lost nothing"


@pytest.mark.parametrize(
    ("where", "more", "words"),
    [
        ("s3://data/nothing", {}, "not an Atlas dataset: atlas.json not found"),
        ("s3://no-such-bucket/cars", {}, "the bucket does not exist: check its name"),
        ("s3://data/cars-by-command", {"secret_access_key": "SECRETwrong"}, "the key or the secret is wrong"),
        ("s3://data/cars-by-command", {"access_key_id": "SECRETkey"}, "the key or the secret is wrong"),
        ("s3://data/cars-by-command", {"anon": "true", "access_key_id": None, "secret_access_key": None}, "you may not read it"),
        ("s3://data/cars-by-command", {"allow_http": None}, "pass --storage-option allow_http=true"),
        ("s3://data/cars-by-command", {"allow_http": "SECRET"}, "not a boolean"),
        ("s3://data/cars-by-command", {"secrett": "SECRET"}, "--storage-option has 'secrett'"),
        ("s3://data/cars-by-command", {"endpoint": "SECRET"}, "endpoint: give a URL"),
        ("s3://data/cars-by-command", {"endpoint": "http://user:SECRET@127.0.0.1:1", "timeout": 0.3}, "check the address"),
        ("s3://user:SECRET@data/cars", {}, "a URL with credentials is refused"),
        ("https://127.0.0.1/cars?token=SECRET", {"timeout": 0.3}, "has a query"),
        ("cars", {}, "--storage-option is for URLs"),
    ],
)
def test_errors_say_what_to_do_and_no_value(cli, server, url, plain, where, more, words):
    del url  # it is there
    code, out, err = cli("info", where, *options(server, **more))
    assert (code, out) == (1, "") and words in err and err.count("\n") == 1 and "SECRET" not in err and s3.SECRET not in err


@pytest.mark.parametrize("given", ["SECRET", "=SECRET", "timeout=SECRET"])
def test_wrong_usage_shows_no_value(cli, given):
    code, out, err = cli("info", "s3://data/cars-by-command", "--storage-option", given)
    assert (code, out) == (2, "") and "--storage-option" in err and "SECRET" not in err


def test_what_is_not_installed_is_named(tmp_path):
    code = "import sys; sys.modules['obstore'] = None; from atlas_ds.cli import main; sys.exit(main(['info', 's3://data/cars']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'atlas-ds[remote]'" in done.stderr and done.stderr.count("\n") == 1


def test_messages_name_the_option_of_the_command():
    assert as_options('pass storage_options={"allow_http": True} or storage_options={"timeout": seconds}') == (
        "pass --storage-option allow_http=true or --storage-option timeout=seconds"
    )
    assert as_options("storage_options: region; storage_options= is") == "--storage-option: region; --storage-option is"
