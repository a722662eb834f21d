"""What users say of how a URL is reached: the names that obstore and fsspec have for it, by one table. It opens nothing."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

S3 = frozenset({
    "access_key_id", "secret_access_key", "session_token", "region", "default_region", "endpoint", "skip_signature", "request_payer",
    "virtual_hosted_style_request", "unsigned_payload", "metadata_endpoint", "role_arn", "role_session_name", "sts_endpoint",
    "web_identity_token_file", "container_credentials_relative_uri", "container_credentials_full_uri", "container_authorization_token_file",
    "checksum_algorithm", "sse_kms_key_id", "server_side_encryption",
})  # fmt: skip
GCS = frozenset({"service_account", "service_account_key", "application_credentials", "base_url", "bearer_token", "skip_signature"})
AZURE = frozenset({
    "account_name", "account_key", "client_id", "client_secret", "tenant_id", "authority_host", "sas_key", "token", "use_emulator",
    "use_fabric_endpoint", "endpoint", "msi_endpoint", "object_id", "msi_resource_id", "federated_token_file", "use_azure_cli", "skip_signature",
})  # fmt: skip
CLIENT = frozenset({
    "allow_http", "allow_invalid_certificates", "connect_timeout", "read_timeout", "default_headers", "http1_only", "http2_only", "pool_idle_timeout",
    "pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate", "proxy_excludes", "root_certificate", "user_agent",
})  # fmt: skip
# The names that s3fs, gcsfs and adlfs have, to obstore's.
ALIASES = {
    "s3": {"key": "access_key_id", "secret": "secret_access_key", "token": "session_token", "endpoint_url": "endpoint", "anon": "skip_signature",
           "requester_pays": "request_payer", "aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key",
           "aws_session_token": "session_token", "region_name": "region"},
    "gs": {"token": "service_account", "anon": "skip_signature", "endpoint_url": "base_url", "endpoint": "base_url"},
    "az": {"sas_token": "sas_key", "anon": "skip_signature", "credential": "account_key", "endpoint_url": "endpoint"},
    "http": {"headers": "default_headers"},
}  # fmt: skip
KNOWN = {"s3": S3, "gs": GCS, "az": AZURE, "http": frozenset[str]()}
FAMILIES = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az", "adl": "az", "abfs": "az", "abfss": "az", "http": "http", "https": "http",
}  # fmt: skip
OWN = frozenset({"profile", "timeout"})
OPEN = (CLIENT | {  # what may be shown and pickled: it opens no door
    "endpoint", "region", "default_region", "skip_signature", "request_payer", "virtual_hosted_style_request", "account_name", "base_url", "use_emulator",
    "profile", "timeout",
}) - {"default_headers", "proxy_url"}  # fmt: skip
LEFT_OUT = "#"  # takes the place of a query that is not pickled; no query has it
TIMEOUT = 60.0  # seconds for one request, with all its tries
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds before the second try, and before a later one
SLOWEST = 256 << 10  # bytes a second for which the budget of a large range is enough


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """config: of obstore's store; client: of its HTTP client; profile: of boto3; timeout: seconds for a request with all its tries; query: what each
    request has in its URL, if that is presigned; alone: whether nobody else writes there."""

    config: dict[str, Any] = field(default_factory=dict, repr=False)
    client: dict[str, Any] = field(default_factory=dict, repr=False)
    profile: str | None = None
    timeout: float = TIMEOUT
    query: str = field(default="", repr=False)
    alone: bool = False


def family_of(scheme: str) -> str | None:
    """Which of KNOWN a scheme belongs to, or None."""
    return FAMILIES.get(scheme.lower())


def with_http(given: Mapping[str, Any] | None, allow_http: bool) -> Mapping[str, Any] | None:
    """The options with what a user said by allow_http=True."""
    return {**(given or {}), "allow_http": True} if allow_http else given


def checked(family: str, given: Mapping[str, Any] | None, place: str) -> UrlOptions:
    """The options by obstore's names. ValueError for one that nobody knows, TypeError for what is not a mapping."""
    if given is None:
        return UrlOptions()
    if not isinstance(given, Mapping):
        raise TypeError(f"storage_options={type(given).__name__}: give a dict, such as {{'region': 'eu-central-1'}}")
    config: dict[str, Any] = {}
    client: dict[str, Any] = {}
    own: dict[str, Any] = {}
    flat: dict[str, Any] = {}
    for name, value in given.items():
        nested = name in ("client_kwargs", "client_options", "config_kwargs") and isinstance(value, Mapping)
        flat.update(value if nested else {name: value})
    for name, value in flat.items():
        if not isinstance(name, str):
            raise TypeError(f"storage_options: {name!r} is not a str")
        own_name = ALIASES[family].get(name.lower(), name.lower())
        if value is None or (own_name == "skip_signature" and not value):
            continue
        if own_name in ("endpoint", "base_url") and not str(value).startswith(("http://", "https://")):
            raise ValueError(f"{place}: storage_options: {name}: give a URL, such as https://host:9000")
        if own_name in KNOWN[family]:
            if own_name == "service_account" and isinstance(value, Mapping):  # gcsfs takes a key as a dict, too
                own_name, value = "service_account_key", json.dumps(value)
            config[own_name] = value
        elif own_name in CLIENT:
            client[own_name] = value
        elif own_name in OWN:
            own[own_name] = value
        else:
            known = sorted(KNOWN[family] | CLIENT | OWN | ALIASES[family].keys())
            close = difflib.get_close_matches(own_name, known, 3)
            cure = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known are {', '.join(known)}"
            raise ValueError(f"{place}: storage_options has {name!r}, which nobody knows for such a URL: {cure}")
    return UrlOptions(config, client, own.get("profile"), checked_timeout(own.get("timeout", TIMEOUT)))


def checked_timeout(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError(f"storage_options: timeout={value!r}: give seconds, such as 60")
    return float(value)


def without_secrets(options: UrlOptions) -> UrlOptions:
    """What may go to another process: who it is, is found out there again."""

    def kept(given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name in OPEN and "@" not in str(value)}  # an endpoint may have a password

    return UrlOptions(kept(options.config), kept(options.client), options.profile, options.timeout, LEFT_OUT if options.query else "")
