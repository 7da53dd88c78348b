"""The OpenAPI document of a running `captionq serve`, compared with its answers to valid, invalid and odd requests."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import pillow_heif
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from api.app import create_app
from jobs.configuration.settings import Settings
from jobs.errors import AddressForbiddenError, ImageError
from tests.faults.fuzz.asking import about_mutated_image, ask, ask_all
from tests.faults.fuzz.mutated_requests import mutated_request
from tests.support.error_shapes import check_error_body, check_error_of
from tests.support.odd_requests import CHAT, odd_requests
from tests.support.processes import DATA_FOLDER
from tests.support.scenes import draw, draw_many
from tests.support.serving import Served, about, data_uri, serving

pytestmark = pytest.mark.timeout(300)

KEY = "the-key-of-the-tests"
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}
MOST = 1_000_000
#: Whether each limit of each field is tried too, with more random requests: thousands. `make openapi` does.
ALL_LIMITS = os.environ.get("CAPTIONQ_TEST_OPENAPI") == "all"
CONFIG = {
    "seed": 1,
    "phases": {"coverage": {"enabled": ALL_LIMITS}},
    "generation": {"max-examples": 15 if ALL_LIMITS else 4, "deterministic": True, "database": "none"},
    # A body takes up to a second of the processor to make, far longer than to answer.
    "operations": [{"include-method": "POST", "generation": {"max-examples": 15 if ALL_LIMITS else 3}}],
    # All requests have the key, except those that must be refused without one.
    "auth": {"openapi": {"HTTPBearer": {"bearer": KEY}}},
    # Every other check is on. A request that is valid by the document may still be refused: an image with both an address
    # and an id, `stream_options` without `stream`, an address that leads nowhere.
    "checks": {
        "positive_data_acceptance": {"enabled": False},
        # A list of too many items may be too large before it is too long.
        "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 413, 429]},
    },
}


@pytest.fixture(scope="module")
def document() -> BaseSchema:
    """The document of the application. It is made by the process that runs this file, not by each process that collects it."""
    document = create_app(Settings(model="demo")).openapi()
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))


operations = schemathesis.pytest.from_fixture("document")


@pytest.fixture
def named(request: pytest.FixtureRequest) -> None:
    """Give the test the attribute in which schemathesis looks for its name; pytest has renamed it."""
    request.node._nodeid = request.node.nodeid


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, with a key, small limits and one served folder."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(
        settings,
        "--allow-root",
        folder / "pictures",
        CAPTIONQ_API_KEYS=json.dumps({"tests": KEY}),
        CAPTIONQ_ADMIN_KEYS='["tests"]',
        CAPTIONQ_MAX_BODY_BYTES=str(MOST),
        CAPTIONQ_MAX_IMAGE_PIXELS=str(MOST),
        CAPTIONQ_WEBHOOK_SECRET=f"whsec_{'A' * 32}",
    ) as running:
        running.client.headers.update(AUTHORIZATION)
        yield running


# -- by the document ------------------------------------------------------------------------------


def test_bounds_have_the_names_of_json_schema(document: BaseSchema) -> None:
    """Generators of clients read no others. Numbers that a client may write as `300.0` are bounded like the rest."""
    written = json.dumps(document.raw_schema)
    assert [name for name in ("ge", "le", "gt", "lt") if f'"{name}": ' in written] == []
    chat = document.raw_schema["components"]["schemas"]["ChatCompletionBody"]["properties"]
    assert {"minimum": 0, "maximum": 20}.items() <= chat["top_logprobs"]["anyOf"][0].items()


@pytest.mark.timeout(1200 if ALL_LIMITS else 300)
@operations.parametrize()
def test_every_operation_answers_as_the_document_says(
    case: schemathesis.Case[Any], served: Served, named: None
) -> None:
    """Status, headers, media type and body are as documented, for valid and invalid requests; invalid ones are refused."""
    # An odd one is refused by uvicorn, before captionq sees the request.
    case.headers.pop("Transfer-Encoding", None)
    response = case.call_and_validate(served.url, timeout=60)
    if 400 <= response.status_code < 500 and case.method != "HEAD":
        assert response.headers["content-type"] == ["application/json"]
        check_error_of(case.path, response.content)


def test_the_server_gives_the_document_without_a_key(served: Served, document: BaseSchema) -> None:
    """The document is the one that the requests above are generated from."""
    response = served.client.get("/openapi.json", headers={"Authorization": ""})
    assert response.json() == document.raw_schema


# -- beyond the document --------------------------------------------------------------------------


def asked(
    served: Served, method: str, path: str, body: bytes | None, headers: dict[str, str | bytes]
) -> tuple[int, Any]:
    """Send a request unchanged, which a good client would not do; return the status and the body."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, {**AUTHORIZATION, **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_odd_requests_are_refused_in_the_one_shape(served: Served) -> None:
    """Odd are halves of surrogate pairs, NaN, huge numbers, bytes that are not UTF-8, and odd parts, ids and headers."""
    picture = picture_bytes("PNG")
    job = served.client.post(CHAT, json={"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})
    file = served.client.post("/v1/files", files={"file": ("x.png", picture)}, data={"purpose": "vision"}).json()
    odd = odd_requests(job.headers["x-captionq-job"], file["id"], picture)
    answers = {name: asked(served, *request[:4]) for name, request in odd.items()}
    assert {name: status for name, (status, _) in answers.items()} == {name: one[4] for name, one in odd.items()}
    for name, (status, body) in answers.items():
        if status != 200:
            check_error_of(odd[name][1], body)


@pytest.mark.parametrize("path", [CHAT, "/v1/jobs", "/v1/folders"])
def test_a_body_that_grows_too_large_is_413(served: Served, path: str) -> None:
    """The limit holds also for a body without a Content-Length."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", path)
    for name, value in {**AUTHORIZATION, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}.items():
        connection.putheader(name, value)
    # Only just too large: the answer to a client that still sends may get lost.
    connection.endheaders(b"%x\r\n%b" % (MOST + 1, b" " * (MOST + 1)))
    response = connection.getresponse()
    assert response.status == 413
    assert check_error_body(response.read())["code"] == "request_too_large"
    connection.close()


def test_a_method_that_is_not_allowed_names_the_allowed_ones(served: Served) -> None:
    """All methods of the path are named, though each has a route of its own."""
    response = served.client.put("/v1/jobs")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


# -- images -----------------------------------------------------------------------------------------

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "HEIF")
#: Addresses that never lead away from this machine.
ADDRESSES = st.one_of(
    st.text(min_size=1),
    st.builds("file://{}".format, st.text()),
    st.builds("data:{}".format, st.text()),
    st.builds("data:{};base64,{}".format, st.text(), st.text(alphabet="QUJD+/=-_ \n")),
    st.builds(
        "https://{}".format,
        st.sampled_from(["", "/", "[", "[::1]/", "127.0.0.1/", "127.1:0/", "0x7f.1/", "a@b/", "x:y/"]),
    ),
)


def picture_bytes(kind: str) -> bytes:
    """Return a small picture as a file of this format."""
    file = io.BytesIO()
    draw(3, (96, 96)).image.save(file, kind)
    return file.getvalue()


pillow_heif.register_heif_opener()
PICTURES = {kind: picture_bytes(kind) for kind in FORMATS}


@st.composite
def damaged(draw_one: st.DrawFn) -> bytes:
    """Draw a real file with some bytes changed, left out or inserted, most of them in its headers."""
    data = bytearray(PICTURES[draw_one(st.sampled_from(FORMATS))])
    for _ in range(draw_one(st.integers(0, 4))):
        place = draw_one(st.integers(0, len(data)) if draw_one(st.booleans()) else st.integers(0, min(64, len(data))))
        length = draw_one(st.integers(0, 4) | st.integers(0, len(data)))
        data[place : place + length] = draw_one(st.binary(max_size=8))
    return bytes(data)


def codes_of(kind: type[ImageError]) -> set[str]:
    """Return the codes of an error and of its subclasses."""
    return {kind.code}.union(*map(codes_of, kind.__subclasses__()))


IMAGE_CODES = codes_of(ImageError) | {AddressForbiddenError.code}


def check_image_answer(status: int, body: bytes) -> None:
    """Check that the image was accepted, or refused with an image's code."""
    assert status == 200 or (400 <= status < 500 and check_error_body(body)["code"] in IMAGE_CODES), body


@pytest.fixture(scope="module")
def alive(served: Served) -> Iterator[Served]:
    """The server. After all tests that use it, the server and its worker must be the same, and caption as well as before."""
    worker = served.captionq.worker_pid()
    yield served
    assert served.client.get("/readyz").status_code == 200
    assert served.captionq.worker_pid() == worker
    drawn = draw_many(1)[0]
    file = io.BytesIO()
    drawn.image.save(file, "PNG")
    answer = served.client.post(CHAT, json=about(data_uri(file.getvalue()))).json()
    assert answer["choices"][0]["message"]["content"] == drawn.caption


frugal = settings(max_examples=80 if ALL_LIMITS else 20, deadline=None, derandomize=True, database=None)


@frugal
@given(image=damaged(), kind=st.sampled_from(["image/png", "image/jpeg", "text/html", "x"]))
def test_a_damaged_picture_is_looked_at_or_refused(alive: Served, image: bytes, kind: str) -> None:
    """No picture breaks the server or the worker, wherever its decoder fails."""
    response = alive.client.post(CHAT, json=about(data_uri(image, kind), max_tokens=1))
    check_image_answer(response.status_code, response.content)


@frugal
@given(address=ADDRESSES)
def test_an_address_is_followed_or_refused(alive: Served, address: str) -> None:
    """No address breaks the server."""
    response = alive.client.post(CHAT, json=about(address, max_tokens=1))
    check_image_answer(response.status_code, response.content)


@frugal
@given(image=damaged(), name=st.text(max_size=20))
def test_a_damaged_upload_is_kept_or_refused(alive: Served, image: bytes, name: str) -> None:
    """The upload may have any name."""
    response = alive.client.post("/v1/files", files={"file": (name or "x", image)}, data={"purpose": "vision"})
    check_image_answer(response.status_code, response.content)
    if response.status_code == 200:
        assert alive.client.get(f"/v1/files/{response.json()['id']}/content").content == image


def test_mutated_images_and_requests_get_a_typed_error_or_an_answer(served: Served) -> None:
    """A few seeds in all dialects; `make fuzz` sends thousands."""
    mutated = {1: about_mutated_image, 2: mutated_request}
    for seed, make in mutated.items():
        found = ask_all(lambda one, make=make: ask(served.url, make(one), **AUTHORIZATION), seed, 20)  # type: ignore[misc]
        assert found.broken == []
        assert found.kinds["200"]
        assert len(found.kinds) > 1
