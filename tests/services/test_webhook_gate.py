"""Where callbacks may go: every way round the public network is closed."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.adapters.webhook_sender import CheckedSender
from cauldron.domain.errors import Invalid, InvalidMany
from cauldron.domain.webhooks import RETRY_AFTER_S, retry_after_ms, secret_text, signature
from cauldron.services.webhook_gate import Gate, is_public

CLOSED = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "192.88.99.1", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::", "2001::1", "2001:db8::1",
    "fe80::1",     "fec0::1", "fc00::1", "fd12::1", "ff02::1", "ff0e::1", "100::1", "fe80::1%eth0",
]  # fmt: skip
OPEN = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::5", "::ffff:8.8.8.8"]
MALFORMED = [
    "", "x", "https://", "https:///path", "ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)",
    "http://example.com/", "HTTPS//example.com", "https://user@example.com/", "https://u:p@example.com/",
    "https://@example.com/", "https://example.com/#part", "https://example.com:0/", "https://example.com:99999/",
    "https://example.com:x/", "https://localhost/", "https://localhost./", "https://intern/", "https://[::1]/",
    "https://[fe80::1%25eth0]/", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/",
    "https://exa mple.com/", "https://example.com\\@127.0.0.1/", "https://example.com/\n", "https://ex\x00.com/",
    "https://éxample.com/", "https://" + "a" * 2000 + ".com/", "//example.com/", "https://[1/", "https://[/",
]  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_that_is_not_public_is_closed(address: str):
    assert not is_public(ipaddress.ip_address(address))
    assert not Gate().admits_text(address, "example.com")


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_is_open(address: str):
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_as_open_wrapped_as_it_is_plain(address: ipaddress.IPv4Address):
    wrapped = ipaddress.IPv6Address(f"::ffff:{address}")
    assert is_public(wrapped) == is_public(address)
    for prefix in (0x64FF9B << 96, 0x2002 << 112):
        inner = int(address) << 80 if prefix >> 112 == 0x2002 else int(address)
        assert not is_public(ipaddress.IPv6Address(prefix | inner))


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_or_closed_address_is_refused_with_its_place(url: str):
    with pytest.raises(InvalidMany) as refused:
        Gate().target(url)
    assert refused.value.problems[0].path == "callbackUrl"


@given(st.text(max_size=60))
def test_no_text_breaks_the_gate(text: str):
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            target = Gate().target(url)
        except InvalidMany:
            continue
        assert target.scheme == "https"
        assert target.host


def test_what_the_settings_name_is_open_also_over_plain_http():
    gate = Gate.of(["hooks.lan", "10.1.0.0/16", "127.0.0.1"])
    assert gate.target("http://hooks.lan/a?b=c").path == "/a?b=c"
    assert gate.target("http://10.1.2.3:8080/").authority == "10.1.2.3:8080"
    assert gate.target("https://hooks.lan").path == "/"
    assert gate.admits_text("192.168.0.9", "hooks.lan")
    assert gate.admits_text("10.1.9.9", "example.com")
    assert not gate.admits_text("10.2.0.1", "example.com")
    for url in ("http://example.com/", "http://10.2.0.1/", "http://127.0.0.2/"):
        with pytest.raises(InvalidMany):
            gate.target(url)


@pytest.mark.parametrize("entry", ["", "a/b", "http://x", "a:1", "a b"])
def test_a_malformed_setting_is_refused(entry: str):
    with pytest.raises(InvalidMany):
        Gate.of(["fine.example", entry])


def test_a_host_that_leads_inside_is_not_connected_to():
    """``localhost`` is looked up by the system: what it leads to is checked, not its name."""
    asked: list[tuple[str, str]] = []

    def admits(address: str, host: str) -> bool:
        asked.append((address, host))
        return Gate().admits_text(address, host)

    target = Gate.of(["localhost"]).target("http://localhost:9/")
    with pytest.raises(Invalid, match="not public"):
        asyncio.run(CheckedSender(admits).send(target, headers={}, body=b""))
    assert asked
    assert asked[0][1] == "localhost"


@given(st.binary(min_size=24, max_size=80), st.binary(max_size=200))
def test_the_signature_is_that_of_the_standard(key: bytes, body: bytes):
    signed = b"msg_1.1700000000." + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    other = secret_text(b"k" * 32)
    made = signature([secret_text(key), other], message_id="msg_1", at_s=1_700_000_000, body=body)
    assert made.split(" ")[0] == f"v1,{wanted}"
    assert len(made.split(" ")) == 2


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_tries_are_ever_further_apart_and_come_to_an_end(attempts: int, uniform: float):
    wait_ms = retry_after_ms(attempts, uniform)
    if attempts > len(RETRY_AFTER_S):
        assert wait_ms is None
    else:
        assert wait_ms is not None
        assert 0.8 <= wait_ms / (RETRY_AFTER_S[attempts - 1] * 1000) <= 1.2
