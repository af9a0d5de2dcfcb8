"""What is set by whom, and what a wrong value is told."""

from pathlib import Path

import pytest

from service.settings import SETTINGS, Settings, SettingsError


def load(flags: dict[str, object] | None = None, /, **environ: str) -> Settings:
    return Settings.load(flags, environ)


def test_without_a_word_the_server_is_private_and_strict() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.strict
    assert settings.max_queue_delay_ms == 0
    assert settings.request_timeout_s == 30
    assert settings.models is None


def test_flags_beat_the_environment_which_beats_the_file_which_beats_defaults(
    tmp_path: Path,
) -> None:
    file = tmp_path / "slipway.toml"
    file.write_text("port = 1\nmax_batch_size = 2\nthreads = 3\n")
    environ = {"SLIPWAY_CONFIG": str(file), "SLIPWAY_PORT": "10", "SLIPWAY_MAX_BATCH_SIZE": "20"}
    settings = Settings.load({"port": "100", "threads": None}, environ)
    assert (settings.port, settings.max_batch_size, settings.threads) == (100, 20, 3)
    assert settings.max_queue_size == 256


def test_the_flag_for_the_file_beats_the_variable(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 1")
    settings = load({"config": tmp_path / "a.toml"}, SLIPWAY_CONFIG=str(tmp_path / "none.toml"))
    assert settings.port == 1


def test_the_environment_of_the_process_is_read_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_PORT", "4321")
    assert Settings.load().port == 4321


def test_a_folder_in_the_file_is_seen_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "slipway.toml"
    file.write_text('models = "zoo"')
    assert load({"config": str(file)}).models == tmp_path / "zoo"
    file.write_text('models = "/zoo"')
    assert load({"config": str(file)}).models == Path("/zoo")
    assert load(SLIPWAY_MODELS="zoo").models == Path("zoo")


def test_plain_port_works_and_ours_beats_it() -> None:
    assert load(PORT="9000").port == 9000
    assert load(PORT="9000", SLIPWAY_PORT="9001").port == 9001


def test_the_variable_that_every_program_with_opentelemetry_reads_works_too() -> None:
    theirs, ours = "http://collector:4318", "https://other.example/otlp"
    assert load().tracing_endpoint == ""
    assert load(OTEL_EXPORTER_OTLP_ENDPOINT=theirs).tracing_endpoint == theirs
    both = load(OTEL_EXPORTER_OTLP_ENDPOINT=theirs, SLIPWAY_TRACING_ENDPOINT=ours)
    assert both.tracing_endpoint == ours
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318 is wrong"):
        load(OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SLIPWAY_PROVIDERS", "cuda", ("cuda",)),
        ("SLIPWAY_PROVIDERS", "tensorrt, cuda,cpu", ("tensorrt", "cuda", "cpu")),
        ("SLIPWAY_DEFAULT_MODELS", "mine, de-en-transformer", ("mine", "de-en-transformer")),
        ("SLIPWAY_DEFAULT_MODELS", ",", ()),
        ("SLIPWAY_STRICT", "false", False),
        ("SLIPWAY_STRICT_PROVIDERS", "1", True),
        ("SLIPWAY_MAX_BODY_BYTES", "4096", 4096),
        ("SLIPWAY_MAX_BODY_BYTES", "2MiB", 2 << 20),
        ("SLIPWAY_MAX_BODY_BYTES", "2 kB", 2000),
        ("SLIPWAY_MAX_QUEUE_DELAY_MS", "2.5", 2.5),
        ("SLIPWAY_VARIANT", "fp32", "fp32"),
    ],
)
def test_text_becomes_the_value_that_is_meant(variable: str, text: str, value: object) -> None:
    settings = load(**{variable: text})
    assert getattr(settings, variable.removeprefix("SLIPWAY_").lower()) == value


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("SLIPWAY_PORT", "eighty", "0 to 65535"),
        ("SLIPWAY_PORT", "65536", "0 to 65535"),
        ("PORT", "-1", "0 to 65535"),
        ("SLIPWAY_STRICT", "maybe", "true or false"),
        ("SLIPWAY_VARIANT", "int4", "auto, fp32, int8, fp16"),
        ("SLIPWAY_PROVIDERS", "cpu,gpu", "auto, cpu, cuda, tensorrt, openvino"),
        ("SLIPWAY_PROVIDERS", ",", "auto, cpu, cuda, tensorrt, openvino"),
        ("SLIPWAY_MAX_BATCH_SIZE", "0", "1 or more"),
        ("SLIPWAY_REQUEST_TIMEOUT_S", "nan", "more than 0"),
        ("SLIPWAY_REQUEST_TIMEOUT_S", "inf", "more than 0"),
        ("SLIPWAY_REQUEST_TIMEOUT_S", "0", "more than 0"),
        ("SLIPWAY_DRAIN_S", "-1", "0 or more"),
        ("SLIPWAY_MAX_BODY_BYTES", "2 furlongs", "bytes"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_allowed(
    variable: str, text: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as error:
        load(**{variable: text})
    assert f"{variable}={text} is wrong" in str(error.value)
    assert allowed in str(error.value)


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "slipway.toml"
    file.write_text("threads = -1")
    with pytest.raises(SettingsError) as error:
        load({"config": file, "host": ""}, SLIPWAY_PORT="x", SLIPWAY_LOG_LEVEL="loud")
    assert str(error.value).splitlines() == [
        "--host= is wrong; allowed: an address",
        "SLIPWAY_PORT=x is wrong; allowed: 0 to 65535",
        f"{file}: threads=-1 is wrong; allowed: a whole number, 0 or more",
        "SLIPWAY_LOG_LEVEL=loud is wrong; allowed: debug, info, warning, error",
    ]


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^SLIPWAY_MAX_QUEUE_SIZ .* SLIPWAY_MAX_QUEUE_SIZE$"):
        load(SLIPWAY_MAX_QUEUE_SIZ="1")
    with pytest.raises(SettingsError, match=r"^--prot .* --port$"):
        load({"prot": 1})
    file = tmp_path / "slipway.toml"
    file.write_text("prot = 1")
    with pytest.raises(SettingsError, match=r"slipway.toml: prot .* port$"):
        load({"config": file})


@pytest.mark.parametrize("content", [None, b"port = ", b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "slipway.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"SLIPWAY_CONFIG=.*slipway\.toml cannot be read"):
        load(SLIPWAY_CONFIG=str(file))


def test_variables_of_the_export_code_are_none_of_the_servers_business() -> None:
    assert load(SLIPWAY_DATA="/data") == load()


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load(SLIPWAY_PORT="", SLIPWAY_CONFIG="", PORT="") == load()


def test_what_kubernetes_says_about_a_service_named_slipway_is_not_a_setting() -> None:
    assert (
        load(
            SLIPWAY_PORT="tcp://10.0.0.7:8000",
            SLIPWAY_PORT_8000_TCP="tcp://10.0.0.7:8000",
            SLIPWAY_PORT_8000_TCP_PROTO="tcp",
            SLIPWAY_PORT_8000_TCP_PORT="8000",
            SLIPWAY_PORT_8000_TCP_ADDR="10.0.0.7",
            SLIPWAY_SERVICE_HOST="10.0.0.7",
            SLIPWAY_SERVICE_PORT="8000",
            SLIPWAY_SERVICE_PORT_HTTP="8000",
            SLIPWAY_METRICS_PORT="tcp://10.0.0.8:9000",
            SLIPWAY_METRICS_SERVICE_HOST="10.0.0.8",
        )
        == load()
    )


def test_the_drain_outlasts_the_deadline_unless_told_otherwise() -> None:
    assert load().drain_s == 40
    assert load(SLIPWAY_REQUEST_TIMEOUT_S="5").drain_s == 15
    assert load(SLIPWAY_DRAIN_S="1").drain_s == 1


def test_every_setting_is_in_the_table_with_help() -> None:
    assert [row.name for row in SETTINGS] == ["config", *Settings.model_fields]
    assert all(row.help and row.allowed for row in SETTINGS)
    queue = next(row for row in SETTINGS if row.name == "max_queue_size")
    assert (queue.flag, queue.variable) == ("--max-queue-size", "SLIPWAY_MAX_QUEUE_SIZE")
    assert queue.default == "256"
    assert not any("Undefined" in f"{row.default} {row.help} {row.allowed}" for row in SETTINGS)


def test_threads_are_said_to_be_counted_for_each_process() -> None:
    (told,) = [row.help for row in SETTINGS if row.name == "threads"]
    assert told == "worker threads a model in each process; 0: its share of the CPUs"


def test_every_default_in_the_table_may_be_typed() -> None:
    typed = {row.variable: row.default for row in SETTINGS}
    assert load(**typed) == load()


def test_switches_are_marked_for_the_command_line() -> None:
    assert [row.flag for row in SETTINGS if row.is_switch] == [
        "--strict-providers",
        "--strict",
        "--share-identical",
    ]
