"""Every row of TRANSPORTS: the image that local translation writes, and one clear sentence for all that can fail."""

import functools
import http.server
import socket
import threading

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.inference.remote.conftest import LABELS, picture
from tests.inference.remote.server import ModelServer
from tfpix2pix.data.formats import decode, encode
from tfpix2pix.data.images import read_image, suffix_for
from tfpix2pix.data.labels import read_side
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.items import Input
from tfpix2pix.inference.remote.client import RemoteModel
from tfpix2pix.inference.uncertainty import Spread

IMAGES = {  # model -> an image that it takes, and the signature that takes it
    "facades": (picture(40, 27, 1), "translate_bytes"),
    "facades:2": (picture(33, 33, 3), "translate_bytes"),  # colour made gray, as locally
    "facades@canary": (picture(21, 40, 4), "translate_bytes"),
    "deep": (picture(36, 20, 3, np.uint16, 4095), "translate_bytes"),
    "gray": (picture(36, 21, 1, np.uint16), "translate_bytes"),
    "classes": (picture(32, 25, 1, most=3), "translate_bytes"),
    "floats": (picture(30, 32, 1).astype(np.float32) / 25.5 - 5, "translate_float"),
    "many": (picture(32, 32, 6), "translate_float"),
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded(models):
    """(name, version) -> a model's own translator."""
    return functools.cache(lambda name, version: p2p.load(models / name / version))


def local(models, loaded, model, image, out, **options):
    """What `tfpix2pix translate` writes of an image file, read again."""
    name, _, rest = model.replace("@", ":").partition(":")
    version = LABELS[name].get(rest, rest) if rest else max(path.name for path in (models / name).iterdir())
    translator = loaded(name, str(version))
    suffix = suffix_for(image.shape[-1], image.dtype)
    out.mkdir(exist_ok=True)
    (out / f"input{suffix}").write_bytes(encode(image, suffix))
    (path,) = translate_files(translator, [out / f"input{suffix}"], out=out / "translated", overwrite=True, **options)
    data = translator.card.config.data
    return read_side(out / f"input{suffix}", 0, data), read_image(path, palette="indices")


@pytest.mark.parametrize("model", IMAGES)
@pytest.mark.parametrize("noise", ["off", "on"])
def test_the_image_that_local_translation_writes(models, loaded, server, connect, tmp_path, model, noise):
    image, signature = IMAGES[model]
    read, expected = local(models, loaded, model, image, tmp_path, noise=noise, seed=7)
    remote = connect(model)
    vectors = remote.noise(1, seed=7) if noise == "on" else None
    result = remote.translate(read, vectors)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    if result.dtype == np.float32:
        np.testing.assert_allclose(result, expected, atol=1e-4)
    else:  # the last digit of a float may round the other way
        difference = np.abs(result.astype(int) - expected)
        assert difference.max() <= (1 if result.dtype == np.uint8 else 4)
        assert (difference > 0).mean() < (0.002 if result.dtype == np.uint8 else 0.2)
    wanted = {"translate_bytes": "sample_bytes", "translate_float": "sample"}[signature] if noise == "on" else signature
    assert server.core.requests == ["model_card", wanted]


def test_two_maps_are_sent_as_their_stack(models, loaded, server, connect, tmp_path):
    folders = {"labels": picture(30, 32, 1, most=2), "instances": picture(30, 32, 1, np.uint16)}
    for name, image in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "street.png").write_bytes(encode(image, ".png"))
    inputs = {name: tmp_path / name for name in folders}
    local, remote = (
        read_image(translate_files(translator, inputs, out=tmp_path / out)[0])
        for translator, out in ((loaded("parts", "1"), "local"), (connect("parts"), "remote"))
    )
    assert np.abs(local.astype(int) - remote).max() <= 1
    assert server.core.requests[-1] == "translate_float"


def test_the_card_says_what_the_model_takes(loaded, connect):
    remote = connect("classes")
    assert remote.card == loaded("classes", "1").card
    assert remote.card.config.data.input_classes == 4
    assert repr(remote).endswith("'classes', step 0)")


@pytest.mark.parametrize("model", ["facades", "floats"])
def test_the_uncertainty_that_local_translation_computes(models, loaded, connect, tmp_path, model):
    """A server answers files in the depth of the targets: it is asked for floats."""
    read, _ = local(models, loaded, model, IMAGES[model][0], tmp_path)
    remote, item = connect(model), Input("a", None, ())
    newest = max(path.name for path in (models / model).iterdir())
    of_both = [
        Spread.of(translator, np.split(remote.noise(3, seed=7), 3), None, None).of_one(item, read)
        for translator in (remote, loaded(model, newest))
    ]
    for of_server, here in zip(*of_both, strict=True):
        assert of_server.dtype == here.dtype
        np.testing.assert_allclose(of_server.astype(float), here, atol=1 if here.dtype == np.uint8 else 1e-2)
    assert of_both[0].deviation.max() > 0


def test_noise_differs_by_seed_and_repeats(connect):
    remote, image = connect(), picture(40, 40, 1)
    first, second = (remote.translate(image, remote.noise(1, seed)) for seed in (1, 2))
    assert (first != second).any()
    assert np.array_equal(first, remote.translate(image, remote.noise(3, 1)[0]))
    assert remote.noise(2, 1).shape == (2, remote.card.noise_size)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("facade", r"must have the model facade\. .*Servable not found for request: Latest\(facade\)\. Check the name"),
        ("facades:9", r"must have the model facades:9\. .*Servable not found for request: Specific\(facades, 9\)"),
        ("facades@best", "must have the model facades@best.*Unrecognized servable version label: best"),
        ("empty", "must have the model empty"),
        ("foreign", "foreign at .* without model_card, translate_bytes, translate_float. Export it with `tfpix2pix"),
    ],
)
def test_a_model_that_is_not_there(connect, no_pauses, model, message):
    with pytest.raises(UserError, match=message):
        connect(model)
    assert not no_pauses


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_what_may_pass_is_asked_again(server, connect, no_pauses, code):
    remote, image = connect(), picture(32, 32, 1)
    expected = remote.translate(image)
    server.core.fail_next(3, code)
    assert np.array_equal(remote.translate(image), expected)
    assert [0.125 <= pause <= 0.25 for pause in no_pauses[:1]] == [True]
    assert 0.5 <= no_pauses[2] <= 1.0


def test_what_does_not_pass_is_a_failure_in_the_end(server, connect, no_pauses):
    remote = connect(retries=2)
    server.core.fail_next(9)
    message = r"must have room.* the queue is full\. Try again later.* The request was sent 3 times"
    with pytest.raises(RunError, match=message):
        remote.translate(picture(32, 32, 1))
    assert len(no_pauses) == 2


def test_a_cut_connection_is_asked_again(server, connect, no_pauses):
    remote = connect()
    server.core.drop_next(2)
    assert remote.translate(picture(32, 32, 1)).shape == (32, 32, 3)
    assert len(no_pauses) == 2


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("INVALID_ARGUMENT", UserError, "An image must fit the served model. .*: no such size. Change"),
        ("UNAUTHENTICATED", UserError, "must grant access. .*: no such size"),
        ("INTERNAL", RunError, "must answer a request without an error. .*: no such size. Read its log"),
    ],
)
def test_what_cannot_pass_is_asked_once(server, connect, no_pauses, code, kind, message):
    remote = connect()
    server.core.fail_next(1, code, "no such size\n\t [[{{node map/while/Assert}}]]")
    with pytest.raises(kind, match=message) as error:
        remote.translate(picture(32, 32, 1))
    assert "node" not in str(error.value)
    assert not no_pauses


def test_time_out_is_told_with_the_flag_and_asked_once(server, connect, no_pauses):
    remote = connect(timeout_s=2.0)  # enough to connect on a busy machine
    server.core.delay_s = 4.0
    with pytest.raises(RunError, match=r"must answer within 2 s\. .* Raise `timeout_s`"):
        remote.translate(picture(32, 32, 1))
    assert not no_pauses


def test_a_server_that_is_down(connect, no_pauses):
    with socket.socket() as held:  # a port that nobody listens on
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(RunError, match=rf"must answer at {address}\. Received: .*refused.*\. Start it.* 2 times"):
            connect(at=address, retries=1)


def test_a_server_that_goes_down(models, transport, no_pauses, tmp_path):
    (tmp_path / "facades").symlink_to(models / "facades")
    with ModelServer(tmp_path) as other:
        remote = RemoteModel(other.address(transport), "facades", transport, retries=1)
    with pytest.raises(RunError, match="must answer at .* The request was sent 2 times"):
        remote.translate(picture(32, 32, 1))
    remote.close()


def test_the_other_port(server, transport, connect, no_pauses):
    other = {"rest": "grpc", "grpc": "rest"}[transport]
    with pytest.raises(UserError, match="must be a TF Serving.* REST port is 8501, its gRPC port 8500"):
        connect(at=server.address(other))


def test_a_server_that_is_no_tf_serving(connect, tmp_path, no_pauses, monkeypatch):
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=other.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with pytest.raises(UserError, match="must be a TF Serving"):
            connect(at=f"127.0.0.1:{other.server_port}")
    finally:
        other.shutdown()
        other.server_close()


def test_a_truncated_file_is_refused_in_the_servers_words(connect, tmp_path):
    """Such a file does not get so far by `translate`, which reads it first; another client's would."""
    Image.fromarray(picture(64, 64, 3)).save(tmp_path / "whole.jpg")
    remote = connect()
    for content in ((tmp_path / "whole.jpg").read_bytes()[:400], b"no image"):
        with pytest.raises(UserError, match="must fit the served model. Received from") as error:
            remote._predict("translate_bytes", {"image_bytes": [content]}, "image_bytes", 10_000)
        assert len(str(error.value)) < 600


def test_many_files_of_many_sizes_in_one_request(connect):
    remote = connect()
    images = [picture(height, 32, 1) for height in (32, 40, 50)]
    answer = remote._transport.predict(
        "translate_bytes", {"image_bytes": [encode(x, ".png") for x in images]}, "image_bytes", 3 * 50 * 32 * 3
    )
    for content, image in zip(answer, images, strict=True):
        assert np.array_equal(decode(content), remote.translate(image))
