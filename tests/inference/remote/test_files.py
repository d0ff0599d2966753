"""export/serving/: every file is parsed, mounted, pinned and bound as it should be; its commands run for real."""

import re
import socket
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from PIL import Image
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.inference.remote.conftest import picture

FOLDER = Path(__file__).parents[3] / "export" / "serving"
COMPOSE = sorted(FOLDER.glob("compose*.yaml"))
# Of tensorflow_serving/model_servers/main.cc, github.com/tensorflow/serving: all that has to do with what is set here.
FLAGS = {
    "port", "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms", "rest_api_enable_cors_support",
    "enable_batching", "allow_version_labels_for_unavailable_models", "batching_parameters_file",
    "enable_per_model_batching_parameters", "model_config_file", "model_config_file_poll_wait_seconds",
    "num_load_threads", "num_unload_threads", "max_num_load_retries", "load_retry_interval_micros",
    "file_system_poll_wait_seconds", "flush_filesystem_caches", "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism", "ssl_config_file",
    "per_process_gpu_memory_fraction", "grpc_channel_arguments", "grpc_max_threads", "enable_model_warmup",
    "num_request_iterations_for_warmup", "monitoring_config_file", "xla_cpu_compilation_enabled",
}  # fmt: skip
MOUNTED = {"/config": FOLDER, "/models": FOLDER.parent / "models"}  # what the compose file mounts where
# Of session_bundle_config.proto and monitoring_config.proto, which tensorflow-serving-api leaves out: field -> type.
OTHER_PROTOS = {
    "batching.config": {
        "max_batch_size": "Value", "batch_timeout_micros": "Value", "max_enqueued_batches": "Value",
        "num_batch_threads": "Value", "allowed_batch_sizes": "repeated",
    },
    "monitoring.config": {"prometheus_config": "Prometheus"},
}  # fmt: skip


def services(path: Path) -> dict:
    return yaml.safe_load(path.read_text())["services"]


def flags_of(path: Path) -> dict[str, str]:
    return dict(flag.removeprefix("--").split("=", 1) for flag in services(path)["serving"]["command"])


def test_models_are_configured_as_tf_serving_reads_them():
    config = text_format.Parse((FOLDER / "models.config").read_text(), ModelServerConfig())
    assert config.model_config_list.config
    for model in config.model_config_list.config:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        loaded = set(model.model_version_policy.specific.versions)
        assert set(model.version_labels) == {"stable", "canary"}
        assert set(model.version_labels.values()) <= loaded
    comments = [line for line in (FOLDER / "models.config").read_text().splitlines() if line.startswith("#")]
    policy = next(line for line in comments if "model_version_policy" in line).strip("# ")
    other = text_format.Parse(f'model_config_list {{ config {{ name: "a" {policy} }} }}', ModelServerConfig())
    assert other.model_config_list.config[0].model_version_policy.latest.num_versions == 1


@pytest.mark.parametrize("name", OTHER_PROTOS)
def test_other_configurations_have_the_fields_of_their_protos(name):
    config = text_format.Parse((FOLDER / name).read_text(), message_of(OTHER_PROTOS[name])())
    if name == "monitoring.config":
        assert config.prometheus_config.enable
        (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
        assert job["metrics_path"] == config.prometheus_config.path
        assert job["static_configs"] == [{"targets": ["serving:8501"]}]
    else:
        sizes = list(config.allowed_batch_sizes)
        assert sizes == sorted(sizes)
        assert sizes[-1] == config.max_batch_size.value  # or the server refuses it


def message_of(fields: dict[str, str]) -> type:
    """A message class with these fields, made here."""
    file = descriptor_pb2.FileDescriptorProto(name="other.proto", package="other", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    value = file.message_type.add(name="Value")
    value.field.add(name="value", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    prometheus = file.message_type.add(name="Prometheus")
    prometheus.field.add(name="enable", number=1, type=kinds.TYPE_BOOL, label=kinds.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    whole = file.message_type.add(name="Whole")
    for number, (name, kind) in enumerate(fields.items(), start=1):
        if kind == "repeated":
            whole.field.add(name=name, number=number, type=kinds.TYPE_INT64, label=kinds.LABEL_REPEATED)
        else:
            whole.field.add(
                name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=f".other.{kind}",
                label=kinds.LABEL_OPTIONAL,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("other.Whole"))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_services_are_pinned_bound_to_loopback_and_limited(path):
    for name, service in services(path).items():
        if path.name == "compose.yaml" or name != "serving":  # else an overlay
            assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])
            assert service["ports"]
            assert service["deploy"]["resources"]["limits"]["memory"]
            assert "no-new-privileges:true" in service["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert not service.get("privileged")
        assert service.get("network_mode") != "host"


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_what_is_mounted_is_there_and_read_only(path):
    content = yaml.safe_load(path.read_text())
    for service in content["services"].values():
        for source, target, *mode in (volume.split(":") for volume in service.get("volumes", [])):
            if source.startswith("."):
                assert mode == ["ro"]
                where = (FOLDER / source).resolve()
                assert where.exists() or where.name == "models"  # which `tfpix2pix export` makes
                assert MOUNTED.get(target, where) == where
            else:
                assert source in content["volumes"]


@pytest.mark.parametrize("path", [path for path in COMPOSE if "serving" in services(path)], ids=lambda path: path.name)
def test_flags_are_tf_servings_and_name_files_that_are_there(path):
    flags = flags_of(path)
    assert set(flags) <= FLAGS
    for value in flags.values():
        if value.startswith("/"):
            folder, name = value.rsplit("/", 1)
            assert (MOUNTED[folder] / name).is_file()


def test_batching_changes_nothing_else():
    base, batching = flags_of(FOLDER / "compose.yaml"), flags_of(FOLDER / "compose.batching.yaml")
    assert base.items() < batching.items()
    assert set(batching) - set(base) == {"enable_batching", "batching_parameters_file"}


def health_check(port: int, model: str = "facades") -> subprocess.CompletedProcess:
    """The command of compose.yaml, as Docker runs it in the container, but at another port."""
    kind, *command = services(FOLDER / "compose.yaml")["serving"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert "$" not in command[-1]  # Compose would fill it in
    command[-1] = command[-1].replace("/8501", f"/{port}").replace("/models/facades", f"/models/{model}")
    return subprocess.run(command, capture_output=True, text=True, timeout=10)


def test_the_health_check_tells_a_serving_model_from_none(server):
    assert health_check(server.ports["rest"]).returncode == 0
    assert health_check(server.ports["rest"], "unknown").returncode != 0
    assert health_check(server.ports["rest"], "empty").returncode != 0
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert health_check(held.getsockname()[1]).returncode != 0


def test_the_health_check_asks_for_a_configured_model():
    config = text_format.Parse((FOLDER / "models.config").read_text(), ModelServerConfig())
    (name,) = re.findall(
        r"GET /v1/models/(\S+) ", services(FOLDER / "compose.yaml")["serving"]["healthcheck"]["test"][-1]
    )
    assert name in {model.name for model in config.model_config_list.config}


def test_the_readmes_curl_translates(server, connect, tmp_path):
    """By its own words, at the port of the test server."""
    blocks = re.findall(r"```bash\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "curl" in block)
    image = picture(40, 33, 1)
    Image.fromarray(image[..., 0]).save(tmp_path / "labels.png")
    script = textwrap.dedent(script).replace("localhost:8501", server.address("rest"))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True, timeout=30)
    expected = connect("facades").translate(image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "facade.png")), expected)


def test_the_readme_names_every_file():
    text = (FOLDER / "README.md").read_text()
    assert all(f"`{path.name}`" in text for path in FOLDER.iterdir() if path.name != "README.md")
