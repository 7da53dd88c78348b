"""`captionq open`: only a server's page is opened."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli.main import captionq
from tests.support.servers import reply, serving


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the browser was started with."""
    addresses: list[str] = []

    def launch(address: str) -> int:
        addresses.append(address)
        return 0

    monkeypatch.setattr("click.launch", launch)
    return addresses


def test_the_page_of_a_server_is_opened(launched: list[str]) -> None:
    """A run's page with its id; the id cannot lead elsewhere."""
    with serving(reply(body=b'{"status":"ok"}')) as url:
        for arguments in ([], ["batch_1"], ["../x?y"]):
            assert CliRunner().invoke(captionq, ["open", "--url", url, *arguments]).exit_code == 0
    assert launched == [f"{url}/", f"{url}/runs/batch_1", f"{url}/runs/..%2Fx%3Fy"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:8484", "file:///etc", "http://["])
def test_without_a_server_the_way_out_is_told(url: str, launched: list[str]) -> None:
    """Nothing is opened, neither are addresses of other kinds."""
    result = CliRunner().invoke(captionq, ["open", "--url", url])
    assert (result.exit_code, launched) == (1, [])
    assert "captionq serve" in result.output or "is not an address" in result.output


def test_the_page_of_another_program_is_not_opened(launched: list[str]) -> None:
    """Another server at the address is recognised by its health check."""
    with serving(reply(body=b"hello")) as url:
        assert CliRunner().invoke(captionq, ["open", "--url", url]).exit_code == 1
    assert launched == []
