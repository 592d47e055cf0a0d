import gzip
import json
from types import SimpleNamespace

import pytest

from tests.profiling import traces
from workbench.cli import main
from workbench.errors import InputError
from workbench.hardware.ceilings import Ceiling, Ceilings
from workbench.native import native_status
from workbench.profiling.events import parse, read_events
from workbench.profiling.findings import suggestions
from workbench.profiling.host import host_profile
from workbench.profiling.profile import profile, request_of
from workbench.profiling.tables import FrameCounts, StageRow, by_stage, stage_limits
from workbench.profiling.trace import Trace

KINDS = {"copy": "GB/s", "read": "GB/s", "matmul": "GFLOP/s"}
CEILINGS = Ceilings(
    "test machine",
    tuple(
        Ceiling(name, "cpu", "float32", 1, unit, (10.0, 10.0), "n") for name, unit in KINDS.items()
    ),
    {"cpu": 1 << 20},
    (),
    1.0,
    1.0,
)


PLAIN = ("inference_mode", "frame_step", "buffer_pool", "sync_free_sampling", "true_streaming")
NATIVE = (*PLAIN, "fused_projections", "folded_depth_embedding", "native_layers")


@pytest.fixture(scope="module")
def found(tiny_engine, tmp_path_factory):
    """The frame step of PyTorch's operators."""
    out = tmp_path_factory.mktemp("profile")
    engine = tiny_engine.with_optimizations(PLAIN)
    return profile(engine, "hello", out=out, frames=3, runs=1, ceilings=CEILINGS)


@pytest.fixture(scope="module")
def native(tiny_engine, tmp_path_factory):
    """The frame step of two native calls."""
    if not native_status().built:
        pytest.skip("the native kernels aren't built")
    out = tmp_path_factory.mktemp("native")
    engine = tiny_engine.with_optimizations(NATIVE)
    return profile(engine, "hello", out=out, frames=3, runs=1, ceilings=CEILINGS)


def test_every_stage_is_there_with_time_and_operators(found):
    rows = {row.stage: row for row in found.by_stage()}
    assert {"text", "prefill", "backbone", "depth", "codec", "host"} == set(rows)
    for stage in ("prefill", "backbone", "depth", "codec"):
        assert rows[stage].time_ms > 0
        assert rows[stage].operators > 0
        assert rows[stage].busy_ms > 0
    for stage in ("backbone", "depth", "codec"):
        assert rows[stage].limit_share == pytest.approx(rows[stage].limit_ms / rows[stage].time_ms)
        assert rows[stage].gbs == pytest.approx(rows[stage].bytes / rows[stage].time_ms / 1e6)
    assert rows["prefill"].limit_ms is None
    limits = sum(row.limit_ms for row in rows.values() if row.limit_ms)
    assert limits == pytest.approx(found.frames * found.limit.limit_ms)


def test_products_of_a_frame_are_counted(found, tiny_engine):
    """Each layer of the backbone has its seven products once a frame, of the depth, thrice."""
    layers = tiny_engine.config.num_hidden_layers
    passes = tiny_engine.config.num_codebooks - 1
    depth = tiny_engine.config.depth_decoder_config.num_hidden_layers
    linear = sum(
        operator.event.name == "aten::linear" and operator.stage == "depth"
        for operator in found.trace.operators
    )
    assert linear >= found.frames * depth * passes * 4  # at least, with fused projections
    assert found.launches_per_frame > layers + depth * passes


def test_native_calls_are_operators_with_their_work(native, tiny_engine):
    """A frame is one write, and a read for each but the last; their work is the networks'."""
    calls = {"frame_write": [], "frame_read": []}
    for one in native.trace.operators:
        name = one.event.name.removeprefix("workbench::")
        if name in calls:
            assert one.outermost
            assert one.stage == {"frame_write": "depth", "frame_read": "backbone"}[name]
            calls[name].append(one.work)
    assert [len(works) for works in calls.values()] == [3, 2]
    config = tiny_engine.config
    depth, backbone, passes = config.depth_decoder_config, config, config.num_codebooks - 1
    heads = passes * depth.hidden_size * config.codec_config.codebook_size
    heads += backbone.hidden_size * (config.codec_config.codebook_size + depth.hidden_size)
    wanted = 2 * ((passes + 1) * weights_of(depth) + heads)
    assert {work.flops for work in calls["frame_write"]} == {wanted}
    assert {work.flops for work in calls["frame_read"]} == {2 * weights_of(backbone)}
    assert {work.bytes for work in calls["frame_read"]} <= {
        size * weights_of(backbone) for size in (2, 4)
    }


def test_the_native_codec_is_an_operator_of_a_frame_each(tiny_engine, tmp_path):
    """Its work is the roofline's, which counts the attention's as well."""
    if not native_status().built:
        pytest.skip("the native kernels aren't built")
    engine = tiny_engine.with_optimizations((*NATIVE, "native_codec"))
    found = profile(engine, "hello", out=tmp_path, frames=3, runs=1, ceilings=CEILINGS)
    calls = [o for o in found.trace.operators if o.event.name == "workbench::codec_step"]
    assert [one.stage for one in calls] == ["codec"] * found.frames
    limit = found.limit.flops_by_part["Mimi decoder"]
    assert all(0.9 * limit < one.work.flops <= limit for one in calls)


def weights_of(network):
    """Of the projections of all layers of a Llama-like stack."""
    heads = 2 * (network.num_attention_heads + network.num_key_value_heads) * network.head_dim
    return network.num_hidden_layers * network.hidden_size * (heads + 3 * network.intermediate_size)


def test_native_calls_are_no_idle_time(native):
    rows = {row.stage: row for row in native.by_stage()}
    calls = [o for o in native.trace.operators if o.event.name == "workbench::frame_write"]
    took_ms = sum(one.event.duration_us for one in calls) / 1000
    assert rows["depth"].busy_ms >= took_ms > 0
    assert any(
        row.operator == "workbench::frame_write" and row.gflops for row in native.by_operator()
    )
    assert native.suggestions == () or native.suggestions[0][0] != "native_layers"


def test_words_name_the_largest_stage_and_the_cost(found):
    assert "of the roofline" in found.finding
    assert f"{found.overhead:.1f} times as long" in found.verdict
    assert 0 < found.idle < 1
    assert "depth decoder" in found.describe()


def test_the_json_holds_it_all(found):
    stored = json.loads((found.trace_path.parent / "profile.json").read_text())
    assert stored == json.loads(json.dumps(found.to_dict()))
    assert stored["frames"] == 3
    assert stored["per_frame"]["operators"] == stored["launches_per_frame"]
    assert stored["memory"]["peak_bytes"] > 0


def test_the_trace_is_for_tensorboard_and_names_no_machine(found):
    assert found.trace_path.name.endswith(".pt.trace.json.gz")
    stored = json.loads(gzip.decompress(found.trace_path.read_bytes()))
    assert "host_name" not in stored
    assert any(entry["name"] == "ProfilerStep#1" for entry in stored["traceEvents"])
    assert Trace(read_events(found.trace_path)).stage_us == found.trace.stage_us


def test_generate_has_the_same_stages(tiny_baseline, tmp_path):
    found = profile(tiny_baseline, "hello", out=tmp_path, frames=2, runs=1, memory=False)
    depth = [stage for stage in found.trace.stages if stage.name == "stage: depth"]
    assert len(depth) == 2
    assert {"text", "prefill", "backbone", "depth", "codec"} < set(found.trace.stage_us)
    assert found.memory is None
    assert found.limit_share is None
    assert found.suggestions[0][0] == "frame_step"


@pytest.mark.parametrize("setting", [{"frames": 1}, {"runs": 0}, {"warm_up": -1}])
def test_settings_without_sense_are_refused(tiny_engine, tmp_path, setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        profile(tiny_engine, "hello", out=tmp_path, **setting)


def test_a_graph_holds_backbone_and_depth_decoder(found):
    limit = found.limit
    apart = stage_limits(limit, ["backbone", "depth", "codec"])
    together = stage_limits(limit, ["backbone", "graph", "codec"])
    assert together["graph"][0] == apart["backbone"][0] + apart["depth"][0]
    assert "backbone" not in together
    assert together["codec"] == apart["codec"]
    assert sum(least for _, _, least in apart.values()) == pytest.approx(limit.limit_ms)


def test_what_is_on_or_impossible_is_not_suggested(tiny_engine):
    rows = by_stage(Trace(parse(traces.on_cpu())), 2, {"depth": 3.0, "codec": 1.0})
    frame = FrameCounts(900, 0, 0, 0, 0, 1, 0)
    engine = SimpleNamespace(
        device=tiny_engine.device, config=tiny_engine.config, implementation="frame",
        optimizations=("frame_step", "fused_projections"),
    )  # fmt: skip
    names = [name for name, _ in suggestions(engine, rows, frame, 0.5, 0.1, on_gpu=False)]
    assert "fused_projections" not in names
    assert "cuda_graphs" not in names
    assert "frame_step" not in names


def test_a_codec_that_takes_most_asks_for_the_native_one(tiny_engine):
    if not native_status().built:
        pytest.skip("the native kernels aren't built")
    rows = by_stage(Trace(parse(traces.on_cpu())), 2, {"depth": 1.0, "codec": 3.0})
    frame = FrameCounts(90, 0, 0, 0, 0, 1, 0)
    engine = tiny_engine.with_optimizations(PLAIN)
    assert "native_codec" in dict(suggestions(engine, rows, frame, 0.1, 0.1, on_gpu=False))
    assert "native_codec" not in dict(suggestions(engine, rows, frame, 0.1, 0.1, on_gpu=True))


def test_rates_need_a_time():
    row = StageRow("depth", None, 1, 1, 0, 1, 0, 0, bytes=10, flops=10, limit_ms=1)
    assert (row.gbs, row.gflops, row.limit_share) == (None, None, None)


def test_the_host_profile_names_functions_and_no_folders(tiny_engine, tmp_path):
    sampled = host_profile(request_of(tiny_engine, "hello", 4), tmp_path, requests=2)
    assert sampled.samples > 0
    assert sum(row.share for row in sampled.functions) == pytest.approx(1)
    assert any("workbench/models" in row.where for row in sampled.functions)
    for path in (sampled.html_path, sampled.json_path, sampled.text_path):
        assert str(tmp_path.home()) not in path.read_text()
    with pytest.raises(InputError, match="at least one"):
        host_profile(lambda: None, tmp_path, requests=0)


def test_the_command_line(tiny_folder, tmp_path, capsys):
    arguments = ["profile", "hello", "--engine", str(tiny_folder), "--frames", "2", "--runs", "1"]
    arguments += ["--ceilings-s", "0", "--out", str(tmp_path), "--host"]
    assert main(arguments) == 0
    assert "tensorboard --logdir" in capsys.readouterr().out
    assert main([*arguments, "--optimizations", "none", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["optimizations"] == []
    assert told["implementation"] == "transformers"
    assert told["host"]["functions"]
    assert main([*arguments, "--optimizations", "no_such"]) == 2
