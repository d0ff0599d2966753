"""The client without a network: names, addresses, many at once, what it imports, answers that are none."""

import base64
import contextlib
import gzip
import json
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow as tf

import tfpix2pix as p2p
from tests.inference.remote.conftest import picture
from tfpix2pix.data.formats import encode
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.remote.client import RemoteModel
from tfpix2pix.inference.remote.faults import Passing, shortened, until_it_passes
from tfpix2pix.inference.remote.model import ModelName, Server
from tfpix2pix.inference.remote.rest import Answer, RestTransport
from tfpix2pix.parallel import outcomes


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("facades", "/v1/models/facades"),
        ("facades:3", "/v1/models/facades/versions/3"),
        ("facades@canary", "/v1/models/facades/labels/canary"),
        ("a b".replace(" ", "%"), "/v1/models/a%25b"),
    ],
)
def test_names_of_models(text, path):
    assert ModelName.parse(text).path == path
    assert str(ModelName.parse(text)) == text


@pytest.mark.parametrize("text", ["", "a/b", "a:b", "a:1@b", "a@", ":1", "a b"])
def test_what_is_no_name(text):
    with pytest.raises(UserError, match="must be NAME, NAME:VERSION or NAME@LABEL. Received .* facades@canary"):
        ModelName.parse(text)


@pytest.mark.parametrize(
    ("text", "url", "shown", "tls"),
    [
        ("localhost:8501", "http://localhost:8501", "localhost:8501", False),
        ("http://10.0.0.1", "http://10.0.0.1:80", "10.0.0.1:80", False),
        ("https://serving.example", "https://serving.example:443", "serving.example:443", True),
        ("https://me:secret@a.example/p2p/", "https://me:secret@a.example:443/p2p", "a.example:443", True),
        ("[::1]:8501", "http://[::1]:8501", "[::1]:8501", False),
    ],
)
def test_addresses(text, url, shown, tls):
    server = Server.parse(text)
    assert (server.url, str(server), server.tls) == (url, shown, tls)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:no", "localhost:70000", "ftp://a:1", "http://", "a:1?b"])
def test_what_is_no_address(text):
    with pytest.raises(UserError, match=r"must be HOST:PORT, http://… or https://… Received .* localhost:8501"):
        Server.parse(text)


def test_an_unknown_transport():
    with pytest.raises(UserError, match="The transport must be one of: rest, grpc. Received 'grcp'. Did you mean"):
        RemoteModel("localhost:1", "facades", "grcp")


def test_grpc_goes_without_a_path_or_a_user():
    with pytest.raises(UserError, match="alone. Received a user or a path with a.example:443"):
        RemoteModel("https://a.example/path", "facades", "grpc")


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    message = r"The transport grpc needs tensorflow-serving-api.*pip install 'tfpix2pix\[serving\]'"
    with pytest.raises(UserError, match=message):
        RemoteModel("localhost:1", "facades", "grpc")


def test_rest_needs_no_tensorflow(server, tmp_path):
    """A whole translation in a process where TensorFlow cannot be imported."""
    (tmp_path / "input.png").write_bytes(encode(picture(40, 30, 1), ".png"))
    code = f"""
import sys; sys.modules["tensorflow"] = sys.modules["keras"] = None
from pathlib import Path
from tfpix2pix.data.labels import read_side
from tfpix2pix.inference.remote.client import RemoteModel
remote = RemoteModel({server.address("rest")!r}, "facades")
data = remote.card.config.data
print(*remote.translate(read_side(Path("input.png"), 0, data)).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("40 30 3", "")


def test_many_in_flight_are_translated_at_once_in_order(server, connect):
    remote, images = connect(), [picture(32 + index, 32, 1) for index in range(12)]
    expected = [remote.translate(image) for image in images]
    server.core.delay_s, server.core.most_under_way = 0.1, 0
    done = list(outcomes(remote.translate, images, 4))
    assert 2 <= server.core.most_under_way <= 4
    for (image, result, error), given, wanted in zip(done, images, expected, strict=True):
        assert image is given
        assert error is None
        assert np.array_equal(result, wanted)


def test_pauses_double_up_to_a_limit_and_heed_the_server(no_pauses):
    def ask():
        raise Passing("No.", wait_s=3.0 if len(no_pauses) == 0 else 0.0)

    with pytest.raises(RunError, match=r"No\. The request was sent 9 times\.") as error:
        until_it_passes(ask, 8)
    assert not isinstance(error.value, Passing)
    assert no_pauses[0] == 3.0
    assert max(no_pauses) <= 8.0
    assert no_pauses[-1] >= 4.0


def test_a_servers_message_is_shortened():
    assert shortened("a b.\n\t [[{{node x}}]] [Op:y]") == "a b"
    assert len(shortened("a" * 1000)) == 301


def http_answer(content, status=200, headers=None):
    text = json.dumps(content) if isinstance(content, dict) else content
    return Answer(status, "", headers or {}, text.encode())


@pytest.fixture
def answering(server, monkeypatch):
    """A connected model whose next answers are given."""
    remote, answers = RemoteModel(server.address("rest"), "facades", retries=0), []
    monkeypatch.setattr(RestTransport, "_exchange", lambda *arguments: answers.pop(0))
    return lambda *given: answers.extend(http_answer(*answer) for answer in given) or remote


def as_json(content):
    return {"b64": base64.b64encode(content).decode()}


def test_an_answer_named_or_not(answering):
    image = encode(picture(32, 32, 3), ".png")
    remote = answering(({"predictions": [as_json(image)]},), ({"predictions": [{"image_bytes": as_json(image)}]},))
    first, second = (remote.translate(picture(32, 32, 1)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([as_json(b"no image")], "a file that is not in a supported format"),
        ([as_json(encode(picture(16, 16, 3), ".png"))], r"uint8 of shape \(16, 16, 3\) in place of uint8 of shape"),
        ([as_json(encode(picture(32, 32, 1), ".png"))], r"of shape \(32, 32, 1\) in place"),
        ([{"b64": "*"}], "no image_bytes"), ([1.0], "no image_bytes"), ([], "0 answers to one request"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_translation(answering, predictions, message):
    with pytest.raises(RunError, match=f"must answer with a translation.*{message}.*`tfpix2pix export`"):
        answering(({"predictions": predictions},)).translate(picture(32, 32, 1))


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (("<html>", 413), UserError, "Received from .*: HTTP status 413"),
        (("<html>", 401), UserError, "must grant access"),
        (("<html>", 404), UserError, "must be a TF Serving"),
        (("<html>", 301), UserError, "must be a TF Serving"),
        (("<html>", 200), UserError, "must be a TF Serving"),
        (("<html>", 502), RunError, "must have room"),
        (("<html>", 500), RunError, "must answer a request without an error"),
        (({"error": "it took too long"}, 504), RunError, "must have room .*: it took too long"),
    ],
)
def test_a_proxy_in_front_answers_in_its_own_way(answering, answer, kind, message):
    with pytest.raises(kind, match=message):
        answering(answer).translate(picture(32, 32, 1))


@pytest.fixture
def socket_answers():
    """An address at which every connection is answered by a given function of the socket, until the test ends."""
    held, threads, connections = [], [], []

    def serve(listening, answer):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            with connection, contextlib.suppress(OSError):  # nobody listens any more
                connection.recv(1 << 16)
                answer(connection.sendall)

    def answered_by(answer):
        held.append(socket.create_server(("127.0.0.1", 0)))
        threads.append(threading.Thread(target=serve, args=(held[-1], answer), daemon=True))
        threads[-1].start()
        return f"127.0.0.1:{held[-1].getsockname()[1]}"

    yield answered_by
    for socket_ in (*held, *connections):
        with contextlib.suppress(OSError):  # closed already
            socket_.shutdown(socket.SHUT_RDWR)
        socket_.close()
    for thread in threads:
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def drop_by_drop(text, sent):
    def answer(send):
        for byte in text:
            send(bytes([byte]))
            sent.append(byte)
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "text",
    [b"HTTP/1.1 200 " + b"O" * 999, HEAD + b"X: " + b"a" * 999, HEAD + b"Content-Length: 999\r\n\r\n" + b" " * 999],
)
def test_a_server_that_sends_byte_by_byte_has_the_time_out_altogether(socket_answers, no_pauses, text):
    sent = []
    with pytest.raises(RunError, match=r"must answer within 0\.3 s"):
        RemoteModel(socket_answers(drop_by_drop(text, sent)), "facades", timeout_s=0.3)
    assert len(sent) < len(text)  # it was not waited for


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_without_end_is_not_kept(socket_answers, no_pauses, packed):
    """20 KB of zeros compressed twenty times are 20 MB unpacked."""
    body = gzip.compress(b" " * (20 << 20)) if packed else b" " * (20 << 20)
    head = HEAD + (b"Content-Encoding: gzip\r\n" if packed else b"") + b"Connection: close\r\n\r\n"
    with pytest.raises(RunError, match="more than the 16777216 bytes that a translation has"):
        RemoteModel(socket_answers(lambda send: send(head + body)), "facades")


def test_json_nested_without_end_is_no_answer(socket_answers, no_pauses):
    body = HEAD + b"Connection: close\r\n\r\n" + b"[" * 100_000
    with pytest.raises(UserError, match="must be a TF Serving"):
        RemoteModel(socket_answers(lambda send: send(body)), "facades")


@pytest.mark.parametrize("shape", [(1, 2**20, 2**20, 3), (1, -1, 3)])
def test_a_tensor_that_claims_more_than_a_translation_has_takes_no_memory(server, monkeypatch, shape):
    """One value may stand for all of a shape."""
    remote = RemoteModel(server.address("grpc"), "floats", "grpc")
    answer = remote._transport._predict.PredictResponse()
    answer.outputs["image"].CopyFrom(tf.make_tensor_proto([1.0]))
    del answer.outputs["image"].tensor_shape.dim[:]
    for size in shape:
        answer.outputs["image"].tensor_shape.dim.add().size = size
    monkeypatch.setattr(type(remote._transport), "_call", lambda *arguments: answer)
    with pytest.raises(RunError, match=r"a tensor of shape \(1, "):
        remote.translate(np.zeros((32, 32, 1), np.float32))


def test_a_picture_that_claims_more_pixels_is_not_unpacked(answering):
    image = as_json(encode(np.zeros((64, 64, 3), np.uint8), ".png"))
    with pytest.raises(RunError, match="a file that has 64x64 px, more than the 0.001024 megapixels"):
        answering(({"predictions": [image]},)).translate(picture(32, 32, 1))


def test_images_that_do_not_fit_are_not_sent(server):
    remote = RemoteModel(server.address("rest"), "many")
    with pytest.raises(UserError, match="must have the 6 channels .* Received 3 in photo.png"):
        remote.translate(picture(32, 32, 3), where="photo.png")
    deep = RemoteModel(server.address("rest"), "deep")
    with pytest.raises(UserError, match="within `data.input_range`, 0 to 4095 here"):
        deep.translate(picture(32, 32, 3, np.uint16))
    assert server.core.requests == ["model_card", "model_card"]


def test_a_model_without_noise_takes_none(server):
    remote = RemoteModel(server.address("rest"), "facades")
    remote.card = remote.card.model_copy(update={"noise_size": 0})
    with pytest.raises(UserError, match="`noise` must go with a model that has noise. Received it for .*, without"):
        remote.noise(1, 0)
    remote.signatures -= {"sample_bytes"}
    with pytest.raises(UserError, match="without sample_bytes"):
        remote.translate(picture(32, 32, 1), np.zeros(4))


def test_the_test_server_takes_columns_and_rows_as_tf_serving_does(server):
    """Bodies of tensorflow_serving/g3doc/api_rest.md, against the server that the others trust."""
    url = f"http://{server.address('rest')}/v1/models"
    ask = lambda body, path="/foreign:predict": requests.post(url + path, data=json.dumps(body), timeout=10)  # noqa: E731
    assert ask({"instances": [1.0, 3.0]}).json() == {"predictions": [0.5, 1.5]}
    assert ask({"instances": [{"x": 1.0}]}).json() == {"predictions": [0.5]}
    assert ask({"inputs": [1.0, 3.0]}).json() == {"outputs": [0.5, 1.5]}
    assert ask({"inputs": {"x": [2.0]}}, "/foreign/versions/1:predict").json() == {"outputs": [1.0]}
    missing = ask({"signature_name": "no", "instances": [1.0]})
    assert (missing.status_code, missing.json()["error"]) == (
        400,
        'Serving signature name: "no" not found in signature def',
    )
    assert ask({"instances": [1.0]}, "/none:predict").status_code == 404
    state = requests.get(f"{url}/facades/labels/canary", timeout=10).json()
    assert state == {
        "model_version_status": [
            {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


def test_a_large_image_goes_in_tiles(server, connect, models):
    """As locally in tiles that are images of their own, but for what a file rounds."""
    remote, local = connect("facades:1"), p2p.load(models / "facades" / "1", tile_as="alone")
    image = picture(100, 70, 1)
    result = remote.translate(image, tile_px=48, overlap_px=8)
    assert np.abs(result.astype(int) - local.translate(image, tile_px=48, overlap_px=8)).max() <= 1
    labels = connect("classes")
    image = picture(100, 70, 1, most=3)
    expected = p2p.load(models / "classes" / "1", tile_as="alone").translate(image, tile_px=48)
    assert np.mean(labels.translate(image, tile_px=48) != expected) < 0.01
