"""What other commands and notebooks recorded answers its claims, each with its interval."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.measure import studies
from tests.measure.noise import times_ms
from workbench.conversation import comparison
from workbench.errors import InputError, RecordError
from workbench.measure.record import Metric, Record, read, write
from workbench.measure.statistics import Interval, Ratio
from workbench.measure.study import CONTROL
from workbench.measure.study_record import write_study
from workbench.paths import data_dir
from workbench.quality.wer import word_error_increase
from workbench.studies import adapters
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims import Standing, answer_claims, records
from workbench.studies.claims.counted import read_facts, write_fact
from workbench.studies.claims.evidence import Fact, Missing
from workbench.studies.claims.ways import WAYS

CONFIRMED, PARTLY, REFUTED, UNKNOWN = Standing
ROUNDS = 40


def recorded(name, metrics, *, kind="bench", parameters=None, details=None, **changes):
    """A record whose metrics take so many ms; the same noise in all, so that they make pairs."""
    noise = times_ms("normal", ROUNDS, np.random.default_rng(0), 1.0) / 100
    settings = {
        "kind": kind,
        "name": name,
        "title": name,
        "status": "ok",
        "verdict": "it ran",
        "started_utc": "2026-01-02T03:04:05+00:00",
        "duration_s": 1.0,
        "parameters": {"device": "cpu", **(parameters or {})},
        "environment_before": studies.MACHINE,
        "metrics": tuple(
            Metric(metric, "ms", tuple(value * noise)) for metric, value in metrics.items()
        ),
        "details": details or {},
    }
    return Record(**{**settings, **changes})


def conversation(overlapped=0.3, same_wait=0.9, **changes):
    arms = {comparison.SERIAL: 1.0, CONTROL: 1.0}
    arms |= {comparison.SAME_WAIT: same_wait, comparison.OVERLAPPED: overlapped}
    study = studies.made(arms, name="conversation", metric="first_audio_ms", **changes)
    results = {
        name: replace(
            one,
            about={"stages": {"recognizer": "whisper-nano", "chat": "chat-nano"}},
            samples={
                "first_audio_ms": one.samples["frame_ms"],
                "total_ms": one.samples["frame_ms"],
            },
        )
        for name, one in study.results.items()
    }
    return replace(study, results=results)


def answered(folder, *ids):
    """The answers to ``ids`` from what lies in ``folder``, nothing being measured."""
    answers = answer_claims(
        AblationSettings(), folder / "answers", sources=[folder], ids=ids, measure=False
    )
    return {one.claim.id: one for one in answers.all}


# -- Studies -----------------------------------------------------------------------------------


def test_the_arms_of_a_conversation_are_called_as_there():
    assert (records.SERIAL, records.SAME_WAIT, records.OVERLAPPED) == (
        comparison.SERIAL,
        comparison.SAME_WAIT,
        comparison.OVERLAPPED,
    )


def test_a_conversation_answers_its_claims(tmp_path):
    write_study(tmp_path / "talks", conversation())
    found = answered(tmp_path, "fern.pipeline.total", "fern.pipeline.first_audio")
    total = found["fern.pipeline.total"]
    assert total.standing is CONFIRMED, total.reason
    assert total.figure.low <= total.figure.value <= total.figure.high
    assert total.figure.value == pytest.approx(1 / 0.3, rel=0.05)
    assert "overlapped, same wait: FASTER, 1.1" in total.reason
    assert total.on["engine"] == "whisper-nano, chat-nano"
    assert "RTX 5090" in total.reason
    first = found["fern.pipeline.first_audio"]  # of an RTX 5090: told, and no more
    assert first.standing is UNKNOWN
    assert first.figure.value == pytest.approx(30, rel=0.05)


def test_overlapping_alone_confirms_and_never_refutes(tmp_path):
    write_study(tmp_path / "talks", conversation(overlapped=0.9))
    (total,) = answered(tmp_path, "fern.pipeline.total").values()
    assert total.standing is UNKNOWN
    assert "the same engines" in total.reason
    assert total.figure.value == pytest.approx(1 / 0.9, rel=0.05)


@pytest.mark.parametrize(("merged", "standing"), [(1.0, CONFIRMED), (1.2, REFUTED)])
def test_an_adapter_s_cost_is_told_merged_and_unmerged(merged, standing, tmp_path):
    arms = {adapters.BASE: 1.0, CONTROL: 1.0, adapters.MERGED: merged, adapters.UNMERGED: 1.4}
    write_study(tmp_path / "cost", studies.made(arms, rounds=300, name="adapter"))
    (found,) = answered(tmp_path, "fern.lora.latency").values()
    assert found.standing is standing, found.reason
    assert f"{adapters.UNMERGED}: SLOWER" in found.reason
    assert found.figure.n == 300


def test_f5_s_steps_and_types_answer_its_claims(tmp_path):
    arms = {"32 steps, float32": 1.0, CONTROL: 1.0, "16 steps, float32": 0.4}
    study = studies.made(arms, name="f5")
    for one in study.results.values():
        one.about["engine"] = "f5"
    write_study(tmp_path / "f5", study)
    found = answered(tmp_path, "f5.nfe", "f5.half", "f5.transfers")
    assert found["f5.nfe"].standing is CONFIRMED, found["f5.nfe"].reason
    assert found["f5.half"].figure is None  # bfloat16 isn't among the arms
    assert "workbench run 81" in found["f5.half"].reason
    assert "nothing with more transfers" in found["f5.transfers"].reason


# -- Records -----------------------------------------------------------------------------------


def heard(**more):
    texts = [f"the {number} is here" for number in ("one", "two", "three", "four")] * 200
    texts = [f"{text} {number}" for number, text in enumerate(texts)]
    return {"weights": "abc", "texts": texts, "heard": {"float32": texts, "int8": texts}, **more}


@pytest.mark.parametrize(("share", "standing"), [(0.4, CONFIRMED), (0.8, REFUTED), (1.2, REFUTED)])
def test_bench_asr_answers_for_int8(share, standing, tmp_path):
    times = {"latency/float32": 100.0, "latency/int8": 100.0 * share}
    record = recorded("asr", times, parameters={"engine": "base"}, details=heard(model="base"))
    write(tmp_path / "asr.record.json", record)
    found = answered(tmp_path, "fern.whisper.int8", "fern.whisper.int8.accuracy")
    speed = found["fern.whisper.int8"]
    assert speed.standing is standing, speed.reason
    assert speed.figure.value == pytest.approx(1 / share)
    assert speed.figure.n == ROUNDS
    words = found["fern.whisper.int8.accuracy"]
    assert words.standing is CONFIRMED, words.reason
    rise = word_error_increase(*[record.details["texts"]] * 3)
    assert (words.figure.value, words.figure.low, words.figure.high) == (0.0, *rise.interval)


def test_the_words_of_random_weights_and_the_times_of_a_nano_model_decide_nothing():
    times = {"latency/float32": 100.0, "latency/int8": 40.0}
    found = records.from_record(
        recorded("asr", times, details=heard(model="base", weights="random"))
    )
    assert set(found) == {"whisper_int8"}
    nano = records.from_record(recorded("asr", times, details=heard(model="whisper-nano")))
    assert isinstance(nano["whisper_int8"], Missing)
    assert nano["whisper_int8"].instead.ratio.value == pytest.approx(2.5)
    assert isinstance(nano["whisper_words"], Fact)


def test_sizes_are_compared_with_large(tmp_path):
    times = {"latency/large-v3": 900.0, "latency/base": 250.0, "latency/tiny": 50.0}
    record = recorded("50_asr", times, kind="notebook", parameters={"engine": "whisper-nano"})
    write(tmp_path / "50_asr.record.json", record)
    found = answered(tmp_path, "fern.whisper.base", "fern.whisper.tiny")
    assert found["fern.whisper.base"].standing is CONFIRMED
    assert found["fern.whisper.tiny"].figure.value == pytest.approx(18)


@pytest.mark.parametrize("model", ["llama-3.2-1b", "chat-nano"])
def test_bench_chat_tells_the_first_text(model, tmp_path):
    times = {"first text/transformers": 400.0, "first text/static cache": 80.0}
    write(tmp_path / "chat.record.json", recorded("chat", times, details={"model": model}))
    (found,) = answered(tmp_path, "fern.llm.local").values()
    assert found.standing is UNKNOWN  # the claim names no machine
    assert found.figure.value == pytest.approx(80, rel=0.05)
    assert ("no model of 1B" in found.reason) == (model == "chat-nano")
    assert "static cache" in found.on["what"]


def searches(exact=True):
    times = {}
    for place, share in (("1 frames, 1 threads", 0.1), ("125 frames, 1 threads", 0.25)):
        times |= {f"native/{place}": 100 * share, f"transformers/{place}": 100.0}
    times |= {"native encode/125 frames, 1 threads": 160.0}
    times |= {"transformers encode/125 frames, 1 threads": 200.0}
    return recorded("rvq", times, details={"exact": exact})


def test_bench_rvq_is_held_to_its_least_gain(tmp_path):
    write(tmp_path / "rvq.record.json", searches())
    found = answered(tmp_path, "fern.rvq", "fern.rvq.tts")
    search = found["fern.rvq"]
    assert search.standing is CONFIRMED, search.reason
    assert search.figure.value == pytest.approx(4)
    assert "125 frames" in search.on["what"]
    encode = found["fern.rvq.tts"]  # 30 ms of an RTX 5090: told, and no more
    assert encode.standing is UNKNOWN
    assert encode.figure.value == pytest.approx(40, rel=0.05)
    assert encode.figure.low < encode.figure.value < encode.figure.high
    wrong = records.from_record(searches(exact=False))
    assert "exact" in wrong["rvq"].reason


def test_a_notebook_s_conversation_counts_as_well(tmp_path):
    times = {"total/serial": 900.0, "total/overlapped": 300.0, "first audio/serial": 800.0}
    times |= {"first audio/overlapped": 240.0}
    record = recorded("53_conversation", times, kind="notebook", parameters={"engine": "csm-nano"})
    write(tmp_path / "53_conversation.record.json", record)
    found = answered(tmp_path, "fern.pipeline.total", "fern.pipeline.first_audio")
    assert found["fern.pipeline.total"].standing is CONFIRMED
    assert found["fern.pipeline.first_audio"].figure.value == pytest.approx(240, rel=0.05)


def test_a_notebook_s_turns_tell_the_judge_s_cost(tmp_path):
    record = recorded("51_turn_taking", {"judge": 4.0, "frame/webrtc": 0.02}, kind="notebook")
    write(tmp_path / "51_turn_taking.record.json", record)
    found = answered(tmp_path, "fern.turn.semantic.cost", "fern.vad.frame")
    assert found["fern.turn.semantic.cost"].figure.value == pytest.approx(4, rel=0.05)
    assert found["fern.vad.frame"].figure.value == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(("engine", "standing"), [("fish", CONFIRMED), (None, UNKNOWN)])
def test_a_script_answers_for_the_engine_that_spoke_it(engine, standing, tmp_path):
    factors = {"rtf plain": 0.6, "rtf optimized": 0.2}
    record = recorded("82_voicereel", factors, kind="notebook", parameters={"engine": engine})
    write(tmp_path / "82_voicereel.record.json", record)
    found = answered(tmp_path, "voicereel.optimized", "voicereel.target")
    assert found["voicereel.optimized"].standing is standing
    assert found["voicereel.optimized"].figure.value == pytest.approx(3)
    assert found["voicereel.target"].figure.value == pytest.approx(6, rel=0.05)  # 30 s of sound


@pytest.mark.parametrize(("engine", "standing"), [("fish", CONFIRMED), ("csm-nano", UNKNOWN)])
def test_bench_reel_answers_for_scripts_too(engine, standing, tmp_path):
    factors = {"plain/rtf": 0.6, "optimized/rtf": 0.2, "optimized/synthesis_s": 6.0}
    about = {"plain": {"name": engine}, "optimized": {"name": engine}}
    record = recorded("reel", factors, details={"about": about}, parameters={"engine": None})
    write(tmp_path / "reel.record.json", record)
    found = answered(tmp_path, "voicereel.optimized", "voicereel.target")
    assert found["voicereel.optimized"].standing is standing
    assert found["voicereel.optimized"].figure.value == pytest.approx(3)
    assert found["voicereel.target"].figure.value == pytest.approx(6, rel=0.05)  # 30 s of sound


def test_too_few_trials_and_a_disturbed_machine_decide_nothing():
    times = {"latency/float32": 100.0, "latency/int8": 40.0}
    record = recorded("asr", times, details=heard(model="base"))
    few = tuple(replace(one, samples=one.samples[:4]) for one in record.metrics)
    found = records.from_record(replace(record, metrics=few))["whisper_int8"]
    assert "4 trials" in found.reason
    assert found.instead.ratio.n == 4
    load = {"steal_s": 0.0, "cpu_total_s": 0.0}
    before = {**studies.MACHINE, "load": load}
    after = {"load": {"steal_s": 9.0, "cpu_total_s": 10.0}, "gpus": []}
    stolen = replace(record, environment_before=before, environment_after=after)
    assert "disturbed" in records.from_record(stolen)["whisper_int8"].reason


def test_a_failed_run_and_a_foreign_record_say_nothing():
    record = searches()
    failed = records.from_record(replace(record, status="failed"))
    assert all("failed" in evidence.reason for evidence in failed.values())
    assert records.from_record(replace(record, name="10_baseline")) == {}
    with pytest.raises(RecordError, match="exact"):
        records.from_record(replace(record, details={}))


# -- From files alone --------------------------------------------------------------------------


def test_without_records_each_claim_names_its_command(tmp_path):
    answers = answer_claims(AblationSettings(), tmp_path, measure=False)
    commanded = {name: way.command for name, way in WAYS.items() if way.command}
    assert set(commanded) == {
        "fern.rvq", "fern.rvq.tts", "fern.llm.local", "fern.pipeline.total",
        "fern.pipeline.first_audio", "fern.lora.latency",
    }  # fmt: skip
    reasons = {one.claim.id: one.reason for one in answers.all}
    for name, command in commanded.items():
        assert f"`{command}`" in reasons[name]


def test_every_command_that_a_claim_names_can_be_given():
    from workbench.cli import parser

    for way in WAYS.values():
        if way.command:
            assert parser().parse_args(way.command.split()[1:]).execute


def test_facts_survive_a_file_infinite_ends_too(tmp_path):
    ratio = Ratio(5.0, 2.0, float("inf"), 60)
    fact = Fact(0.2, 1.0, "ends", "chat-nano", "Zeta 1", Interval(0.2, 0.1, 0.3, 60), ratio)
    write_fact(tmp_path / "turn_gain.json", fact)
    write_fact(tmp_path / "stft_half.json", Missing("no GPU"))
    found = read_facts(tmp_path)
    assert set(found) == {"turn_gain"}
    assert asdict(found["turn_gain"]) == asdict(fact)
    (tmp_path / "turn_gain.json").write_text('{"schema_version": 0}')
    with pytest.raises(RecordError, match="schema"):
        read_facts(tmp_path)


def test_facts_of_earlier_answers_are_taken_over(tmp_path):
    fact = Fact(4.0, None, "one question", "chat-nano", "Zeta 1", Interval(4.0, 3.0, 5.0, 60))
    write_fact(tmp_path / "settings" / "probes" / "turn_cost.json", fact)
    (found,) = answered(tmp_path, "fern.turn.semantic.cost").values()
    assert (found.figure.low, found.figure.high) == (3.0, 5.0)


def test_the_shipped_reference_answers_without_measuring(tmp_path):
    kept = data_dir() / "reference"
    answers = answer_claims(AblationSettings(), tmp_path, sources=[kept], measure=False)
    assert answers.complete
    assert answers.counts[str(UNKNOWN)] < 59
    measured = {one.claim.id: one for one in answers.all if one.figure}
    assert "rtx50.inference_mode" in measured
    assert not list(tmp_path.rglob("*.record.json"))


def test_what_a_command_printed_is_no_record(tmp_path):
    (tmp_path / "converse-compare.json").write_text('{"verdict": "FASTER", "arms": {}}')
    with pytest.raises(InputError, match="no measurements") as raised:
        answered(tmp_path, "fern.pipeline.total")
    assert "--out" in raised.value.remedy


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = searches()
    assert records.from_record(read(write(tmp_path / "a.record.json", record))) == (
        records.from_record(record)
    )
