from __future__ import annotations

import pytest

from koppel.errors import DataError
from koppel.odata.batch import Answer, Part, boundary_of, decode_answer, decode_request, encode_request

SDK_BATCH = (
    b"--batch_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"GET https://org.example/api/data/v9.2/accounts?$top=1 HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
    b"--batch_1\r\nContent-Type: multipart/mixed; boundary=changeset_2\r\n\r\n"
    b"--changeset_2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
    b'POST /api/data/v9.2/accounts HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{"name":"A"}\r\n'
    b"--changeset_2--\r\n\r\n--batch_1--\r\n"
)


def test_reads_a_request_with_a_change_set() -> None:
    get, change_set = decode_request(SDK_BATCH, 'multipart/mixed; boundary="batch_1"')
    assert isinstance(get, Part)
    assert (get.method, get.url) == ("GET", "https://org.example/api/data/v9.2/accounts?$top=1")
    assert get.headers == {"accept": "application/json"}
    assert get.body.strip() == b""
    assert change_set == [
        Part("POST", "/api/data/v9.2/accounts", {"content-type": "application/json"}, b'{"name":"A"}', "1")
    ]


def test_lines_may_end_without_carriage_return() -> None:
    items = decode_request(SDK_BATCH.replace(b"\r\n", b"\n"), "multipart/mixed; boundary=batch_1")
    assert isinstance(items[1], list)
    assert items[1][0].body == b'{"name":"A"}'


def test_reads_an_answer_as_dataverse_writes_it() -> None:
    body = (
        b"--batchresponse_a\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\nOData-EntityId: https://x/accounts(1)\r\n\r\n\r\n"
        b"--batchresponse_a\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b'HTTP/1.1 412 Precondition Failed\r\nREQ_ID: 5\r\n\r\n{"error":{"code":"0x80060882"}}\r\n'
        b"--batchresponse_a--\r\n"
    )
    first, second = decode_answer(body, "multipart/mixed; boundary=batchresponse_a")
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.status, first.headers["odata-entityid"]) == (204, "https://x/accounts(1)")
    assert (second.status, second.body) == (412, b'{"error":{"code":"0x80060882"}}')


def test_an_address_may_hold_blanks() -> None:
    head = "--b\r\nContent-Type: application/http\r\n\r\nGET accounts?$filter=name eq 'a b' HTTP/1.1\r\n\r\n\r\n"
    [part] = decode_request(f"{head}--b--\r\n".encode(), "multipart/mixed; boundary=b")
    assert isinstance(part, Part)
    assert (part.method, part.url) == ("GET", "accounts?$filter=name eq 'a b'")


def test_a_batch_of_nothing() -> None:
    assert decode_request(encode_request([], "b"), "multipart/mixed; boundary=b") == []


@pytest.mark.parametrize("content_type", ["application/json", "multipart/mixed", "", "text/plain; boundary=x"])
def test_no_boundary_is_an_error(content_type: str) -> None:
    with pytest.raises(DataError, match="boundary"):
        boundary_of(content_type)


@pytest.mark.parametrize(
    "body",
    [b"", b"--b\r\n", b"--b\r\nContent-Type: application/http\r\n\r\nNONSENSE\r\n\r\n--b--"],
)
def test_a_malformed_batch_is_an_error(body: bytes) -> None:
    with pytest.raises(DataError, match="batch"):
        decode_request(body, "multipart/mixed; boundary=b")
